package wire

import (
	"context"
	"crypto/ed25519"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// opensshServer is where Debian has it.
const opensshServer = "/usr/lib/openssh/sftp-server"

// duplex is one stream of two.
type duplex struct {
	io.Reader
	io.WriteCloser
	also io.Closer
}

func (d *duplex) Close() error {
	err := d.WriteCloser.Close()
	if d.also != nil {
		if err2 := d.also.Close(); err == nil {
			err = err2
		}
	}
	return err
}

// startServer starts a server in a directory, to be gone at the end of the test.
type startServer func(t testing.TB, dir string) io.ReadWriteCloser

func servers() map[string]startServer {
	return map[string]startServer{
		"openssh":         startOpenSSH,
		"pkg-sftp":        startPkgSFTP,
		"pkg-sftp-on-ssh": startOnSSH,
	}
}

func startOpenSSH(t testing.TB, dir string) io.ReadWriteCloser {
	t.Helper()
	cmd := exec.Command(opensshServer, "-d", dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // its exit code depends on how the test leaves it
	})
	return &duplex{out, in, out}
}

func startPkgSFTP(t testing.TB, dir string) io.ReadWriteCloser {
	t.Helper()
	here, there := net.Pipe()
	serve(t, there, dir)
	t.Cleanup(func() { here.Close() })
	return here
}

func serve(t testing.TB, rwc io.ReadWriteCloser, dir string) {
	t.Helper()
	srv, err := sftp.NewServer(rwc, sftp.WithServerWorkingDirectory(dir))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve() // ends with the stream
		_ = srv.Close()
	}()
	t.Cleanup(func() { <-ended })
}

// startOnSSH serves over a channel of an SSH connection in memory.
func startOnSSH(t testing.TB, dir string) io.ReadWriteCloser {
	t.Helper()
	here, there := tcpPair(t)
	go acceptSSH(t, there, dir)
	conn, chans, reqs, err := ssh.NewClientConn(here, "test", &ssh.ClientConfig{
		User:            "test",
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(conn, chans, reqs)
	t.Cleanup(func() { client.Close(); _ = client.Wait() })
	ch, creqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(creqs)
	return ch
}

func acceptSSH(t testing.TB, c net.Conn, dir string) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Error(err)
		return
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Error(err)
		return
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	_, chans, reqs, err := ssh.NewServerConn(c, config)
	if err != nil {
		t.Error(err)
		return
	}
	go ssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, creqs, err := nc.Accept()
		if err != nil {
			return
		}
		go ssh.DiscardRequests(creqs)
		go serveChannel(ch, dir)
	}
}

func serveChannel(ch ssh.Channel, dir string) {
	defer ch.Close()
	if srv, err := sftp.NewServer(ch, sftp.WithServerWorkingDirectory(dir)); err == nil {
		_ = srv.Serve() // ends with the channel
	}
}

// tcpPair is a connection over loopback: net.Pipe's writes without a buffer
// would deadlock SSH's key exchange.
func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// onServers runs a test on a session with each server, started in a new
// directory, and closes the session in order.
func onServers(t *testing.T, test func(t *testing.T, s *Session, dir string)) {
	for name, start := range servers() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newSession(t, start(t, dir), Options{})
			test(t, s, dir)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := s.Close(ctx); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func newSession(t testing.TB, rwc io.ReadWriteCloser, o Options) *Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := New(ctx, rwc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Abort(context.Canceled); <-s.ended })
	return s
}
