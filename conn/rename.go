package conn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

// rename is one rename: nameOp is about the old name.
type rename struct {
	nameOp
	client         *Client
	toPath, toFull string
}

// Rename implements cache.Remote.
//
// On OpenSSH noReplace is the plain RENAME, link(2) and unlink(2) for a regular
// file and so atomic; for other types the server looks first, as it is done
// here for other servers, of which some replace what is there.
func (c *Client) Rename(ctx context.Context, oldPath, newPath string, noReplace bool) error {
	r, err := c.newRename(ctx, oldPath, newPath)
	if err != nil {
		return err
	}
	if !noReplace {
		if err := c.handles.keep(ctx, newPath); err != nil {
			return r.error(err)
		}
	}
	switch {
	case oldPath == "" || newPath == "":
		return errnoError("rename", oldPath, syscall.EBUSY)
	case noReplace:
		err = r.noReplace(ctx)
	case r.Caps().PosixRename:
		err = r.posix(ctx)
	default:
		err = r.emulate(ctx)
	}
	if err == nil {
		c.handles.renamed(oldPath, newPath)
	}
	return err
}

func (c *Client) newRename(ctx context.Context, oldPath, newPath string) (*rename, error) {
	o, err := c.begin(ctx, "rename", oldPath)
	if err != nil {
		return nil, err
	}
	full, err := c.remotePath("rename", newPath)
	if err != nil {
		return nil, err
	}
	if err := c.order.waitSent(ctx, newPath); err != nil {
		return nil, o.error(err)
	}
	return &rename{nameOp: o, client: c, toPath: newPath, toFull: full}, nil
}

func (r *rename) posix(ctx context.Context) error {
	_, err := track(ctx, r.session, "posix-rename", r.path, r.session.PosixRename(ctx, r.full, r.toFull)).wait(ctx)
	return r.explain(ctx, err)
}

// plain is RENAME from one path of the server to another.
func (r *rename) plain(ctx context.Context, from, to string) error {
	_, err := track(ctx, r.session, "RENAME", r.path, r.session.Rename(ctx, from, to)).wait(ctx)
	return err
}

func (r *rename) noReplace(ctx context.Context) error {
	if !r.client.openSSH {
		if _, err := r.look(ctx, r.toFull); exists(err) {
			return errnoError("rename", r.path, syscall.EEXIST)
		}
	}
	err := r.plain(ctx, r.full, r.toFull)
	if err != nil && ctx.Err() == nil {
		if _, lookErr := r.look(ctx, r.toFull); exists(lookErr) && failed(err, wire.StatusFailure) {
			return &Error{Op: "rename", Path: r.path, Errno: syscall.EEXIST, Err: err}
		}
	}
	return r.explain(ctx, err)
}

func (r *rename) look(ctx context.Context, full string) (cache.Attr, error) {
	return r.client.attr(ctx, r.lstat(ctx, r.path, full))
}

// failed tells whether err is a certain status.
func failed(err error, code uint32) bool {
	var status *wire.StatusError
	return errors.As(err, &status) && status.Code == code
}

// emulate replaces the new name on a server without posix-rename. A plain RENAME
// does where nothing is in the way, or the server replaces. Else what is there
// moves aside, comes back if the rename fails then too, and is removed if not.
func (r *rename) emulate(ctx context.Context) error {
	if r.full == r.toFull {
		_, err := r.look(ctx, r.full)
		return r.error(err)
	}
	err := r.plain(ctx, r.full, r.toFull)
	if err == nil {
		return nil
	}
	var status *wire.StatusError
	if !errors.As(err, &status) {
		return r.error(err)
	}
	old, oldErr := r.look(ctx, r.full)
	there, thereErr := r.look(ctx, r.toFull)
	switch {
	case oldErr != nil && failed(err, wire.StatusFailure):
		return r.explain(ctx, oldErr) // says more
	case oldErr != nil || thereErr != nil:
		return r.explain(ctx, err)
	}
	if errno := r.conflict(ctx, old.Mode, there.Mode); errno != 0 {
		return &Error{Op: "rename", Path: r.path, Errno: errno, Err: err}
	}
	return r.aside(ctx, there)
}

