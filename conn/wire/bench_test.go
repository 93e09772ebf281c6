package wire

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

const (
	benchEntries = 300
	benchSize    = 64 << 20
	// benchInFlight is what pkg/sftp's client has under way: 64 requests of 255 KiB.
	benchInFlight = 64 * 261120
)

// benchClient is what both clients are measured by.
type benchClient interface {
	list(dir string) (entries int, err error)
	create(path string) error // mode 0600
	read(path string, p []byte) error
	write(path string, p []byte) error
	io.Closer
}

// BenchmarkClients compares this package with pkg/sftp's client, each on
// OpenSSH's server, at no distance and at 20 ms.
func BenchmarkClients(b *testing.B) {
	clients := map[string]func(*testing.B, io.ReadWriteCloser) benchClient{
		"wire":         newWireClient,
		"pkg-sftp":     newPkgClient,
		"pkg-sftp-32K": newSafePkgClient,
	}
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		for _, name := range []string{"wire", "pkg-sftp", "pkg-sftp-32K"} {
			b.Run(fmt.Sprintf("rtt=%v/client=%s", rtt, name), func(b *testing.B) {
				dir := b.TempDir()
				fill(b, dir)
				stream := startOpenSSH(b, dir)
				if rtt > 0 {
					stream = newDelayed(stream, rtt/2)
				}
				c := clients[name](b, stream)
				defer c.Close()
				benchmarkClient(b, c)
			})
		}
	}
}

// fill makes a directory to list and a file to read.
func fill(b *testing.B, dir string) {
	b.Helper()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		b.Fatal(err)
	}
	for i := range benchEntries {
		if err := os.WriteFile(filepath.Join(dir, "d", fmt.Sprintf("file-%d.go", i)), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, benchSize), 0o644); err != nil {
		b.Fatal(err)
	}
}

func benchmarkClient(b *testing.B, c benchClient) {
	data := make([]byte, benchSize)
	run := func(name string, size int64, op func(i int) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			began := cpuTime(b)
			for i := 0; b.Loop(); i++ {
				if err := op(i); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
	run("list", 0, func(int) error {
		if n, err := c.list("d"); err != nil || n != benchEntries {
			return fmt.Errorf("%d entries, %w", n, err)
		}
		return nil
	})
	run("create", 0, func(i int) error { return c.create(fmt.Sprintf("new-%d", i)) })
	run("read", benchSize, func(int) error { return c.read("large", data) })
	run("write", benchSize, func(int) error { return c.write("written", data) })
}

// cpuTime is what this process has used; the server is another one. It holds on
// a busy machine, where the time by the clock does not.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// wireClient is this package, used as conn would.
type wireClient struct {
	s   *Session
	ctx context.Context
}

func newWireClient(b *testing.B, stream io.ReadWriteCloser) benchClient {
	return &wireClient{newSession(b, stream, Options{MaxInFlight: benchInFlight}), context.Background()}
}

func (c *wireClient) Close() error { return c.s.Close(c.ctx) }

func (c *wireClient) list(dir string) (entries int, err error) {
	h, err := c.s.Opendir(c.ctx, dir).Wait(c.ctx)
	if err != nil {
		return 0, err
	}
	defer c.s.CloseHandle(c.ctx, h) // nobody waits for it
	const ahead = 8
	var calls [ahead]*Call[[]Name]
	for i := range calls {
		calls[i] = c.s.Readdir(c.ctx, h)
	}
	for i := 0; ; i++ {
		names, err := calls[i%ahead].Wait(c.ctx)
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return entries, err
		}
		for _, n := range names {
			if n.Name != "." && n.Name != ".." {
				entries++
			}
		}
		calls[i%ahead] = c.s.Readdir(c.ctx, h)
	}
}

func (c *wireClient) create(path string) error {
	h, err := c.s.Open(c.ctx, path, OpenWrite|OpenCreat|OpenTrunc, modeOnly).Wait(c.ctx)
	if err != nil {
		return err
	}
	_, err = c.s.CloseHandle(c.ctx, h).Wait(c.ctx)
	return err
}

func (c *wireClient) read(path string, p []byte) error {
	h, err := c.s.Open(c.ctx, path, OpenRead, Attrs{}).Wait(c.ctx)
	if err != nil {
		return err
	}
	defer c.s.CloseHandle(c.ctx, h) // nobody waits for it
	size := c.s.Caps().MaxRead
	var calls []*Call[int]
	for off := 0; off < len(p); off += size {
		calls = append(calls, c.s.Read(c.ctx, h, uint64(off), p[off:min(off+size, len(p))]))
	}
	for i, call := range calls {
		if n, err := call.Wait(c.ctx); err != nil || n != min(size, len(p)-i*size) {
			return fmt.Errorf("read %d bytes, %w", n, err)
		}
	}
	return nil
}

func (c *wireClient) write(path string, p []byte) error {
	h, err := c.s.Open(c.ctx, path, OpenWrite|OpenCreat|OpenTrunc, modeOnly).Wait(c.ctx)
	if err != nil {
		return err
	}
	size := c.s.Caps().MaxWrite
	var calls []*Call[struct{}]
	for off := 0; off < len(p); off += size {
		calls = append(calls, c.s.Write(c.ctx, h, uint64(off), p[off:min(off+size, len(p))]))
	}
	for _, call := range append(calls, c.s.CloseHandle(c.ctx, h)) {
		if _, err := call.Wait(c.ctx); err != nil {
			return err
		}
	}
	return nil
}

// pkgClient is pkg/sftp's client.
type pkgClient struct{ *sftp.Client }

// newPkgClient has the best settings for this one server; on a server that
// answers such a request with less, the client takes that for the end of the file.
func newPkgClient(b *testing.B, stream io.ReadWriteCloser) benchClient {
	b.Helper()
	return connectPkg(b, stream, sftp.MaxPacketUnchecked(261120))
}

// newSafePkgClient has the largest requests that the client can use on any server.
func newSafePkgClient(b *testing.B, stream io.ReadWriteCloser) benchClient {
	b.Helper()
	return connectPkg(b, stream, sftp.MaxPacketChecked(32768))
}

func connectPkg(b *testing.B, stream io.ReadWriteCloser, size sftp.ClientOption) benchClient {
	b.Helper()
	c, err := sftp.NewClientPipe(stream, stream, size, sftp.UseConcurrentReads(true), sftp.UseConcurrentWrites(true))
	if err != nil {
		b.Fatal(err)
	}
	return &pkgClient{c}
}

func (c *pkgClient) list(dir string) (int, error) {
	infos, err := c.ReadDir(dir)
	return len(infos), err
}

func (c *pkgClient) create(path string) error {
	f, err := c.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return f.Close()
}

func (c *pkgClient) read(path string, p []byte) error {
	f, err := c.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(p, 0)
	return err
}

func (c *pkgClient) write(path string, p []byte) error {
	f, err := c.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(p, 0); err != nil {
		return err
	}
	return f.Close()
}
