package cache

import (
	"context"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Dir is a snapshot of a directory: names keep their index for its life.
type Dir struct {
	node *Node

	mu      sync.Mutex
	entries []dirEntry
}

// OpenDir lists directory n, from the cache when that is valid.
func (n *Node) OpenDir(ctx context.Context) (*Dir, error) {
	d := &Dir{node: n}
	if err := n.opened(ctx); err != nil {
		return nil, err
	}
	return d, d.Refresh(ctx)
}

// Refresh takes the snapshot again, as rewinddir(3) asks.
func (d *Dir) Refresh(ctx context.Context) error {
	entries, err := d.node.list(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = entries
	return nil
}

// Len returns the number of names.
func (d *Dir) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.entries)
}

// Entry returns name i with its inode number and S_IFMT bits.
func (d *Dir) Entry(i int) (name string, ino uint64, typ uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[i]
	return e.name, e.ino, e.typ
}

// Lookup returns the node of name i without asking the server: ENOENT if the
// name is gone since.
func (d *Dir) Lookup(i int) (*Node, Stat, error) {
	name, _, _ := d.Entry(i)
	t := d.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.node.dir != nil {
		if e := d.node.dir.names[name]; e != nil && (e.node != nil || e.attr.Mode != 0) {
			n := d.node.dir.nodeLocked(name, e)
			n.preferLocked(link{d.node, name})
			return n, n.statLocked(), nil
		}
	}
	return nil, Stat{}, syscall.ENOENT
}

// list returns the names of n, from the cache or the server.
func (n *Node) list(ctx context.Context) ([]dirEntry, error) {
	if n.typ != syscall.S_IFDIR {
		return nil, syscall.ENOTDIR
	}
	t := n.tree
	for {
		t.mu.Lock()
		if len(n.links) == 0 && n != t.root {
			t.mu.Unlock()
			return nil, nil // a removed directory is empty
		}
		d := n.directoryLocked()
		if d.validLocked() && n.readableLocked() {
			defer t.mu.Unlock()
			return d.sortedLocked(), nil
		}
		f := d.startListingLocked()
		n.listers++
		t.mu.Unlock()
		err := f.wait(ctx)
		t.mu.Lock()
		n.listers--
		if err != nil {
			n.dropLocked()
			t.mu.Unlock()
			return nil, err
		}
		// What was just read is good enough for who asked for it, even where the
		// time to live is already over.
		if d = n.directoryLocked(); d.complete {
			defer t.mu.Unlock()
			return d.sortedLocked(), nil
		}
		t.mu.Unlock()
	}
}

// startListingLocked reads the directory from the server, or joins who does.
func (d *directory) startListingLocked() *flight {
	if d.listing != nil {
		return d.listing.flight
	}
	n, t := d.node, d.node.tree
	l := &listing{asked: t.seq, changed: make(map[string]struct{})}
	d.listing = l
	l.flight = t.start(func(ctx context.Context) error {
		names := make(map[string]*dirent)
		err := n.withPath(ctx, func(path string) error {
			clear(names)
			return t.remote.List(ctx, path, func(batch []Entry) error {
				ents := make([]dirent, len(batch))
				for i, e := range batch {
					ents[i].attr = e.Attr
					names[e.Name] = &ents[i]
				}
				return nil
			})
		})
		if err == nil && t.opts.Follow {
			t.followLinks(ctx, n, names)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		d.listing = nil
		if err == nil {
			d.mergeLocked(names, l)
		}
		n.dropLocked()
		return err
	})
	return l.flight
}

// followLinks replaces the attributes of links by those of what they lead to;
// one that leads nowhere stays a link.
func (t *Tree) followLinks(ctx context.Context, dir *Node, names map[string]*dirent) {
	var g errgroup.Group
	g.SetLimit(32)
	for name, e := range names {
		if e.attr.Mode&syscall.S_IFMT != syscall.S_IFLNK {
			continue
		}
		g.Go(func() error {
			return dir.withChild(ctx, name, func(path string) error {
				a, err := t.remote.Stat(ctx, path)
				if err == nil {
					e.attr = a
				}
				return nil
			})
		})
	}
	_ = g.Wait() // no function returns an error
}

// mergeLocked takes a complete listing. Names that were changed here while it
// was read stay as they are here.
func (d *directory) mergeLocked(names map[string]*dirent, l *listing) {
	t, now := d.node.tree, time.Now()
	for m := range t.moves {
		for _, x := range []link{m.from, m.to} {
			if x.parent == d.node {
				l.changed[x.name] = struct{}{}
			}
		}
	}
	for name := range l.changed {
		delete(names, name)
		if e := d.names[name]; e != nil {
			names[name] = e
		}
	}
	for name, old := range d.names {
		fresh := names[name]
		if fresh == old {
			continue
		}
		if old.node == nil {
			if old.seq > l.asked && fresh != nil {
				names[name] = old
			}
			continue
		}
		if fresh == nil || !keepLocked(old.node, fresh, l.asked) {
			d.dropNodeLocked(link{d.node, name}, old)
			continue
		}
		names[name] = old
	}
	for name, e := range names {
		if e.node == nil && e != d.names[name] {
			e.validAt = now
		}
	}
	t.entries += len(names) - len(d.names)
	d.names = names
	d.sorted, d.numbered = nil, nil
	d.complete = true
	d.listedAt = now
	d.expires = now.Add(t.ttlLocked(d.node.attr.Mtime, now))
	d.misses = 0
}

// keepLocked fills the node of a name from a listing; false if the name leads
// to something else.
func keepLocked(n *Node, fresh *dirent, asked uint64) bool {
	a := fresh.attr
	if n.pending > 0 || n.seq > asked {
		return true
	}
	if a.Mode&syscall.S_IFMT != n.typ {
		return false
	}
	if (len(n.handles) > 0 || len(n.links) > 1) && !sameContent(a, n.attr) {
		// Whether the file changed, or its name leads to another than what is
		// open or goes by another name, is for the next look at it to find out.
		n.expireLocked()
		return true
	}
	n.fillLocked(a, asked)
	return true
}
