package dial

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newKey makes a private key of a type: ed25519, ecdsa or rsa.
func newKey(t testing.TB, kind string) any {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no key type %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB, kind string) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(newKey(t, kind))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writeKey writes a private key and its .pub file, encrypted for a passphrase
// that is not empty.
func writeKey(t testing.TB, file string, key any, passphrase string) ssh.PublicKey {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, string(pem.EncodeToMemory(block)))
	writeFile(t, file+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return signer.PublicKey()
}

func writeFile(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fakeServer is an SSH server in this process. Its fields are set before start.
type fakeServer struct {
	ssh.ServerConfig
	hostKeys []ssh.Signer
	// session handles a request of a session channel that wants to start
	// something and returns whether it is granted; nil serves SFTP.
	session func(ch ssh.Channel, kind, payload string) bool
	// open decides on a channel; nil grants sessions and forwards TCP.
	open func(n ssh.NewChannel) bool
	// global answers a global request; nil refuses it.
	global func(r *ssh.Request)

	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	wg       sync.WaitGroup
}

// start listens on loopback and serves until the test ends.
func (s *fakeServer) start(t testing.TB) *fakeServer {
	t.Helper()
	if len(s.hostKeys) == 0 {
		s.hostKeys = []ssh.Signer{newSigner(t, "ed25519")}
	}
	for _, k := range s.hostKeys {
		s.AddHostKey(k)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = l
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.drop()
		s.wg.Wait()
	})
	return s
}

// drop closes all connections.
func (s *fakeServer) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

func (s *fakeServer) addr() string { return s.listener.Addr().String() }

func (s *fakeServer) serve(c net.Conn) {
	defer c.Close()
	sc, channels, requests, err := ssh.NewServerConn(c, &s.ServerConfig)
	if err != nil {
		return
	}
	defer sc.Close()
	s.wg.Go(func() {
		for r := range requests {
			if s.global != nil {
				s.global(r)
			} else if r.WantReply {
				r.Reply(false, nil)
			}
		}
	})
	for n := range channels {
		s.wg.Go(func() { s.channel(n) })
	}
}

func (s *fakeServer) channel(n ssh.NewChannel) {
	if s.open != nil && !s.open(n) {
		return
	}
	if n.ChannelType() == "direct-tcpip" {
		s.forward(n)
		return
	}
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	for r := range requests {
		var p struct{ S string }
		ssh.Unmarshal(r.Payload, &p)
		start := s.session
		if start == nil {
			start = serveSFTP
		}
		ok := (r.Type == "subsystem" || r.Type == "exec") && start(ch, r.Type, p.S)
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
}

func (s *fakeServer) forward(n ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
		n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	c, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		n.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer c.Close()
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	s.wg.Go(func() {
		io.Copy(c, ch)
		c.Close()
	})
	io.Copy(ch, c)
}

// serveSFTP is a session that grants the subsystem sftp.
func serveSFTP(ch ssh.Channel, kind, payload string) bool {
	if kind != "subsystem" || payload != "sftp" {
		return false
	}
	go runSFTP(ch)
	return true
}

func runSFTP(ch ssh.Channel) {
	defer ch.Close()
	if srv, err := sftp.NewServer(ch); err == nil {
		srv.Serve()
	}
}

// exits is a session that ends at once with a status and a complaint.
func exits(ch ssh.Channel, status uint32, complaint string) {
	fmt.Fprint(ch.Stderr(), complaint)
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{status}))
	ch.Close()
}

// sshd is a real OpenSSH server on loopback.
type sshd struct {
	dir     string // of its files
	port    int
	hostKey ssh.PublicKey
	user    string
}

// startSSHD runs sshd as this user, who may log in with the given keys. extra
// goes to sshd_config.
func startSSHD(t *testing.T, extra string, authorized ...ssh.PublicKey) *sshd {
	t.Helper()
	if os.Getuid() == 0 { // its privilege separation wants this directory
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &sshd{dir: t.TempDir(), user: thisMachine().user}
	s.hostKey = writeKey(t, filepath.Join(s.dir, "host"), newKey(t, "ed25519"), "")
	var keys strings.Builder
	for _, k := range authorized {
		keys.Write(ssh.MarshalAuthorizedKey(k))
	}
	writeFile(t, filepath.Join(s.dir, "authorized"), keys.String())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	if !strings.Contains(extra, "Subsystem") {
		extra += "\nSubsystem sftp internal-sftp"
	}
	extra += "\n"
	// SHLVL keeps bash from reading the tester's .bashrc, which may be slow.
	extra += "SetEnv SHLVL=2\n"
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\nPidFile none\n"+
		"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n%s\n", s.port, s.dir, s.dir, extra)
	writeFile(t, filepath.Join(s.dir, "sshd_config"), config)
	s.run(t)
	return s
}

func (s *sshd) run(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{})
	finished := make(chan struct{})
	var said boundedBuffer
	said.limit = 64 << 10
	go func() {
		defer close(finished)
		buf := make([]byte, 4096)
		seen := false
		for {
			n, err := stderr.Read(buf)
			said.Write(buf[:n])
			if !seen && strings.Contains(said.String(), "Server listening") {
				seen = true
				close(listening)
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-finished
		cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", said.String())
		}
	})
	select {
	case <-listening:
	case <-finished:
		t.Fatalf("sshd ended: %s", said.String())
	}
}

func (s *sshd) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// knownHostsLine is the line for a server at addr.
func knownHostsLine(addr string, key ssh.PublicKey) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(key))
}

// testConfig is a Config for a server at addr that uses no file of this
// machine; keys of more go over it.
func testConfig(t testing.TB, addr string, more settings) *Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	l := thisMachine()
	l.home = t.TempDir()
	l.getenv = func(string) (string, bool) { return "", false }
	s := settings{
		"hostname": {host}, "port": {port}, "stricthostkeychecking": {"accept-new"},
		"globalknownhostsfile": {"none"}, "identityfile": {"none"}, "connecttimeout": {"10"},
	}
	for k, v := range more {
		s[k] = v
	}
	cfg, err := newConfig(Target{Host: host}, s, l)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// mustDial connects and has the test close the connection.
func mustDial(t testing.TB, d *Dialer) *connection {
	t.Helper()
	c, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*connection)
}

// checkSFTP works a little over a new SFTP channel.
func checkSFTP(t testing.TB, c *connection) {
	t.Helper()
	rwc, err := c.OpenSFTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rwc.Close()
	client, err := sftp.NewClientPipe(rwc, rwc)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "content")
	info, err := client.Stat(filepath.Join(dir, "file"))
	if err != nil || info.Size() != 7 {
		t.Fatalf("Stat over SFTP = %v, %v; want size 7", info, err)
	}
}

// wantError dials and returns the error as a T.
func wantError[T error](t testing.TB, d *Dialer) T {
	t.Helper()
	c, err := d.Dial(t.Context())
	if err == nil {
		c.Close()
		t.Fatal("Dial succeeded")
	}
	var want T
	if !errors.As(err, &want) {
		t.Fatalf("Dial: %T %v; want a %T", err, err, want)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Fatalf("error is not one clean line: %q", err)
	}
	t.Log(err)
	return want
}

// scripted is a Prompter with answers to give in turn.
type scripted struct {
	mu      sync.Mutex
	answers []string
	asked   []string
}

func (p *scripted) next(question string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, question)
	if len(p.answers) == 0 {
		return "", ErrInterrupted
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a, nil
}

func (p *scripted) questions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}