// conflict says why POSIX has no rename of one type over another.
func (r *rename) conflict(ctx context.Context, old, there uint32) syscall.Errno {
	switch {
	case isDir(there) && !isDir(old):
		return syscall.EISDIR
	case isDir(old) && !isDir(there):
		return syscall.ENOTDIR
	case isDir(there) && r.to().hasEntries(ctx, r.toFull):
		return syscall.ENOTEMPTY
	}
	return 0
}

// aside does the rename in steps. Once begun, it is not given up halfway.
func (r *rename) aside(ctx context.Context, there cache.Attr) error {
	ctx = context.WithoutCancel(ctx)
	temp := fmt.Sprintf("%s/.seamount-%016x", parent(r.toFull), rand.Uint64())
	if err := r.plain(ctx, r.toFull, temp); err != nil {
		return r.explain(ctx, err)
	}
	if err := r.plain(ctx, r.full, r.toFull); err != nil {
		if back := r.plain(ctx, temp, r.toFull); back != nil {
			r.client.log.Error("what was to be replaced is under another name now",
				"path", r.toPath, "name", path.Base(temp), "err", back)
		}
		return r.explain(ctx, err)
	}
	var err error
	if isDir(there.Mode) {
		_, err = track(ctx, r.session, "RMDIR", r.toPath, r.session.Rmdir(ctx, temp)).wait(ctx)
	} else {
		_, err = track(ctx, r.session, "REMOVE", r.toPath, r.session.Remove(ctx, temp)).wait(ctx)
	}
	if err != nil {
		r.client.log.Error("what was replaced is left under another name", "path", r.toPath, "name", path.Base(temp), "err", err)
	}
	return nil
}

// to is the failure of an operation on the new name, to ask about that.
func (r *rename) to() *failure {
	o := r.nameOp
	o.path, o.full = r.toPath, r.toFull
	return &failure{client: r.client, op: o}
}

// explain finds out what was wrong with a rename.
func (r *rename) explain(ctx context.Context, err error) error {
	var status *wire.StatusError
	if errors.As(err, &status) {
		// Go's os.Rename, and so pkg/sftp's server, calls each directory in
		// the way an existing file.
		if errno, _ := statusErrno(status); errno == syscall.EEXIST {
			f := &failure{client: r.client, op: r.nameOp, status: status}
			if errno := r.typesDiffer(ctx, f); errno != 0 {
				return &Error{Op: r.op, Path: r.path, Errno: errno, Err: err}
			}
		}
	}
	return r.client.explain(ctx, r.nameOp, err, r.intoItself, r.typesDiffer, notDirAbove, r.newNotDirAbove, r.targetFull, r.newTooLong)
}

// intoItself: a directory cannot become a name below itself.
func (r *rename) intoItself(_ context.Context, f *failure) syscall.Errno {
	if (f.is(wire.StatusBadMessage) || f.is(wire.StatusFailure)) && r.toFull != r.full && within(r.toFull, r.full) {
		return syscall.EINVAL
	}
	return 0
}

// typesDiffer: a directory and something else, or a directory that has entries.
func (r *rename) typesDiffer(ctx context.Context, f *failure) syscall.Errno {
	if !f.is(wire.StatusFailure) && !f.is(wire.StatusNoSuchFile) {
		return 0
	}
	old, there := f.mode(ctx, r.full), f.mode(ctx, r.toFull)
	if old == 0 || there == 0 {
		return 0
	}
	return r.conflict(ctx, old, there)
}

func (r *rename) newNotDirAbove(ctx context.Context, f *failure) syscall.Errno {
	to := r.to()
	to.status = f.status
	return notDirAbove(ctx, to)
}

// targetFull: the new name's file system is another one, takes no changes, or
// is full.
func (r *rename) targetFull(ctx context.Context, f *failure) syscall.Errno {
	if !f.is(wire.StatusFailure) {
		return 0
	}
	if f.apart(ctx, parent(r.full), parent(r.toFull)) {
		return syscall.EXDEV
	}
	to := r.to()
	to.status = f.status
	return noSpace(ctx, to)
}

func (r *rename) newTooLong(ctx context.Context, f *failure) syscall.Errno {
	to := r.to()
	to.status = f.status
	return nameTooLong(ctx, to)
}
