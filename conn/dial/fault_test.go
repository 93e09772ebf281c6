package dial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// tcpServer hands each connection to serve, until the test ends.
func tcpServer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// stallingProxy forwards to addr until it saw n bytes of the server's; then it
// forwards nothing more but keeps the connection.
func stallingProxy(t *testing.T, addr string, n int64) string {
	return tcpServer(t, func(c net.Conn) {
		up, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer up.Close()
		go io.CopyN(c, up, n)
		io.Copy(up, c) // until the client gives up
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	e := wantError[*ConnectError](t, NewDialer(testConfig(t, l.Addr().String(), settings{"connectionattempts": {"2"}}), nil, nil))
	if !errors.Is(e, syscall.ECONNREFUSED) || !strings.Contains(e.Error(), "connection refused: ") {
		t.Errorf("error %v", e)
	}
}

func TestNameDoesNotResolve(t *testing.T) {
	e := wantError[*ConnectError](t, NewDialer(testConfig(t, "no-such-host.invalid:22", nil), nil, nil))
	var dns *net.DNSError
	if !errors.As(e, &dns) || !strings.Contains(e.Error(), "resolve") && !strings.Contains(e.Error(), "looking the name up") {
		t.Errorf("error %v", e)
	}
}

// The server goes silent after some number of bytes; each place in the handshake
// and the authentication must end by the timeout, and by the context.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	srv, _ := passwordServer(t, "right")
	for _, n := range []int64{0, 10, 30, 400, 1200, 1800} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			addr := stallingProxy(t, srv.addr(), n)
			cfg := testConfig(t, addr, nil)
			cfg.ConnectTimeout = 100 * time.Millisecond
			p := &scripted{answers: []string{"right"}}
			e := wantError[*TimeoutError](t, NewDialer(cfg, p, nil))
			if !errors.Is(e, context.DeadlineExceeded) || e.Hint() == "" {
				t.Errorf("%+v", e)
			}
			cfg.ConnectTimeout = time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := NewDialer(cfg, p, nil).Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a context that ends: %v", err)
			}
		})
	}
}

func TestServerThatNeverAnswersAPassword(t *testing.T) {
	forever := make(chan struct{})
	srv := &fakeServer{}
	srv.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
		<-forever
		return nil, errors.New("no")
	}
	srv.start(t)
	t.Cleanup(func() { close(forever) }) // before the server waits for its goroutines
	cfg := testConfig(t, srv.addr(), nil)
	cfg.ConnectTimeout = 100 * time.Millisecond
	if e := wantError[*TimeoutError](t, NewDialer(cfg, &scripted{answers: []string{"x"}}, nil)); e.Step != "authentication" {
		t.Errorf("%+v", e)
	}
}

