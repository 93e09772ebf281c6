package conn

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"seamount/conn/wire"
)

// What a status leaves open is asked here, by requests that are sent only after
// an error. OpenSSH's errno_to_portable (sftp-server.c) makes
//   - NO_SUCH_FILE of ENOENT, ENOTDIR, EBADF and ELOOP,
//   - PERMISSION_DENIED of EPERM, EACCES and EFAULT,
//   - BAD_MESSAGE of ENAMETOOLONG and EINVAL,
//   - FAILURE of all others.
//
// LSTAT alone is not asked about: that a name does not exist is its commonest
// answer, and a caller that walks a path knows that its directories are some.

// failure is a request that failed with a status, and what it was about.
type failure struct {
	client *Client
	op     nameOp
	status *wire.StatusError
}

// check asks whether a failure has a certain reason; 0: not this one.
type check func(ctx context.Context, f *failure) syscall.Errno

// explain makes an *Error of err, with the errno of the first check that knows
// one, if the status itself leaves it open.
func (c *Client) explain(ctx context.Context, o nameOp, err error, checks ...check) error {
	var done *Error
	var status *wire.StatusError
	if err == nil || errors.As(err, &done) || !errors.As(err, &status) {
		return o.error(err)
	}
	errno, sure := statusErrno(status)
	if !sure {
		f := &failure{client: c, op: o, status: status}
		for _, ask := range append(checks, nameTooLong) {
			if found := ask(ctx, f); found != 0 {
				errno = found
				break
			}
		}
	}
	return &Error{Op: o.op, Path: o.path, Errno: errno, Err: err}
}

func (f *failure) is(code uint32) bool { return f.status.Code == code }

// mode looks at a path of the server, not following a link at its end; 0 if
// there is nothing.
func (f *failure) mode(ctx context.Context, full string) uint32 {
	a, err := f.client.attr(ctx, f.op.lstat(ctx, f.op.path, full))
	if err != nil {
		return 0
	}
	return a.Mode
}

// targetMode is mode of what a path leads to.
func (f *failure) targetMode(ctx context.Context, full string) uint32 {
	a, err := f.client.attr(ctx, f.op.stat(ctx, f.op.path, full))
	if err != nil {
		return 0
	}
	return a.Mode
}

// statvfs returns the state of the file system of full, false if it is not to be had.
func (f *failure) statvfs(ctx context.Context, full string) (wire.StatVFS, bool) {
	if !f.op.Caps().Statvfs {
		return wire.StatVFS{}, false
	}
	v, err := track(ctx, f.op.session, "statvfs", f.op.path, f.op.session.Statvfs(ctx, full)).wait(ctx)
	return v, err == nil
}

// always is the errno where the status has code and no check before knew better.
func always(code uint32, errno syscall.Errno) check {
	return func(_ context.Context, f *failure) syscall.Errno {
		if f.is(code) {
			return errno
		}
		return 0
	}
}

// nameTooLong: BAD_MESSAGE is ENAMETOOLONG or EINVAL.
func nameTooLong(ctx context.Context, f *failure) syscall.Errno {
	if !f.is(wire.StatusBadMessage) {
		return 0
	}
	longest := 0
	for name := range strings.SplitSeq(f.op.path, "/") {
		longest = max(longest, len(name))
	}
	if len(f.op.full) > maxTarget {
		return syscall.ENAMETOOLONG
	}
	if v, ok := f.statvfs(ctx, f.client.root); ok && v.Namemax > 0 && uint64(longest) > v.Namemax {
		return syscall.ENAMETOOLONG
	}
	return 0
}

// notDirAbove: NO_SUCH_FILE where something above the name is not a directory.
func notDirAbove(ctx context.Context, f *failure) syscall.Errno {
	if !f.is(wire.StatusNoSuchFile) {
		return 0
	}
	for dir := f.op.full; dir != f.client.root && dir != "/"; {
		dir = parent(dir)
		if mode := f.targetMode(ctx, dir); mode != 0 {
			if !isDir(mode) {
				return syscall.ENOTDIR
			}
			return 0
		}
	}
	return 0
}

