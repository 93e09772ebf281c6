// Package serve is a small SSH server that offers a directory over SFTP. It
// is what `seamount demo` mounts, and the second kind of server, beside
// OpenSSH's, that tests mount.
//
// # Contract
//
// A Server answers on the listeners given to Serve, which the caller makes
// (and so chooses the address of). It offers one thing: the subsystem "sftp"
// on a session channel, any number of channels on any number of connections.
// Shells, commands, environment variables, terminals and forwardings are
// refused with a failure reply, as RFC 4254 has it.
//
// SFTP is pkg/sftp's Server with Root as the login directory, running with the
// rights of this process: a relative path begins there, but for those of RENAME
// and SYMLINK, which begin where the process runs. It is a starting point and no jail: an absolute
// path, or "..", reaches whatever this process may reach. So it belongs on
// loopback or behind an authentication that is worth as much as the account.
//
// # Concurrency
//
// Serve runs one goroutine per connection and one per channel. Close closes
// the listeners and the connections, which ends every read in those
// goroutines, and returns when the last of them has; so it leaves neither
// goroutines nor descriptors behind. The one lock, tracker.mu, guards what
// Close must find and is held during no I/O.
package serve

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
)

// handshakeTimeout bounds how long a connection may take to authenticate.
const handshakeTimeout = 30 * time.Second

// ErrClosed is what Serve returns after Close.
var ErrClosed = errors.New("serve: server closed")

// Options of a Server. Without Password and AuthorizedKeys every client is
// let in.
type Options struct {
	// Root is where relative paths start: the directory a client finds itself in.
	Root string
	// HostKey identifies the server; nil means a new ed25519 key.
	HostKey ssh.Signer
	// User is the only user name let in; "" means any.
	User string
	// Password, if not empty, is accepted by the methods "password" and
	// "keyboard-interactive".
	Password string
	// AuthorizedKeys are accepted by the method "publickey".
	AuthorizedKeys []ssh.PublicKey
	// ReadOnly refuses every change.
	ReadOnly bool
	// Log hears of connections and refusals; nil means nobody does.
	Log *slog.Logger
}

// Server is an SSH server; see the package comment. It is safe for
// concurrent use.
type Server struct {
	opts    Options
	config  *ssh.ServerConfig
	log     *slog.Logger
	tracker tracker // listeners and connections
}

// New makes a Server that waits for Serve.
func New(o Options) (*Server, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	o.Root = root
	if o.HostKey == nil {
		if o.HostKey, err = newHostKey(); err != nil {
			return nil, err
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: o, log: o.Log}
	s.config = s.sshConfig()
	return s, nil
}

func newHostKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

// HostKey is the key clients must expect, for a known_hosts file.
func (s *Server) HostKey() ssh.PublicKey { return s.opts.HostKey.PublicKey() }

// Serve accepts connections on l until l fails or the Server is closed, then
// with ErrClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	return serveListener(&s.tracker, l, func(c net.Conn) {
		if err := s.serveConn(c); err != nil {
			s.log.Info("connection ended", "remote", c.RemoteAddr().String(), "err", err)
		}
	})
}

// serveListener gives each connection that l accepts to handle, in a
// goroutine of its own, until l fails or t is closed.
func serveListener(t *tracker, l net.Listener, handle func(net.Conn)) error {
	if !t.add(l) {
		return ErrClosed
	}
	defer t.remove(l)
	for {
		c, err := l.Accept()
		if t.isClosed() {
			if err == nil {
				c.Close()
			}
			return ErrClosed
		}
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		if t.add(c) {
			go func() {
				defer t.remove(c)
				handle(c)
			}()
		}
	}
}

// Close ends all connections and returns when nothing of the Server runs any
// more. A Server cannot be used again.
func (s *Server) Close() error {
	s.tracker.close()
	return nil
}

func (s *Server) sshConfig() *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-seamount",
		NoClientAuth:  s.opts.Password == "" && len(s.opts.AuthorizedKeys) == 0,
	}
	if s.opts.Password != "" {
		c.PasswordCallback = s.checkPassword
		c.KeyboardInteractiveCallback = s.askPassword
	}
	if len(s.opts.AuthorizedKeys) > 0 {
		c.PublicKeyCallback = s.checkKey
	}
	if s.opts.User != "" && c.NoClientAuth {
		c.NoClientAuthCallback = func(m ssh.ConnMetadata) (*ssh.Permissions, error) {
			return nil, s.checkUser(m)
		}
	}
	c.AddHostKey(s.opts.HostKey)
	return c
}

// RefusedError says why a client was not let in. The client is told only
// that it was not.
type RefusedError struct {
	User, Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("serve: user %q refused: %s", e.User, e.Reason)
}

func (s *Server) checkUser(m ssh.ConnMetadata) error {
	if s.opts.User != "" && m.User() != s.opts.User {
		return &RefusedError{m.User(), "unknown user"}
	}
	return nil
}

func (s *Server) checkPassword(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	if subtle.ConstantTimeCompare(password, []byte(s.opts.Password)) != 1 {
		return nil, &RefusedError{m.User(), "wrong password"}
	}
	return nil, s.checkUser(m)
}

func (s *Server) askPassword(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	answers, err := ask("", "", []string{"Password: "}, []bool{false})
	if err != nil {
		return nil, err
	}
	if len(answers) != 1 {
		return nil, &RefusedError{m.User(), "no answer"}
	}
	return s.checkPassword(m, []byte(answers[0]))
}

func (s *Server) checkKey(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	offered := key.Marshal()
	for _, k := range s.opts.AuthorizedKeys {
		if subtle.ConstantTimeCompare(offered, k.Marshal()) == 1 {
			return nil, s.checkUser(m)
		}
	}
	return nil, &RefusedError{m.User(), "unknown key"}
}
