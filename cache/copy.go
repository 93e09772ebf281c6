package cache

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"
)

// opCopy names the copies on the server.
const opCopy = "copy"

// Copy copies length bytes at off of this file to dst at dstOff on the server,
// and returns how many were copied: fewer at the end of the file. ENOTSUP
// where the server cannot.
func (h *Handle) Copy(ctx context.Context, off int64, dst *Handle, dstOff, length int64) (int64, error) {
	if h.flag&OpenRead == 0 || dst.flag&OpenWrite == 0 {
		return 0, syscall.EBADF
	}
	if !h.node.tree.remote.Features().CopyData {
		return 0, syscall.ENOTSUP
	}
	length = min(length, h.Size()-off)
	if length <= 0 {
		return 0, nil
	}
	from, err := h.lazyOpen(ctx)
	if err != nil {
		return 0, err
	}
	to, err := dst.lazyOpen(ctx)
	if err != nil {
		return 0, err
	}
	// The source must be on the server as it is here.
	if err := h.road.flush(ctx); err != nil {
		return 0, err
	}
	var copied atomic.Int64
	r := dst.road
	c := &change{op: opCopy, waited: true, run: func(running context.Context) (Attr, error) {
		// It ends with its caller, and with the tree.
		running, cancel := context.WithCancel(running)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		n, err := from.CopyTo(running, to, off, length, dstOff)
		copied.Store(n)
		if n > 0 {
			dst.node.copied(dstOff, n)
			err = nil
		}
		return Attr{}, err
	}}
	r.mu.Lock()
	r.addLocked(c, func() { dst.node.wroteLocked(dstOff) })
	dst.dirty = true
	r.pumpLocked()
	r.mu.Unlock()
	if err := r.wait(ctx, c); err != nil {
		return 0, err
	}
	return copied.Load(), nil
}

// copied shows in the tree what the server copied into n.
func (n *Node) copied(off, length int64) {
	r := n.roadOf()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.fetching {
		f.stale = true
	}
	t := n.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	n.bumpLocked()
	n.wroteLocked(off + length)
	n.expireLocked()
	for idx := off / BlockSize; idx*BlockSize < off+length; idx++ {
		t.blocks.remove(blockKey{n, n.gen, idx})
	}
}

// Allocate gives the file at least off+length bytes. SFTP cannot reserve: with
// keepSize, or within the file, only the mtime moves, as it does on a local disk.
func (h *Handle) Allocate(ctx context.Context, off, length int64, keepSize bool) error {
	if h.flag&OpenWrite == 0 {
		return syscall.EBADF
	}
	end := off + length
	if end < 0 {
		return syscall.EFBIG
	}
	s := SetAttr{Valid: SetSize, Size: uint64(end)}
	if keepSize || end <= h.Size() {
		h.node.tree.mu.Lock()
		s = SetAttr{Valid: SetTimes, Atime: h.node.attr.Atime, Mtime: time.Now().Unix() + h.node.tree.skew}
		h.node.tree.mu.Unlock()
	}
	_, err := h.node.Setattr(ctx, h, s)
	return err
}
