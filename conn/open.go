package conn

import (
	"context"
	"errors"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

// opening is one call of Open.
type opening struct {
	nameOp // on the metadata session; the file is opened on another one
	client *Client
	flag   cache.OpenFlag
	mode   uint32
}

// Open implements cache.Remote. A server that ignores APPEND (pkg/sftp's,
// ProFTPD) writes at the offsets given.
//
// The file is opened on a data session; changes of attributes that nobody
// has waited for yet are waited for, if they are of related paths.
func (c *Client) Open(ctx context.Context, path string, flag cache.OpenFlag, mode uint32) (cache.File, cache.Attr, error) {
	o, err := c.newOp("open", path)
	if err == nil {
		err = o.error(c.order.waitDone(ctx, path))
	}
	if err != nil {
		return nil, cache.Attr{}, err
	}
	if flag&cache.OpenTruncate != 0 {
		c.handles.changing(path)
	}
	op := &opening{nameOp: o, client: c, flag: flag, mode: mode}
	h, a, err := op.run(ctx)
	if op.outOfHandles(ctx, err) {
		h, a, err = op.run(ctx)
	}
	if err != nil {
		return nil, cache.Attr{}, err
	}
	f := newFile(c, path, flag, a)
	c.handles.add(f, h)
	return f, a, nil
}

// outOfHandles tells whether an OPEN may have failed for want of handles (which
// is FAILURE, as many things are) and there are some fewer now.
func (o *opening) outOfHandles(ctx context.Context, err error) bool {
	if !failed(err, wire.StatusFailure) {
		return false
	}
	errno := errnoOf(err)
	return (errno == syscall.ENFILE || errno == syscall.EIO) && o.client.handles.shrink(ctx)
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno
}

// run opens the file on the data session that has the least to do.
func (o *opening) run(ctx context.Context) (*handle, cache.Attr, error) {
	s, err := o.client.pool.pick(ctx)
	if err == nil {
		err = o.client.handles.reserve(ctx)
	}
	if err != nil {
		return nil, cache.Attr{}, o.error(err)
	}
	h, a, err := o.on(ctx, s)
	if h == nil {
		o.client.handles.took(-1)
		return nil, cache.Attr{}, err
	}
	if err == nil {
		err = o.error(checkRegular(a.Mode))
	}
	if err != nil {
		o.client.closeLater(ctx, s, h.id, o.path)
		return nil, cache.Attr{}, err
	}
	return h, a, nil
}

func checkRegular(mode uint32) error {
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return nil
	case syscall.S_IFDIR:
		return syscall.EISDIR
	}
	return syscall.ENXIO
}

// on opens the file on s. What path leads to is looked at behind the OPEN, and
// where that may make the file, before it, too: only the mode of a file that
// was not there is ours to set. A handle is returned even with an error.
func (o *opening) on(ctx context.Context, s *session) (*handle, cache.Attr, error) {
	var before pending[wire.Attrs]
	look := o.flag&(cache.OpenCreate|cache.OpenExclusive) == cache.OpenCreate
	if look {
		before = s.stat(ctx, o.path, o.full)
	}
	open := track(ctx, s, "OPEN", o.path, s.Session.Open(ctx, o.full, openFlags(o.flag), o.createAttrs()))
	after := s.stat(ctx, o.path, o.full)
	fresh := o.flag&cache.OpenCreate != 0
	if look {
		_, err := before.wait(ctx)
		fresh = failed(err, wire.StatusNoSuchFile)
	}
	id, err := open.wait(ctx)
	a, lookErr := o.client.attr(ctx, after)
	if err != nil {
		return nil, cache.Attr{}, o.explain(ctx, err, exists(lookErr))
	}
	h := &handle{session: s, id: id}
	if lookErr != nil && ctx.Err() == nil {
		// The name is gone already; the file is not.
		a, lookErr = o.client.attr(ctx, h.fstat(ctx, o.path))
	}
	if lookErr != nil {
		return h, cache.Attr{}, o.error(lookErr)
	}
	if mode, needed := modeToSet(o.mode, a.Mode); fresh && needed {
		a, err = o.fixMode(ctx, h, mode, a)
	}
	return h, a, o.error(err)
}

// fixMode is Client.fixMode for a file that was just made.
func (o *opening) fixMode(ctx context.Context, h *handle, mode uint32, a cache.Attr) (cache.Attr, error) {
	now, _, err := o.client.setHandle(ctx, h, o.path, cache.SetAttr{Valid: cache.SetMode, Mode: mode})
	var status *wire.StatusError
	if errors.As(err, &status) {
		o.client.log.Debug("the server keeps its own mode of a new file", "path", o.path, "err", err)
		return a, nil
	}
	return now, err
}

func (o *opening) createAttrs() wire.Attrs {
	if o.flag&cache.OpenCreate == 0 {
		return wire.Attrs{}
	}
	return permAttrs(o.mode)
}

// openFlags are the flags of OPEN.
func openFlags(f cache.OpenFlag) uint32 {
	var p uint32
	for _, m := range []struct {
		from cache.OpenFlag
		to   uint32
	}{
		{cache.OpenRead, wire.OpenRead},
		{cache.OpenWrite, wire.OpenWrite},
		{cache.OpenCreate, wire.OpenCreat},
		{cache.OpenExclusive, wire.OpenExcl},
		{cache.OpenTruncate, wire.OpenTrunc},
		{cache.OpenAppend, wire.OpenAppend},
	} {
		if f&m.from != 0 {
			p |= m.to
		}
	}
	return p
}

// again are the flags to open a file with a second time.
func again(f cache.OpenFlag) cache.OpenFlag {
	return f &^ (cache.OpenCreate | cache.OpenExclusive | cache.OpenTruncate)
}

// explain finds out why an OPEN failed; there tells whether the path led to
// something right after it.
func (o *opening) explain(ctx context.Context, err error, there bool) error {
	checks := []check{}
	if o.flag&cache.OpenExclusive != 0 {
		checks = append(checks, func(ctx context.Context, f *failure) syscall.Errno {
			if there && f.is(wire.StatusFailure) {
				return syscall.EEXIST
			}
			return alreadyThere(ctx, f) // a symbolic link that leads nowhere
		})
	}
	checks = append(checks, notDirAbove, linkLoop)
	if o.flag&(cache.OpenWrite|cache.OpenTruncate) != 0 {
		checks = append(checks, directory, readOnly)
	}
	if o.flag&cache.OpenCreate != 0 && !there {
		checks = append(checks, noSpace)
	}
	return o.client.explain(ctx, o.nameOp, err, append(checks, fullTable)...)
}
