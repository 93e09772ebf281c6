package cache

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxEntries bounds the names of directories that the kernel does not hold.
const maxEntries = 500_000

// directory is what a directory node knows of its names. Guarded by tree.mu.
type directory struct {
	node  *Node
	names map[string]*dirent
	// nodes counts the names that have a node.
	nodes int
	// complete says that names are all there are, as of listedAt.
	complete bool
	listedAt time.Time
	expires  time.Time
	// sorted are the names in the order they are listed; nil when they changed.
	sorted []dirEntry
	// numbered are the same in the order of inode numbers.
	numbered []dirEntry
	// listing is the reading of this directory that is under way.
	listing *listing
	// misses counts questions for single names that a listing would have answered.
	misses int
	// gone are the names that were taken away here, with the Tree.seq of that;
	// those before goneBefore are forgotten.
	gone       map[string]uint64
	goneBefore uint64
	missedAt   time.Time
	// openedAt is when a program last listed this directory, or one in it.
	openedAt time.Time
	// walked: programs list the directories in it in turn.
	walked bool
	run    run
}

// dirent is a name and what a listing told of it, until it has a node.
type dirent struct {
	attr    Attr
	validAt time.Time // zero: out of date
	seq     uint64    // of the latest change, for a listing that is older
	node    *Node
}

// listing is a reading of a directory that is under way. changed are the names
// that were changed here meanwhile: for them the listing may be too old.
type listing struct {
	flight  *flight
	asked   uint64
	changed map[string]struct{}
}

// directoryLocked returns the directory state of n, made when missing.
func (n *Node) directoryLocked() *directory {
	if n.dir == nil {
		n.dir = &directory{node: n, names: make(map[string]*dirent)}
	}
	return n.dir
}

// validLocked reports whether the names are all there are.
func (d *directory) validLocked() bool {
	return d.complete && time.Now().Before(d.expires)
}

// touchLocked notes that a name was changed here.
func (d *directory) touchLocked(name string) {
	d.sorted, d.numbered = nil, nil
	if d.listing != nil {
		d.listing.changed[name] = struct{}{}
	}
}

// changedLocked notes that a name of n was changed through this mount:
// its own times are the server's to tell.
func (d *directory) changedLocked(name string) {
	d.touchLocked(name)
	d.node.bumpLocked()
	d.node.expireLocked()
	d.node.doubtful = d.node.pending > 0
}

// goneLocked notes that a name was taken away here: an answer that was asked for
// before may still know it.
func (d *directory) goneLocked(name string) {
	const most = 1024
	t := d.node.tree
	if d.gone == nil || len(d.gone) >= most {
		d.gone, d.goneBefore = make(map[string]uint64), t.seq
	}
	d.gone[name] = t.seq
}

// goneSinceLocked reports whether a name may have been taken away here after
// the change numbered asked.
func (d *directory) goneSinceLocked(name string, asked uint64) bool {
	return d.gone[name] > asked || d.goneBefore > asked
}

// addLocked makes a node for a name that was just made. What it replaced is gone.
func (d *directory) addLocked(name string, a Attr) *Node {
	l := link{d.node, name}
	d.removeLocked(l)
	n := d.node.tree.newNodeLocked(l, a)
	d.linkLocked(l, n)
	d.changedLocked(name)
	n.seq = d.node.tree.seq
	n.fillLocked(a, n.seq)
	return n
}

// linkLocked has a name lead to n, which knows it already.
func (d *directory) linkLocked(l link, n *Node) {
	d.names[l.name] = &dirent{node: n}
	d.node.tree.entries++
	d.nodes++
	d.sorted, d.numbered = nil, nil
}

// removeLocked takes a name away; its node, if any, loses that link.
func (d *directory) removeLocked(l link) {
	e := d.names[l.name]
	if e == nil {
		return
	}
	delete(d.names, l.name)
	d.node.tree.entries--
	d.touchLocked(l.name)
	if e.node != nil {
		d.dropNodeLocked(l, e)
	}
}

// dropNodeLocked parts a name from its node.
func (d *directory) dropNodeLocked(l link, e *dirent) {
	n := e.node
	e.node = nil
	d.nodes--
	n.unlinkLocked(l)
	if len(n.links) == 0 && n.dir != nil {
		n.tree.entries -= len(n.dir.names)
		n.dir.names, n.dir.nodes = make(map[string]*dirent), 0
	}
	n.dropLocked()
}

// nodeLocked returns the node of a name, made from what the listing told.
func (d *directory) nodeLocked(name string, e *dirent) *Node {
	if e.node != nil {
		return e.node
	}
	t := d.node.tree
	n := t.newNodeLocked(link{d.node, name}, e.attr)
	if n.attr.Nlink == 0 {
		n.attr.Nlink = 1
	}
	if !e.validAt.IsZero() {
		n.validAt = e.validAt
		n.expires = e.validAt.Add(t.ttlLocked(e.attr.Mtime, e.validAt))
	}
	e.node = n
	d.nodes++
	return n
}

