package dial

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"seamount/conn"
)

// realServer starts sshd with one key to log in by, and returns a Dialer for it.
func realServer(t *testing.T, sshdConfig string, more settings, server string) *Dialer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "id")
	pub := writeKey(t, file, newKey(t, "ed25519"), "")
	srv := startSSHD(t, sshdConfig, pub)
	s := settings{"identityfile": {file}}
	for k, v := range more {
		s[k] = v
	}
	cfg := testConfig(t, srv.addr(), s)
	cfg.SFTPServer = server
	return NewDialer(cfg, nil, nil)
}

func TestSubsystemThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"none":      "Subsystem other /bin/true",
		"not found": "Subsystem sftp /nonexistent/sftp-server",
	} {
		t.Run(name, func(t *testing.T) {
			d := realServer(t, config, nil, "")
			c := mustDial(t, d)
			checkSFTP(t, c)
			if !d.way.usual {
				t.Errorf("way %v is not remembered", d.way)
			}
			checkSFTP(t, c)
		})
	}
}

func TestNamedServers(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]string{
		"subsystem": "sftp",
		"path":      "/usr/lib/openssh/sftp-server",
		"command":   "env LC_ALL=C /usr/lib/openssh/sftp-server",
	} {
		t.Run(name, func(t *testing.T) {
			checkSFTP(t, mustDial(t, realServer(t, "", nil, server)))
		})
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, config, server string
		status               int
		stderr, hint         string
	}{
		{"a complaint", "", "echo 'sudo: a password is required' >&2; exit 1", 1, "sudo: a password is required", ""},
		{"no such command", "", "/nonexistent/sftp-server", 127, "nonexistent", "sftp_server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustDial(t, realServer(t, tt.config, nil, tt.server))
			_, err := c.OpenSFTP(t.Context())
			var e *ServerExitError
			if !errors.As(err, &e) || e.Status != tt.status || !strings.Contains(err.Error(), tt.stderr) || !strings.Contains(e.Hint(), tt.hint) {
				t.Errorf("error %v (%+v)", err, e)
			}
			// The connection is none the worse for it.
			if out, err := c.Exec(t.Context(), "echo still here"); err != nil || string(out) != "still here\n" {
				t.Errorf("Exec = %q, %v", out, err)
			}
		})
	}
}

func TestServerRefusesAllWays(t *testing.T) {
	srv := &fakeServer{session: func(ssh.Channel, string, string) bool { return false }}
	srv.NoClientAuth = true
	srv.start(t)
	_, err := mustDial(t, NewDialer(testConfig(t, srv.addr(), nil), nil, nil)).OpenSFTP(t.Context())
	var e *SubsystemError
	if !errors.As(err, &e) || e.Name != "subsystem sftp" {
		t.Errorf("error %v", err)
	}
}

func TestUsualPathsWithoutServer(t *testing.T) {
	srv := &fakeServer{session: func(ch ssh.Channel, kind, command string) bool {
		if kind == "subsystem" {
			return false
		}
		if !strings.Contains(command, "test -x /usr/lib/openssh/sftp-server && exec /usr/lib/openssh/sftp-server;") {
			t.Errorf("command %q", command)
		}
		go exits(ch, 127, "sh: sftp-server: not found\n")
		return true
	}}
	srv.NoClientAuth = true
	srv.start(t)
	_, err := mustDial(t, NewDialer(testConfig(t, srv.addr(), nil), nil, nil)).OpenSFTP(t.Context())
	var e *ServerExitError
	if !errors.As(err, &e) || e.Status != 127 || !strings.Contains(e.Hint(), "install") {
		t.Errorf("error %v", err)
	}
}

