package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestNames makes names of 255 bytes that have every byte a name can have.
func TestNames(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		var all []byte
		for b := 1; b < 256; b++ {
			if b != '/' {
				all = append(all, byte(b))
			}
		}
		names := []string{string(all), string(all[1:]) + "xx", strings.Repeat("\xff", 255), " ", "\n", "...", "-", "e\u0301", "\u00e9"}
		for _, n := range names {
			must(t, os.WriteFile(m.dir+"/"+n, []byte(n), 0o644))
		}
		must(t, m.sync())
		m.remount(t)
		entries, err := os.ReadDir(m.dir)
		must(t, err)
		if len(entries) != len(names) {
			t.Errorf("%d entries, want %d", len(entries), len(names))
		}
		for _, n := range names {
			wantContent(t, m.dir+"/"+n, n)
			wantContent(t, m.served+"/"+n, n)
		}
	})
}

// TestLargeFile writes on both sides of 4 GiB, sparsely.
func TestLargeFile(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		f, err := os.Create(m.dir + "/large")
		must(t, err)
		defer f.Close()
		offsets := []int64{0, 1<<31 - 5, 1<<32 - 5, 5 << 30}
		for _, off := range offsets {
			_, err := f.WriteAt([]byte(fmt.Sprintf("at %10d", off)), off)
			must(t, err)
		}
		must(t, f.Sync())
		fi, err := os.Stat(m.served + "/large")
		must(t, err)
		if fi.Size() != 5<<30+13 {
			t.Errorf("size on the server %d", fi.Size())
		}
		m2, err := os.Open(m.dir + "/large")
		must(t, err)
		defer m2.Close()
		for _, off := range offsets {
			got := make([]byte, 13)
			if _, err := m2.ReadAt(got, off); err != nil || string(got) != fmt.Sprintf("at %10d", off) {
				t.Errorf("at %d: %q, %v", off, got, err)
			}
		}
		hole := make([]byte, 100)
		if _, err := m2.ReadAt(hole, 3<<30); err != nil || !bytes.Equal(hole, make([]byte, 100)) {
			t.Errorf("in the hole: %v, %v", hole, err)
		}
		must(t, os.Truncate(m.dir+"/large", 1<<32+1))
		must(t, m.sync())
		if fi, err := os.Stat(m.served + "/large"); err != nil || fi.Size() != 1<<32+1 {
			t.Errorf("after truncate: %v, %v", fi.Size(), err)
		}
	})
}

// TestLargeDirectory lists a directory of many entries, seeks in it and looks
// each up.
func TestLargeDirectory(t *testing.T) {
	n := size(2000, 100_000)
	onEveryServer(t, func(t *testing.T, m *mounted) {
		dir := m.served + "/many"
		must(t, os.Mkdir(dir, 0o755))
		for i := range n {
			must(t, os.Symlink("x", fmt.Sprintf("%s/entry-%06d", dir, i)))
		}
		entries, err := os.ReadDir(m.dir + "/many")
		must(t, err)
		if len(entries) != n {
			t.Fatalf("%d entries, want %d", len(entries), n)
		}
		for i, e := range entries {
			if want := fmt.Sprintf("entry-%06d", i); e.Name() != want || e.Type() != os.ModeSymlink {
				t.Fatalf("entry %d: %v, want %s", i, e, want)
			}
			if _, err := e.Info(); err != nil {
				t.Fatal(err)
			}
		}
		run(t, m.dir, "rm", "-r", "many")
		wantEmpty(t, m.served)
	})
}

// TestExclusive has several threads create one name: one may.
func TestExclusive(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		for i := range 20 {
			var winners atomic.Int32
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					err := openClose(fmt.Sprintf("%s/lock%d", m.dir, i), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
					if err == nil {
						winners.Add(1)
					} else if !errors.Is(err, unix.EEXIST) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if winners.Load() != 1 {
				t.Fatalf("%d threads created lock%d", winners.Load(), i)
			}
		}
		t.Run("renamed without replacing", func(t *testing.T) { testNoReplace(t, m) })
	})
}

func testNoReplace(t *testing.T, m *mounted) {
	var winners atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		must(t, os.WriteFile(fmt.Sprintf("%s/from%d", m.dir, i), []byte{byte(i)}, 0o644))
	}
	for i := range 8 {
		wg.Go(func() {
			err := rename(m.dir, fmt.Sprintf("from%d", i), "to", unix.RENAME_NOREPLACE)
			if err == nil {
				winners.Add(1)
			} else if !errors.Is(err, unix.EEXIST) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d renames took the name", winners.Load())
	}
}

// TestAppend has several descriptors append to one file: no line is lost.
func TestAppend(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		const writers, each = 4, 100
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				f, err := os.OpenFile(m.dir+"/log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				for i := range each {
					if _, err := fmt.Fprintf(f, "writer %d line %3d\n", w, i); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		must(t, m.sync())
		data, err := os.ReadFile(m.served + "/log")
		must(t, err)
		seen := map[string]bool{}
		for line := range lines(data) {
			seen[line] = true
		}
		if len(seen) != writers*each {
			t.Errorf("%d different lines, want %d", len(seen), writers*each)
		}
	})
}

