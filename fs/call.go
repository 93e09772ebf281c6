package fs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// mount is what all nodes of one mount share.
type mount struct {
	opts   Options
	owner  uint32 // the mounting user
	notify *Notifier
	links  links
	conn   atomic.Pointer[connection] // nil until mounted

	aborted atomic.Bool // by Server.Abort
}

// request names a FUSE request, for the log and for who may make it.
type request struct {
	op   string // as in the FUSE protocol
	node *node
	name string // in node, or empty
	open bool   // through a handle: was allowed at its open
	exit bool   // is also made by a process that exits
}

func (r request) path() string {
	p := r.node.cn.Path()
	switch {
	case r.name == "":
		return p
	case p == "":
		return r.name
	}
	return p + "/" + r.name
}

// read runs f, a request that changes no names and no attributes. When its
// caller's wait ends, f's context does.
func (m *mount) read(ctx context.Context, r request, f func(context.Context) error) syscall.Errno {
	return m.wait(ctx, r, graceRead, f)
}

func (m *mount) wait(ctx context.Context, r request, grace time.Duration, f func(context.Context) error) syscall.Errno {
	if e := m.admit(ctx, r); e != 0 {
		return e
	}
	w := m.waitCtx(ctx, r, grace)
	defer w.finish()
	return m.run(w, r, f)
}

// change runs f, a request that changes names or attributes, to its end. When
// its caller's wait ends first, change returns EINTR, and abandoned is called
// with f's result once that is there.
func change[T any](ctx context.Context, m *mount, r request, f func(context.Context) (T, error),
	abandoned func(T, syscall.Errno)) (T, syscall.Errno) {
	var zero T
	if e := m.admit(ctx, r); e != 0 {
		return zero, e
	}
	w := m.waitCtx(ctx, r, graceChange)
	defer w.finish()
	type result struct {
		v T
		e syscall.Errno
	}
	answered := make(chan result, 1)
	go func() {
		var res result
		res.e = m.run(context.WithoutCancel(ctx), r, func(ctx context.Context) (err error) {
			res.v, err = f(ctx)
			return err
		})
		answered <- res
	}()
	select {
	case res := <-answered:
		return res.v, res.e
	case <-w.Done():
	}
	go func() {
		res := <-answered
		abandoned(res.v, res.e)
	}()
	return zero, syscall.EINTR
}

// admit keeps other users out of an allow_root mount. The kernel knows no such
// option: it is allow_other with this check, as in libfuse.
func (m *mount) admit(ctx context.Context, r request) syscall.Errno {
	if !m.opts.AllowRoot || r.open {
		return 0
	}
	c, ok := fuse.FromContext(ctx)
	if ok && c.Uid != 0 && c.Uid != m.owner {
		return syscall.EACCES
	}
	return 0
}

func (m *mount) waitCtx(ctx context.Context, r request, grace time.Duration) *waitCtx {
	var tid uint32
	if c, ok := fuse.FromContext(ctx); ok {
		tid = c.Pid // the number of the thread, not of the process
	}
	w := newWaitCtx(ctx, func() verdict { return m.judge(tid) }, grace)
	if r.exit {
		w.dying = func() bool { return exitsKilled(tid) }
	}
	return w
}

// judge tells what became of thread tid, whose request was interrupted. When
// the kernel drops the connection, all requests are.
func (m *mount) judge(tid uint32) verdict {
	if c := m.conn.Load(); m.aborted.Load() || c != nil && c.gone() {
		return endNow
	}
	return judgeCaller(tid)
}

// run is the one place through which every request goes: it makes sure that
// the kernel knows r's node to be known, traces f, and maps its error.
func (m *mount) run(ctx context.Context, r request, f func(context.Context) error) syscall.Errno {
	r.node.revive()
	if m.opts.Debug == nil {
		return m.errno(r, protect(ctx, f))
	}
	var log requestLog
	start := time.Now()
	err := protect(cache.WithTrace(ctx, log.add), f)
	e := m.errno(r, err)
	m.opts.Debug.LogAttrs(ctx, slog.LevelDebug, r.op, slog.String("path", r.path()),
		slog.String("result", result(e)), slog.Duration("took", time.Since(start)), slog.String("sftp", log.String()))
	return e
}

func result(e syscall.Errno) string {
	if e == 0 {
		return "OK"
	}
	return e.Error()
}

// panicError is a panic of a handler as an error.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// protect calls f and returns its panic as an error: one wrong request must
// not take the mount and everything written through it along.
func protect(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f(ctx)
}

// errno maps err and logs an error that is no error number.
func (m *mount) errno(r request, err error) syscall.Errno {
	e, known := toErrno(err)
	if !known {
		m.opts.Log.Error("request failed", "op", r.op, "path", r.path(), "error", err)
	}
	return e
}

// panicked is for panics outside of protect, in go-fuse itself.
func (m *mount) panicked(v any) fuse.Status {
	m.opts.Log.Error("request failed", "error", &panicError{v, debug.Stack()})
	return fuse.EIO
}

// checkName refuses names that no server can hold. The kernel passes up to
// 1024 bytes, and never an empty name, a slash or NUL.
func checkName(name string) syscall.Errno {
	if len(name) > nameMax {
		return syscall.ENAMETOOLONG
	}
	return 0
}

// nameMax is NAME_MAX of POSIX systems, in bytes.
const nameMax = 255