// Lookup finds a name in directory n. With ENOENT, the Stat's TTL says how long
// the kernel may believe that; 0: not at all.
func (n *Node) Lookup(ctx context.Context, name string) (*Node, Stat, error) {
	if n.typ != syscall.S_IFDIR {
		return nil, Stat{}, syscall.ENOTDIR
	}
	if len(name) > nameMax {
		return nil, Stat{}, syscall.ENAMETOOLONG
	}
	t := n.tree
	t.mu.Lock()
	d := n.directoryLocked()
	if child, s, err, ok := d.knownLocked(name); ok {
		t.mu.Unlock()
		return child, s, err
	}
	list := d.missLocked()
	t.mu.Unlock()
	if list != nil {
		if err := list.wait(ctx); err != nil && ctx.Err() != nil {
			return nil, Stat{}, err
		}
		t.mu.Lock()
		if child, s, err, ok := n.directoryLocked().knownLocked(name); ok {
			t.mu.Unlock()
			return child, s, err
		}
		t.mu.Unlock()
	}
	return n.ask(ctx, name)
}

// knownLocked answers from the cache if it can.
func (d *directory) knownLocked(name string) (*Node, Stat, error, bool) {
	e := d.names[name]
	if e == nil {
		if d.validLocked() {
			return nil, Stat{TTL: time.Until(d.expires)}, syscall.ENOENT, true
		}
		return nil, Stat{}, nil, false
	}
	if e.node == nil && (e.validAt.IsZero() || e.attr.Mode == 0) {
		return nil, Stat{}, nil, false
	}
	n := d.nodeLocked(name, e)
	if !n.freshLocked() {
		return nil, Stat{}, nil, false
	}
	n.preferLocked(link{d.node, name})
	return n, n.statLocked(), nil, true
}

// missLocked counts a question that a listing would have answered. From the
// second within a second on, one listing answers all that follow; it is
// returned to be waited for when it is already under way.
func (d *directory) missLocked() *flight {
	now := time.Now()
	if now.Sub(d.missedAt) > time.Second {
		d.misses = 0
	}
	d.missedAt = now
	d.misses++
	if d.listing != nil {
		return d.listing.flight
	}
	if d.misses >= 2 && len(d.names) < 10_000 {
		d.startListingLocked()
	}
	return nil
}

// ask asks the server for one name.
func (n *Node) ask(ctx context.Context, name string) (*Node, Stat, error) {
	t := n.tree
	t.mu.Lock()
	asked := t.seq
	t.mu.Unlock()
	var a Attr
	err := n.withChild(ctx, name, func(path string) (err error) {
		a, err = t.lookAt(ctx, path)
		return err
	})
	t.mu.Lock()
	d := n.directoryLocked()
	e := d.names[name]
	if err != nil {
		current := e != nil && e.seq <= asked && (e.node == nil || e.node.currentLocked(asked))
		if isNoEntry(err) && current && !t.movingLocked(link{n, name}) {
			d.removeLocked(link{n, name})
		}
		t.mu.Unlock()
		return nil, Stat{}, err
	}
	if e == nil && d.goneSinceLocked(name, asked) {
		t.mu.Unlock()
		return n.Lookup(ctx, name) // it may be of before that
	}
	if e == nil {
		e = &dirent{}
		d.names[name] = e
		t.entries++
		d.sorted, d.numbered = nil, nil
	}
	if e.node == nil {
		if e.seq <= asked {
			e.attr, e.validAt = a, time.Now()
		}
		defer t.mu.Unlock()
		child := d.nodeLocked(name, e)
		return child, child.statLocked(), nil
	}
	child := e.node
	t.mu.Unlock()
	if err := child.take(ctx, link{n, name}, a, asked); err != nil {
		if err != errStale {
			return nil, Stat{}, err
		}
		// The name leads to another node now.
		return n.Lookup(ctx, name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return child, child.statLocked(), nil
}

// dirEntry is one line of a listing as a Dir shows it.
type dirEntry struct {
	name string
	ino  uint64
	typ  uint32
}

// sortedLocked returns the names in order: that of two listings without a
// change in between is the same.
func (d *directory) sortedLocked() []dirEntry {
	if d.sorted != nil {
		return d.sorted
	}
	s := make([]dirEntry, 0, len(d.names))
	for name, e := range d.names {
		if e.node != nil {
			s = append(s, dirEntry{name, e.node.ino, e.node.typ})
		} else {
			s = append(s, dirEntry{name, childIno(d.node.ino, name), e.attr.Mode & syscall.S_IFMT})
		}
	}
	slices.SortFunc(s, func(a, b dirEntry) int { return strings.Compare(a.name, b.name) })
	d.sorted = s
	return s
}
