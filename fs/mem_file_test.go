package fs

import (
	"context"
	"io"
	"syscall"

	"seamount/cache"
)

// memFile is an open file of a memServer.
type memFile struct {
	s    *memServer
	n    *memInode
	path string
}

func (f *memFile) ReadAt(ctx context.Context, p []byte, off int64) (k int, err error) {
	err = f.s.request(ctx, "READ", f.path, func() error {
		if off < int64(len(f.n.data)) {
			k = copy(p, f.n.data[off:])
		}
		if k < len(p) {
			return io.EOF
		}
		return nil
	})
	return k, err
}

func (f *memFile) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	err := f.s.request(ctx, "WRITE", f.path, func() error {
		f.n.resize(max(int(off)+len(p), len(f.n.data)))
		copy(f.n.data[off:], p)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// writeCall is a write that is sent when it is waited for: order does not
// matter here.
type writeCall func(ctx context.Context) (int, error)

func (w writeCall) Wait(ctx context.Context) (int, error) { return w(ctx) }

func (f *memFile) StartWriteAt(_ context.Context, p []byte, off int64) cache.PendingWrite {
	p = append([]byte(nil), p...)
	return writeCall(func(ctx context.Context) (int, error) { return f.WriteAt(ctx, p, off) })
}

func (f *memFile) StartSetattr(context.Context, cache.SetAttr) cache.Pending { return nil }

func (f *memFile) Stat(ctx context.Context) (a cache.Attr, err error) {
	err = f.s.request(ctx, "FSTAT", f.path, func() error { a = f.n.attr; return nil })
	return a, err
}

func (f *memFile) Setattr(ctx context.Context, set cache.SetAttr) (a cache.Attr, err error) {
	err = f.s.request(ctx, "FSETSTAT", f.path, func() error { f.n.set(set); a = f.n.attr; return nil })
	return a, err
}

func (f *memFile) Sync(context.Context) error { return syscall.ENOTSUP }

func (f *memFile) CopyTo(ctx context.Context, dst cache.File, off, length, to int64) (k int64, err error) {
	d, ok := dst.(*memFile)
	if !ok {
		return 0, syscall.ENOTSUP
	}
	err = f.s.request(ctx, "COPY", f.path, func() error {
		off = min(off, int64(len(f.n.data)))
		k = min(length, int64(len(f.n.data))-off)
		d.n.resize(max(len(d.n.data), int(to+k)))
		copy(d.n.data[to:], f.n.data[off:off+k])
		return nil
	})
	return k, err
}

func (f *memFile) Close(ctx context.Context) error {
	return f.s.request(ctx, "CLOSE", f.path, func() error { return nil })
}
