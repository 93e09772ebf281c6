package wire

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// ErrClosed matches (errors.Is) every error that is due to a session that has
// ended or is being closed. The error itself is a *ClosedError.
var ErrClosed = errors.New("sftp session closed")

// ClosedError says that a session has ended, and why.
type ClosedError struct {
	// Cause is what ended the session, nil after an orderly Close. It never
	// wraps io.EOF, which callers of Read and Readdir take for something else.
	Cause error
	// Issued tells whether the request was accepted before the session ended,
	// so that the server may have executed it. False means that it was never sent.
	Issued bool
}

// Error implements error.
func (e *ClosedError) Error() string {
	if e.Cause == nil {
		return ErrClosed.Error()
	}
	return ErrClosed.Error() + ": " + e.Cause.Error()
}

// Is makes the error match ErrClosed.
func (e *ClosedError) Is(target error) bool { return target == ErrClosed }

// Unwrap returns the cause.
func (e *ClosedError) Unwrap() error { return e.Cause }

// StatusError is a request that the server answered with a STATUS other than OK
// (draft-ietf-secsh-filexfer-02, section 7).
type StatusError struct {
	Op   string // the request, as the draft names it: "OPEN", "posix-rename@openssh.com"
	Code uint32 // one of the Status constants, or a code of a later version
	Msg  string // the server's text: one line, no control characters, at most maxStatusText bytes
}

// Error implements error.
func (e *StatusError) Error() string {
	if e.Msg == "" {
		return fmt.Sprintf("sftp %s: status %d", e.Op, e.Code)
	}
	return fmt.Sprintf("sftp %s: %s (status %d)", e.Op, e.Msg, e.Code)
}

// Is makes the codes with one clear meaning match the errors of io/fs and errors.
func (e *StatusError) Is(target error) bool {
	switch e.Code {
	case StatusNoSuchFile:
		return target == fs.ErrNotExist
	case StatusPermissionDenied:
		return target == fs.ErrPermission
	case StatusOpUnsupported:
		return target == errors.ErrUnsupported
	}
	return false
}

// ProtocolError is a reply that SFTP does not allow. Where the packets around
// it could still be told apart only its call fails, otherwise the session.
type ProtocolError struct {
	Op     string // the request that was answered, "" if none is known
	Reason string
}

// Error implements error.
func (e *ProtocolError) Error() string {
	if e.Op == "" {
		return "sftp protocol violation by the server: " + e.Reason
	}
	return fmt.Sprintf("sftp protocol violation by the server: %s: %s", e.Op, e.Reason)
}

// UnsupportedError is an extension that the server did not offer in the
// version that is spoken here. It matches errors.ErrUnsupported.
type UnsupportedError struct{ Extension string }

// Error implements error.
func (e *UnsupportedError) Error() string {
	return "sftp server does not offer " + e.Extension
}

// Is makes the error match errors.ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// RequestError is a request that was refused before it was sent, because it
// would break the session. It wraps Errno: EINVAL for a NUL in a path,
// ENAMETOOLONG for a path and EMSGSIZE for data that no packet holds.
type RequestError struct {
	Op    string
	Errno syscall.Errno
}

// Error implements error.
func (e *RequestError) Error() string { return fmt.Sprintf("sftp %s: %v", e.Op, e.Errno) }

// Unwrap returns the errno.
func (e *RequestError) Unwrap() error { return e.Errno }

// VersionError is a server that speaks another version than 3.
type VersionError struct{ Version uint32 }

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("sftp server speaks protocol version %d, not %d", e.Version, protocolVersion)
}

// ChatterError is text where the server's first packet should have been:
// usually a login script that prints, or a refusal in words.
type ChatterError struct {
	Text string // printable characters and newlines, at most maxChatter bytes
}

// Error implements error.
func (e *ChatterError) Error() string {
	return fmt.Sprintf("the server sent text instead of SFTP: %q", e.Text)
}

// withoutEOF keeps io.EOF out of the causes of a session's end: a READ that
// fails with the session must not look like the end of a file.
func withoutEOF(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%v: %w", err, io.ErrUnexpectedEOF)
}
