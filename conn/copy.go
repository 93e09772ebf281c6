package conn

import (
	"context"
	"math"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

// copySlice is what one copy-data asks for, in bytes: the server does nothing
// else for the session until it is done.
const copySlice = 16 << 20

// CopyTo implements cache.File. Both handles must be of one session, so the
// file is opened once more on dst's, and ENOTSUP is the answer where that
// leads to another file; also for a copy inside a file, which OpenSSH 10.4 and
// later refuse.
func (f *file) CopyTo(ctx context.Context, dst cache.File, srcOff, length, dstOff int64) (int64, error) {
	to, ok := dst.(*file)
	if !ok || to.client != f.client || to == f || to.name() == f.name() {
		return 0, errnoError("copy", f.name(), syscall.ENOTSUP)
	}
	if srcOff < 0 || dstOff < 0 || length < 0 ||
		srcOff > math.MaxInt64-length || dstOff > math.MaxInt64-length {
		return 0, errnoError("copy", f.name(), syscall.EINVAL)
	}
	table := f.client.handles
	sources, err := table.acquire(ctx, f)
	if err != nil {
		return 0, f.error("copy", err)
	}
	defer table.release(f)
	targets, err := table.acquire(ctx, to)
	if err != nil {
		return 0, to.error("copy", err)
	}
	defer table.release(to)
	if !targets[0].session.Caps().CopyData {
		return 0, errnoError("copy", f.name(), syscall.ENOTSUP)
	}
	return f.copyOn(ctx, sources, targets[0], &copying{to: to, srcOff: srcOff, length: length, dstOff: dstOff})
}

// copying is one CopyTo.
type copying struct {
	to                     *file
	from, target           *handle
	srcOff, length, dstOff int64
}

// copyOn copies on the session of target.
func (f *file) copyOn(ctx context.Context, sources []*handle, target *handle, c *copying) (int64, error) {
	c.target = target
	c.from = on(target.session, sources)
	if c.from == nil {
		h, _, err := f.twin(ctx, sources[0], target.session, cache.OpenRead)
		if err != nil {
			if err := ctx.Err(); err != nil {
				return 0, f.error("copy", err)
			}
			return 0, &Error{Op: "copy", Path: f.name(), Errno: syscall.ENOTSUP, Err: err}
		}
		defer f.giveBack(ctx, h)
		c.from = h
	}
	f.client.handles.changing(c.to.name())
	n, err := c.run(ctx, f)
	f.client.handles.grown(c.to, uint64(c.dstOff+n))
	if err != nil {
		op := ioOp{name: "copy", size: uint64(min(c.length-n, copySlice)), end: uint64(c.dstOff + c.length)}
		return n, c.to.explain(ctx, target, op, err)
	}
	return n, nil
}

// run copies slice by slice up to the end of the source.
func (c *copying) run(ctx context.Context, f *file) (done int64, err error) {
	left, err := c.left(ctx, f, 0)
	for err == nil && left > 0 {
		n := min(left, copySlice)
		err = c.slice(ctx, f, done, n)
		if failed(err, wire.StatusEOF) {
			// The file has become shorter; what there was is copied.
			left, err = c.left(ctx, f, done)
			return done + min(left, n), err
		}
		if err == nil {
			done, left = done+n, left-n
		}
	}
	return done, err
}

// slice copies n bytes, not none: that would mean all.
func (c *copying) slice(ctx context.Context, f *file, done, n int64) error {
	call := c.target.session.CopyData(ctx, c.from.id, uint64(c.srcOff+done), uint64(n), c.target.id, uint64(c.dstOff+done))
	_, err := track(ctx, c.target.session, "copy-data", f.tracedName(ctx), call).wait(ctx)
	return err
}

// left is how much there is to copy when done bytes are.
func (c *copying) left(ctx context.Context, f *file, done int64) (int64, error) {
	a, err := f.client.attr(ctx, c.from.fstat(ctx, f.name()))
	if err != nil {
		return 0, err
	}
	return max(0, min(int64(a.Size)-c.srcOff, c.length)-done), nil
}
