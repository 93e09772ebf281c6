package serve

import (
	"io"
	"sync"
)

// tracker knows what is open, each with a goroutine that uses it, so that one
// call can end all of it. The zero value is ready.
type tracker struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]struct{}
}

// add notes that c is in use. After close it closes c and returns false. The
// wait group grows under mu, so never after close began to wait for it.
func (t *tracker) add(c io.Closer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.Close()
		return false
	}
	if t.open == nil {
		t.open = make(map[io.Closer]struct{})
	}
	t.wg.Add(1)
	t.open[c] = struct{}{}
	return true
}

// remove closes c, whose goroutine is about to end.
func (t *tracker) remove(c io.Closer) {
	c.Close()
	t.mu.Lock()
	delete(t.open, c)
	t.mu.Unlock()
	t.wg.Done()
}

func (t *tracker) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// close closes everything and waits until all of it was removed. Closing a
// socket or a listener does not wait for the network, so mu may be held.
func (t *tracker) close() {
	t.mu.Lock()
	t.closed = true
	for c := range t.open {
		c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}