// TestUnlinkedOpen uses a file whose name is gone, or another's.
func TestUnlinkedOpen(t *testing.T) {
	for name, remove := range map[string]func(dir string) error{
		"removed":  func(d string) error { return os.Remove(d + "/file") },
		"replaced": func(d string) error { return os.Rename(d+"/other", d+"/file") },
	} {
		t.Run(name, func(t *testing.T) {
			onEveryServer(t, func(t *testing.T, m *mounted) {
				must(t, os.WriteFile(m.dir+"/other", []byte("other"), 0o644))
				f, err := os.Create(m.dir + "/file")
				must(t, err)
				defer f.Close()
				_, err = f.WriteString("before ")
				must(t, err)
				must(t, remove(m.dir))
				_, err = f.WriteString("after")
				must(t, err)
				must(t, f.Truncate(10))
				must(t, f.Sync())
				_, err = f.Seek(0, io.SeekStart)
				must(t, err)
				if got, err := io.ReadAll(f); err != nil || string(got) != "before aft" {
					t.Errorf("%q, %v", got, err)
				}
				must(t, m.sync())
				if name == "removed" {
					must(t, os.Remove(m.dir+"/other"))
					wantEmpty(t, m.served)
				} else {
					wantContent(t, m.served+"/file", "other")
				}
			})
		})
	}
}

// TestSeekAllocate is about SEEK_DATA, SEEK_HOLE and fallocate.
func TestSeekAllocate(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		f, err := os.Create(m.dir + "/file")
		must(t, err)
		defer f.Close()
		fd := int(f.Fd())
		must(t, unix.Fallocate(fd, 0, 0, 10_000))
		must(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 100_000))
		if fi, err := f.Stat(); err != nil || fi.Size() != 10_000 {
			t.Errorf("size %d, %v", fi.Size(), err)
		}
		wantErrno(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 100), unix.EOPNOTSUPP)
		for _, c := range []struct {
			off, want int64
			whence    int
			err       error
		}{
			{100, 100, unix.SEEK_DATA, nil}, {100, 10_000, unix.SEEK_HOLE, nil},
			{10_000, 0, unix.SEEK_DATA, unix.ENXIO}, {20_000, 0, unix.SEEK_HOLE, unix.ENXIO},
		} {
			got, err := unix.Seek(fd, c.off, c.whence)
			if !errors.Is(err, c.err) || (err == nil && got != c.want) {
				t.Errorf("seek %d whence %d: %d, %v; want %d, %v", c.off, c.whence, got, err, c.want, c.err)
			}
		}
		must(t, f.Sync())
		if fi, err := os.Stat(m.served + "/file"); err != nil || fi.Size() != 10_000 {
			t.Errorf("size on the server %d, %v", fi.Size(), err)
		}
	})
}

// TestDirectIO writes and reads past the kernel's cache.
func TestDirectIO(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		raw := make([]byte, 2<<20+4096)
		skip := 4096 - int(uintptr(unsafe.Pointer(&raw[0]))%4096)
		p := raw[skip : skip+2<<20]
		for i := range p {
			p[i] = byte(i * 7 >> 3)
		}
		want := bytes.Clone(p)
		fd, err := unix.Open(m.dir+"/file", unix.O_CREAT|unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0o644)
		must(t, err)
		defer unix.Close(fd)
		if n, err := unix.Pwrite(fd, p, 0); err != nil || n != len(p) {
			t.Fatalf("write: %d, %v", n, err)
		}
		clear(p)
		if n, err := readFull(fd, p, 0); err != nil || n != len(p) || !bytes.Equal(p, want) {
			t.Errorf("read: %d, %v", n, err)
		}
		must(t, m.sync())
		if got, err := os.ReadFile(m.served + "/file"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the server has %d bytes, %v", len(got), err)
		}
	})
}

// TestMmap maps a file shared and privately, in a process of its own.
func TestMmap(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		must(t, os.WriteFile(m.dir+"/file", bytes.Repeat([]byte("a"), 10_000), 0o644))
		child(t, "TestMmapChild", map[string]string{"MMAP_FILE": m.dir + "/file"})
		must(t, m.sync())
		want := append(bytes.Repeat([]byte("a"), 5000), bytes.Repeat([]byte("s"), 5000)...)
		if got, err := os.ReadFile(m.served + "/file"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the server's file is not what was written through shared memory: %v", err)
		}
	})
}

// TestMmapChild is the child of TestMmap. On its own it has nothing to do.
func TestMmapChild(t *testing.T) {
	path := os.Getenv("MMAP_FILE")
	if path == "" {
		return
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	private, err := unix.Mmap(fd, 0, 10_000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	must(t, err)
	shared, err := unix.Mmap(fd, 0, 10_000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	must(t, unix.Close(fd)) // a mapping outlives its descriptor
	copy(private, bytes.Repeat([]byte("p"), 10_000))
	copy(shared[5000:], bytes.Repeat([]byte("s"), 5000))
	if private[0] != 'p' || shared[0] != 'a' {
		t.Errorf("private %q, shared %q", private[0], shared[0])
	}
	must(t, unix.Msync(shared, unix.MS_SYNC))
	must(t, errors.Join(unix.Munmap(private), unix.Munmap(shared)))
}
