package conn

import (
	"container/list"
	"context"
	"sync"
)

// roomPerHandle is how many bytes of a file may be asked for or sent through one
// of its handles at a time: what a session has in flight, and some more that
// waits there so that it never runs dry.
const roomPerHandle = 3 << 20

// room bounds what is under way on one file. Calls wait here, first come first
// served, and not at a session: so they go to whichever handle the file has by
// then, and the questions that come with a further handle are not behind them.
type room struct {
	mu      sync.Mutex
	used    int64
	size    int64
	waiting list.List // of *roomWaiter
}

type roomWaiter struct {
	n     int64
	ready chan struct{}
}

// enter waits until there is room for n bytes, or nothing else is under way.
func (r *room) enter(ctx context.Context, n int64) error {
	r.mu.Lock()
	if r.waiting.Len() == 0 && r.fitsLocked(n) {
		r.used += n
		r.mu.Unlock()
		return nil
	}
	w := &roomWaiter{n, make(chan struct{})}
	e := r.waiting.PushBack(w)
	r.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-w.ready: // both at once: give it back
		r.used -= n
	default:
		r.waiting.Remove(e)
	}
	r.admitLocked()
	return ctx.Err()
}

func (r *room) fitsLocked(n int64) bool {
	return r.used == 0 || r.used+n <= max(r.size, roomPerHandle)
}

// leave gives room back.
func (r *room) leave(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= n
	r.admitLocked()
}

// resize says how many handles the file has.
func (r *room) resize(handles int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size = int64(handles) * roomPerHandle
	r.admitLocked()
}

// admitLocked lets in who has room now.
func (r *room) admitLocked() {
	for e := r.waiting.Front(); e != nil; e = r.waiting.Front() {
		w := e.Value.(*roomWaiter)
		if !r.fitsLocked(w.n) {
			return
		}
		r.used += w.n
		r.waiting.Remove(e)
		close(w.ready)
	}
}
