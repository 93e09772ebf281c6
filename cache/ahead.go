package cache

import (
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// aheadBytes bounds the content fetched ahead and not used yet.
	aheadBytes = 16 << 20
	// aheadFiles and aheadListings bound what is under way ahead.
	aheadFiles, aheadListings = 64, 64
	// aheadDirs bounds the listings fetched ahead and not used yet.
	aheadDirs = 1024
	// aheadEntries is the size of a directory that is too large for guessing
	// what in it comes next.
	aheadEntries = 10_000
)

// ahead is what was fetched before anybody asked. Its fields are guarded by
// Tree.mu where not said otherwise.
type ahead struct {
	// unused are the nodes that were fetched ahead, oldest first; bytes is
	// the content, and dirs the listings, among them that nobody used yet.
	unused []aheadNode
	bytes  int64
	dirs   int
	// walk are the directories to be listed ahead, in the order that a
	// breadth-first walk takes, and how many are being listed.
	walk    []*Node
	listing int
	// urgent are the first of walk: a program is in the directory they are in.
	urgent int
	// listed counts the listings that came to use: it is what the walk may go
	// ahead by.
	listed int
	// walkedAt is when a walk last went on.
	walkedAt time.Time
	// reading is when files were last read in turn.
	reading time.Time
	files   *semaphore.Weighted

	hits, wasted atomic.Int64
}

type aheadNode struct {
	node  *Node
	at    time.Time
	bytes int64
}

// AheadStats tells of what was fetched before anybody asked for it, since the
// tree was made: how many files and listings came to use, and how many bytes of
// content did not in time.
func (t *Tree) AheadStats() (hits, wastedBytes int64) {
	return t.ahead.hits.Load(), t.ahead.wasted.Load()
}

// fetchedLocked notes that n is being fetched ahead. Until it is used, or too
// old, it is kept even if the kernel knows nothing of it.
func (t *Tree) fetchedLocked(n *Node, bytes int64) {
	a := &t.ahead
	n.ahead = true
	a.unused = append(a.unused, aheadNode{n, time.Now(), bytes})
	a.bytes += bytes
	if bytes == 0 {
		a.dirs++
	}
}

// usedLocked notes that somebody asks for what may have been fetched ahead.
func (n *Node) usedLocked() {
	if n.ahead {
		n.ahead = false
		n.tree.ahead.hits.Add(1)
		if n.dir != nil {
			n.tree.ahead.listed++
		}
	}
}

// sweepLocked forgets what was fetched ahead and used, or not used in time.
func (t *Tree) sweepLocked(now time.Time) {
	a, life := &t.ahead, 5*t.together()
	keep := a.unused[:0]
	for _, u := range a.unused {
		if u.node.ahead && now.Sub(u.at) < life {
			keep = append(keep, u)
			continue
		}
		a.bytes -= u.bytes
		if u.bytes == 0 {
			a.dirs--
		}
		if u.node.ahead {
			u.node.ahead = false
			a.wasted.Add(u.bytes)
			u.node.dropLocked()
		}
	}
	clear(a.unused[len(keep):])
	a.unused = keep
	if len(a.walk) > 0 && now.Sub(a.walkedAt) > life {
		for _, n := range a.walk {
			n.queued = false
			n.dropLocked()
		}
		a.walk, a.urgent = nil, 0
	}
}

// together is how long after one another two calls of one walk may come: the
// time a program takes, and that of a few round trips.
func (t *Tree) together() time.Duration {
	return time.Second + 8*t.remote.Features().RTT
}
