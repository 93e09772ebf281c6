package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"
)

const rootIno = 1

// nameMax is the longest name the kernel passes on, in bytes.
const nameMax = 255

// Node is a file, directory or symbolic link. Its inode number and type are
// constant: a name whose type changes on the server gets another Node.
type Node struct {
	tree *Tree
	ino  uint64
	typ  uint32

	// The fields below are guarded by tree.mu.

	// links are the names that lead here; none once removed.
	links []link
	// road is nil until there is a change or an open file.
	road *road
	dir  *directory
	attr Attr
	// validAt is when the server told attr; expires, when it is out of date.
	validAt, expires time.Time
	// seq is the Tree.seq of the latest change; pending counts those of them
	// that have no answer yet.
	// changed is that of the latest change alone; seq also counts its answer.
	seq, changed uint64
	pending      int
	// sizeSeq is the seq of the latest change, or answer to one, that may have
	// made the file longer.
	sizeSeq uint64
	// answeredAt is when the latest change was answered. failed: one failed, and
	// nobody has been told.
	answeredAt time.Time
	failed     bool
	// doubtful: attr was out of date when a change was applied to it, so that
	// with that change pending it is not what the server will tell.
	doubtful bool
	// handles are the open ones.
	handles []*Handle
	// gen numbers the contents this file had; blocks of another one are void.
	gen uint64
	// kernelGen is the content of which the kernel may have pages.
	kernelGen uint64
	// racy: content of gen was obtained when the file may have been about to
	// change within the same second.
	racy bool
	// guess: attr.Mtime is ours, of a write whose answer does not tell the
	// server's.
	guess bool
	// asking is closed when an answer for attr that is on its way has come.
	asking chan struct{}
	// target is that of a symbolic link, with the mtime it was read at.
	target      string
	targetMtime int64
	held        bool
	// ahead: fetched before anybody asked, and not used yet. queued: to be
	// listed ahead. fetching: the reading of the whole file ahead.
	ahead, queued bool
	fetching      *flight
	// listers are the calls that wait for a listing of this directory.
	listers int
}

// link is a name in a directory.
type link struct {
	parent *Node
	name   string
}

// Stat is a node's attributes, and how long the kernel may believe them.
type Stat struct {
	Attr        // Nlink is never unknown; 0 once removed
	Ctime int64 // the mtime: SFTP has no other, and tools need it to be steady
	TTL   time.Duration
}

// Ino returns the inode number, stable over remounts; the root's is 1.
func (n *Node) Ino() uint64 { return n.ino }

// Type returns the S_IFMT bits.
func (n *Node) Type() uint32 { return n.typ }

// Tree returns the tree the node is of.
func (n *Node) Tree() *Tree { return n.tree }

// Path returns one of the node's paths below the mounted directory, for
// logs and for judging links; "" is the root or a removed node.
func (n *Node) Path() string {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	p, _ := n.pathLocked()
	return p
}

