package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Handle is an open regular file.
type Handle struct {
	node *Node
	road *road
	flag OpenFlag

	// remote is the file on the server, nil until it is needed when everything
	// that is read is cached. Guarded by tree.mu.
	remote File
	// closed: no new request may use remote. Guarded by tree.mu.
	closed bool

	// The errors of the road that this handle has heard: by a write, and by
	// fsync or close. Guarded by road.mu.
	heardWrite, heardSync uint64
	// dirty: something was written since the attributes were last asked for.
	// Guarded by road.mu.
	dirty bool

	opening sync.Mutex // one lazy open at a time; held across a request by design, see lazyOpen
	ahead   readAhead
	// settling are the questions that must be answered before remote is closed.
	settling sync.WaitGroup
}

// Node returns the node that is open.
func (h *Handle) Node() *Node { return h.node }

// Size returns the size of the file as this mount knows it, in bytes.
func (h *Handle) Size() int64 {
	h.node.tree.mu.Lock()
	defer h.node.tree.mu.Unlock()
	return int64(h.node.attr.Size)
}

// file returns the file on the server, nil if it is not open there.
func (h *Handle) file() File {
	h.node.tree.mu.Lock()
	defer h.node.tree.mu.Unlock()
	return h.remote
}

// openFile returns any file on the server that is open for n, or nil.
func (n *Node) openFile() File {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	for _, h := range n.handles {
		if h.remote != nil {
			return h.remote
		}
	}
	return nil
}

// newHandle makes a handle and counts it.
func newHandle(n *Node, r *road, flag OpenFlag, f File) *Handle {
	h := &Handle{node: n, road: r, flag: flag, remote: f}
	r.mu.Lock()
	h.heardWrite, h.heardSync = r.errSeq, r.errSeq
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	if n.failed {
		h.heardSync-- // nobody was told: the next fsync or close tells
	}
	r.mu.Unlock()
	n.handles = append(n.handles, h)
	n.tree.handles[h] = struct{}{}
	return h
}

// lazyOpen returns the file on the server, opening it when that was not needed
// so far. opening is a lock per handle that only concurrent readers of this
// handle, who all need the answer, wait for.
func (h *Handle) lazyOpen(ctx context.Context) (File, error) {
	if f := h.file(); f != nil {
		return f, nil
	}
	h.opening.Lock()
	defer h.opening.Unlock()
	if f := h.file(); f != nil {
		return f, nil
	}
	f, err := h.node.openRemote(ctx, h.flag)
	if err != nil {
		return nil, err
	}
	t := h.node.tree
	t.mu.Lock()
	closed := h.closed
	if !closed {
		h.remote = f
	}
	t.mu.Unlock()
	if closed {
		return nil, errors.Join(syscall.EBADF, f.Close(t.ctx))
	}
	return f, nil
}

// openBeforeRemoval opens the handles that would not find their file once its
// name is gone.
func (n *Node) openBeforeRemoval(ctx context.Context) error {
	if n == nil || n.typ != syscall.S_IFREG {
		return nil
	}
	n.tree.mu.Lock()
	handles := slices.Clone(n.handles)
	if len(n.links) > 1 {
		handles = nil // another name remains
	}
	n.tree.mu.Unlock()
	for _, h := range handles {
		if _, err := h.lazyOpen(ctx); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// heardLocked returns the error that this handle has not heard by seen.
func (h *Handle) heardLocked(seen *uint64) error {
	if *seen == h.road.errSeq {
		return nil
	}
	*seen = h.road.errSeq
	h.road.toldLocked()
	return h.road.err
}

// Flush waits until what was written has its answer, as close(2) needs it, and
// returns an error that neither it nor Fsync returned before.
func (h *Handle) Flush(ctx context.Context) error {
	r := h.road
	h.askBehindWrites()
	if err := r.flush(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.dirty {
		h.dirty = false
		h.askAfterWrite()
	}
	return h.heardLocked(&h.heardSync)
}

// opStat names the questions what writes left.
const opStat = "stat"

// askBehindWrites sends, behind the writes on their way, the question what they
// leave: its answer comes with theirs. Only where the server keeps the order.
func (h *Handle) askBehindWrites() {
	t, r := h.node.tree, h.road
	features := t.remote.Features()
	f := h.file()
	if f == nil || !features.InOrder || features.RTT < nearRTT {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !h.dirty || len(r.active)+len(r.queue) == 0 || !h.useRemote() {
		return
	}
	h.dirty = false
	r.addLocked(&change{
		op: opStat, handle: h, beside: true, waited: true, // its failure is no change's
		after: func(ctx context.Context) Pending { return f.StartSetattr(ctx, SetAttr{}) },
		run:   f.Stat,
	}, func() {})
}

// nearRTT is the round trip below which nothing is asked just in case: it costs
// more work than it saves time.
const nearRTT = 2 * time.Millisecond

// askAfterWrite asks for the attributes that the writes left, with nobody
// waiting: the mtime is the server's.
func (h *Handle) askAfterWrite() {
	n, t := h.node, h.node.tree
	if t.remote.Features().RTT < nearRTT {
		return // whoever wants to know is answered as soon as he asks
	}
	t.mu.Lock()
	f, asked := h.remote, t.seq
	if f == nil || h.closed || n.asking != nil {
		t.mu.Unlock()
		return
	}
	answered := make(chan struct{})
	n.asking = answered
	h.settling.Add(1)
	t.mu.Unlock()
	t.background(func() {
		defer h.settling.Done()
		a, err := f.Stat(t.ctx)
		t.mu.Lock()
		defer t.mu.Unlock()
		if err == nil {
			n.takeOwnLocked(a, asked)
		}
		n.asking = nil
		close(answered)
	})
}

// takeOwnLocked fills n with what an open file tells after our own writes, and
// learns how the server's clock stands to ours.
func (n *Node) takeOwnLocked(a Attr, asked uint64) {
	guessed := n.guess
	fresh := time.Since(n.answeredAt) < time.Second
	if n.fillOwnLocked(a, asked, true) && guessed && fresh {
		if skew := a.Mtime - time.Now().Unix(); skew < -1 || skew > 1 {
			n.tree.skew = skew
		} else {
			n.tree.skew = 0
		}
	}
}

// Fsync is Flush, and has the server make the data durable where it can.
func (h *Handle) Fsync(ctx context.Context) error {
	if err := h.Flush(ctx); err != nil {
		return err
	}
	f, err := h.lazyOpen(ctx)
	if err != nil {
		return err
	}
	if err := f.Sync(ctx); err != nil && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// Release gives the handle back. It does not wait: what is still on its way
// goes on, and only then is the file on the server closed.
func (h *Handle) Release() {
	t, n := h.node.tree, h.node
	t.mu.Lock()
	if h.closed {
		t.mu.Unlock()
		return
	}
	h.closed = true
	f := h.remote
	t.mu.Unlock()
	if f == nil {
		h.forget()
		return
	}
	t.background(func() {
		_ = h.road.flush(t.ctx) // its errors are kept on the road
		h.settling.Wait()
		h.forget()
		if err := f.Close(t.ctx); err != nil && h.flag&OpenWrite != 0 {
			t.opts.Log(OpClose, n.Path(), err)
		}
	})
}

// forget uncounts the handle.
func (h *Handle) forget() {
	t, n := h.node.tree, h.node
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.handles, h)
	n.handles = slices.DeleteFunc(n.handles, func(x *Handle) bool { return x == h })
	n.dropLocked()
}
