package dial

import (
	"context"
	"sync"
	"time"
)

// guard bounds the steps of connecting where the library takes no context: it
// closes the connection below when a step takes too long or ctx ends, which
// fails whatever waits. The clock stands while a user is asked.
type guard struct {
	ctx     context.Context
	host    string
	limit   time.Duration // of one step
	close   func()
	release func() bool // of the AfterFunc on ctx

	mu      sync.Mutex
	timer   *time.Timer
	step    string
	expired bool
	over    bool // a question may be answered after the end; no clock starts then
}

func newGuard(ctx context.Context, host string, limit time.Duration, closeBelow func()) *guard {
	g := &guard{ctx: ctx, host: host, limit: limit, close: closeBelow}
	g.release = context.AfterFunc(ctx, closeBelow)
	return g
}

// begin starts the clock of a step; it ends the one before.
func (g *guard) begin(step string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step = step
	g.startLocked()
}

func (g *guard) startLocked() {
	g.stopLocked()
	if g.over {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(g.limit, func() {
		g.mu.Lock()
		current := g.timer == t
		g.expired = g.expired || current
		g.mu.Unlock()
		if current {
			g.close()
		}
	})
	g.timer = t
}

// pause stops the clock until the function it returns is called, which gives
// the step its whole time again.
func (g *guard) pause() (resume func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopLocked()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.startLocked()
	}
}

func (g *guard) stopLocked() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}

// end stops guarding. It returns what the guard did to the connection, nil if
// nothing.
func (g *guard) end() error {
	g.release()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopLocked()
	g.over = true
	if g.expired {
		return &TimeoutError{Host: g.host, Step: g.step, After: g.limit}
	}
	return g.ctx.Err()
}