func TestServerThatNeverStartsSFTP(t *testing.T) {
	for name, serve := range map[string]func(srv *fakeServer, forever chan struct{}){
		"channel": func(srv *fakeServer, forever chan struct{}) {
			srv.open = func(ssh.NewChannel) bool { <-forever; return false }
		},
		"request": func(srv *fakeServer, forever chan struct{}) {
			srv.session = func(ssh.Channel, string, string) bool { <-forever; return false }
		},
		"version": func(srv *fakeServer, _ chan struct{}) {
			srv.session = func(ch ssh.Channel, _, _ string) bool { go io.Copy(io.Discard, ch); return true }
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv, forever := &fakeServer{}, make(chan struct{})
			srv.NoClientAuth = true
			serve(srv, forever)
			srv.start(t)
			t.Cleanup(func() { close(forever) }) // before the server waits for its goroutines
			cfg := testConfig(t, srv.addr(), nil)
			c := mustDial(t, NewDialer(cfg, nil, nil))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := c.OpenSFTP(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a context that ends: %v", err)
			}
			cfg.ConnectTimeout = 20 * time.Millisecond
			var e *TimeoutError
			if _, err := c.OpenSFTP(t.Context()); !errors.As(err, &e) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestQuestionStopsTheClock(t *testing.T) {
	srv, _ := passwordServer(t, "right")
	cfg := testConfig(t, srv.addr(), nil)
	cfg.ConnectTimeout = 200 * time.Millisecond
	cfg.Password = func(context.Context) (string, error) {
		<-time.After(2 * cfg.ConnectTimeout) // a user who takes that long to type
		return "right", nil
	}
	mustDial(t, NewDialer(cfg, nil, nil))
}

func TestNotSSH(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"http": func(c net.Conn) {
			bufio.NewReader(c).ReadString('\n')
			fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n"+strings.Repeat("x", 1000)+"\n")
		},
		"closes": func(net.Conn) {},
		"noise":  func(c net.Conn) { c.Write([]byte(strings.Repeat("\x1b[31m\xff", 1000))) },
		"liar":   func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-x\r\n\xff\xff\xff\xff\x00", strings.Repeat("\x00", 100)) },
	} {
		t.Run(name, func(t *testing.T) {
			e := wantError[*HandshakeError](t, NewDialer(testConfig(t, tcpServer(t, serve), nil), nil, nil))
			if e.Hint() == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestNoCommonAlgorithm(t *testing.T) {
	srv := &fakeServer{}
	srv.NoClientAuth = true
	srv.Ciphers = []string{ssh.InsecureCipherAES128CBC}
	srv.KeyExchanges = []string{ssh.KeyExchangeCurve25519}
	srv.start(t)
	e := wantError[*AlgorithmError](t, NewDialer(testConfig(t, srv.addr(), nil), nil, nil))
	if !slices.Equal(e.Theirs, srv.Ciphers) || !slices.Contains(e.Ours, ssh.CipherAES128GCM) || !strings.Contains(e.Hint(), "-o Ciphers=+aes128-cbc") {
		t.Errorf("%+v", e)
	}
	mustDial(t, NewDialer(testConfig(t, srv.addr(), settings{"ciphers": {"+aes128-cbc"}}), nil, nil))
}

func TestPrefersFastCipher(t *testing.T) {
	srv := openServer(t)
	c := mustDial(t, NewDialer(testConfig(t, srv.addr(), nil), nil, nil))
	conn, ok := c.target().Conn.(ssh.AlgorithmsConnMetadata)
	if !ok {
		t.Fatal("the library does not tell algorithms")
	}
	if a := conn.Algorithms(); a.Read.Cipher != ssh.CipherAES128GCM || a.Write.Cipher != ssh.CipherAES128GCM {
		t.Errorf("ciphers %+v", a)
	}
}

func TestJumpHosts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "id")
	pub := writeKey(t, file, newKey(t, "ed25519"), "")
	target := startSSHD(t, "", pub)
	inner, _ := passwordServer(t, "inner")
	outer, _ := passwordServer(t, "outer")
	cfg := testConfig(t, target.addr(), settings{"identityfile": {file}})
	cfg.Via = testConfig(t, inner.addr(), settings{"user": {"in"}})
	cfg.Via.Via = testConfig(t, outer.addr(), settings{"user": {"out"}})
	p := &scripted{answers: []string{"outer", "inner"}}
	d := NewDialer(cfg, p, nil)
	c := mustDial(t, d)
	checkSFTP(t, c)
	if q := p.questions(); len(q) != 2 || !strings.Contains(q[0], "out") || !strings.Contains(q[1], "in") {
		t.Errorf("asked %q", q)
	}
	inner.drop()
	<-c.Done()
	mustDial(t, d)
}

func TestJumpHostFaults(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	jump := openServer(t)
	cfg := testConfig(t, l.Addr().String(), nil)
	cfg.Via = testConfig(t, jump.addr(), nil)
	if e := wantError[*ConnectError](t, NewDialer(cfg, nil, nil)); e.Via == "" {
		t.Errorf("%+v does not name the jump host", e)
	}

	forbids := &fakeServer{open: func(n ssh.NewChannel) bool { n.Reject(ssh.Prohibited, "no\x1b[1m forwarding"); return false }}
	forbids.NoClientAuth = true
	forbids.start(t)
	cfg.Via = testConfig(t, forbids.addr(), nil)
	if e := wantError[*ConnectError](t, NewDialer(cfg, nil, nil)); !strings.Contains(e.Hint(), "AllowTcpForwarding") {
		t.Errorf("hint %q", e.Hint())
	}

	// Behind the jump host is something that says nothing.
	cfg = testConfig(t, tcpServer(t, func(c net.Conn) { io.Copy(io.Discard, c) }), nil)
	cfg.Via = testConfig(t, jump.addr(), nil)
	cfg.ConnectTimeout = 50 * time.Millisecond
	wantError[*TimeoutError](t, NewDialer(cfg, nil, nil))
}

func TestProxyCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "id")
	pub := writeKey(t, file, newKey(t, "ed25519"), "")
	srv := startSSHD(t, "", pub)
	// sshd -i speaks on its standard input and output.
	command := "/usr/sbin/sshd -i -f " + filepath.Join(srv.dir, "sshd_config")
	cfg := testConfig(t, srv.addr(), settings{"identityfile": {file}, "proxycommand": {command}})
	c := mustDial(t, NewDialer(cfg, nil, nil))
	checkSFTP(t, c)
	c.Close()
	<-c.Done()
}

func TestProxyCommandFaults(t *testing.T) {
	e := wantError[*ProxyError](t, NewDialer(testConfig(t, "h:22", settings{"proxycommand": {"sh -c 'echo no way >&2; exit 4'"}}), nil, nil))
	if e.Stderr != "no way\n" {
		t.Errorf("%+v", e)
	}
	cfg := testConfig(t, "h:22", settings{"proxycommand": {"sh -c 'sleep 600 & sleep 600'"}})
	cfg.ConnectTimeout = 50 * time.Millisecond
	wantError[*TimeoutError](t, NewDialer(cfg, nil, nil))
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb\tc":              "a b c",
		"\x1b]0;title\x07x":      "]0;title x",
		"caf\u00e9\u202e\xffz":   "caf\u00e9 ?z",
		strings.Repeat("x", 999): strings.Repeat("x", 300) + "...",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

// The whole way, as a program goes it: a name, its configuration, a connection.
func TestResolveAndDial(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, known := filepath.Join(dir, "id"), filepath.Join(dir, "known")
	srv := startSSHD(t, "", writeKey(t, file, newKey(t, "ed25519"), ""))
	writeFile(t, known, knownHostsLine(srv.addr(), srv.hostKey))
	writeFile(t, filepath.Join(dir, "config"), fmt.Sprintf("Host work\n HostName 127.0.0.1\n Port %d\n User %s\n UserKnownHostsFile %s\n"+
		" StrictHostKeyChecking yes\n IdentityAgent none\nHost *\n User nobody\n", srv.port, srv.user, known))
	target, remoteDir, err := ParseTarget("work:some/dir")
	if err != nil || remoteDir != "some/dir" {
		t.Fatal(target, remoteDir, err)
	}
	target.ConfigFile = filepath.Join(dir, "config")
	target.Options = []string{"IdentityFile=" + file}
	cfg, err := Resolve(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	checkSFTP(t, mustDial(t, NewDialer(cfg, NoPrompter{}, nil)))
}

func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int32
		g := newGuard(t.Context(), "h", time.Second, func() { closed.Add(1) })
		g.begin("one")
		time.Sleep(900 * time.Millisecond)
		g.begin("two")
		time.Sleep(900 * time.Millisecond)
		resume := g.pause()
		time.Sleep(time.Hour)
		resume()
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if closed.Load() != 0 {
			t.Fatal("a step within its time was ended")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		var e *TimeoutError
		if err := g.end(); closed.Load() != 1 || !errors.As(err, &e) || e.Step != "two" || e.After != time.Second {
			t.Errorf("closed %d times, %v", closed.Load(), err)
		}
		g.pause()() // late
		time.Sleep(time.Hour)
		if synctest.Wait(); closed.Load() != 1 {
			t.Error("the clock went on after the end")
		}
	})
}
