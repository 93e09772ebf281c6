package cache

import (
	"context"
	"syscall"
	"time"
)

// opTruncate names the changes of a file's size.
const opTruncate = "truncate"

// Write takes p, which it copies, at off. It returns when the data is in memory
// or, with DurabilityCall, on the server; it waits for room while too much is
// on its way. An earlier error that this handle's writes have not heard is
// returned instead.
func (h *Handle) Write(ctx context.Context, p []byte, off int64) error {
	if h.flag&OpenWrite == 0 {
		return syscall.EBADF
	}
	t, r := h.node.tree, h.road
	if off < 0 || off+int64(len(p)) < off {
		return syscall.EFBIG
	}
	if len(p) == 0 {
		return nil
	}
	r.mu.Lock()
	err := h.heardLocked(&h.heardWrite)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if err := t.dirty.Acquire(ctx, int64(len(p))); err != nil {
		return err
	}
	r.mu.Lock()
	h.dirty = true
	waited := t.opts.Durability == DurabilityCall
	changes := r.writeLocked(h, p, off, waited)
	r.pumpLocked()
	r.mu.Unlock()
	if !waited {
		return nil
	}
	var failed error
	for _, c := range changes {
		// Each is waited for, so that none fails unheard; who is interrupted
		// gives up all the rest.
		if err := r.wait(ctx, c); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// writeLocked puts p on the road block by block.
func (r *road) writeLocked(h *Handle, p []byte, off int64, waited bool) []*change {
	var changes []*change
	for len(p) > 0 {
		idx := off / BlockSize
		k := min(int64(len(p)), (idx+1)*BlockSize-off)
		if c := r.writeBlockLocked(h, p[:k], off, waited); c != nil {
			changes = append(changes, c)
		}
		p, off = p[k:], off+k
	}
	return changes
}

// writeBlockLocked writes within one block: to the cached block if there is
// one, and on the road. A write that goes on where the last one of the queue
// ended joins it; then nil is returned.
func (r *road) writeBlockLocked(h *Handle, p []byte, off int64, waited bool) *change {
	idx := off / BlockSize
	if f := r.fetching[idx]; f != nil {
		f.stale = true
	}
	start := off - idx*BlockSize
	block, grew := r.storeLocked(idx, start, p)
	last := r.lastWriteLocked()
	if last != nil && grew && !waited && !last.waited && last.handle == h &&
		last.end() == off && last.off/BlockSize == idx && last.gen == r.gen() {
		last.data = block[last.off-idx*BlockSize : start+int64(len(p))]
		r.grewLocked(off + int64(len(p)))
		return nil
	}
	c := &change{op: "write", handle: h, off: off, waited: waited}
	if block != nil {
		c.data = block[start : start+int64(len(p))]
	} else {
		c.data = append([]byte(nil), p...)
	}
	r.addLocked(c, func() { r.node.wroteLocked(c.end()) })
	return c
}

// lastWriteLocked returns the write that is last in the queue, or nil.
func (r *road) lastWriteLocked() *change {
	if len(r.queue) == 0 {
		return nil
	}
	if c := r.queue[len(r.queue)-1]; c.isWrite() {
		return c
	}
	return nil
}

// grewLocked notes that a write which is on the road already grew up to end.
func (r *road) grewLocked(end int64) {
	t := r.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	r.node.bumpLocked()
	r.queue[len(r.queue)-1].seq = r.node.seq
	r.node.wroteLocked(end)
}

// wroteLocked shows a write in the attributes.
func (n *Node) wroteLocked(end int64) {
	if uint64(end) > n.attr.Size {
		n.attr.Size = uint64(end)
		n.sizeSeq = n.seq
	}
	n.attr.Mtime = time.Now().Unix() + n.tree.skew
	n.guess, n.racy = true, true
}

// storeLocked puts p at start in block idx of the cache, and returns the
// block, or nil where the rest of it is not known; grew tells that a block
// that ended at start was continued. Bytes that somebody may be reading or
// sending are not touched: a block grows behind its end, or is copied.
func (r *road) storeLocked(idx, start int64, p []byte) (block []byte, grew bool) {
	t, n := r.tree, r.node
	t.mu.Lock()
	key := blockKey{n, n.gen, idx}
	size := int64(n.attr.Size)
	t.mu.Unlock()
	old, ok := t.blocks.get(key)
	end := start + int64(len(p))
	if !ok && size > idx*BlockSize && (start > 0 || idx*BlockSize+end < min(size, (idx+1)*BlockSize)) {
		return nil, false
	}
	length := max(end, int64(len(old)))
	block = old
	if start != int64(len(old)) || int64(cap(old)) < end {
		block = make([]byte, len(old), blockCap(length, len(old) > 0))
		copy(block, old)
	}
	block = block[:length] // zeros between the old end and start: never used before
	copy(block[start:], p)
	t.blocks.put(key, block)
	return block, ok && start == int64(len(old))
}

// blockCap is the room to make for a block of length bytes: a block that grows
// a second time will likely be filled.
func blockCap(length int64, grows bool) int64 {
	if grows {
		return BlockSize
	}
	c := int64(4 << 10)
	for c < length {
		c *= 2
	}
	return c
}

// truncateLocked makes the cached content follow a new size.
func (r *road) truncateLocked(oldSize, size int64) {
	if size >= oldSize {
		return
	}
	t, n := r.tree, r.node
	t.mu.Lock()
	gen := n.gen
	t.mu.Unlock()
	for _, f := range r.fetching {
		f.stale = true
	}
	if (oldSize-size)/BlockSize > 4096 {
		// Cheaper to forget than to look for.
		t.mu.Lock()
		n.gen++
		t.mu.Unlock()
		return
	}
	idx := size / BlockSize
	if keep := size % BlockSize; keep > 0 {
		key := blockKey{n, gen, idx}
		if b, ok := t.blocks.get(key); ok && int64(len(b)) > keep {
			// The room behind the new end was used: it must not be grown into.
			t.blocks.put(key, b[:keep:keep])
		}
		idx++
	}
	for ; idx*BlockSize < oldSize; idx++ {
		t.blocks.remove(blockKey{n, gen, idx})
	}
}
