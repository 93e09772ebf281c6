package serve

import (
	"encoding/binary"
	"io"
	"path"
)

// rebased is the input of an SFTP server for which relative paths of REALPATH
// begin at root. That is how a client learns its login directory; all further
// paths it builds from the answer. pkg/sftp has an option for the same, but
// that also makes the targets of new symbolic links absolute.
type rebased struct {
	r    io.Reader
	root string
	// buf is what was read and not given yet, pass the bytes of the current
	// packet after it, which go through unseen.
	buf  []byte
	pass int
}

const (
	fxpRealpath = 16 // draft-ietf-secsh-filexfer-02, section 6.11
	// maxRealpath bounds the packets that are looked into, in bytes.
	maxRealpath = 64 << 10
)

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

// next reads the head of a packet, and all of a REALPATH.
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
	if head[4] != fxpRealpath || length > maxRealpath {
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

// rebase puts root before the relative path of a REALPATH.
func (b *rebased) rebase(head, body []byte) []byte {
	const fixed = 8 // request id, length of the path
	if len(body) < fixed || int(binary.BigEndian.Uint32(body[4:])) != len(body)-fixed {
		return append(head, body...)
	}
	p := string(body[fixed:])
	if !path.IsAbs(p) {
		p = path.Join(b.root, p)
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(1+fixed+len(p)))
	out = append(out, fxpRealpath)
	out = append(out, body[:4]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
	return append(out, p...)
}
