package conn

import (
	"context"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

// keepID in place of an id leaves it as it is, where the server hands ids to
// chown(2) as OpenSSH does.
const keepID = 0xffffffff

func permAttrs(mode uint32) wire.Attrs {
	return wire.Attrs{Flags: wire.AttrPermissions, Mode: mode & permBits}
}

// attrGroup is one packet's part of a change of attributes.
type attrGroup struct {
	field cache.SetMask
	attrs wire.Attrs
}

// attrGroups splits a change into what one packet each may hold: OpenSSH goes
// on after an error and tells the last one only. Size comes first, since it
// changes the times, and the owner before the mode, since chown clears
// set-id bits.
func attrGroups(s cache.SetAttr) []attrGroup {
	var groups []attrGroup
	add := func(field cache.SetMask, a wire.Attrs) {
		if s.Valid&field != 0 {
			groups = append(groups, attrGroup{s.Valid & field, a})
		}
	}
	add(cache.SetSize, wire.Attrs{Flags: wire.AttrSize, Size: s.Size})
	owner := wire.Attrs{Flags: wire.AttrUIDGID, UID: keepID, GID: keepID}
	if s.Valid&cache.SetUID != 0 {
		owner.UID = s.UID
	}
	if s.Valid&cache.SetGID != 0 {
		owner.GID = s.GID
	}
	add(cache.SetUID|cache.SetGID, owner)
	add(cache.SetMode, permAttrs(s.Mode))
	add(cache.SetTimes, wire.Attrs{Flags: wire.AttrACModTime, Atime: uint32(s.Atime), Mtime: uint32(s.Mtime)})
	return groups
}

// oneID tells whether s changes only one of owner and group.
func oneID(s cache.SetAttr) bool {
	owner := s.Valid & (cache.SetUID | cache.SetGID)
	return owner == cache.SetUID || owner == cache.SetGID
}

// fillIDs completes a change of one id by the other as it is.
func fillIDs(s cache.SetAttr, now cache.Attr) cache.SetAttr {
	if s.Valid&cache.SetUID == 0 {
		s.UID = now.UID
	}
	if s.Valid&cache.SetGID == 0 {
		s.GID = now.GID
	}
	s.Valid |= cache.SetUID | cache.SetGID
	return s
}

// setattr is a change of attributes under way: a cache.Pending.
type setattr struct {
	done chan struct{}
	attr cache.Attr // valid once done is closed, as is err
	err  error
	op   string
	path string
}

// Wait implements cache.Pending.
func (p *setattr) Wait(ctx context.Context) (cache.Attr, error) {
	select {
	case <-p.done:
		return p.attr, p.err
	default:
	}
	select {
	case <-p.done:
		return p.attr, p.err
	case <-ctx.Done():
		return cache.Attr{}, newError(p.op, p.path, ctx.Err())
	}
}

func (p *setattr) finish(a cache.Attr, err error) {
	p.attr, p.err = a, err
	close(p.done)
}

// StartSetattr implements cache.Remote. On a server with lsetstat all requests
// are issued at once; only a size goes by SETSTAT, which truncates what a link
// leads to, as truncate(2) does. Another server is asked first whether path is
// a symbolic link, whose target SETSTAT would change: then the change is ENOTSUP.
func (c *Client) StartSetattr(ctx context.Context, path string, s cache.SetAttr) cache.Pending {
	p := &setattr{done: make(chan struct{}), op: "setattr", path: path}
	o, err := c.newOp(p.op, path)
	if err != nil {
		p.finish(cache.Attr{}, err)
		return p
	}
	c.handles.changing(path)
	ch := &setattrCall{client: c, op: o, want: s}
	var before []chan struct{}
	ch.change, before = c.order.begin(path)
	// Whoever asked may go away; what is sent is answered all the same.
	life := context.WithoutCancel(ctx)
	rest := ch.finish
	if len(before) > 0 || c.mustLook(o.session, s) {
		rest = func(ctx context.Context) (cache.Attr, error) {
			_ = waitAll(ctx, before) // life does not end
			return ch.afterLook(ctx)
		}
	} else {
		ch.issue(ctx, s)
		c.order.issued(ch.change)
	}
	if !c.spawn(func() { p.finish(rest(life)) }) {
		c.order.end(ch.change)
		p.finish(cache.Attr{}, o.error(ErrClosed))
	}
	return p
}

// mustLook tells whether the attributes as they are must be known first.
func (c *Client) mustLook(s *session, want cache.SetAttr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !s.Caps().Lsetstat:
		return true
	case want.Valid&cache.SetMode != 0 && c.noLsetstatMode:
		return true
	}
	return oneID(want) && !c.openSSH
}

// setattrCall is the requests of one StartSetattr.
type setattrCall struct {
	client *Client
	op     nameOp
	want   cache.SetAttr
	change *change

	plain  bool // SETSTAT is right: path is known to be no link
	groups []attrGroup
	calls  []pending[struct{}]
	after  pending[wire.Attrs]
}

// afterLook issues the change once it is known what path is.
func (ch *setattrCall) afterLook(ctx context.Context) (cache.Attr, error) {
	now, err := ch.client.attr(ctx, ch.op.lstat(ctx, ch.op.path, ch.op.full))
	switch {
	case err != nil:
		err = ch.client.explain(ctx, ch.op, err, notDirAbove)
	case !isLink(now.Mode):
		ch.plain = true
	case !ch.op.Caps().Lsetstat || ch.want.Valid&(cache.SetMode|cache.SetSize) != 0:
		err = errnoError(ch.op.op, ch.op.path, syscall.ENOTSUP)
	}
	if err != nil {
		ch.client.order.end(ch.change)
		return cache.Attr{}, err
	}
	want := ch.want
	if oneID(want) && !ch.client.openSSH {
		want = fillIDs(want, now)
	}
	ch.issue(ctx, want)
	ch.client.order.issued(ch.change)
	return ch.finish(ctx)
}

