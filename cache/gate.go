package cache

import "context"

// gate keeps the renames of directories apart from the requests by path: a path
// must not change its meaning between being built and being executed, or the
// request, or what it tells, would be of another file. Requests go through it
// together, a rename of a directory alone. It is no lock: whoever waits at it
// is let go when interrupted. Its fields are guarded by Tree.mu.
type gate struct {
	// inside counts the requests on their way; none is closed when a rename
	// waits for that and the last is answered.
	inside int
	none   chan struct{}
	// shut is closed when the rename that is inside, or waits, is done.
	shut chan struct{}
}

// enter lets a request by path through.
func (t *Tree) enter(ctx context.Context) error {
	for {
		t.mu.Lock()
		shut := t.gate.shut
		if shut == nil {
			t.gate.inside++
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave notes that it was answered.
func (t *Tree) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gate.inside--
	if t.gate.inside == 0 && t.gate.none != nil {
		close(t.gate.none)
		t.gate.none = nil
	}
}

// enterAlone lets the rename of a directory through when everything else is out.
func (t *Tree) enterAlone(ctx context.Context) error {
	for {
		t.mu.Lock()
		other := t.gate.shut
		if other == nil {
			break
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.gate.shut = make(chan struct{})
	var none chan struct{}
	if t.gate.inside > 0 {
		none = make(chan struct{})
		t.gate.none = none
	}
	t.mu.Unlock()
	if none == nil {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		t.leaveAlone()
		return ctx.Err()
	}
}

// leaveAlone opens the gate again.
func (t *Tree) leaveAlone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.gate.shut)
	t.gate.shut, t.gate.none = nil, nil
}
