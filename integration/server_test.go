package integration

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pkg/sftp"

	"seamount/conn"
)

// A serverKind is a kind of SFTP server.
type serverKind string

const (
	openSSH serverKind = "OpenSSH"  // its sftp-server, over pipes
	sshd    serverKind = "sshd"     // the same behind a real sshd on loopback
	pkgSFTP serverKind = "pkg-sftp" // github.com/pkg/sftp's Server
)

// setsLinks tells whether the server can set the times and the owner of a
// symbolic link itself: it takes an extension (lsetstat) that pkg/sftp lacks,
// and the mount answers ENOTSUP then.
func (k serverKind) setsLinks() bool { return k != pkgSFTP }

// lacks is what the server cannot do. pkg/sftp's has no lsetstat; it renames
// with os.Rename, which replaces no directory; and it sets the times of an
// open file by the name that it was opened with.
func (k serverKind) lacks() lacks {
	if k == pkgSFTP {
		return lacks{setLinks: true, replaceDirs: true, setNameless: true}
	}
	return lacks{}
}

// serverKinds are those over which the large tests run.
var serverKinds = []serverKind{openSSH, pkgSFTP}

// sftpServer is where Debian keeps OpenSSH's server; others keep it elsewhere.
func sftpServer(t testing.TB) string {
	t.Helper()
	for _, path := range []string{
		"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server",
	} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("OpenSSH's sftp-server is not installed")
	return ""
}

// dialer returns the way to a server of the kind, which runs as who runs the test.
func (k serverKind) dialer(t testing.TB) conn.Dialer {
	t.Helper()
	switch k {
	case openSSH:
		return conn.CommandDialer(sftpServer(t))
	case sshd:
		return startSSHD(t).dialer(t)
	case pkgSFTP:
		return pkgDialer(t)
	}
	t.Fatalf("no server %q", k)
	return nil
}

// pkgDialer serves each session with pkg/sftp in this process.
func pkgDialer(t testing.TB) conn.Dialer {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return conn.PipeDialer(func(context.Context) (io.ReadWriteCloser, error) {
		near, far, err := duplex()
		if err != nil {
			return nil, err
		}
		server, err := sftp.NewServer(far)
		if err != nil {
			return nil, err
		}
		wg.Go(func() {
			_ = server.Serve() // ends when the client is gone
			_ = server.Close()
		})
		return near, nil
	})
}

// A stream is one end of two pipes.
type stream struct {
	io.Reader
	io.Writer
	in, out io.Closer
}

func (s *stream) Close() error {
	err := s.out.Close()
	if err2 := s.in.Close(); err == nil {
		err = err2
	}
	return err
}

// duplex returns the two ends of a byte stream that buffers.
func duplex() (near, far *stream, err error) {
	r1, w1, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	r2, w2, err := os.Pipe()
	if err != nil {
		r1.Close()
		w1.Close()
		return nil, nil, err
	}
	return &stream{r1, w2, r1, w2}, &stream{r2, w1, r2, w1}, nil
}

// emptyDir makes a directory with the name below the test's own.
func emptyDir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
