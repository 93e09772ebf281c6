package cache

import (
	"context"
	"errors"
	"io"
	"syscall"
)

// randomRead is the size up to which a read out of sequence fetches just what
// it asks for, in bytes: the kernel keeps the pages.
const randomRead = 64 << 10

// useRemote keeps the file on the server open for a request; false once the
// handle is closed. It is followed by settling.Done.
func (h *Handle) useRemote() bool {
	h.node.tree.mu.Lock()
	defer h.node.tree.mu.Unlock()
	if h.closed {
		return false
	}
	h.settling.Add(1)
	return true
}

// readRandom reads without the cache what is not in it.
func (h *Handle) readRandom(ctx context.Context, off, end int64) ([][]byte, error) {
	r := h.road
	first, last := off/BlockSize, (end-1)/BlockSize
	r.mu.Lock()
	_, f, ok := r.lookLocked(first)
	if first != last || ok || f != nil || len(r.blockingLocked(off, end)) > 0 {
		r.mu.Unlock()
		return h.readBlocks(ctx, off, end)
	}
	changed := r.changed()
	r.mu.Unlock()
	if !h.useRemote() {
		return nil, syscall.EBADF
	}
	defer h.settling.Done()
	file, err := h.lazyOpen(ctx)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, end-off)
	got, err := file.ReadAt(ctx, buf, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if got < len(buf) || r.changed() != changed {
		// It is shorter than known, or was written meanwhile.
		return h.readBlocks(ctx, off, end)
	}
	return [][]byte{buf}, nil
}

// changed is the number of the node's latest change.
func (r *road) changed() uint64 {
	r.tree.mu.Lock()
	defer r.tree.mu.Unlock()
	return r.node.changed
}
