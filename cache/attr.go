package cache

import (
	"context"
	"slices"
	"syscall"
	"time"
)

// fillLocked takes what the server told of n after the change numbered asked.
// It reports whether it was taken: an answer older than a change is not.
func (n *Node) fillLocked(a Attr, asked uint64) bool {
	return n.fillOwnLocked(a, asked, false)
}

// fillOwnLocked is fillLocked for an answer that may be to our own change: then
// it is no news of another client, and young content stays.
func (n *Node) fillOwnLocked(a Attr, asked uint64, own bool) bool {
	if n.pending > 0 || n.seq > asked {
		return false
	}
	now := time.Now()
	if a.Nlink == 0 {
		a.Nlink = max(n.attr.Nlink, uint32(len(n.links)))
	}
	changed := !sameContent(a, n.attr)
	if n.guess {
		// Our write explains a new mtime. What another client changed just
		// before it does not show any more: the content stays racy.
		changed, own = a.Size != n.attr.Size, true
		n.guess = false
	}
	if changed || n.racy && !own {
		n.gen++
		n.racy = false
	}
	n.doubtful = false
	changed = changed && !n.validAt.IsZero()
	n.attr = a
	n.validAt = now
	n.expires = now.Add(n.tree.ttlLocked(a.Mtime, now))
	if changed {
		n.tree.invalidateLocked(n)
	}
	return true
}

// invalidateLocked tells the kernel side that what it has of n is void. It does
// so from a goroutine of its own: the kernel may call back before it answers.
func (t *Tree) invalidateLocked(n *Node) {
	if n.held {
		t.background(func() { t.opts.Invalidate(n) })
	}
}

// sameContent reports whether two attributes can be of the same content.
func sameContent(a, b Attr) bool { return a.Size == b.Size && a.Mtime == b.Mtime }

// expireLocked has the next look ask the server.
func (n *Node) expireLocked() { n.expires = time.Time{} }

// freshLocked reports whether attr can be believed: it is in time, or it is
// that of changes which the server has not answered.
func (n *Node) freshLocked() bool {
	if n.pending > 0 {
		return !n.doubtful
	}
	return time.Now().Before(n.expires)
}

// statLocked is attr as it is told to the kernel.
func (n *Node) statLocked() Stat {
	s := Stat{Attr: n.attr, Ctime: n.attr.Mtime}
	if n.typ == syscall.S_IFDIR && len(n.links) > 0 || n == n.tree.root {
		// 1 says "unknown" to find(1), which otherwise counts subdirectories.
		s.Nlink = 1
	}
	if n.pending == 0 {
		s.TTL = max(time.Until(n.expires), 0)
	}
	return s
}

