package cache

import (
	"context"
	"syscall"
	"time"
)

// maxAheadDirSize is the size, as directories have one on the server, from
// which a directory is not listed ahead: it has tens of thousands of names.
const maxAheadDirSize = 1 << 20

// walkedLocked notes that a program lists directory n. When it does so shortly
// after listing the directory above, it walks the tree: then what is beside and
// below n is listed before it is asked for.
func (n *Node) walkedLocked() {
	t := n.tree
	if t.opts.NoPrefetch {
		return
	}
	now := time.Now()
	t.sweepLocked(now)
	n.usedLocked()
	d := n.directoryLocked()
	if now.Sub(d.openedAt) > t.together() {
		d.walked = false
	}
	d.openedAt = now
	p := n.parentLocked()
	if p == nil || p.dir == nil {
		return
	}
	if now.Sub(p.dir.openedAt) > t.together() {
		p.dir.walked = false
	} else {
		p.dir.openedAt = now
		if !p.dir.walked && p.dir.complete {
			p.dir.walked = true
			t.walkBelowLocked(p, true)
		}
	}
	d.walked = p.dir.walked
	if d.walked {
		t.ahead.walkedAt = now
	}
	for up := p.parentLocked(); up != nil && up.dir != nil && up.dir.walked; up = up.parentLocked() {
		up.dir.openedAt = now // the walk goes on there when it is done here
	}
	if d.walked && d.complete {
		t.walkBelowLocked(n, true)
	}
	t.walkOnLocked()
}

// walkBelowLocked queues the directories in n to be listed ahead: first of all
// when a program is in n already.
func (t *Tree) walkBelowLocked(n *Node, first bool) {
	d := n.dir
	var dirs []*Node
	if len(d.names) > aheadEntries {
		return
	}
	for _, e := range d.sortedLocked() {
		if e.typ != syscall.S_IFDIR {
			continue
		}
		child := d.nodeLocked(e.name, d.names[e.name])
		if child.dir != nil && (child.dir.validLocked() || child.dir.listing != nil) {
			continue
		}
		if child.attr.Size < maxAheadDirSize && !child.queued {
			child.queued = true
			dirs = append(dirs, child)
		}
	}
	if first {
		t.ahead.walk = append(dirs, t.ahead.walk...)
		t.ahead.urgent += len(dirs)
	} else {
		t.ahead.walk = append(t.ahead.walk, dirs...)
	}
}

// walkOnLocked lists ahead as far as there is room: the more came to use, the
// farther.
func (t *Tree) walkOnLocked() {
	a := &t.ahead
	for len(a.walk) > 0 && (a.listing < aheadListings || a.urgent > 0 && a.listing < 4*aheadListings) && a.dirs < min(2*aheadListings+8*a.listed, aheadDirs) {
		n := a.walk[0]
		a.walk[0] = nil
		a.walk = a.walk[1:]
		a.urgent = max(a.urgent-1, 0)
		n.queued = false
		d := n.directoryLocked()
		if len(n.links) == 0 || d.validLocked() || d.listing != nil || t.entries > maxEntries {
			n.dropLocked()
			continue
		}
		t.fetchedLocked(n, 0)
		a.listing++
		f := d.startListingLocked()
		t.background(func() {
			err := f.wait(t.reads)
			t.mu.Lock()
			defer t.mu.Unlock()
			a.listing--
			t.listedAheadLocked(n, err)
		})
	}
}

// listedAheadLocked goes on below a directory that was listed ahead.
func (t *Tree) listedAheadLocked(n *Node, err error) {
	if err == nil && n.dir != nil && n.dir.complete {
		n.dir.walked = true
		t.walkBelowLocked(n, false)
		if time.Since(t.ahead.reading) < t.together() {
			t.readAllAheadLocked(n.dir)
		}
	}
	t.walkOnLocked()
}

// opened tells that a program opens directory n for listing, and lists it.
func (n *Node) opened(ctx context.Context) error {
	n.tree.mu.Lock()
	n.walkedLocked()
	n.tree.mu.Unlock()
	_, err := n.list(ctx)
	if err != nil {
		return err
	}
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	if n.dir != nil {
		n.dir.openedAt = time.Now()
	}
	if n.dir != nil && n.dir.walked && n.dir.complete && !n.tree.opts.NoPrefetch {
		n.tree.walkBelowLocked(n, true)
		n.tree.walkOnLocked()
	}
	return nil
}
