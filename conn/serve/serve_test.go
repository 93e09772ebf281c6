package serve

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer serves o on loopback and checks at the end that Serve returned
// as Close promises.
func startServer(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
	})
	return s, l.Addr().String()
}

func dial(t *testing.T, s *Server, addr, user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	c, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{
		User: user, Auth: auth, HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestAuthentication(t *testing.T) {
	good, bad := newKey(t), newKey(t)
	both := Options{User: "ann", Password: "secret", AuthorizedKeys: []ssh.PublicKey{good.PublicKey()}}
	answer := func(_, _ string, questions []string, _ []bool) ([]string, error) {
		return make([]string, len(questions)), nil
	}
	for _, tt := range []struct {
		name string
		opts Options
		user string
		auth ssh.AuthMethod
		ok   bool
	}{
		{"none", Options{}, "anyone", nil, true},
		{"none, right user", Options{User: "ann"}, "ann", nil, true},
		{"none, wrong user", Options{User: "ann"}, "bob", nil, false},
		{"password", both, "ann", ssh.Password("secret"), true},
		{"wrong password", both, "ann", ssh.Password("guess"), false},
		{"empty password", both, "ann", ssh.Password(""), false},
		{"password, wrong user", both, "bob", ssh.Password("secret"), false},
		{"keyboard-interactive, wrong answer", both, "ann", ssh.KeyboardInteractive(answer), false},
		{"key", both, "ann", ssh.PublicKeys(good), true},
		{"wrong key", both, "ann", ssh.PublicKeys(bad), false},
		{"key, wrong user", both, "bob", ssh.PublicKeys(good), false},
		{"nothing offered", both, "ann", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Root = t.TempDir()
			s, addr := startServer(t, tt.opts)
			var auth []ssh.AuthMethod
			if tt.auth != nil {
				auth = append(auth, tt.auth)
			}
			if _, err := dial(t, s, addr, tt.user, auth...); (err == nil) != tt.ok {
				t.Errorf("dial: %v, want success: %v", err, tt.ok)
			}
		})
	}
}

func TestSFTP(t *testing.T) {
	root := t.TempDir()
	s, addr := startServer(t, Options{Root: root})
	client, err := dial(t, s, addr, "ann")
	if err != nil {
		t.Fatal(err)
	}
	// Two channels of one connection, each a session of its own.
	for _, name := range []string{"one", "two"} {
		c, err := sftp.NewClient(client)
		if err != nil {
			t.Fatal(err)
		}
		// A client learns where it is, and goes on from there.
		login, err := c.RealPath(".")
		if err != nil || login != root {
			t.Fatalf("login directory %q, %v", login, err)
		}
		f, err := c.Create(filepath.Join(login, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(name, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReadOnly(t *testing.T) {
	s, addr := startServer(t, Options{Root: t.TempDir(), ReadOnly: true})
	client, err := dial(t, s, addr, "ann")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(client)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Mkdir("d"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("mkdir: %v, want permission denied", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	s, addr := startServer(t, Options{Root: t.TempDir()})
	client, err := dial(t, s, addr, "ann")
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]func(*ssh.Session) error{
		"exec":      func(s *ssh.Session) error { return s.Start("true") },
		"shell":     func(s *ssh.Session) error { return s.Shell() },
		"env":       func(s *ssh.Session) error { return s.Setenv("A", "b") },
		"pty":       func(s *ssh.Session) error { return s.RequestPty("xterm", 24, 80, nil) },
		"subsystem": func(s *ssh.Session) error { return s.RequestSubsystem("netconf") },
	} {
		sess, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if request(sess) == nil {
			t.Errorf("%s was not refused", name)
		}
		// A refusal leaves the channel usable, as RFC 4254 wants.
		if err := sess.RequestSubsystem("sftp"); err != nil {
			t.Errorf("sftp after %s: %v", name, err)
		}
		if sess.RequestSubsystem("sftp") == nil {
			t.Error("a second sftp on one channel was not refused")
		}
		sess.Close()
	}
	var open *ssh.OpenChannelError
	if _, _, err := client.OpenChannel("direct-tcpip", nil); !errors.As(err, &open) {
		t.Errorf("direct-tcpip: %v, want refusal", err)
	}
}

// TestCloseInUse closes the Server while a file is open and a request loop
// is idle: everything must end, goleak sees to it.
func TestCloseInUse(t *testing.T) {
	s, addr := startServer(t, Options{Root: t.TempDir()})
	client, err := dial(t, s, addr, "ann")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(client)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Create("left open")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat(); err == nil {
		t.Error("stat after Close succeeded")
	}
	if err := s.Serve(nopListener{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Close: %v, want ErrClosed", err)
	}
}

type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }

// TestSilentClient: a client that never says a word does not hold up Close.
func TestSilentClient(t *testing.T) {
	_, addr := startServer(t, Options{Root: t.TempDir()})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}
