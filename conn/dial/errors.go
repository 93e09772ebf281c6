package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// Bounds of text in errors, in runes: of what a server said, and of a whole.
const (
	maxQuoted = 300
	maxError  = 1500
)

// oneLine makes text from a server fit for one line of a terminal and for an
// error: clean, and cut beyond maxQuoted.
func oneLine(s string) string { return cut(clean(s), maxQuoted) }

// clean turns control characters, which escape sequences begin with, to spaces
// and runs of spaces to one.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func cut(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}

// withHint joins what happened and what to do to one line.
func withHint(what, hint string) string {
	what = cut(clean(what), maxError)
	if hint == "" {
		return what
	}
	return what + ": " + clean(hint)
}

// TargetError is a host, user or target that cannot be used.
type TargetError struct {
	Target string
	Reason string
	hint   string
}

func (e *TargetError) Error() string {
	return withHint(fmt.Sprintf("%q is not a server: %s", e.Target, e.Reason), e.hint)
}

// Hint says what to do, "" if that is plain.
func (e *TargetError) Hint() string { return e.hint }

// Hint returns what the user can do about err, "" if it does not know.
func Hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// ConnectError says that no connection to an address came about: refused, not
// reachable, or the name does not resolve.
type ConnectError struct {
	Address string // host:port
	Via     string // the jump host that tried, "" for none
	Err     error
}

func (e *ConnectError) Error() string {
	what := "cannot connect to " + e.Address
	if e.Via != "" {
		what += " through " + e.Via
	}
	return withHint(what+": "+e.reason(), e.Hint())
}

func (e *ConnectError) Unwrap() error { return e.Err }

func (e *ConnectError) reason() string {
	var dns *net.DNSError
	var open *ssh.OpenChannelError
	var errno syscall.Errno
	switch {
	case errors.As(e.Err, &dns) && dns.IsNotFound:
		return "the name does not resolve"
	case errors.As(e.Err, &dns):
		return "looking the name up failed (" + dns.Err + ")"
	case errors.As(e.Err, &open):
		return open.Message
	case errors.As(e.Err, &errno):
		return errno.Error()
	}
	return e.Err.Error()
}

// Hint says what to do.
func (e *ConnectError) Hint() string {
	var dns *net.DNSError
	var open *ssh.OpenChannelError
	switch {
	case errors.As(e.Err, &dns) && dns.IsNotFound:
		return "check the name of the host"
	case errors.As(e.Err, &dns):
		return "check the network and the name server"
	case errors.As(e.Err, &open) && open.Reason == ssh.Prohibited:
		return "the jump host must allow forwarding (AllowTcpForwarding)"
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "is an SSH server running there? Another port is given with -p"
	case errors.Is(e.Err, syscall.EHOSTUNREACH), errors.Is(e.Err, syscall.ENETUNREACH):
		return "check the network"
	}
	return ""
}

// TimeoutError says that a step of connecting took longer than ConnectTimeout.
// It matches context.DeadlineExceeded.
type TimeoutError struct {
	Host  string
	Step  string
	After time.Duration
}

func (e *TimeoutError) Error() string {
	return withHint(fmt.Sprintf("%s does not answer: %s took longer than %v", e.Host, e.Step, e.After), e.Hint())
}

func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// Hint says what to do.
func (e *TimeoutError) Hint() string {
	return "check the network and any firewall, or give it more time with -o ConnectTimeout=SECONDS"
}

// HandshakeError says that the two ends could not agree to speak SSH.
type HandshakeError struct {
	Host string
	Err  error
}

func (e *HandshakeError) Error() string {
	reason := strings.TrimPrefix(e.Err.Error(), "ssh: handshake failed: ")
	if errors.Is(e.Err, io.EOF) || errors.Is(e.Err, syscall.ECONNRESET) {
		reason = "the server closed the connection"
	}
	return withHint("SSH handshake with "+e.Host+" failed: "+reason, e.Hint())
}

func (e *HandshakeError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *HandshakeError) Hint() string {
	if errors.Is(e.Err, io.EOF) || errors.Is(e.Err, syscall.ECONNRESET) {
		return "it may be busy or have blocked this address; its log tells why"
	}
	return "is it an SSH server?"
}
