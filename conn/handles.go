package conn

import (
	"container/list"
	"context"
	"sync"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

// handle is an open file of the server. It is valid on its session only.
type handle struct {
	session *session
	id      wire.Handle
}

func (h *handle) fstat(ctx context.Context, path string) pending[wire.Attrs] {
	return track(ctx, h.session, "FSTAT", path, h.session.Fstat(ctx, h.id))
}

// handleTable counts the handles that are open on the server and knows the
// files that have some.
type handleTable struct {
	client *Client

	// mu guards these and the fields of all files that say so.
	mu    sync.Mutex
	limit int
	open  int
	files map[*file]struct{}
	idle  list.List // *file that can do without its handles; the one longest unused first
	// evicted says that some file may be without handles.
	evicted bool
}

func newHandleTable(c *Client, limit int) *handleTable {
	return &handleTable{client: c, limit: limit, files: make(map[*file]struct{})}
}

func (t *handleTable) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

func (t *handleTable) max() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limit
}

// nearlyFull tells whether a server might have no more handles to give.
func (t *handleTable) nearlyFull() bool { return t.count() >= t.max()*4/5 }

// roomy tells whether there are handles to spare.
func (t *handleTable) roomy() bool { return t.count() < t.max()/2 }

// shrink makes room after an OPEN that failed for no known reason: the server
// may be able to hold fewer handles than was thought, and the limit comes down
// to what it held. It waits until the server has closed some; false if there
// are none to close.
func (t *handleTable) shrink(ctx context.Context) bool {
	had := t.count()
	gone := t.evict()
	if gone == nil || waitAll(ctx, []<-chan struct{}{gone}) != nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = max(min(t.limit, had), 1)
	return true
}

// took counts n handles more (or less).
func (t *handleTable) took(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open += n
}

// reserve counts a handle that is about to be opened. It makes room by closing
// idle ones, which takes a round trip; ENFILE if there are none.
func (t *handleTable) reserve(ctx context.Context) error {
	for {
		t.mu.Lock()
		if t.open < t.limit {
			t.open++
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		gone := t.evict()
		if gone == nil {
			return syscall.ENFILE
		}
		if err := waitAll(ctx, []<-chan struct{}{gone}); err != nil {
			return err
		}
	}
}

// evict closes the handles of the file longest unused. The result is closed
// when the server has; nil if there is no such file.
func (t *handleTable) evict() <-chan struct{} {
	t.mu.Lock()
	front := t.idle.Front()
	if front == nil {
		t.mu.Unlock()
		return nil
	}
	f := front.Value.(*file)
	t.busyLocked(f)
	handles := f.handles
	f.handles = nil
	t.open -= len(handles)
	gone := make(chan struct{})
	f.evicting = gone
	t.evicted = true
	t.mu.Unlock()
	if !t.client.spawn(func() { t.close(f, handles, gone) }) {
		close(gone)
	}
	return gone
}

// close closes the handles of an evicted file, having looked at it a last
// time: whoever opens it again wants to find it as it is now.
func (t *handleTable) close(f *file, handles []*handle, gone chan struct{}) {
	defer close(gone)
	ctx := context.Background() // bounded by the sessions' life
	look := handles[0].fstat(ctx, "")
	var answers []*wire.Call[struct{}]
	for _, h := range handles {
		answers = append(answers, h.session.CloseHandle(ctx, h.id))
	}
	if a, err := t.client.attr(ctx, look); err == nil {
		t.learn(f, a)
	}
	for _, answer := range answers {
		_, _ = answer.Wait(ctx) // nothing was written by them
	}
}

// learn notes the attributes of an open file.
func (t *handleTable) learn(f *file, a cache.Attr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.known = a
}

// changing notes that this Client is about to change what path leads to: files
// that were opened by it and evicted may be found with another size and time.
func (t *handleTable) changing(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.evicted {
		return
	}
	for f := range t.files {
		if f.path == path && len(f.handles) == 0 {
			f.changed = true
		}
	}
}

// grown notes that a file was written to up to end.
func (t *handleTable) grown(f *file, end uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.known.Size = max(f.known.Size, end)
}

func (t *handleTable) knownSize(f *file) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return f.known.Size
}

