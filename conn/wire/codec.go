package wire

import (
	"encoding/binary"
	"errors"
)

// What can be wrong with the body of a packet whose length was right.
var (
	errShort    = errors.New("truncated")
	errTrailing = errors.New("bytes left over")
)

func appendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func appendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func appendString[S ~string](b []byte, s S) []byte {
	return append(appendUint32(b, uint32(len(s))), s...)
}

// decoder takes a packet's body apart. It never reads beyond it: a field that
// does not fit makes it short, and all that follows zero.
type decoder struct {
	rest  []byte
	short bool
}

func (d *decoder) take(n uint64) []byte {
	if d.short || n > uint64(len(d.rest)) {
		d.rest, d.short = nil, true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bytes decodes a string without copying it.
func (d *decoder) bytes() []byte { return d.take(uint64(d.uint32())) }

func (d *decoder) string() string { return string(d.bytes()) }

// finish says whether the body was exactly what was decoded.
func (d *decoder) finish() error {
	if len(d.rest) > 0 {
		return errTrailing
	}
	return d.atLeast()
}

// atLeast says whether the body held what was decoded; there may be more, for
// replies that later versions of a server may extend.
func (d *decoder) atLeast() error {
	if d.short {
		return errShort
	}
	return nil
}
