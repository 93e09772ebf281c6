package conn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"seamount/conn/wire"
)

// ErrDisconnected matches every error that is due to a connection or session
// that has ended. What was under way may or may not have been executed.
var ErrDisconnected = errors.New("the connection to the server is lost")

// ErrClosed matches the errors of a Client after Close.
var ErrClosed = errors.New("the client is closed")

// Error is a failed operation on the server. errors.As finds Errno in it, and
// errors.Is and errors.As what the server or the transport said.
type Error struct {
	Op    string // as POSIX names the operation: "open", "mkdir"
	Path  string // relative to the mounted directory, "" for that itself
	Errno syscall.Errno
	Err   error // the cause: a *wire.StatusError, ErrDisconnected with its cause, a context's error; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %q: %v", e.Op, e.Path, e.Errno)
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	return s
}

// Unwrap returns the errno and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Errno}
	}
	return []error{e.Errno, e.Err}
}

// newError makes an Error of err. It keeps one that is already made, since
// that one knows better.
func newError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var done *Error
	if errors.As(err, &done) {
		return err
	}
	errno, cause := classify(err)
	return &Error{Op: op, Path: path, Errno: errno, Err: cause}
}

// errnoError is an Error that no server caused.
func errnoError(op, path string, errno syscall.Errno) error {
	return &Error{Op: op, Path: path, Errno: errno}
}

// classify returns the errno of err as far as err itself tells, and the cause
// to keep.
func classify(err error) (syscall.Errno, error) {
	var status *wire.StatusError
	var errno syscall.Errno
	switch {
	case errors.As(err, &status):
		errno, _ = statusErrno(status)
		return errno, err
	case errors.Is(err, context.Canceled):
		return syscall.EINTR, err
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT, err
	case errors.Is(err, ErrClosed):
		return syscall.ENOTCONN, err
	case errors.Is(err, wire.ErrClosed):
		return syscall.EIO, fmt.Errorf("%w: %w", ErrDisconnected, err)
	case errors.Is(err, errors.ErrUnsupported):
		return syscall.ENOTSUP, err
	case errors.As(err, &errno):
		return errno, err
	}
	return syscall.EIO, err
}

// codeErrno holds the codes whose meaning is clear, those of version 6 too:
// some servers send them whatever version was agreed on
// (draft-ietf-secsh-filexfer-13, section 9.1).
func codeErrno(code uint32) (syscall.Errno, bool) {
	switch code {
	case wire.StatusNoSuchFile, 10:
		return syscall.ENOENT, true
	case wire.StatusPermissionDenied:
		return syscall.EACCES, true
	case wire.StatusBadMessage, 20, 23:
		return syscall.EINVAL, true
	case wire.StatusOpUnsupported:
		return syscall.ENOTSUP, true
	case 9:
		return syscall.EBADF, true
	case 11:
		return syscall.EEXIST, true
	case 12:
		return syscall.EROFS, true
	case 13:
		return syscall.ENXIO, true
	case 14:
		return syscall.ENOSPC, true
	case 15:
		return syscall.EDQUOT, true
	case 17:
		return syscall.EBUSY, true
	case 18:
		return syscall.ENOTEMPTY, true
	case 19:
		return syscall.ENOTDIR, true
	case 21:
		return syscall.ELOOP, true
	case 22:
		return syscall.EACCES, true
	case 24:
		return syscall.EISDIR, true
	}
	return syscall.EIO, false
}

// statusErrno returns the errno of a status and whether it is sure of it. It
// is not where OpenSSH folds several errnos into one code.
func statusErrno(s *wire.StatusError) (errno syscall.Errno, sure bool) {
	errno, known := codeErrno(s.Code)
	if s.Code > wire.StatusOpUnsupported {
		return errno, known
	}
	if said, ok := textErrno(s.Msg); ok {
		return said, true
	}
	sure = s.Code == wire.StatusOpUnsupported
	return errno, sure
}

// textErrno reads the text of a status. OpenSSH's texts repeat the code and
// are not in the table; ProFTPD, pkg/sftp and SFTPGo send the words of
// strerror(3). Only what follows the last colon counts: a name may stand
// before it.
func textErrno(text string) (syscall.Errno, bool) {
	text = strings.ToLower(text)
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	for _, w := range errnoWords() {
		if strings.Contains(text, w.words) {
			return w.errno, true
		}
	}
	return 0, false
}

type errnoWord struct {
	words string
	errno syscall.Errno
}

func errnoWords() []errnoWord {
	return []errnoWord{
		{"file exists", syscall.EEXIST},
		{"already exists", syscall.EEXIST},
		{"not empty", syscall.ENOTEMPTY},
		{"no space", syscall.ENOSPC},
		{"quota", syscall.EDQUOT},
		{"cross-device", syscall.EXDEV},
		{"read-only", syscall.EROFS},
		{"not a directory", syscall.ENOTDIR},
		{"is a directory", syscall.EISDIR},
		{"name too long", syscall.ENAMETOOLONG},
		{"too many levels of symbolic", syscall.ELOOP},
		{"too many links", syscall.EMLINK},
		{"too many open files", syscall.ENFILE},
		{"operation not permitted", syscall.EPERM},
		{"operation not supported", syscall.ENOTSUP},
		{"invalid argument", syscall.EINVAL},
		{"resource busy", syscall.EBUSY},
		{"text file busy", syscall.ETXTBSY},
		{"file too large", syscall.EFBIG},
	}
}