// pathLocked builds the path; false when no name leads here.
func (n *Node) pathLocked() (string, bool) {
	var parts []string
	for n != n.tree.root {
		if len(n.links) == 0 {
			return "", false
		}
		parts = append(parts, n.links[0].name)
		n = n.links[0].parent
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/"), true
}

// joinLocked builds the path of a name in directory n.
func (n *Node) joinLocked(name string) (string, bool) {
	p, ok := n.pathLocked()
	if p == "" {
		return name, ok
	}
	return p + "/" + name, ok
}

// belowLocked reports whether n is dir or lies below it.
func (n *Node) belowLocked(dir *Node) bool {
	for {
		if n == dir {
			return true
		}
		if len(n.links) == 0 {
			return false
		}
		n = n.links[0].parent
	}
}

// Held tells that the kernel knows n: it is kept until Forget. Between being
// looked up and being held it may have been dropped and made again: the node
// returned is the one to use.
func (n *Node) Held() *Node {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	if n.tree.inos[n.ino] != n && len(n.links) > 0 {
		l := n.links[0]
		d := l.parent.directoryLocked()
		if e := d.names[l.name]; e != nil && e.node == nil && n.tree.inos[n.ino] == nil {
			e.node = n
			d.nodes++
			n.tree.inos[n.ino] = n
		} else if e != nil && e.node != nil && e.node.ino == n.ino {
			n = e.node
		}
	}
	n.held = true
	return n
}

// Forget tells that the kernel no longer knows n.
func (n *Node) Forget() {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	n.held = false
	n.dropLocked()
}

// dropLocked gives the memory of a node back when nothing needs it: what is
// known of it goes on in its dirent.
func (n *Node) dropLocked() {
	if n.held || n.failed || n.listers > 0 || n.ahead || n.queued || n.fetching != nil || n.pending > 0 || len(n.handles) > 0 || n == n.tree.root || len(n.links) > 1 {
		return
	}
	if n.dir != nil {
		if n.dir.nodes > 0 || n.dir.listing != nil {
			return
		}
		n.tree.entries -= len(n.dir.names)
		n.dir = nil
	}
	if n.tree.inos[n.ino] == n {
		delete(n.tree.inos, n.ino)
	}
	if len(n.links) == 0 {
		return
	}
	l := n.links[0]
	d := l.parent.dir
	if d == nil {
		return
	}
	if e := d.names[l.name]; e != nil && e.node == n {
		e.node, e.attr, e.validAt, e.seq = nil, n.attr, n.validAt, n.seq
		if time.Now().After(n.expires) {
			e.validAt = time.Time{}
		}
		d.nodes--
		l.parent.dropLocked()
	}
}

// bumpLocked numbers a change of n.
func (n *Node) bumpLocked() {
	n.tree.seq++
	n.seq, n.changed = n.tree.seq, n.tree.seq
}

// preferLocked makes l the name that requests go by: it is the one that was
// confirmed last.
func (n *Node) preferLocked(l link) {
	for i, x := range n.links {
		if x == l {
			n.links[0], n.links[i] = n.links[i], n.links[0]
		}
	}
}

// confirmName makes sure that the name which a request will go by still leads
// to n, where n has several: another client may have replaced one of them, and
// the change must not hit what is there now.
func (n *Node) confirmName(ctx context.Context) error {
	for {
		n.tree.mu.Lock()
		several := len(n.links) > 1 && n.pending == 0
		n.tree.mu.Unlock()
		if !several {
			return nil
		}
		err := n.refresh(ctx)
		if !errors.Is(err, errStale) {
			return err
		}
	}
}

// newNodeLocked makes the node of a name in a directory.
func (t *Tree) newNodeLocked(l link, a Attr) *Node {
	ino := childIno(l.parent.ino, l.name)
	for t.inos[ino] != nil {
		// The number is taken, by a removed file of that name or by chance.
		ino = childIno(ino, l.name)
	}
	n := &Node{tree: t, ino: ino, typ: a.Mode & syscall.S_IFMT, links: []link{l}, attr: a}
	t.inos[ino] = n
	return n
}

// childIno hashes a directory's inode number and a name (FNV-1a, 64 bits).
func childIno(parent uint64, name string) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for i := range 8 {
		h = (h ^ (parent >> (8 * i) & 0xff)) * prime
	}
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	if h <= rootIno {
		h += 2
	}
	return h
}

// unlinkLocked takes one name away from the node.
func (n *Node) unlinkLocked(l link) {
	n.links = slices.DeleteFunc(n.links, func(x link) bool { return x == l })
	if n.attr.Nlink > 0 {
		n.attr.Nlink--
	}
	n.bumpLocked() // an older answer has an older link count
	if n.typ == syscall.S_IFDIR || n.attr.Nlink < uint32(len(n.links)) {
		n.attr.Nlink = uint32(len(n.links))
	}
}

// Statfs returns the state of the file system that holds the node.
func (n *Node) Statfs(ctx context.Context) (s Statfs, err error) {
	err = n.withPath(ctx, func(path string) error {
		s, err = n.tree.remote.Statfs(ctx, path)
		return err
	})
	return s, err
}