// notDirItself: NO_SUCH_FILE for a name that is there, but is no directory.
func notDirItself(ctx context.Context, f *failure) syscall.Errno {
	if f.is(wire.StatusNoSuchFile) {
		if mode := f.targetMode(ctx, f.op.full); mode != 0 && !isDir(mode) {
			return syscall.ENOTDIR
		}
	}
	return 0
}

// maxLinks is how many symbolic links the Linux kernel follows (path_resolution(7)).
const maxLinks = 40

// linkLoop: NO_SUCH_FILE where symbolic links lead round in a circle.
func linkLoop(ctx context.Context, f *failure) syscall.Errno {
	if !f.is(wire.StatusNoSuchFile) {
		return 0
	}
	at := f.op.full
	for range maxLinks + 1 {
		target, err := track(ctx, f.op.session, "READLINK", f.op.path, f.op.session.Readlink(ctx, at)).wait(ctx)
		if err != nil {
			return 0
		}
		if !strings.HasPrefix(target, "/") {
			target = parent(at) + "/" + target
		}
		at = target
	}
	return syscall.ELOOP
}

// alreadyThere: FAILURE to make a name that exists.
func alreadyThere(ctx context.Context, f *failure) syscall.Errno {
	if f.is(wire.StatusFailure) && f.mode(ctx, f.op.full) != 0 {
		return syscall.EEXIST
	}
	return 0
}

// directory: FAILURE of what directories do not do.
func directory(ctx context.Context, f *failure) syscall.Errno {
	if f.is(wire.StatusFailure) && isDir(f.targetMode(ctx, f.op.full)) {
		return syscall.EISDIR
	}
	return 0
}

// readOnly: FAILURE of a change on a file system that takes none.
func readOnly(ctx context.Context, f *failure) syscall.Errno {
	if !f.is(wire.StatusFailure) {
		return 0
	}
	if v, ok := f.statvfs(ctx, f.existing()); ok && v.Flag&wire.StatVFSReadOnly != 0 {
		return syscall.EROFS
	}
	return 0
}

// noSpace: FAILURE to make a name on a full or read-only file system.
func noSpace(ctx context.Context, f *failure) syscall.Errno {
	if !f.is(wire.StatusFailure) {
		return 0
	}
	v, ok := f.statvfs(ctx, f.existing())
	if !ok {
		return 0
	}
	return spaceErrno(v)
}

// existing is the path to ask the file system of: the directory, since the
// name may not exist.
func (f *failure) existing() string {
	if f.op.path == "" {
		return f.op.full
	}
	return parent(f.op.full)
}

// spaceErrno tells why a file system takes nothing more. File systems without
// a table of inodes (btrfs, ZFS) say that they have none.
func spaceErrno(v wire.StatVFS) syscall.Errno {
	switch {
	case v.Flag&wire.StatVFSReadOnly != 0:
		return syscall.EROFS
	case v.Blocks > 0 && v.Bavail == 0, v.Files > 0 && v.Favail == 0:
		return syscall.ENOSPC
	}
	return 0
}

func (c *Client) explainLookup(ctx context.Context, o nameOp, err error) error {
	if o.op == "lstat" {
		return c.explain(ctx, o, err)
	}
	return c.explain(ctx, o, err, linkLoop)
}

func (c *Client) explainReadlink(ctx context.Context, o nameOp, err error) error {
	notLink := func(ctx context.Context, f *failure) syscall.Errno {
		// OpenSSH says BAD_MESSAGE, others FAILURE.
		if f.is(wire.StatusFailure) {
			if mode := f.mode(ctx, f.op.full); mode != 0 && !isLink(mode) {
				return syscall.EINVAL
			}
		}
		return 0
	}
	return c.explain(ctx, o, err, notDirAbove, notLink)
}

