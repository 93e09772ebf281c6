package integration

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"seamount/conn"
	"seamount/conn/dial"
)

// An sshServer is OpenSSH's sshd on loopback. Each connection gets an "sshd -i",
// so that the port is chosen by the kernel and ready when it is known.
type sshServer struct {
	port   int
	dir    string // keys and configurations
	config string // of the client, with the host alias "testserver"
	user   string

	wg sync.WaitGroup
	mu sync.Mutex
	// running are the processes of open connections; nil once closed.
	running map[*exec.Cmd]struct{}
}

// startSSHD serves as the user of this test until the test ends.
func startSSHD(t testing.TB) *sshServer {
	t.Helper()
	return startSSHDAs(t, os.Geteuid())
}

// startSSHDAs serves as the user uid, who can log in with a key.
func startSSHDAs(t testing.TB, uid int) *sshServer {
	t.Helper()
	who, err := user.LookupId(fmt.Sprint(uid))
	if err != nil {
		t.Fatal(err)
	}
	s := &sshServer{dir: userHome(t, uid), user: who.Username, running: map[*exec.Cmd]struct{}{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	s.writeFiles(t, uid)
	s.wg.Go(func() { s.accept(listener) })
	t.Cleanup(func() {
		listener.Close()
		s.killAll()
		s.wg.Wait()
	})
	return s
}

// writeFiles makes keys and configurations for both sides.
func (s *sshServer) writeFiles(t testing.TB, uid int) {
	host := s.writeKey(t, "host_key", uid)
	client := s.writeKey(t, "id", uid)
	s.write(t, "authorized_keys", uid, string(ssh.MarshalAuthorizedKey(client)))
	s.write(t, "known_hosts", uid, fmt.Sprintf("[127.0.0.1]:%d %s", s.port, ssh.MarshalAuthorizedKey(host)))
	pam := "no"
	if uid != os.Geteuid() {
		pam = "yes" // without PAM sshd takes a user without a password for a locked one
	}
	s.write(t, "sshd_config", uid, strings.Join([]string{
		"HostKey " + filepath.Join(s.dir, "host_key"),
		"AuthorizedKeysFile " + filepath.Join(s.dir, "authorized_keys"),
		"StrictModes no", "UsePAM " + pam, "PermitRootLogin yes", "PasswordAuthentication no", "PrintMotd no",
		"PidFile none", "MaxStartups 100", "LogLevel ERROR",
		// In the process of sshd, since nobody's shell lets nobody in.
		"Subsystem sftp internal-sftp", "",
	}, "\n"))
	s.config = s.write(t, "ssh_config", uid, strings.Join([]string{
		"Host testserver", "HostName 127.0.0.1", fmt.Sprintf("Port %d", s.port), "User " + s.user,
		"IdentityFile " + filepath.Join(s.dir, "id"), "IdentitiesOnly yes", "IdentityAgent none",
		"UserKnownHostsFile " + filepath.Join(s.dir, "known_hosts"), "GlobalKnownHostsFile none",
		"StrictHostKeyChecking yes", "BatchMode yes", "",
	}, "\n"))
}

func (s *sshServer) write(t testing.TB, name string, uid int, content string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chown(path, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *sshServer) writeKey(t testing.TB, name string, uid int) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, name, uid, string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// accept serves connections until the listener is closed.
func (s *sshServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.serve(c.(*net.TCPConn)) })
	}
}

func (s *sshServer) serve(c *net.TCPConn) {
	f, err := c.File()
	c.Close()
	if err != nil {
		return
	}
	cmd := exec.Command(sshdPath(), "-i", "-f", filepath.Join(s.dir, "sshd_config"))
	cmd.Stdin, cmd.Stdout = f, f
	err = s.start(cmd)
	f.Close()
	if err == nil {
		_ = cmd.Wait() // how a connection ended is its client's affair
		s.mu.Lock()
		delete(s.running, cmd)
		s.mu.Unlock()
	}
}

// sshdPath is absolute, as sshd wants it, and usually not in an ordinary PATH.
func sshdPath() string {
	if path, err := exec.LookPath("sshd"); err == nil {
		return path
	}
	return "/usr/sbin/sshd"
}

// start starts cmd unless the server is closed.
func (s *sshServer) start(cmd *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return net.ErrClosed
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil && os.Geteuid() == 0 {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.running[cmd] = struct{}{}
	return nil
}

func (s *sshServer) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cmd := range s.running {
		_ = cmd.Process.Kill()
	}
	s.running = nil
}

// dialer connects to s as the program does.
func (s *sshServer) dialer(t testing.TB) conn.Dialer {
	t.Helper()
	cfg, err := dial.Resolve(context.Background(), dial.Target{Host: "testserver", ConfigFile: s.config})
	if err != nil {
		t.Fatal(err)
	}
	return dial.NewDialer(cfg, dial.NoPrompter{}, nil)
}

func TestSSHDItself(t *testing.T) {
	needRoot(t)
	for _, uid := range []int{0, nobody} {
		t.Run(fmt.Sprintf("uid %d", uid), func(t *testing.T) {
			checkLeaks(t)
			s := startSSHDAs(t, uid)
			cmd := exec.Command("sftp", "-F", s.config, "-b", "-", "testserver")
			cmd.Stdin = strings.NewReader("pwd\nls -l /\n")
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "usr") {
				t.Errorf("sftp: %v\n%s", err, out)
			}
		})
	}
}
