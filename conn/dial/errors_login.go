package dial

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// AlgorithmError says that client and server share no algorithm of a kind.
type AlgorithmError struct {
	Host   string
	What   string // such as "key exchange"
	Ours   []string
	Theirs []string
	hint   string
}

func newAlgorithmError(host string, e *ssh.AlgorithmNegotiationError) *AlgorithmError {
	out := &AlgorithmError{Host: host, What: e.What, Ours: e.SupportedAlgorithms, Theirs: e.RequestedAlgorithms}
	words := map[string]string{"key exchange": "KexAlgorithms", "host key": "HostKeyAlgorithms", "cipher": "Ciphers", "MAC": "MACs"}
	for word, keyword := range words {
		if !strings.HasSuffix(e.What, word) {
			continue
		}
		for _, kind := range algorithmKinds() {
			if !strings.EqualFold(kind.keyword, keyword) {
				continue
			}
			for _, a := range e.RequestedAlgorithms {
				if contains(kind.known, a) {
					out.hint = "to allow it add -o " + keyword + "=+" + a
					return out
				}
			}
		}
	}
	return out
}

func (e *AlgorithmError) Error() string {
	return withHint(fmt.Sprintf("no common algorithm for %s with %s (we offer %s; it offers %s)", e.What, e.Host,
		strings.Join(e.Ours, ","), strings.Join(e.Theirs, ",")), e.Hint())
}

// Hint says what to do.
func (e *AlgorithmError) Hint() string {
	if e.hint == "" {
		return "the server needs an update"
	}
	return e.hint
}

// AuthError says that the server did not let the user in.
type AuthError struct {
	User, Host    string
	Tried         []string // methods that failed, in order, without "none"
	Offered       []string // methods the server named last
	WrongPassword bool     // a password was given and refused
	Locked        []string // identity files that could not be unlocked
	NotTried      int      // keys left out to stay below sshd's MaxAuthTries
	Err           error
}

func (e *AuthError) Error() string {
	what := fmt.Sprintf("permission denied for %s at %s", e.User, e.Host)
	switch {
	case e.WrongPassword:
		what += ": wrong password"
	case len(e.Tried) > 0:
		what += ": it refused " + strings.Join(e.Tried, ", ")
	default:
		what += ": nothing to offer"
	}
	what += " (it takes " + strings.Join(e.Offered, ", ") + ")"
	return withHint(what, e.Hint())
}

func (e *AuthError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *AuthError) Hint() string {
	switch {
	case errors.Is(e.Err, ErrNoTerminal) && len(e.Locked) > 0:
		return "the key " + oneLine(e.Locked[0]) + " is encrypted and there is no terminal to ask on, so unlock it with ssh-add first"
	case errors.Is(e.Err, ErrNoTerminal):
		return "it needs a password and there is no terminal to ask on, so give it with -o password_stdin"
	case len(e.Locked) > 0:
		return "the key " + oneLine(e.Locked[0]) + " could not be unlocked"
	case e.NotTried > 0:
		return fmt.Sprintf("%d more keys were not tried, so name the right one with -o IdentityFile=FILE", e.NotTried)
	case e.WrongPassword:
		return "try again"
	}
	return "check the user name, and that the server has your public key"
}

// HostKeyProblem is what is wrong with a host key.
type HostKeyProblem int

// The problems of a HostKeyError.
const (
	HostKeyUnknown HostKeyProblem = iota + 1
	HostKeyChanged
	HostKeyRevoked
	HostCertificateInvalid
)

// KnownKey is a key of known_hosts.
type KnownKey struct {
	Fingerprint string // SHA256:...
	File        string // "" for a key that this process accepted earlier
	Line        int
}

// HostKeyError says that the server could not prove to be the one expected.
type HostKeyError struct {
	Problem     HostKeyProblem
	Host        string // as in known_hosts: host or [host]:port
	KeyType     string // such as "ssh-ed25519"
	Fingerprint string // SHA256:...
	Known       []KnownKey
	Err         error
}

func (e *HostKeyError) Error() string {
	var what string
	switch e.Problem {
	case HostKeyUnknown:
		what = fmt.Sprintf("host key of %s is not known (%s %s)", e.Host, e.KeyType, e.Fingerprint)
	case HostKeyChanged:
		what = fmt.Sprintf("host key of %s changed (was %s, is %s; %s)", e.Host, e.Known[0].Fingerprint, e.Fingerprint, e.place())
	case HostKeyRevoked:
		what = fmt.Sprintf("host key of %s is revoked (%s; %s)", e.Host, e.Fingerprint, e.place())
	default:
		what = fmt.Sprintf("host certificate of %s is not valid (%v)", e.Host, e.Err)
	}
	return withHint(what, e.Hint())
}

func (e *HostKeyError) Unwrap() error { return e.Err }

func (e *HostKeyError) place() string {
	if len(e.Known) == 0 || e.Known[0].File == "" {
		return "accepted earlier in this session"
	}
	return fmt.Sprintf("%s:%d", e.Known[0].File, e.Known[0].Line)
}

// Hint says what to do.
func (e *HostKeyError) Hint() string {
	switch e.Problem {
	case HostKeyUnknown:
		return "compare it with the server's, then connect once with ssh, or with -o StrictHostKeyChecking=accept-new"
	case HostKeyChanged:
		return "if this is expected, run ssh-keygen -R '" + e.Host + "'"
	case HostKeyRevoked:
		return "do not connect; ask the server's administrator"
	}
	return "ask the server's administrator"
}
