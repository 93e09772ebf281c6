package cache

import (
	"context"
	"syscall"
	"time"
)

// Setattr changes attributes and returns what they are then. h is the handle
// it came through, or nil. It returns as the tree's durability says; a change
// that the server may well refuse is waited for in any case.
func (n *Node) Setattr(ctx context.Context, h *Handle, s SetAttr) (Stat, error) {
	t := n.tree
	if s.Valid&SetSize != 0 && n.typ == syscall.S_IFDIR {
		return Stat{}, syscall.EISDIR
	}
	if s.Valid == 0 {
		return n.Attr(ctx)
	}
	if h == nil {
		if err := n.confirmName(ctx); err != nil {
			return Stat{}, err
		}
	}
	r := n.roadOf()
	c := &change{op: "setattr"}
	if s.Valid&SetSize != 0 {
		c.op = opTruncate
	}
	// Modes and owners have nothing to do with the content, but that a write
	// takes set-id bits away.
	c.beside = s.Valid&^(SetMode|SetUID|SetGID) == 0 && (s.Valid&SetMode == 0 || s.Mode&06000 == 0)
	n.route(c, h, s)
	r.mu.Lock()
	r.followWritesLocked(c, s)
	c.waited = t.opts.Durability == DurabilityCall || n.refusable(h, s)
	old := n.applyLocked(r, c, h, s)
	if s.Valid&SetSize != 0 {
		r.truncateLocked(old, int64(s.Size))
	}
	r.pumpLocked()
	r.mu.Unlock()
	if c.waited {
		if err := r.wait(ctx, c); err != nil {
			return Stat{}, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.statLocked(), nil
}

// wait waits for a change and returns its error. Who is interrupted does not
// hear it, so it counts as unheard from then on.
func (r *road) wait(ctx context.Context, c *change) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-c.done:
		return c.err
	default:
		c.waited = false
		return ctx.Err()
	}
}

// applyLocked shows the change in the tree, puts it on the road and returns the
// size before it.
func (n *Node) applyLocked(r *road, c *change, h *Handle, s SetAttr) (oldSize int64) {
	r.addLocked(c, func() {
		oldSize = int64(n.attr.Size)
		// addLocked has counted this change as pending already.
		n.doubtful = n.doubtful || n.pending == 1 && !time.Now().Before(n.expires)
		if s.Valid&SetMode != 0 {
			n.attr.Mode = n.typ | s.Mode&07777
		}
		if s.Valid&SetUID != 0 {
			n.attr.UID = s.UID
		}
		if s.Valid&SetGID != 0 {
			n.attr.GID = s.GID
		}
		if s.Valid&SetSize != 0 {
			n.attr.Size = s.Size
			n.attr.Mtime = time.Now().Unix() + n.tree.skew
			n.guess, n.racy = true, true
			n.sizeSeq = n.seq
			if h == nil {
				// What is cached may be older than the file that is truncated:
				// between its end and the new one may be other bytes than zeros.
				n.gen++
			}
		}
		if s.Valid&SetTimes != 0 {
			n.attr.Atime, n.attr.Mtime = s.Atime, s.Mtime
			n.guess = false
		}
	})
	return oldSize
}

// route decides how the change goes to the server: through an open file where
// the name is gone or the handle gives the right to it, else by path.
func (n *Node) route(c *change, h *Handle, s SetAttr) {
	t := n.tree
	t.mu.Lock()
	removed := len(n.links) == 0 && n != t.root
	t.mu.Unlock()
	var f File
	if h != nil && h.flag&OpenWrite != 0 && s.Valid&SetSize != 0 {
		f = h.file()
	}
	if removed && f == nil && (s.Valid&SetTimes == 0 || t.remote.Features().Lsetstat) {
		// pkg/sftp's server, which lacks lsetstat, sets the times of an open file
		// by the name it had: that may be another file by now.
		f = n.openFile()
	}
	switch {
	case f != nil:
		c.run = func(ctx context.Context) (Attr, error) { return f.Setattr(ctx, s) }
	case removed:
		// It is gone from the server; the change lasts as long as the node does.
		c.run = func(context.Context) (Attr, error) {
			t.mu.Lock()
			defer t.mu.Unlock()
			return n.attr, nil
		}
	default:
		c.send = func(ctx context.Context) Pending {
			t.mu.Lock()
			path, ok := n.pathLocked()
			t.mu.Unlock()
			if !ok {
				return goneChange{}
			}
			return t.remote.StartSetattr(ctx, path, s)
		}
	}
}

// followWritesLocked has a change by path go by the handle of the writes that
// are on their way, or will be, if there is one such handle: then all of them
// are executed in the order they are sent. What comes by path must wait for
// their answers.
func (r *road) followWritesLocked(c *change, s SetAttr) {
	if c.send == nil || s.Valid&SetSize != 0 || !r.tree.remote.Features().InOrder {
		return
	}
	var h *Handle
	for _, p := range r.pendingLocked() {
		if p.handle == nil || h != nil && p.handle != h {
			return
		}
		h = p.handle
	}
	if h == nil {
		h = r.node.soleWriter()
	}
	if h == nil {
		return
	}
	f := h.file()
	if f == nil || !h.useRemote() {
		return
	}
	c.send, c.handle = nil, h
	c.after = func(ctx context.Context) Pending { return f.StartSetattr(ctx, s) }
	c.run = func(ctx context.Context) (Attr, error) { return f.Setattr(ctx, s) }
}

// soleWriter returns the handle of n if there is just one and it can write.
func (n *Node) soleWriter() *Handle {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	if len(n.handles) == 1 && n.handles[0].flag&OpenWrite != 0 {
		return n.handles[0]
	}
	return nil
}

// goneChange is the answer to a change of a node that was removed meanwhile.
type goneChange struct{}

func (goneChange) Wait(context.Context) (Attr, error) { return Attr{}, nil }

// refusable reports whether the server may refuse the change for want of
// permission: then the caller must hear it. Owners and root are not refused.
func (n *Node) refusable(h *Handle, s SetAttr) bool {
	t := n.tree
	f := t.remote.Features()
	if !f.LoginKnown || n.typ == syscall.S_IFLNK {
		return true
	}
	if s.Valid&SetTimes != 0 && (s.Mtime != int64(uint32(s.Mtime)) || s.Atime != int64(uint32(s.Atime))) {
		return true // the protocol cannot carry it
	}
	if f.LoginUID == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.attr.UID != f.LoginUID || s.Valid&(SetUID|SetGID) != 0 {
		return true
	}
	viaHandle := h != nil && h.flag&OpenWrite != 0
	return s.Valid&SetSize != 0 && !viaHandle && n.attr.Mode&0200 == 0
}
