package conn

import (
	"context"
	"sync"
)

// order keeps changes of attributes that nobody has waited for before later
// operations on related paths, where the order of the metadata session does
// not do so by itself.
type order struct {
	mu      sync.Mutex
	changes map[*change]struct{}
	unsent  int // those of changes whose requests are not all issued
}

// change is a change of attributes that is not answered yet.
type change struct {
	path string
	// sent is closed when all requests are issued on the metadata session,
	// done when they are answered.
	sent, done chan struct{}
}

func (o *order) init() { o.changes = make(map[*change]struct{}) }

// begin notes a change of path, and returns what to wait for before it is
// issued: the issue of related changes that began earlier.
func (o *order) begin(path string) (*change, []chan struct{}) {
	ch := &change{path: path, sent: make(chan struct{}), done: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.unsentLocked([]string{path})
	o.changes[ch] = struct{}{}
	o.unsent++
	return ch, before
}

// unsentLocked returns the sent channels of changes related to paths that are
// not issued yet.
func (o *order) unsentLocked(paths []string) []chan struct{} {
	if o.unsent == 0 {
		return nil
	}
	var wait []chan struct{}
	for ch := range o.changes {
		if !ch.isSent() && ch.related(paths) {
			wait = append(wait, ch.sent)
		}
	}
	return wait
}

func (ch *change) isSent() bool {
	select {
	case <-ch.sent:
		return true
	default:
		return false
	}
}

// issued says that the requests of ch are issued.
func (o *order) issued(ch *change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.issuedLocked(ch)
}

func (o *order) issuedLocked(ch *change) {
	if !ch.isSent() {
		o.unsent--
		close(ch.sent)
	}
}

// end says that the requests of ch are answered, or will not be issued.
func (o *order) end(ch *change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.issuedLocked(ch)
	delete(o.changes, ch)
	close(ch.done)
}

// waitSent waits until the changes of related paths that began before are
// issued: for operations on the metadata session.
func (o *order) waitSent(ctx context.Context, paths ...string) error {
	o.mu.Lock()
	wait := o.unsentLocked(paths)
	o.mu.Unlock()
	return waitAll(ctx, wait)
}

// waitDone waits until the changes of related paths that began before are
// answered: for operations on other sessions.
func (o *order) waitDone(ctx context.Context, path string) error {
	o.mu.Lock()
	var wait []chan struct{}
	for ch := range o.changes {
		if ch.related([]string{path}) {
			wait = append(wait, ch.done)
		}
	}
	o.mu.Unlock()
	return waitAll(ctx, wait)
}

func waitAll[C chan struct{} | <-chan struct{}](ctx context.Context, all []C) error {
	for _, done := range all {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// related tells whether the change and one of paths can matter to each other:
// one is the other or a directory above it.
func (ch *change) related(paths []string) bool {
	for _, p := range paths {
		if within(p, ch.path) || within(ch.path, p) {
			return true
		}
	}
	return false
}