// Attr returns the attributes, asking the server when what is known is out
// of date. ESTALE: no name leads to n any more, or one to something else.
func (n *Node) Attr(ctx context.Context) (Stat, error) {
	t := n.tree
	t.mu.Lock()
	if n.freshLocked() {
		defer t.mu.Unlock()
		return n.statLocked(), nil
	}
	asking := n.asking
	var r *road
	if n.pending > 0 {
		r = n.road
	}
	t.mu.Unlock()
	switch {
	case r != nil:
		if err := r.flush(ctx); err != nil && ctx.Err() != nil {
			return Stat{}, err
		}
	case asking != nil:
		select {
		case <-asking:
		case <-ctx.Done():
			return Stat{}, ctx.Err()
		}
	}
	t.mu.Lock()
	// While somebody keeps writing, what he writes is as good as an answer.
	known := n.freshLocked() || n.pending > 0
	t.mu.Unlock()
	if !known {
		if err := n.refresh(ctx); err != nil {
			return Stat{}, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.statLocked(), nil
}

// refresh asks the server for the attributes of n.
func (n *Node) refresh(ctx context.Context) error {
	t := n.tree
	t.mu.Lock()
	removed := len(n.links) == 0 && n != t.root
	var l link
	if len(n.links) > 0 {
		l = n.links[0]
	}
	asked := t.seq
	t.mu.Unlock()
	if removed {
		return n.refreshOpen(ctx)
	}
	var a Attr
	err := n.withPath(ctx, func(path string) (err error) {
		a, err = t.lookAt(ctx, path)
		return err
	})
	if isNoEntry(err) {
		return n.vanished(ctx, l, asked)
	}
	if err != nil {
		return err
	}
	return n.take(ctx, l, a, asked)
}

// take fills n with what the server told of the name l, unless that name now
// leads to something else: then n loses it, and ESTALE is returned.
func (n *Node) take(ctx context.Context, l link, a Attr, asked uint64) error {
	t := n.tree
	t.mu.Lock()
	current := n.currentLocked(asked) && n.namedLocked(l)
	other := n.otherLocked(l, a)
	t.mu.Unlock()
	if !current {
		return nil
	}
	gone := a.Mode&syscall.S_IFMT != n.typ
	if !gone && other != nil {
		var err error
		if gone, err = n.parted(ctx, l, a, other); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !gone {
		n.preferLocked(l)
		n.fillLocked(a, asked)
		return nil
	}
	if n.currentLocked(asked) && n.namedLocked(l) {
		t.replaceLocked(l, n, a)
		return errStale
	}
	return nil
}

// namedLocked reports whether l is a name of n, and not about to be another's.
func (n *Node) namedLocked(l link) bool {
	return n == n.tree.root || slices.Contains(n.links, l) && !n.tree.movingLocked(l)
}

// currentLocked reports whether an answer asked for at asked can be of n as it
// is: nothing was changed since.
func (n *Node) currentLocked(asked uint64) bool {
	return n.pending == 0 && n.seq <= asked
}

// otherLocked returns another way to the file that n is than its name l, if
// there is one and if a, which l leads to, does not look like n: an open file
// or a hard link. It asks the server for the attributes seen that way.
func (n *Node) otherLocked(l link, a Attr) func(ctx context.Context) (Attr, error) {
	if n.validAt.IsZero() || sameContent(a, n.attr) {
		return nil
	}
	for _, h := range n.handles {
		if h.remote != nil {
			return h.remote.Stat
		}
	}
	for _, x := range n.links {
		if x != l {
			return func(ctx context.Context) (a Attr, err error) {
				err = x.parent.withChild(ctx, x.name, func(path string) error {
					a, err = n.tree.lookAt(ctx, path)
					return err
				})
				return a, err
			}
		}
	}
	return nil
}

// parted reports whether the name l, whose attributes are a, leads to another
// file than other does. Both may be changing: only what l tells before and
// after other was asked, and other does not tell, is proof.
func (n *Node) parted(ctx context.Context, l link, a Attr, other func(ctx context.Context) (Attr, error)) (bool, error) {
	b, err := other(ctx)
	if err != nil {
		return false, ctx.Err() // that way is gone; this one may well be n
	}
	if sameContent(a, b) {
		return false, nil
	}
	var again Attr
	err = l.parent.withChild(ctx, l.name, func(path string) (err error) {
		again, err = n.tree.lookAt(ctx, path)
		return err
	})
	return err == nil && sameContent(a, again), ctx.Err()
}

// replaceLocked has the name l, so far n's, lead to a node of its own.
func (t *Tree) replaceLocked(l link, n *Node, a Attr) {
	if l.parent == nil || l.parent.dir == nil {
		return // the root
	}
	d := l.parent.dir
	e := d.names[l.name]
	if e == nil || e.node != n {
		return
	}
	d.dropNodeLocked(l, e)
	e.attr, e.validAt = a, time.Now()
}

// vanished is called when the server knows no name for n. An open file lives on.
func (n *Node) vanished(ctx context.Context, l link, asked uint64) error {
	t := n.tree
	t.mu.Lock()
	if n.currentLocked(asked) && l.parent != nil && l.parent.dir != nil && !t.movingLocked(l) {
		if e := l.parent.dir.names[l.name]; e != nil && e.node == n {
			l.parent.dir.removeLocked(l)
		}
	}
	open := len(n.handles) > 0
	t.mu.Unlock()
	if open {
		return n.refreshOpen(ctx)
	}
	return errStale
}

// refreshOpen asks for the attributes of a removed file through an open handle.
func (n *Node) refreshOpen(ctx context.Context) error {
	t := n.tree
	f := n.openFile()
	if f == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if n.held && len(n.links) == 0 && !n.validAt.IsZero() {
			// A removed directory, or a link: the last that was known.
			n.expires = time.Now().Add(t.opts.AttrTTLMin)
			return nil
		}
		return errStale
	}
	t.mu.Lock()
	asked := t.seq
	t.mu.Unlock()
	a, err := f.Stat(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a.Nlink = n.attr.Nlink
	n.fillLocked(a, asked)
	n.attr.Nlink = min(n.attr.Nlink, a.Nlink)
	return nil
}
