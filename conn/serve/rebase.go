package serve

import (
	"encoding/binary"
	"io"
	"path"
)

// rebased is the input of an SFTP server for which relative paths begin at
// root, as at a login directory, but in the requests with two paths. pkg/sftp
// has an option for the same, which also makes the targets of new symbolic
// links absolute.
type rebased struct {
	r    io.Reader
	root string
	// buf is what was read and not given yet, pass the bytes of the current
	// packet after it, which go through unseen.
	buf  []byte
	pass int
}

// Requests whose first string is a path: draft-ietf-secsh-filexfer-02, section 3.
const (
	fxpOpen     = 3
	fxpLstat    = 7
	fxpSetstat  = 9
	fxpOpendir  = 11
	fxpRemove   = 13
	fxpMkdir    = 14
	fxpRmdir    = 15
	fxpRealpath = 16
	fxpStat     = 17
	fxpReadlink = 19

	// maxRebased bounds the packets that are looked into, in bytes.
	maxRebased = 64 << 10
)

// hasPath reports whether a request begins with a path.
func hasPath(typ byte) bool {
	switch typ {
	case fxpOpen, fxpLstat, fxpSetstat, fxpOpendir, fxpRemove, fxpMkdir, fxpRmdir, fxpRealpath, fxpStat, fxpReadlink:
		return true
	}
	return false
}

func (b *rebased) Read(p []byte) (int, error) {
	if len(b.buf) == 0 && b.pass == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	if len(b.buf) > 0 {
		n := copy(p, b.buf)
		b.buf = b.buf[n:]
		return n, nil
	}
	n, err := b.r.Read(p[:min(len(p), b.pass)])
	b.pass -= n
	return n, err
}

// next reads the head of a packet, and all of one with a path.
func (b *rebased) next() error {
	head := make([]byte, 5) // length, type
	if n, err := io.ReadFull(b.r, head); err != nil {
		b.buf = head[:n]
		if n > 0 {
			return nil // the server shall see what is not a packet
		}
		return err
	}
	length := int(binary.BigEndian.Uint32(head))
	b.buf, b.pass = head, max(length-1, 0)
	if !hasPath(head[4]) || length > maxRebased {
		return nil
	}
	body := make([]byte, b.pass)
	n, err := io.ReadFull(b.r, body)
	b.pass = 0
	b.buf = append(head, body[:n]...)
	if err == nil {
		b.buf = b.rebase(head, body)
	}
	return nil
}

// rebase puts root before a relative path.
func (b *rebased) rebase(head, body []byte) []byte {
	const fixed = 8 // request id, length of the path
	whole := append(head, body...)
	if len(body) < fixed {
		return whole
	}
	n := int(binary.BigEndian.Uint32(body[4:]))
	if n > len(body)-fixed {
		return whole
	}
	p, rest := string(body[fixed:fixed+n]), body[fixed+n:]
	if path.IsAbs(p) {
		return whole
	}
	p = path.Join(b.root, p)
	out := binary.BigEndian.AppendUint32(nil, uint32(1+fixed+len(p)+len(rest)))
	out = append(out, head[4])
	out = append(out, body[:4]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
	out = append(out, p...)
	return append(out, rest...)
}
