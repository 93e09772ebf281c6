package dial

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshd is a real OpenSSH server on loopback.
type sshd struct {
	dir     string // of its files
	port    int
	hostKey ssh.PublicKey
	user    string
}

// startSSHD runs sshd as this user, who may log in with the given keys. extra
// goes to sshd_config.
func startSSHD(t testing.TB, extra string, authorized ...ssh.PublicKey) *sshd {
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

func (s *sshd) run(t testing.TB) {
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