func TestChattyShell(t *testing.T) {
	for name, text := range map[string]string{"long": "Welcome to \x1b[1mhost\x1b[0m!\nHave fun.\n", "short": "hi\n"} {
		t.Run(name, func(t *testing.T) {
			srv := &fakeServer{session: func(ch ssh.Channel, _, _ string) bool {
				go func() {
					io.WriteString(ch, text)
					runSFTP(ch)
				}()
				return true
			}}
			srv.NoClientAuth = true
			srv.start(t)
			_, err := mustDial(t, NewDialer(testConfig(t, srv.addr(), nil), nil, nil)).OpenSFTP(t.Context())
			var e *ChattyError
			if !errors.As(err, &e) || !strings.HasPrefix(e.Text, strings.TrimSpace(text)) {
				t.Fatalf("error %T %v", err, err)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") || !strings.Contains(err.Error(), strings.Fields(text)[0]) {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestMaxSessions(t *testing.T) {
	t.Parallel()
	c := mustDial(t, realServer(t, "MaxSessions 2", nil, ""))
	for range 2 {
		rwc, err := c.OpenSFTP(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer rwc.Close()
	}
	if _, err := c.OpenSFTP(t.Context()); !errors.Is(err, conn.ErrNoMoreSessions) {
		t.Errorf("third session: %v, want ErrNoMoreSessions", err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	c := mustDial(t, realServer(t, "", nil, ""))
	if out, err := c.Exec(t.Context(), "printf 'a b'; cat"); err != nil || string(out) != "a b" {
		t.Errorf("Exec = %q, %v", out, err)
	}
	out, err := c.Exec(t.Context(), "echo out; echo oh >&2; exit 3")
	var e *ExecError
	if !errors.As(err, &e) || e.Status != 3 || e.Stderr != "oh\n" || string(out) != "out\n" {
		t.Errorf("Exec = %q, %v", out, err)
	}
	big, err := c.Exec(t.Context(), "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2")
	if err != nil || len(big) != 3000000 {
		t.Errorf("Exec = %d bytes, %v", len(big), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Exec(ctx, "sleep 60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Exec beyond its time: %v", err)
	}
}

func TestStreamChecksInit(t *testing.T) {
	srv := openServer(t)
	c := mustDial(t, NewDialer(testConfig(t, srv.addr(), nil), nil, nil))
	rwc, err := c.OpenSFTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := rwc.Write([]byte{0, 0, 0}); n != 3 || err != nil {
		t.Errorf("first part of INIT: %d, %v", n, err)
	}
	if n, err := rwc.Write([]byte{9, 9}); n != 0 || !errors.Is(err, errOtherInit) {
		t.Errorf("something else: %d, %v", n, err)
	}
	version := make([]byte, 9)
	if _, err := io.ReadFull(rwc, version); err != nil || !bytes.Equal(version[4:], []byte{2, 0, 0, 0, 3}) {
		t.Errorf("first packet % x, %v", version, err)
	}
}

func TestCloseAndDone(t *testing.T) {
	srv := openServer(t)
	d := NewDialer(testConfig(t, srv.addr(), nil), nil, nil)
	c := mustDial(t, d)
	rwc, err := c.OpenSFTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	readEnded := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, rwc)
		readEnded <- err
	}()
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	<-c.Done()
	<-readEnded
	if err := c.Ping(t.Context()); err == nil {
		t.Error("Ping over a closed connection succeeded")
	}
	if _, err := c.OpenSFTP(t.Context()); err == nil {
		t.Error("OpenSFTP over a closed connection succeeded")
	}

	c = mustDial(t, d)
	srv.drop()
	<-c.Done()
}

func TestPingOfServerThatRefusesAndOfOneThatIsSilent(t *testing.T) {
	silent := make(chan struct{})
	srv := &fakeServer{}
	srv.NoClientAuth = true
	srv.global = func(r *ssh.Request) {
		select {
		case <-silent: // no answer from here on
		default:
			r.Reply(false, nil)
		}
	}
	srv.start(t)
	c := mustDial(t, NewDialer(testConfig(t, srv.addr(), nil), nil, nil))
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(silent)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ping of a silent server: %v", err)
		}
		cancel()
	}
	c.Close()
}
