package cache

import "time"

// BlockSize is the unit in which content is cached and fetched, in bytes. It
// divides a FUSE read of 1 MiB and fits one SFTP request of servers that tell
// their limits.
const BlockSize = 128 << 10

// Durability says when a call that changes something returns.
type Durability int

const (
	// DurabilityClose: names are answered by the server; data and attributes of
	// a file are by the time of close or fsync.
	DurabilityClose Durability = iota
	// DurabilityCall: every call waits for the server's answer.
	DurabilityCall
)

// OpClose is the op that Log is told when the server refuses to close a file,
// all changes of which it had answered.
const OpClose = "close"

// Options of a Tree. The zero value of a field means its default.
type Options struct {
	Durability Durability
	// AttrTTLMin and AttrTTLMax bound the time that attributes and listings are
	// believed. Defaults: 3 s and 60 s.
	AttrTTLMin, AttrTTLMax time.Duration
	// OpenTTL is the age up to which an open believes attributes. Default 1 s;
	// negative: an open always asks.
	OpenTTL time.Duration
	// ContentBytes bounds the content cache. Default 64 MiB.
	ContentBytes int64
	// DirtyBytes bounds what is written and not acknowledged; writers wait for
	// room. Default 32 MiB.
	DirtyBytes int64
	// ReadAheadMax bounds the read-ahead of one handle, in bytes. Default 8 MiB,
	// more where the round trip needs it to keep a fast link full; negative: none.
	ReadAheadMax int64
	// NoPrefetch fetches nothing before it is asked for, but for read-ahead in
	// a file.
	NoPrefetch bool
	// Follow shows what symbolic links lead to in their place.
	Follow bool
	// Invalidate tells that the content or attributes of a node that the kernel
	// holds changed on the server. It is called with no lock held and must not
	// block.
	Invalidate func(n *Node)
	// Log tells of a change that failed when nobody waited for it. It must not
	// block.
	Log func(op, path string, err error)
}

func (o Options) withDefaults() Options {
	setDefault(&o.AttrTTLMin, 3*time.Second)
	setDefault(&o.AttrTTLMax, 60*time.Second)
	o.AttrTTLMax = max(o.AttrTTLMax, o.AttrTTLMin)
	setDefault(&o.OpenTTL, time.Second)
	setDefault(&o.ContentBytes, 64<<20)
	setDefault(&o.DirtyBytes, 32<<20)
	setDefault(&o.ReadAheadMax, 8<<20)
	// One FUSE write must always fit, or it would wait for ever.
	o.DirtyBytes = max(o.DirtyBytes, 2<<20)
	if o.Invalidate == nil {
		o.Invalidate = func(*Node) {}
	}
	if o.Log == nil {
		o.Log = func(string, string, error) {}
	}
	return o
}

func setDefault[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}
