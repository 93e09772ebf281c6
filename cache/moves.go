package cache

import (
	"context"
	"syscall"
)

// move is a rename that the server has not answered. Until it has, neither of
// its names is taken away or replaced by what a listing or an ENOENT tells: that
// may be of before or of after.
type move struct {
	from, to link
	alone    bool // a directory: it changes the paths of others
	done     chan struct{}
}

// beginMove notes that a rename is on its way. moved is nil if it is not known
// what is renamed.
func (t *Tree) beginMove(from, to link, moved *Node) *move {
	t.mu.Lock()
	defer t.mu.Unlock()
	alone := moved == nil || moved.typ == syscall.S_IFDIR
	m := &move{from, to, alone, make(chan struct{})}
	t.moves[m] = struct{}{}
	return m
}

// endMove notes that it was answered, and the tree follows it.
func (t *Tree) endMove(m *move) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.moves, m)
	close(m.done)
}

// movingLocked reports whether a name is being renamed, or renamed to.
func (t *Tree) movingLocked(l link) bool {
	for m := range t.moves {
		if m.from == l || m.to == l {
			return true
		}
	}
	return false
}

// movedSince waits for the renames on their way, but for self, and reports
// whether any was done since the count was renames: then what was not found may
// have been looked for at the wrong place.
func (t *Tree) movedSince(ctx context.Context, self *move, renames uint64) bool {
	for {
		var m *move
		t.mu.Lock()
		for x := range t.moves {
			if x != self {
				m = x
			}
		}
		moved := t.renames != renames
		t.mu.Unlock()
		if m == nil {
			return moved
		}
		select {
		case <-m.done:
		case <-ctx.Done():
			return false
		}
	}
}
