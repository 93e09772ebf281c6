package cache

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"
)

// fetch is a block being read from the server. Its fields but done are
// guarded by road.mu until done is closed.
type fetch struct {
	handle *Handle // it is read through
	gen    uint64
	asked  uint64 // Tree.seq when it was asked for
	stale  bool   // the block was written meanwhile
	done   chan struct{}
	data   []byte
	err    error
}

var zeros [BlockSize]byte

// Read returns up to length bytes at off, as slices that must not be modified.
// It returns fewer only at the end of the file.
func (h *Handle) Read(ctx context.Context, off int64, length int) ([][]byte, error) {
	if h.flag&OpenRead == 0 {
		return nil, syscall.EBADF
	}
	for {
		size := h.Size()
		end := min(off+int64(length), size)
		if off >= end {
			return nil, nil
		}
		var out [][]byte
		var err error
		if h.readAhead(off, end, size) || end-off > randomRead || size <= BlockSize {
			out, err = h.readBlocks(ctx, off, end)
		} else {
			out, err = h.readRandom(ctx, off, end)
		}
		if err != errShrunk {
			return out, err
		}
	}
}

// errShrunk: the file turned out shorter than known, look again.
var errShrunk = errors.New("cache: file is shorter than it was")

func (h *Handle) readBlocks(ctx context.Context, off, end int64) ([][]byte, error) {
	h.prefetch(off/BlockSize, (end-1)/BlockSize)
	out := make([][]byte, 0, (end-off)/BlockSize+2)
	for off < end {
		idx := off / BlockSize
		data, err := h.block(ctx, idx)
		if err != nil {
			return nil, err
		}
		from := off - idx*BlockSize
		to := min(end-idx*BlockSize, BlockSize)
		if from < int64(len(data)) {
			out = append(out, data[from:min(to, int64(len(data)))])
		}
		if to > int64(len(data)) {
			out = append(out, zeros[:to-max(from, int64(len(data)))])
		}
		off = idx*BlockSize + to
	}
	return out, nil
}

// prefetch starts the reading of blocks that will be asked for in turn, so that
// they travel together.
func (h *Handle) prefetch(first, last int64) {
	if first == last {
		return
	}
	r := h.road
	r.mu.Lock()
	defer r.mu.Unlock()
	for idx := first; idx <= last; idx++ {
		r.fetchLocked(h, idx, nil)
	}
}

// block returns a block of the file as it is now.
func (h *Handle) block(ctx context.Context, idx int64) ([]byte, error) {
	r := h.road
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.mu.Lock()
		data, f, ok := r.lookLocked(idx)
		if ok {
			r.mu.Unlock()
			return data, nil
		}
		if f == nil {
			if blocking := r.blockingLocked(idx*BlockSize, (idx+1)*BlockSize); len(blocking) > 0 {
				err := r.awaitLocked(ctx, blocking)
				r.mu.Unlock()
				if err != nil {
					return nil, err
				}
				continue
			}
			f = r.fetchLocked(h, idx, nil)
		}
		r.mu.Unlock()
		if f == nil {
			if idx*BlockSize >= h.Size() {
				return nil, errShrunk // truncated meanwhile
			}
			continue
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err != nil && f.handle == h {
			return nil, f.err
		}
		r.mu.Lock()
		good := f.err == nil && !f.stale && f.gen == r.gen()
		r.mu.Unlock()
		if good {
			return f.data, nil
		}
	}
}

// gen returns the number of the file's content.
func (r *road) gen() uint64 {
	r.tree.mu.Lock()
	defer r.tree.mu.Unlock()
	return r.node.gen
}

// lookLocked finds a block, or its reading that is under way.
func (r *road) lookLocked(idx int64) ([]byte, *fetch, bool) {
	gen := r.gen()
	if data, ok := r.tree.blocks.get(blockKey{r.node, gen, idx}); ok {
		return data, nil, true
	}
	if f := r.fetching[idx]; f != nil && f.gen == gen && !f.stale {
		return nil, f, false
	}
	return nil, nil, false
}

// blockingLocked returns the changes that the server must have executed before
// it tells what is there from off to end.
func (r *road) blockingLocked(off, end int64) []*change {
	var out []*change
	for _, c := range r.pendingLocked() {
		if c.isWrite() && c.overlaps(off, end) || c.op == opTruncate || c.op == opCopy {
			out = append(out, c)
		}
	}
	return out
}

