package conn

import (
	"context"
	"errors"
	"syscall"
	"time"

	"seamount/cache"
	"seamount/conn/wire"
)

const (
	// stripeBytes is the least size of a call, or what a session must have
	// under way, for a file to be worth a further handle.
	stripeBytes = 1 << 20
	// stripeRTT is the round trip from which one session may be too slow: it
	// moves 2 MiB in each.
	stripeRTT = 2 * time.Millisecond
	// stripeWritten is how large a file being written must be: two files that
	// were just made look the same.
	stripeWritten = 1 << 20
	stripeTimeout = 30 * time.Second
)

// considerStripe has f opened on a further data session, in the background,
// if size bytes are about to be moved and one session is likely too slow. Only
// OpenSSH is trusted to let a file be written through two handles: servers on
// object stores do not. An appending file's writes need one session's order.
func (f *file) considerStripe(handles []*handle, size int) {
	c := f.client
	if f.flag&cache.OpenAppend != 0 || f.writable() && !c.openSSH ||
		len(handles) >= c.pool.limit() || c.rtt.get() < stripeRTT || !c.handles.roomy() {
		return
	}
	if size < stripeBytes && leastLoaded(handles).session.load() < stripeBytes {
		return
	}
	select {
	case f.gate <- struct{}{}:
	default:
		return // at it already
	}
	if !f.mayStripe() || !c.spawn(f.stripe) {
		f.unlock()
	}
}

func (f *file) mayStripe() bool {
	f.client.handles.mu.Lock()
	defer f.client.handles.mu.Unlock()
	return !f.keep && !f.single && !f.closed
}

// stripe gives f a handle on a data session where it has none. It holds f.gate.
func (f *file) stripe() {
	defer f.unlock()
	ctx, cancel := context.WithTimeout(f.life, stripeTimeout)
	defer cancel()
	// Not acquire: it takes the gate to open the file again.
	handles, err := f.client.handles.tryAcquire(f)
	if handles == nil || err != nil {
		return
	}
	defer f.client.handles.release(f)
	s := f.freeSession(ctx, handles)
	if s == nil {
		return
	}
	if err := f.extraHandle(ctx, handles[0], s); err != nil && ctx.Err() == nil {
		f.client.log.Debug("a file is not striped", "path", f.name(), "err", err)
		f.client.handles.mu.Lock()
		f.single = true
		f.client.handles.mu.Unlock()
	}
}

// freeSession returns a data session that has no handle of f, a new one if
// there may be more.
func (f *file) freeSession(ctx context.Context, handles []*handle) *session {
	find := func() *session {
		for _, s := range f.client.pool.dataSessions() {
			if on(s, handles) == nil {
				return s
			}
		}
		return nil
	}
	if s := find(); s != nil {
		return s
	}
	opening := f.client.pool.grow()
	if opening == nil || waitAll(ctx, []<-chan struct{}{opening}) != nil {
		return nil
	}
	return find()
}

// on returns the handle that is on s.
func on(s *session, handles []*handle) *handle {
	for _, h := range handles {
		if h.session == s {
			return h
		}
	}
	return nil
}

// extraHandle opens f on s as well.
func (f *file) extraHandle(ctx context.Context, first *handle, s *session) error {
	h, a, err := f.twin(ctx, first, s, again(f.flag))
	if err != nil {
		return err
	}
	if f.writable() && a.Size < stripeWritten {
		f.giveBack(ctx, h)
		return nil // another time
	}
	if !f.client.handles.attach(f, h, a) {
		f.giveBack(ctx, h)
	}
	return nil
}

var errNotTwin = errors.New("the path leads to another file now, or it is being changed")

// twin opens on s the file that first is a handle of. The path is all there is
// to open it by, so both are looked at, the first one before and after: other
// writers let size and time go up meanwhile, and nothing else may differ.
func (f *file) twin(ctx context.Context, first *handle, s *session, flag cache.OpenFlag) (*handle, cache.Attr, error) {
	path := f.name()
	o, err := f.client.newOp("open", path)
	if err == nil && !f.atPath() {
		err = errNotTwin
	}
	if err == nil {
		err = f.client.handles.reserve(ctx)
	}
	if err != nil {
		return nil, cache.Attr{}, err
	}
	before, err := f.client.attr(ctx, first.fstat(ctx, path))
	var id wire.Handle
	if err == nil {
		open := s.Session.Open(ctx, o.full, openFlags(flag), wire.Attrs{})
		id, err = track(ctx, s, "OPEN", path, open).wait(ctx)
	}
	if err != nil {
		f.client.handles.took(-1)
		return nil, cache.Attr{}, err
	}
	h := &handle{session: s, id: id}
	a, err := f.client.attr(ctx, h.fstat(ctx, path))
	after, err2 := f.client.attr(ctx, first.fstat(ctx, path))
	switch {
	case err != nil || err2 != nil:
		err = errors.Join(err, err2)
	case !between(before, a, after):
		err = errNotTwin
	}
	if err != nil {
		f.giveBack(ctx, h)
		return nil, cache.Attr{}, err
	}
	return h, a, nil
}

// atPath tells whether f's path leads to it, as far as this Client knows.
func (f *file) atPath() bool {
	f.client.handles.mu.Lock()
	defer f.client.handles.mu.Unlock()
	return !f.keep
}

// between tells whether a can be what a file looked like after it looked like
// before and before it looked like after.
func between(before, a, after cache.Attr) bool {
	const same = syscall.S_IFMT | permBits
	return a.Mode&same == before.Mode&same && a.UID == before.UID && a.GID == before.GID &&
		before.Size <= a.Size && a.Size <= after.Size &&
		before.Mtime <= a.Mtime && a.Mtime <= after.Mtime
}
