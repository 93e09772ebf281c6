package fs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"seamount/cache"
)

// The benchmarks measure the kernel, go-fuse and the cache: the server
// answers from memory at once.

const benchSize = 64 << 20

// benchMount mounts srv for the time of the benchmark.
func benchMount(b *testing.B, srv *memServer) string {
	b.Helper()
	tree := cache.New(srv, cache.Options{ContentBytes: 2 * benchSize})
	s, err := Mount(b.Context(), tree, b.TempDir(), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Unmount(); err != nil {
			b.Error(err)
		}
		if err := tree.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return s.Mountpoint()
}

// BenchmarkRead reads a large file past the kernel's pages.
func BenchmarkRead(b *testing.B) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write(string(make([]byte, benchSize))))
	f, err := os.OpenFile(filepath.Join(benchMount(b, srv), "f"), os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	buf := make([]byte, 4*maxTransfer)
	b.SetBytes(benchSize)
	for b.Loop() {
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.NewSectionReader(f, 0, benchSize), buf); n != benchSize || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkWrite writes a large file and waits for the server to have it.
func BenchmarkWrite(b *testing.B) {
	path := filepath.Join(benchMount(b, newMemServer()), "f")
	data := bytes.Repeat([]byte("x"), benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreate makes small files.
func BenchmarkCreate(b *testing.B) {
	dir := benchMount(b, newMemServer())
	for b.Loop() {
		f, err := os.CreateTemp(dir, "f")
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList lists a directory of 10,000 files with their attributes.
func BenchmarkList(b *testing.B) {
	srv := newMemServer()
	dir := benchMount(b, srv)
	for i := range 10_000 {
		srv.put(string(rune('a'+i%26))+string(rune(0x4e00+i)), newInode(syscall.S_IFREG|0o644))
	}
	for b.Loop() {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 10_000 {
			b.Fatal(len(entries), err)
		}
		if _, err := entries[0].Info(); err != nil {
			b.Fatal(err)
		}
	}
}
