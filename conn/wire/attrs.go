package wire

// Flags of Attrs: which fields are present (draft-ietf-secsh-filexfer-02, section 5).
const (
	AttrSize        = 0x01
	AttrUIDGID      = 0x02
	AttrPermissions = 0x04
	AttrACModTime   = 0x08

	attrExtended = 0x80000000
	attrKnown    = AttrSize | AttrUIDGID | AttrPermissions | AttrACModTime
)

// Attrs are the attributes of a file. A field counts only if its flag is set.
type Attrs struct {
	Flags        uint32
	Size         uint64 // bytes
	UID, GID     uint32
	Mode         uint32 // type and permission bits as in stat(2)
	Atime, Mtime uint32 // seconds since 1970
}

// appendAttrs encodes the fields that a's flags name. Flags without a field
// here are not sent.
func appendAttrs(b []byte, a Attrs) []byte {
	b = appendUint32(b, a.Flags&attrKnown)
	if a.Flags&AttrSize != 0 {
		b = appendUint64(b, a.Size)
	}
	if a.Flags&AttrUIDGID != 0 {
		b = appendUint32(b, a.UID)
		b = appendUint32(b, a.GID)
	}
	if a.Flags&AttrPermissions != 0 {
		b = appendUint32(b, a.Mode)
	}
	if a.Flags&AttrACModTime != 0 {
		b = appendUint32(b, a.Atime)
		b = appendUint32(b, a.Mtime)
	}
	return b
}

// attrs decodes attributes. Extended pairs are skipped. A flag that version 3
// does not know is taken to bring no data, as OpenSSH's client does; unknown
// says that there was one, so that bytes left over are no surprise.
func (d *decoder) attrs() (a Attrs, unknown bool) {
	flags := d.uint32()
	a.Flags = flags & attrKnown
	if flags&AttrSize != 0 {
		a.Size = d.uint64()
	}
	if flags&AttrUIDGID != 0 {
		a.UID, a.GID = d.uint32(), d.uint32()
	}
	if flags&AttrPermissions != 0 {
		a.Mode = d.uint32()
	}
	if flags&AttrACModTime != 0 {
		a.Atime, a.Mtime = d.uint32(), d.uint32()
	}
	if flags&attrExtended != 0 {
		d.skipPairs(d.uint32())
	}
	return a, flags&^(attrKnown|attrExtended) != 0
}

// skipPairs skips n pairs of strings. It ends with the packet whatever n says.
func (d *decoder) skipPairs(n uint32) {
	for ; n > 0 && !d.short; n-- {
		d.bytes()
		d.bytes()
	}
}

// decodeAttrs decodes the body of an ATTRS reply.
func decodeAttrs(body []byte) (Attrs, error) {
	d := decoder{rest: body}
	a, unknown := d.attrs()
	if unknown {
		d.rest = nil
	}
	return a, d.finish()
}
