package cache

import (
	"context"
	"syscall"
)

// place is where a request goes: a node, or a name in a directory.
type place struct {
	node *Node
	name string // "": the node itself
}

func (p place) pathLocked() (string, bool) {
	if p.name == "" {
		return p.node.pathLocked()
	}
	return p.node.joinLocked(p.name)
}

// request calls f with the paths of places, through the gate. When f finds
// nothing because a name on the way was changed meanwhile, it is called again
// with what the paths are then. self is the rename that is the request, if it
// is one; it goes through the gate alone when it moves a directory.
func (t *Tree) request(ctx context.Context, self *move, f func(paths []string) error, places ...place) error {
	for {
		for _, p := range places {
			if err := p.node.awaitDirectories(ctx); err != nil {
				return err
			}
		}
		renames, err := t.throughGate(ctx, self, f, places)
		if err == nil || !isNoEntry(err) || !t.movedSince(ctx, self, renames) {
			return err
		}
	}
}

// throughGate is one try of a request. It returns the count of renames at the
// time its paths were built.
func (t *Tree) throughGate(ctx context.Context, self *move, f func(paths []string) error, places []place) (uint64, error) {
	enter, leave := t.enter, t.leave
	if self != nil && self.alone {
		enter, leave = t.enterAlone, t.leaveAlone
	}
	if err := enter(ctx); err != nil {
		return 0, err
	}
	defer leave()
	t.mu.Lock()
	renames := t.renames
	paths := make([]string, len(places))
	for i, p := range places {
		var ok bool
		if paths[i], ok = p.pathLocked(); !ok {
			t.mu.Unlock()
			return renames, errStale
		}
	}
	t.mu.Unlock()
	return renames, f(paths)
}

// withPath calls f with the node's path; see request.
func (n *Node) withPath(ctx context.Context, f func(path string) error) error {
	return n.tree.request(ctx, nil, func(p []string) error { return f(p[0]) }, place{n, ""})
}

// withChild is withPath for a name in directory n.
func (n *Node) withChild(ctx context.Context, name string, f func(path string) error) error {
	return n.tree.request(ctx, nil, func(p []string) error { return f(p[0]) }, place{n, name})
}

// awaitDirectories waits until the changes of the directories on the path of n
// have their answer: they may be what permits the request, or what its effect
// on their times must come after, and it may travel on another session.
func (n *Node) awaitDirectories(ctx context.Context) error {
	for {
		n.tree.mu.Lock()
		var r *road
		for d := n; d != nil; d = d.parentLocked() {
			if d.pending > 0 && d.typ == syscall.S_IFDIR {
				r = d.road
			}
		}
		n.tree.mu.Unlock()
		if r == nil {
			return nil
		}
		if err := r.flush(ctx); err != nil && ctx.Err() != nil {
			return err
		}
	}
}

// parentLocked returns the directory of the node's first name, or nil.
func (n *Node) parentLocked() *Node {
	if len(n.links) == 0 {
		return nil
	}
	return n.links[0].parent
}
