package conn

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"seamount/cache"
)

// maxTarget is the longest target of a symbolic link, in bytes: PATH_MAX of
// the kernel that is to be told of it.
const maxTarget = 4095

// nameOp is an operation on a name: the metadata session, and the path as the
// server knows it.
type nameOp struct {
	*session
	op, path, full string
}

// newOp readies an operation on path.
func (c *Client) newOp(op, path string) (nameOp, error) {
	full, err := c.remotePath(op, path)
	if err != nil {
		return nameOp{}, err
	}
	s, err := c.meta()
	if err != nil {
		return nameOp{}, newError(op, path, err)
	}
	return nameOp{session: s, op: op, path: path, full: full}, nil
}

// begin is newOp in order after the changes of attributes that began before.
func (c *Client) begin(ctx context.Context, op, path string) (nameOp, error) {
	o, err := c.newOp(op, path)
	if err == nil {
		err = o.error(c.order.waitSent(ctx, path))
	}
	return o, err
}

func (o nameOp) error(err error) error { return newError(o.op, o.path, err) }

// root makes the mounted directory one, on servers that send no types. That it
// was a directory once was seen when it was mounted.
func (o nameOp) root(a cache.Attr) cache.Attr {
	if o.path == "" && a.Mode&syscall.S_IFMT == syscall.S_IFREG {
		a.Mode = defaultDirMode
	}
	return a
}

// Lstat implements cache.Remote. That a name does not exist is always ENOENT,
// also below a file.
func (c *Client) Lstat(ctx context.Context, path string) (cache.Attr, error) {
	o, err := c.begin(ctx, "lstat", path)
	if err != nil {
		return cache.Attr{}, err
	}
	a, err := c.attr(ctx, o.lstat(ctx, path, o.full))
	return o.root(a), c.explainLookup(ctx, o, err)
}

// Stat implements cache.Remote.
func (c *Client) Stat(ctx context.Context, path string) (cache.Attr, error) {
	o, err := c.begin(ctx, "stat", path)
	if err != nil {
		return cache.Attr{}, err
	}
	a, err := c.attr(ctx, o.stat(ctx, path, o.full))
	return o.root(a), c.explainLookup(ctx, o, err)
}

// Readlink implements cache.Remote. A target that no Linux kernel takes is EIO.
func (c *Client) Readlink(ctx context.Context, path string) (string, error) {
	o, err := c.begin(ctx, "readlink", path)
	if err != nil {
		return "", err
	}
	target, err := track(ctx, o.session, "READLINK", path, o.session.Readlink(ctx, o.full)).wait(ctx)
	if err != nil {
		return "", c.explainReadlink(ctx, o, err)
	}
	if target == "" || len(target) > maxTarget || strings.IndexByte(target, 0) >= 0 {
		return "", o.error(errAbsurd("a symbolic link's target that is empty, too long or holds a NUL"))
	}
	return target, nil
}

// Mkdir implements cache.Remote.
func (c *Client) Mkdir(ctx context.Context, path string, mode uint32) (cache.Attr, error) {
	o, err := c.begin(ctx, "mkdir", path)
	if err != nil {
		return cache.Attr{}, err
	}
	made := track(ctx, o.session, "MKDIR", path, o.session.Mkdir(ctx, o.full, permAttrs(mode)))
	look := o.lstat(ctx, path, o.full)
	_, err = made.wait(ctx)
	a, lookErr := c.attr(ctx, look)
	if err != nil {
		return cache.Attr{}, c.explainMake(ctx, o, err, exists(lookErr))
	}
	if lookErr != nil {
		return cache.Attr{}, o.error(lookErr)
	}
	if set, needed := modeToSet(mode, a.Mode); needed {
		return c.fixMode(ctx, o, set, a)
	}
	return a, nil
}

