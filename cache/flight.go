package cache

import "context"

// flight is work that several callers wait for. It goes on when one of them
// gives up; only the end of the tree stops it.
type flight struct {
	done chan struct{}
	err  error // valid once done is closed
}

// start runs f in the background. Its context ends when the tree is closed.
func (t *Tree) start(f func(ctx context.Context) error) *flight {
	fl := &flight{done: make(chan struct{})}
	t.background(func() {
		fl.err = f(t.reads)
		close(fl.done)
	})
	return fl
}

// wait waits until the work is done or ctx ends. The work is not stopped:
// what it finds is as good for the next who asks.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
