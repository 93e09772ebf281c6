package conn

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"seamount/cache"
	"seamount/conn/serve"
)

const benchSize = 64 << 20

// benchClient returns a Client on OpenSSH's server, a round trip rtt away.
func benchClient(b *testing.B, rtt time.Duration) (*Client, string) {
	b.Helper()
	d := CommandDialer(sftpServer)
	if rtt > 0 {
		near := d
		d = PipeDialer(func(ctx context.Context) (io.ReadWriteCloser, error) {
			conn, err := near.Dial(ctx)
			if err != nil {
				return nil, err
			}
			far, err := conn.OpenSFTP(ctx)
			if err != nil {
				return nil, err
			}
			client, end, err := socketPair()
			if err != nil {
				return nil, err
			}
			go serve.Link{Delay: rtt / 2}.Join(end, far)
			return client, nil
		})
	}
	dir := b.TempDir()
	c, err := New(context.Background(), d, Options{Root: dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close(context.Background()) })
	return c, dir
}

// inParallel moves benchSize bytes by eight calls of 1 MiB at a time.
func inParallel(b *testing.B, op func(p []byte, off int64) (int, error)) {
	b.Helper()
	offs := make(chan int64)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p := make([]byte, 1<<20)
			for off := range offs {
				if _, err := op(p, off); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for off := int64(0); off < benchSize; off += 1 << 20 {
		offs <- off
	}
	close(offs)
	wg.Wait()
}

func onEachRTT(b *testing.B, bench func(b *testing.B, rtt time.Duration)) {
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		b.Run(fmt.Sprintf("rtt=%v", rtt), func(b *testing.B) { bench(b, rtt) })
	}
}

func BenchmarkRead(b *testing.B) {
	onEachRTT(b, func(b *testing.B, rtt time.Duration) {
		c, dir := benchClient(b, rtt)
		if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, benchSize), 0o644); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(benchSize)
		for b.Loop() {
			benchFile(b, c, cache.OpenRead, func(f cache.File) func([]byte, int64) (int, error) {
				return func(p []byte, off int64) (int, error) { return f.ReadAt(context.Background(), p, off) }
			})
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	onEachRTT(b, func(b *testing.B, rtt time.Duration) {
		c, _ := benchClient(b, rtt)
		b.SetBytes(benchSize)
		for b.Loop() {
			benchFile(b, c, create|cache.OpenTruncate, func(f cache.File) func([]byte, int64) (int, error) {
				return func(p []byte, off int64) (int, error) { return f.WriteAt(context.Background(), p, off) }
			})
		}
	})
}

func benchFile(b *testing.B, c *Client, flag cache.OpenFlag, op func(cache.File) func([]byte, int64) (int, error)) {
	b.Helper()
	f, _, err := c.Open(context.Background(), "f", flag, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	inParallel(b, op(f))
	if err := f.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkList(b *testing.B) {
	onEachRTT(b, func(b *testing.B, rtt time.Duration) {
		c, dir := benchClient(b, rtt)
		for i := range 300 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o644); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			if _, err := listAll(context.Background(), c, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLstat(b *testing.B) {
	c, _ := benchClient(b, 0)
	for b.Loop() {
		if _, err := c.Lstat(context.Background(), ""); err != nil {
			b.Fatal(err)
		}
	}
}