// fixMode gives a directory that was just made the permissions asked for. A
// server that refuses them does not make the mkdir fail: the directory is
// there, and a says how.
func (c *Client) fixMode(ctx context.Context, o nameOp, mode uint32, a cache.Attr) (cache.Attr, error) {
	set := track(ctx, o.session, "SETSTAT", o.path, o.session.Setstat(ctx, o.full, permAttrs(mode)))
	look := o.lstat(ctx, o.path, o.full)
	if _, err := set.wait(ctx); err != nil {
		c.log.Debug("the server keeps its own mode of a new directory", "path", o.path, "err", err)
	}
	now, err := c.attr(ctx, look)
	if err != nil {
		return a, o.error(err)
	}
	return now, nil
}

// Rmdir implements cache.Remote.
func (c *Client) Rmdir(ctx context.Context, path string) error {
	o, err := c.begin(ctx, "rmdir", path)
	if err != nil {
		return err
	}
	_, err = track(ctx, o.session, "RMDIR", path, o.session.Rmdir(ctx, o.full)).wait(ctx)
	return c.explainRmdir(ctx, o, err)
}

// Remove implements cache.Remote.
func (c *Client) Remove(ctx context.Context, path string) error {
	o, err := c.begin(ctx, "unlink", path)
	if err != nil {
		return err
	}
	if err := c.handles.keep(ctx, path); err != nil {
		return o.error(err)
	}
	_, err = track(ctx, o.session, "REMOVE", path, o.session.Remove(ctx, o.full)).wait(ctx)
	return c.explainRemove(ctx, o, err)
}

// Symlink implements cache.Remote.
func (c *Client) Symlink(ctx context.Context, target, path string) (cache.Attr, error) {
	o, err := c.begin(ctx, "symlink", path)
	if err != nil {
		return cache.Attr{}, err
	}
	if errno := checkTarget(target); errno != 0 {
		return cache.Attr{}, errnoError("symlink", path, errno)
	}
	made := track(ctx, o.session, "SYMLINK", path, o.session.Symlink(ctx, target, o.full))
	return c.finishMake(ctx, o, made)
}

func checkTarget(target string) syscall.Errno {
	switch {
	case target == "":
		return syscall.ENOENT
	case len(target) > maxTarget:
		return syscall.ENAMETOOLONG
	case strings.IndexByte(target, 0) >= 0:
		return syscall.EINVAL
	}
	return 0
}

// Link implements cache.Remote.
func (c *Client) Link(ctx context.Context, oldPath, newPath string) (cache.Attr, error) {
	o, err := c.begin(ctx, "link", newPath)
	if err != nil {
		return cache.Attr{}, err
	}
	oldFull, err := c.remotePath("link", oldPath)
	if err != nil {
		return cache.Attr{}, err
	}
	if !o.Caps().Hardlink {
		return cache.Attr{}, errnoError("link", newPath, syscall.ENOTSUP)
	}
	if err := c.order.waitSent(ctx, oldPath); err != nil {
		return cache.Attr{}, o.error(err)
	}
	made := track(ctx, o.session, "hardlink", newPath, o.session.Hardlink(ctx, oldFull, o.full))
	a, err := c.finishMake(ctx, o, made)
	return a, c.explainLink(ctx, o, oldFull, err)
}

// finishMake looks at what a request makes, behind it.
func (c *Client) finishMake(ctx context.Context, o nameOp, made pending[struct{}]) (cache.Attr, error) {
	look := o.lstat(ctx, o.path, o.full)
	_, err := made.wait(ctx)
	a, lookErr := c.attr(ctx, look)
	if err != nil {
		return cache.Attr{}, c.explainMake(ctx, o, err, exists(lookErr))
	}
	if lookErr != nil {
		return cache.Attr{}, o.error(lookErr)
	}
	return a, nil
}

// exists tells from the outcome of a look whether the name was there.
func exists(lookErr error) bool {
	var absurd errAbsurd
	return lookErr == nil || errors.As(lookErr, &absurd)
}
