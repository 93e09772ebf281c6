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

// Open opens regular file n. keep tells whether the pages that the kernel may
// have are still those of the file.
func (n *Node) Open(ctx context.Context, flag OpenFlag) (h *Handle, keep bool, err error) {
	if n.typ != syscall.S_IFREG {
		return nil, false, notRegular(n.typ)
	}
	t := n.tree
	r := n.roadOf()
	flag &^= OpenAppend // the kernel chooses the offsets
	if flag&OpenTruncate != 0 {
		if err := n.readyToTruncate(ctx); err != nil {
			return nil, false, err
		}
	}
	if flag&(OpenWrite|OpenTruncate) == 0 {
		t.mu.Lock()
		n.runOnLocked()
		t.mu.Unlock()
		if err := n.awaitFetch(ctx); err != nil {
			return nil, false, err
		}
	}
	if flag&(OpenWrite|OpenTruncate) == 0 && n.cachedWhole() {
		h = newHandle(n, r, flag, nil)
		t.mu.Lock()
		defer t.mu.Unlock()
		return h, n.keepLocked(), nil
	}
	f, err := n.openRemote(ctx, flag)
	if err != nil {
		return nil, false, err
	}
	h = newHandle(n, r, flag, f)
	t.mu.Lock()
	defer t.mu.Unlock()
	return h, n.keepLocked(), nil
}

// readyToTruncate makes sure that the name leads to n, and that what was
// written before does not arrive after the truncation.
func (n *Node) readyToTruncate(ctx context.Context) error {
	if err := n.confirmName(ctx); err != nil {
		return err
	}
	if err := n.roadOf().flush(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// notRegular is why something that is not a regular file cannot be opened.
func notRegular(typ uint32) error {
	switch typ {
	case syscall.S_IFDIR:
		return syscall.EISDIR
	case syscall.S_IFLNK:
		return syscall.ELOOP
	}
	// The server would open its own device, and may hang on a FIFO.
	return syscall.ENXIO
}

// keepLocked tells whether the kernel may keep its pages, and notes that from
// now on it has those of this content.
func (n *Node) keepLocked() bool {
	keep := n.kernelGen == n.gen
	n.kernelGen = n.gen
	return keep
}

// cachedWhole reports whether a reader needs nothing from the server:
// attributes are young enough and all content is here.
func (n *Node) cachedWhole() bool {
	t := n.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	young := time.Since(n.validAt) <= t.opts.OpenTTL && time.Now().Before(n.expires)
	size := int64(n.attr.Size)
	return young && n.readableLocked() && len(n.links) > 0 && size > 0 && size <= t.opts.ContentBytes/4 && n.wholeLocked()
}

// readableLocked reports whether the server would surely let us read: else it
// must be asked, even for what is cached.
func (n *Node) readableLocked() bool {
	f := n.tree.remote.Features()
	if f.LoginKnown && f.LoginUID == 0 {
		return true
	}
	if f.LoginKnown && f.LoginUID == n.attr.UID {
		return n.attr.Mode&0400 != 0
	}
	return n.attr.Mode&0004 != 0
}

// openRemote opens the file on the server and takes its attributes.
func (n *Node) openRemote(ctx context.Context, flag OpenFlag) (File, error) {
	t := n.tree
	if err := n.awaitChanges(ctx); err != nil {
		return nil, err
	}
	t.mu.Lock()
	asked, l := t.seq, link{}
	if len(n.links) > 0 {
		l = n.links[0]
	}
	t.mu.Unlock()
	var f File
	var a Attr
	err := n.withPath(ctx, func(path string) (err error) {
		f, a, err = t.remote.Open(ctx, path, flag, 0)
		return err
	})
	switch {
	case isNoEntry(err):
		err = n.vanished(ctx, l, asked)
		if err == nil {
			err = errStale
		}
		return nil, err
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		// The name leads to something of another type by now; the refresh is to
		// let the tree know.
		if err := n.refresh(ctx); ctx.Err() != nil {
			return nil, err
		}
		return nil, errors.Join(errStale, err)
	}
	if err != nil {
		return nil, err
	}
	if err := n.takeOpened(ctx, l, a, asked, flag); err != nil {
		return nil, errors.Join(err, f.Close(t.ctx))
	}
	return f, nil
}

// awaitChanges waits for the changes of n before it is opened: they may be what
// permits it, the open may travel on another session than they do, and what it
// tells of a file with changes on their way could not be believed.
func (n *Node) awaitChanges(ctx context.Context) error {
	n.tree.mu.Lock()
	pending := n.pending > 0
	n.tree.mu.Unlock()
	if !pending {
		return nil
	}
	if err := n.roadOf().flush(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// takeOpened takes the attributes that came with an open.
func (n *Node) takeOpened(ctx context.Context, l link, a Attr, asked uint64, flag OpenFlag) error {
	t := n.tree
	if flag&OpenTruncate != 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		n.truncatedLocked(a)
		return nil
	}
	if err := n.take(ctx, l, a, asked); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.racy && n.pending == 0 {
		n.gen++
		n.racy = false
	}
	return nil
}

// truncatedLocked takes the attributes of a file that was just truncated.
func (n *Node) truncatedLocked(a Attr) {
	n.bumpLocked()
	n.gen++
	n.racy = false
	n.fillLocked(a, n.seq)
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

// askAfterWrite asks for the attributes that the writes left, with nobody
// waiting: the mtime is the server's.
func (h *Handle) askAfterWrite() {
	n, t := h.node, h.node.tree
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
			t.opts.Log("close", n.Path(), err)
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