// issue sends the change and a look at what became of it.
func (ch *setattrCall) issue(ctx context.Context, s cache.SetAttr) {
	ch.groups = attrGroups(s)
	for _, g := range ch.groups {
		ch.calls = append(ch.calls, ch.send(ctx, g))
	}
	ch.after = ch.op.lstat(ctx, ch.op.path, ch.op.full)
}

// send sends one group: by lsetstat, which does not follow links but knows no
// size, unless path is known to be none.
func (ch *setattrCall) send(ctx context.Context, g attrGroup) pending[struct{}] {
	o := ch.op
	if ch.plain || g.field == cache.SetSize {
		return track(ctx, o.session, "SETSTAT", o.path, o.session.Setstat(ctx, o.full, g.attrs))
	}
	return track(ctx, o.session, "lsetstat", o.path, o.session.Lsetstat(ctx, o.full, g.attrs))
}

// finish waits for the answers. The first error counts.
func (ch *setattrCall) finish(ctx context.Context) (cache.Attr, error) {
	defer ch.client.order.end(ch.change)
	first, err := -1, error(nil)
	for i, call := range ch.calls {
		if _, e := call.wait(ctx); e != nil && err == nil {
			first, err = i, e
		}
	}
	now, lookErr := ch.client.attr(ctx, ch.after)
	switch {
	case err != nil && lookErr == nil && ch.modeRefused(first, err):
		return ch.modeAgain(ctx, now, first, err)
	case err != nil:
		return cache.Attr{}, ch.explain(ctx, err, ch.groups[first].field)
	}
	return now, ch.op.error(lookErr)
}

// modeRefused tells whether it was lsetstat's mode that failed: some systems
// have no way to set a mode without following a link.
func (ch *setattrCall) modeRefused(i int, err error) bool {
	return !ch.plain && ch.groups[i].field == cache.SetMode && failed(err, wire.StatusFailure)
}

// modeAgain does the rest of a change, from the mode on, by SETSTAT.
func (ch *setattrCall) modeAgain(ctx context.Context, now cache.Attr, from int, err error) (cache.Attr, error) {
	if isLink(now.Mode) {
		return cache.Attr{}, &Error{Op: ch.op.op, Path: ch.op.path, Errno: syscall.ENOTSUP, Err: err}
	}
	ch.plain = true
	groups := ch.groups[from:]
	var calls []pending[struct{}]
	for _, g := range groups {
		calls = append(calls, ch.send(ctx, g))
	}
	after := ch.op.lstat(ctx, ch.op.path, ch.op.full)
	for i, call := range calls {
		if _, e := call.wait(ctx); e != nil {
			_, _ = after.call.Wait(ctx)
			return cache.Attr{}, ch.explain(ctx, e, groups[i].field)
		}
	}
	ch.client.mu.Lock()
	ch.client.noLsetstatMode = true
	ch.client.mu.Unlock()
	a, lookErr := ch.client.attr(ctx, after)
	return a, ch.op.error(lookErr)
}

func (ch *setattrCall) explain(ctx context.Context, err error, field cache.SetMask) error {
	checks := []check{notDirAbove, readOnly}
	if field == cache.SetSize {
		checks = append(checks, directory, noSpace)
	}
	return ch.client.explain(ctx, ch.op, err, append(checks, notPermitted(field))...)
}

// notPermitted: PERMISSION_DENIED is EACCES for a size, and EPERM for what only
// the owner or root may change.
func notPermitted(field cache.SetMask) check {
	if field == cache.SetSize {
		return always(wire.StatusPermissionDenied, syscall.EACCES)
	}
	return always(wire.StatusPermissionDenied, syscall.EPERM)
}

// setHandle changes attributes of an open file.
func (c *Client) setHandle(ctx context.Context, h *handle, path string, s cache.SetAttr) (cache.Attr, cache.SetMask, error) {
	if oneID(s) && !c.openSSH {
		now, err := c.attr(ctx, h.fstat(ctx, path))
		if err != nil {
			return cache.Attr{}, 0, err
		}
		s = fillIDs(s, now)
	}
	return issueSetHandle(ctx, h, path, s).wait(ctx, c)
}

// setHandleCall is a change of attributes by a handle under way.
type setHandleCall struct {
	groups []attrGroup
	calls  []pending[struct{}]
	after  pending[wire.Attrs]
}

// issueSetHandle sends all of a change by a handle, and the question what is
// then.
func issueSetHandle(ctx context.Context, h *handle, path string, s cache.SetAttr) *setHandleCall {
	p := &setHandleCall{groups: attrGroups(s)}
	for _, g := range p.groups {
		p.calls = append(p.calls, track(ctx, h.session, "FSETSTAT", path, h.session.Fsetstat(ctx, h.id, g.attrs)))
	}
	p.after = h.fstat(ctx, path)
	return p
}

// wait returns the attributes, or the first error and what it concerned.
func (p *setHandleCall) wait(ctx context.Context, c *Client) (cache.Attr, cache.SetMask, error) {
	var errs error
	var field cache.SetMask
	for i, call := range p.calls {
		if _, e := call.wait(ctx); e != nil && errs == nil {
			errs, field = e, p.groups[i].field
		}
	}
	a, err := c.attr(ctx, p.after)
	if errs == nil {
		errs = err
	}
	return a, field, errs
}