// explainMake is for what makes a name; there tells whether the name existed
// right after the attempt.
func (c *Client) explainMake(ctx context.Context, o nameOp, err error, there bool) error {
	known := func(_ context.Context, f *failure) syscall.Errno {
		if there && f.is(wire.StatusFailure) {
			return syscall.EEXIST
		}
		return 0
	}
	if o.op == "link" {
		// More can be wrong with it; the rest is for explainLink.
		var status *wire.StatusError
		if !errors.As(err, &status) || !there {
			return err
		}
	}
	return c.explain(ctx, o, err, known, notDirAbove, noSpace)
}

func (c *Client) explainLink(ctx context.Context, o nameOp, oldFull string, err error) error {
	denied := func(ctx context.Context, f *failure) syscall.Errno {
		if !f.is(wire.StatusPermissionDenied) {
			return 0
		}
		old, err := c.attr(ctx, f.op.lstat(ctx, f.op.path, oldFull))
		if err == nil && (isDir(old.Mode) || c.foreign(old.UID)) {
			return syscall.EPERM
		}
		return 0
	}
	otherFS := func(ctx context.Context, f *failure) syscall.Errno {
		if f.is(wire.StatusFailure) && f.apart(ctx, parent(oldFull), f.existing()) {
			return syscall.EXDEV
		}
		return 0
	}
	return c.explain(ctx, o, err, denied, notDirAbove, otherFS, noSpace)
}

// foreign tells whether files of uid are another's than the login's, whom a
// server that protects hard links lets link none of them.
func (c *Client) foreign(uid uint32) bool {
	return c.ownerKnown && c.attrs.uid != 0 && c.attrs.uid != uid
}

// apart tells whether two directories are known to be on different file systems.
func (f *failure) apart(ctx context.Context, a, b string) bool {
	va, okA := f.statvfs(ctx, a)
	vb, okB := f.statvfs(ctx, b)
	return okA && okB && va.Fsid != 0 && vb.Fsid != 0 && va.Fsid != vb.Fsid
}

func (c *Client) explainRmdir(ctx context.Context, o nameOp, err error) error {
	notEmpty := func(ctx context.Context, f *failure) syscall.Errno {
		if f.is(wire.StatusFailure) && f.hasEntries(ctx, f.op.full) {
			return syscall.ENOTEMPTY
		}
		return 0
	}
	notDir := func(ctx context.Context, f *failure) syscall.Errno {
		if f.is(wire.StatusNoSuchFile) || f.is(wire.StatusFailure) {
			if mode := f.mode(ctx, f.op.full); mode != 0 && !isDir(mode) {
				return syscall.ENOTDIR
			}
		}
		return 0
	}
	return c.explain(ctx, o, err, notDir, notDirAbove, notEmpty, readOnly, always(wire.StatusFailure, syscall.EBUSY))
}

func (c *Client) explainRemove(ctx context.Context, o nameOp, err error) error {
	dir := func(ctx context.Context, f *failure) syscall.Errno {
		if f.is(wire.StatusFailure) && isDir(f.mode(ctx, f.op.full)) {
			return syscall.EISDIR
		}
		return 0
	}
	return c.explain(ctx, o, err, notDirAbove, dir, readOnly, always(wire.StatusFailure, syscall.EBUSY))
}

// hasEntries tells whether the directory full has an entry.
func (f *failure) hasEntries(ctx context.Context, full string) bool {
	h, err := track(ctx, f.op.session, "OPENDIR", f.op.path, f.op.session.Opendir(ctx, full)).wait(ctx)
	if err != nil {
		return false
	}
	f.client.handles.took(1)
	defer f.client.closeLater(ctx, f.op.session, h, f.op.path)
	for range 2 { // two replies hold more than "." and ".."
		names, err := track(ctx, f.op.session, "READDIR", f.op.path, f.op.session.Readdir(ctx, h)).wait(ctx)
		if err != nil {
			return false
		}
		for _, n := range names {
			if n.Name != "." && n.Name != ".." {
				return true
			}
		}
	}
	return false
}
