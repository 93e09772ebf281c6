package conn

import (
	"context"
	"errors"
	"io"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

const (
	// A listing asks for firstReaddirs replies ahead: 800 names of OpenSSH.
	// Each answer lets it ask further ahead, up to maxReaddirs.
	firstReaddirs = 8
	maxReaddirs   = 32
	// maxIdle is how many replies in a row may bring no new name.
	maxIdle = 16
	// maxComplaints is how many bad names of one listing are logged.
	maxComplaints = 3
)

// List implements cache.Remote. A type that no POSIX system knows makes an entry
// invalid, too. A listing that does not end, or goes round in a circle, is EIO.
func (c *Client) List(ctx context.Context, path string, each func([]cache.Entry) error) error {
	o, err := c.begin(ctx, "readdir", path)
	if err != nil {
		return err
	}
	if err := c.handles.reserve(ctx); err != nil {
		return o.error(err)
	}
	h, err := track(ctx, o.session, "OPENDIR", path, o.session.Opendir(ctx, o.full)).wait(ctx)
	if err != nil {
		c.handles.took(-1)
		return c.explain(ctx, o, err, notDirItself, notDirAbove, linkLoop, fullTable)
	}
	defer c.closeLater(ctx, o.session, h, path)
	l := &listing{client: c, op: o, handle: h, each: each, seen: make(map[string]struct{})}
	if err := l.run(ctx); err != nil {
		var own errEach
		if errors.As(err, &own) {
			return own.error
		}
		return o.error(err)
	}
	return nil
}

// errEach marks an error of the caller's function, which is returned as it is.
type errEach struct{ error }

// fullTable: FAILURE where so many handles are open that it may be that.
func fullTable(_ context.Context, f *failure) syscall.Errno {
	if f.is(wire.StatusFailure) && f.client.handles.nearlyFull() {
		return syscall.ENFILE
	}
	return 0
}

// listing is a directory being read.
type listing struct {
	client *Client
	op     nameOp
	handle wire.Handle
	each   func([]cache.Entry) error

	seen       map[string]struct{}
	idle       int // replies in a row without a new name
	complaints int
	ahead      []pending[[]wire.Name]
}

func (l *listing) run(ctx context.Context) error {
	// READDIRs that are not waited for are given up, not left behind.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		cancel()
		for _, p := range l.ahead {
			_, _ = p.call.Wait(ctx)
		}
	}()
	for depth := firstReaddirs; ; depth = min(depth+2, maxReaddirs) {
		for len(l.ahead) < depth {
			l.ahead = append(l.ahead, l.readdir(ctx))
		}
		names, err := l.ahead[0].wait(ctx)
		l.ahead = l.ahead[1:]
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = l.take(names)
		}
		if err != nil {
			return err
		}
	}
}

func (l *listing) readdir(ctx context.Context) pending[[]wire.Name] {
	return track(ctx, l.op.session, "READDIR", l.op.path, l.op.session.Readdir(ctx, l.handle))
}

// take hands on the entries of one reply.
func (l *listing) take(names []wire.Name) error {
	entries := make([]cache.Entry, 0, len(names))
	for _, n := range names {
		if e, ok := l.entry(n); ok {
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		if l.idle++; l.idle > maxIdle {
			return errAbsurd("a listing that brings no new names and does not end")
		}
		return nil
	}
	l.idle = 0
	if len(l.seen) > l.client.maxEntries {
		return errAbsurd("a directory with more entries than can be")
	}
	if err := l.each(entries); err != nil {
		return errEach{err}
	}
	return nil
}

// entry judges one name of a reply; false: leave it out.
func (l *listing) entry(n wire.Name) (cache.Entry, bool) {
	if n.Name == "." || n.Name == ".." {
		return cache.Entry{}, false
	}
	if checkName(n.Name) != 0 {
		return cache.Entry{}, l.complain("is not valid", n.Name)
	}
	if _, again := l.seen[n.Name]; again {
		return cache.Entry{}, l.complain("came before", n.Name)
	}
	a, ok := l.client.attrs.attr(n.Attrs, n.LongName)
	if !ok {
		return cache.Entry{}, l.complain("is of no known type", n.Name)
	}
	l.seen[n.Name] = struct{}{}
	return cache.Entry{Name: n.Name, Attr: a}, true
}

// complain logs that a name is left out, a few times. It returns false.
func (l *listing) complain(what, name string) bool {
	if l.complaints++; l.complaints <= maxComplaints {
		l.client.log.Warn("the server lists a name that "+what+"; it is left out", "directory", l.op.path, "name", name[:min(len(name), 300)])
	}
	return false
}

// closeLater gives a handle back without waiting for the answer. It is done
// whether ctx ends or not, and bounded by the session's life.
func (c *Client) closeLater(ctx context.Context, s *session, h wire.Handle, path string) <-chan error {
	c.handles.took(-1)
	ctx = context.WithoutCancel(ctx)
	answer := make(chan error, 1)
	run := func() {
		_, err := track(ctx, s, "CLOSE", path, s.CloseHandle(ctx, h)).wait(ctx)
		answer <- err
	}
	if !c.spawn(run) {
		answer <- ErrClosed
	}
	return answer
}
