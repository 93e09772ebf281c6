package conn

import (
	"container/list"
	"context"
	"errors"
	"math"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

// file is an open file: a cache.File.
type file struct {
	client *Client
	flag   cache.OpenFlag // as it was opened first
	// gate is held (by sending to it) by who opens the file again or gives it
	// a further handle.
	gate chan struct{}
	// life ends with Close, and with it the search for further handles.
	life context.Context
	end  context.CancelFunc
	room room

	// Guarded by handleTable.mu.
	path     string
	known    cache.Attr // as last seen
	handles  []*handle  // replaced, not changed; none: evicted
	busy     int        // calls that use handles
	idle     *list.Element
	evicting chan struct{} // closed when known is as of the eviction; nil: never evicted
	// keep says that path no longer leads to the file, or soon will not.
	keep    bool
	changed bool // by this Client, since it was evicted
	single  bool // must not have a second handle
	lost    bool // its handles went with their sessions
	closed  bool
}

var _ cache.File = (*file)(nil)

func newFile(c *Client, path string, flag cache.OpenFlag, a cache.Attr) *file {
	f := &file{client: c, flag: flag, gate: make(chan struct{}, 1), path: path, known: a}
	f.life, f.end = context.WithCancel(c.pool.life)
	return f
}

func (f *file) writable() bool { return f.flag&cache.OpenWrite != 0 }

// name is the path for errors and traces.
func (f *file) name() string {
	f.client.handles.mu.Lock()
	defer f.client.handles.mu.Unlock()
	return f.path
}

func (f *file) error(op string, err error) error {
	if err == nil {
		return nil
	}
	return newError(op, f.name(), err)
}

// lock takes f.gate.
func (f *file) lock(ctx context.Context) error {
	select {
	case f.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *file) unlock() { <-f.gate }

// reopen opens a file again that was evicted. ESTALE if it is not what it was.
func (f *file) reopen(ctx context.Context) error {
	if err := f.lock(ctx); err != nil {
		return err
	}
	defer f.unlock()
	t := f.client.handles
	t.mu.Lock()
	evicting, stale, open := f.evicting, f.keep, len(f.handles) > 0
	t.mu.Unlock()
	switch {
	case open:
		return nil
	case stale:
		return syscall.ESTALE
	}
	if evicting != nil {
		if err := waitAll(ctx, []chan struct{}{evicting}); err != nil {
			return err
		}
	}
	h, a, err := f.openAgain(ctx)
	if err != nil {
		return err
	}
	if !f.same(a) {
		f.giveBack(ctx, h)
		return syscall.ESTALE
	}
	if !t.attach(f, h, a) {
		f.giveBack(ctx, h)
	}
	return nil
}

// openAgain opens f's path. A rename that happens meanwhile is followed.
func (f *file) openAgain(ctx context.Context) (*handle, cache.Attr, error) {
	path := f.name()
	for {
		o, err := f.client.newOp("open", path)
		if err != nil {
			return nil, cache.Attr{}, err
		}
		op := &opening{nameOp: o, client: f.client, flag: again(f.flag)}
		h, a, err := op.run(ctx)
		if err == nil || errnoOf(err) != syscall.ENOENT {
			return h, a, err
		}
		now := f.name()
		if now == path {
			return nil, cache.Attr{}, &Error{Op: "open", Path: path, Errno: syscall.ESTALE, Err: err}
		}
		path = now
	}
}

// giveBack closes a handle without waiting, but for who takes the answer.
func (f *file) giveBack(ctx context.Context, h *handle) <-chan error {
	return f.client.closeLater(ctx, h.session, h.id, f.tracedName(ctx))
}

// same tells whether a, of a regular file, is of the file as it was last seen,
// but for changes of our own.
func (f *file) same(a cache.Attr) bool {
	f.client.handles.mu.Lock()
	defer f.client.handles.mu.Unlock()
	k := f.known
	return f.changed || a.Size == k.Size && a.Mtime == k.Mtime
}

// use runs op with the first handle of the file.
func (f *file) use(ctx context.Context, name string, op func(h *handle) error) error {
	handles, err := f.client.handles.acquire(ctx, f)
	if err != nil {
		return f.error(name, err)
	}
	defer f.client.handles.release(f)
	return f.error(name, op(handles[0]))
}

// Stat implements cache.File.
func (f *file) Stat(ctx context.Context) (a cache.Attr, err error) {
	err = f.use(ctx, "fstat", func(h *handle) error {
		a, err = f.client.attr(ctx, h.fstat(ctx, f.name()))
		if err != nil {
			return f.explain(ctx, h, ioOp{name: "fstat", reads: true}, err)
		}
		f.client.handles.learn(f, a)
		return nil
	})
	return a, err
}

// settingAttr is a Setattr under way: a cache.Pending. Its file is in use until
// Wait, which is called once.
type settingAttr struct {
	file   *file
	handle *handle
	call   *setHandleCall
	size   uint64
}

// StartSetattr implements cache.File. The order is certain on OpenSSH, which
// executes the requests of a session one by one, when the file has a handle on
// one session only.
func (f *file) StartSetattr(ctx context.Context, s cache.SetAttr) cache.Pending {
	if !f.client.openSSH {
		return nil
	}
	f.client.handles.changing(f.name())
	handles, err := f.client.handles.acquire(ctx, f)
	if err != nil {
		return nil
	}
	if len(handles) > 1 {
		f.client.handles.release(f)
		return nil
	}
	h := handles[0]
	return &settingAttr{f, h, issueSetHandle(ctx, h, f.name(), s), s.Size}
}

// Wait implements cache.Pending.
func (p *settingAttr) Wait(ctx context.Context) (cache.Attr, error) {
	f := p.file
	defer f.client.handles.release(f)
	a, field, err := p.call.wait(ctx, f.client)
	if err == nil {
		f.client.handles.learn(f, a)
		return a, nil
	}
	return a, f.explainSetattr(ctx, p.handle, field, p.size, err)
}

// explainSetattr finds the errno of a change that failed at a field.
func (f *file) explainSetattr(ctx context.Context, h *handle, field cache.SetMask, size uint64, err error) error {
	op := ioOp{name: "fsetattr", denied: syscall.EPERM}
	if field == cache.SetSize {
		op = ioOp{name: "ftruncate", end: size}
	}
	return f.explain(ctx, h, op, err)
}

// Setattr implements cache.File.
func (f *file) Setattr(ctx context.Context, s cache.SetAttr) (a cache.Attr, err error) {
	f.client.handles.changing(f.name())
	err = f.use(ctx, "fsetattr", func(h *handle) error {
		var field cache.SetMask
		a, field, err = f.client.setHandle(ctx, h, f.name(), s)
		if err == nil {
			f.client.handles.learn(f, a)
			return nil
		}
		return f.explainSetattr(ctx, h, field, s.Size, err)
	})
	if err != nil {
		return cache.Attr{}, err
	}
	return a, nil
}

// Sync implements cache.File.
func (f *file) Sync(ctx context.Context) error {
	return f.use(ctx, "fsync", func(h *handle) error {
		_, err := track(ctx, h.session, "fsync", f.name(), h.session.Fsync(ctx, h.id)).wait(ctx)
		return f.explain(ctx, h, ioOp{name: "fsync"}, err)
	})
}

// Close implements cache.File. The handles are given back even if ctx ends
// before the answers.
func (f *file) Close(ctx context.Context) error {
	f.end()
	if f.lock(ctx) == nil {
		defer f.unlock()
	}
	handles, err := f.client.handles.take(f)
	if err != nil {
		return f.error("close", err)
	}
	var answers []<-chan error
	for _, h := range handles {
		answers = append(answers, f.giveBack(ctx, h))
	}
	var first error
	for _, answer := range answers {
		select {
		case err := <-answer:
			if err != nil && first == nil && f.writable() {
				first = err
			}
		case <-ctx.Done():
			return f.error("close", ctx.Err())
		}
	}
	if first != nil {
		return f.explain(ctx, nil, ioOp{name: "close"}, first)
	}
	return nil
}

// ioOp says what an operation on an open file was, for its error.
type ioOp struct {
	name string
	// reads says that nothing was to be changed: a full or read-only file
	// system is no reason.
	reads bool
	// size and end are the bytes that were to be written, and the file's size then.
	size, end uint64
	denied    syscall.Errno // what PERMISSION_DENIED means; 0: EACCES
}

// hugeFile is a size beyond what common file systems hold (16 TiB of ext4).
const hugeFile = 1 << 44

// explain makes an *Error of a failed operation on an open file. FAILURE is
// ENOSPC where the file system has less room than was asked for; h may be nil
// where there is no handle to ask about.
func (f *file) explain(ctx context.Context, h *handle, op ioOp, err error) error {
	var status *wire.StatusError
	if err == nil || !errors.As(err, &status) {
		return f.error(op.name, err)
	}
	errno, sure := statusErrno(status)
	switch {
	case op.name == "read":
		// Whatever the server says, the file was opened to be read: what it
		// does not give is an error of its, which no other name makes clearer.
		errno = syscall.EIO
	case sure:
	case status.Code == wire.StatusNoSuchFile:
		errno = syscall.EBADF // there is no name that could be missing
	case status.Code == wire.StatusPermissionDenied && op.denied != 0:
		errno = op.denied
	case status.Code == wire.StatusBadMessage && op.end > hugeFile:
		errno = syscall.EFBIG // lseek(2) refuses what write(2) would
	case status.Code == wire.StatusFailure && !op.reads:
		errno = f.spaceErrno(ctx, h, op)
	}
	return &Error{Op: op.name, Path: f.name(), Errno: errno, Err: err}
}

// spaceErrno asks what the file system has to say; EIO if nothing.
func (f *file) spaceErrno(ctx context.Context, h *handle, op ioOp) syscall.Errno {
	v, err := f.statvfs(ctx, h)
	switch {
	case err == nil && v.Flag&wire.StatVFSReadOnly != 0:
		return syscall.EROFS
	case err == nil && v.Blocks > 0 && (v.Bavail == 0 || roomFor(v) < op.size):
		return syscall.ENOSPC
	case op.end > hugeFile:
		return syscall.EFBIG
	}
	return syscall.EIO
}

// roomFor is the number of bytes free.
func roomFor(v wire.StatVFS) uint64 {
	if v.Frsize != 0 && v.Bavail > math.MaxUint64/v.Frsize {
		return math.MaxUint64
	}
	return v.Bavail * v.Frsize
}

// statvfs asks about the file system of an open file, by its path where there
// is no handle.
func (f *file) statvfs(ctx context.Context, h *handle) (wire.StatVFS, error) {
	if h != nil {
		v, err := track(ctx, h.session, "fstatvfs", f.name(), h.session.Fstatvfs(ctx, h.id)).wait(ctx)
		if !errors.Is(err, errors.ErrUnsupported) {
			return v, err
		}
	}
	o, err := f.client.newOp("statfs", f.name())
	if err != nil {
		return wire.StatVFS{}, err
	}
	return track(ctx, o.session, "statvfs", o.path, o.session.Statvfs(ctx, parent(o.full))).wait(ctx)
}