// add takes up a file with a handle that is counted already.
func (t *handleTable) add(f *file, h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files[f] = struct{}{}
	f.handles = []*handle{h}
	t.idleLocked(f)
}

// idleLocked lets a file be evicted if it may be.
func (t *handleTable) idleLocked(f *file) {
	if f.busy == 0 && f.idle == nil && !f.keep && !f.closed && !f.writable() && len(f.handles) > 0 {
		f.idle = t.idle.PushBack(f)
	}
}

// busyLocked keeps a file from being evicted.
func (t *handleTable) busyLocked(f *file) {
	if f.idle != nil {
		t.idle.Remove(f.idle)
		f.idle = nil
	}
}

// acquire returns the live handles of f, at least one, and keeps them open
// until release. A file that was evicted is opened again.
func (t *handleTable) acquire(ctx context.Context, f *file) ([]*handle, error) {
	for {
		handles, err := t.tryAcquire(f)
		if handles != nil || err != nil {
			return handles, err
		}
		if err := f.reopen(ctx); err != nil {
			return nil, err
		}
	}
}

// tryAcquire is acquire for a file that has handles; nil if it must be opened.
func (t *handleTable) tryAcquire(f *file) ([]*handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.closed {
		return nil, syscall.EBADF
	}
	had := len(f.handles)
	t.dropDeadLocked(f)
	if len(f.handles) == 0 {
		t.busyLocked(f)
		if f.writable() || f.keep && had > 0 {
			f.lost = true
		}
		if f.lost {
			return nil, ErrDisconnected
		}
		return nil, nil
	}
	f.busy++
	t.busyLocked(f)
	return f.handles[:len(f.handles):len(f.handles)], nil
}

// dropDeadLocked forgets the handles of sessions that have ended.
func (t *handleTable) dropDeadLocked(f *file) {
	var live []*handle
	for _, h := range f.handles {
		if h.session.alive() {
			live = append(live, h)
		}
	}
	t.open -= len(f.handles) - len(live)
	f.handles = live
}

func (t *handleTable) release(f *file) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.busy--
	t.idleLocked(f)
}

// attach gives an open file a handle that is counted already; false if it has
// been closed or must not have it.
func (t *handleTable) attach(f *file, h *handle, a cache.Attr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.closed || f.keep && len(f.handles) > 0 {
		return false
	}
	f.handles = append(f.handles[:len(f.handles):len(f.handles)], h)
	f.room.resize(len(f.handles))
	f.known, f.changed = a, false
	t.idleLocked(f)
	return true
}

// take ends a file: it gets no handles any more, and those it has are returned.
func (t *handleTable) take(f *file) (handles []*handle, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.closed {
		return nil, syscall.EBADF
	}
	f.closed = true
	t.busyLocked(f)
	t.dropDeadLocked(f)
	handles = f.handles
	f.handles = nil
	delete(t.files, f)
	if len(handles) == 0 && f.writable() {
		return nil, ErrDisconnected
	}
	return handles, nil
}

// at returns the files that were opened by path.
func (t *handleTable) at(path string) []*file {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*file
	for f := range t.files {
		if f.path == path {
			found = append(found, f)
		}
	}
	return found
}

// keep readies the open files at path for its being taken away: they can not
// be opened again after that. One that has changed meanwhile is lost anyway.
func (t *handleTable) keep(ctx context.Context, path string) error {
	for _, f := range t.at(path) {
		_, err := t.acquire(ctx, f)
		t.mu.Lock()
		f.keep = true
		t.mu.Unlock()
		if err == nil {
			t.release(f)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// renamed follows a rename, so that files are found again.
func (t *handleTable) renamed(from, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := range t.files {
		if within(f.path, from) && !f.keep {
			f.path = to + f.path[len(from):]
		}
	}
}

// closeAll closes every file that is open. It returns the first error.
func (t *handleTable) closeAll(ctx context.Context) error {
	t.mu.Lock()
	var all []*file
	for f := range t.files {
		all = append(all, f)
	}
	t.mu.Unlock()
	errs := make(chan error, len(all))
	for _, f := range all {
		go func() { errs <- f.Close(ctx) }()
	}
	var first error
	for range all {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
