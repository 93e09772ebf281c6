package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"seamount/conn/wire"
)

// RootError says that the remote directory cannot be mounted. It wraps the
// reason, an *Error with ENOENT, ENOTDIR or EACCES, or ENOTSUP where the server
// cannot tell where another user's home is.
type RootError struct {
	Root string // as the user typed it
	Err  error
}

// Error implements error.
func (e *RootError) Error() string {
	if e.Root == "" {
		return fmt.Sprintf("the login directory: %v", e.Err)
	}
	return fmt.Sprintf("remote directory %q: %v", e.Root, e.Err)
}

// Unwrap returns the reason.
func (e *RootError) Unwrap() error { return e.Err }

// resolveRoot finds the directory to mount and who owns the login directory,
// in one round trip; two where a home directory must be asked for.
func (c *Client) resolveRoot(ctx context.Context, s *session) error {
	root := c.opts.Root
	path, err := c.expandHome(ctx, s, root)
	if err != nil {
		return &RootError{root, newError("expand", root, err)}
	}
	real := track(ctx, s, "REALPATH", "", s.Realpath(ctx, path))
	stat := s.stat(ctx, "", path)
	home := track(ctx, s, "REALPATH", "", s.Realpath(ctx, "."))
	owner := s.stat(ctx, "", ".")
	c.root, err = real.wait(ctx)
	if err == nil {
		err = checkRoot(c.root)
	}
	a, statErr := stat.wait(ctx)
	login, _ := home.wait(ctx)
	c.learnOwner(ctx, login, owner)
	switch {
	case statErr != nil: // says more than REALPATH, which takes names that do not exist
		return &RootError{root, c.explainRoot(ctx, s, path, statErr)}
	case err != nil:
		return &RootError{root, newError("realpath", root, err)}
	case a.Flags&wire.AttrPermissions != 0 && a.Mode&syscall.S_IFMT != 0 && !isDir(a.Mode):
		return &RootError{root, errnoError("stat", root, syscall.ENOTDIR)}
	}
	return nil
}

func checkRoot(root string) error {
	if !strings.HasPrefix(root, "/") || strings.IndexByte(root, 0) >= 0 {
		return errAbsurd(fmt.Sprintf("%q is no absolute path", root))
	}
	return nil
}

// learnOwner takes who owns the login directory for who logs in. That is not
// so where the directory is "/" and root's: an account that is shut up in a
// directory (sshd's ChrootDirectory) finds it like that.
func (c *Client) learnOwner(ctx context.Context, login string, owner pending[wire.Attrs]) {
	a, err := owner.wait(ctx)
	if err != nil || a.Flags&wire.AttrUIDGID == 0 || login == "/" && a.UID == 0 {
		return
	}
	c.attrs.uid, c.attrs.gid, c.ownerKnown = a.UID, a.GID, true
}

// explainRoot tells a name that is missing from one below a file.
func (c *Client) explainRoot(ctx context.Context, s *session, path string, err error) error {
	errno, _ := classify(err)
	if errno == syscall.ENOENT && path != "." && path != "/" {
		above, e := s.stat(ctx, "", parent(strings.TrimRight(path, "/"))).wait(ctx)
		if e == nil && above.Flags&wire.AttrPermissions != 0 && above.Mode&syscall.S_IFMT == syscall.S_IFREG {
			errno = syscall.ENOTDIR
		}
	}
	return &Error{Op: "stat", Path: c.opts.Root, Errno: errno, Err: err}
}

// expandHome makes root a path that the server understands: SFTP knows no "~".
func (c *Client) expandHome(ctx context.Context, s *session, root string) (string, error) {
	if strings.IndexByte(root, 0) >= 0 {
		return "", syscall.EINVAL
	}
	if root == "" {
		return ".", nil
	}
	if !strings.HasPrefix(root, "~") {
		return root, nil
	}
	if rest := root[1:]; rest == "" || rest[0] == '/' {
		// A session begins in the login directory, which is also what
		// OpenSSH's expand-path takes for "~".
		return "." + rest, nil
	}
	if !s.Caps().ExpandPath {
		return "", fmt.Errorf("the server cannot tell where another user's home is: %w", errors.ErrUnsupported)
	}
	return track(ctx, s, "expand-path", "", s.ExpandPath(ctx, root)).wait(ctx)
}