// fetchLocked starts reading a block unless it is here or cannot be read yet.
// free, if not nil, is called when it is done; it is not called when nothing
// was started.
func (r *road) fetchLocked(h *Handle, idx int64, free func()) *fetch {
	t, n := r.tree, r.node
	if _, f, ok := r.lookLocked(idx); ok || f != nil {
		return nil
	}
	if len(r.blockingLocked(idx*BlockSize, (idx+1)*BlockSize)) > 0 {
		return nil
	}
	t.mu.Lock()
	f := &fetch{handle: h, gen: n.gen, asked: t.seq, done: make(chan struct{})}
	size := min(int64(n.attr.Size)-idx*BlockSize, BlockSize)
	if n.recentContentLocked() {
		n.racy = true
	}
	t.mu.Unlock()
	if size <= 0 || !h.useRemote() {
		return nil
	}
	r.fetching[idx] = f
	t.background(func() {
		defer h.settling.Done()
		r.fetchBlock(h, idx, f, make([]byte, size))
		if free != nil {
			free()
		}
	})
	return f
}

// recentContentLocked reports whether the file may change without its mtime
// showing it.
func (n *Node) recentContentLocked() bool {
	return n.tree.recentLocked(n.attr.Mtime, time.Now())
}

// fetchBlock reads a block from the server.
func (r *road) fetchBlock(h *Handle, idx int64, f *fetch, buf []byte) {
	t := r.tree
	file, err := h.lazyOpen(t.reads)
	got := 0
	if err == nil {
		got, err = file.ReadAt(t.reads, buf, idx*BlockSize)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(f.done)
	if r.fetching[idx] == f {
		delete(r.fetching, idx)
	}
	f.data, f.err = buf[:got:got], err
	if err != nil || f.stale {
		return
	}
	if got < len(buf) && !r.shorterLocked(idx*BlockSize+int64(got), f) {
		return
	}
	t.blocks.put(blockKey{r.node, f.gen, idx}, f.data)
}

// shorterLocked is called when the server has fewer bytes than the file's size
// says. That is right, and true returned, when a write behind them was on its
// way: then there are zeros.
func (r *road) shorterLocked(size int64, f *fetch) bool {
	t, n := r.tree, r.node
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.extendingLocked(size) || n.sizeSeq > f.asked {
		return true
	}
	if n.gen == f.gen && int64(n.attr.Size) > size {
		// Another client made it shorter: the next look finds out what it is.
		n.attr.Size = uint64(size)
		n.gen++
		n.expireLocked()
	}
	f.stale = true
	f.err = errShrunk
	return false
}

// extendingLocked reports whether a change on its way makes the file longer
// than size.
func (r *road) extendingLocked(size int64) bool {
	for _, c := range r.pendingLocked() {
		if c.isWrite() && c.end() > size || c.op == opTruncate || c.op == opCopy {
			return true
		}
	}
	return false
}

// readAhead is a handle's guess of what is read next.
type readAhead struct {
	mu     sync.Mutex
	next   int64 // where a sequential reader goes on
	window int64 // bytes to have under way or here beyond that
	done   int64 // up to where read-ahead was started
}

// readAhead notes a read and starts the reading of what a sequential reader
// will ask for. The window doubles with every read in sequence; a jump ends it,
// and false is returned.
func (h *Handle) readAhead(off, end, size int64) bool {
	t := h.node.tree
	ra := &h.ahead
	ra.mu.Lock()
	defer ra.mu.Unlock()
	// The kernel sends the reads of one reader out of order, close together.
	near := off >= ra.next-2*BlockSize && off <= ra.next+8*BlockSize
	if !near {
		ra.window, ra.done = 0, 0
		ra.next = end
		return false
	}
	if off == 0 && ra.next == 0 {
		ra.window = BlockSize
	}
	ra.next = max(ra.next, end)
	if t.opts.ReadAheadMax < 0 {
		return true
	}
	ra.window = min(max(2*ra.window, 2*BlockSize), t.aheadWindow())
	to := min(ra.next+ra.window, size)
	from := max(ra.done, ra.next) / BlockSize
	h.fetchAhead(ra, from, to)
	return true
}

// aheadRate is the speed that read-ahead keeps up with, in bytes per second,
// and farWindow what it takes for that at the most.
const (
	aheadRate = 320 << 20
	farWindow = 32 << 20
)

// aheadWindow is how far a handle reads ahead: as far as the option says, and
// farther where the distance needs it.
func (t *Tree) aheadWindow() int64 {
	far := int64(t.remote.Features().RTT.Seconds() * aheadRate)
	return max(t.opts.ReadAheadMax, min(far, farWindow, t.opts.ContentBytes/2))
}

func (h *Handle) fetchAhead(ra *readAhead, from, to int64) {
	t, r := h.node.tree, h.road
	r.mu.Lock()
	defer r.mu.Unlock()
	for idx := from; idx*BlockSize < to; idx++ {
		if !t.window.TryAcquire(BlockSize) {
			return
		}
		if r.fetchLocked(h, idx, func() { t.window.Release(BlockSize) }) == nil {
			t.window.Release(BlockSize)
		}
		ra.done = (idx + 1) * BlockSize
	}
}
