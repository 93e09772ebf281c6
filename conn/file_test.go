package conn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"seamount/cache"
)

func randomBytes(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func TestOpenMode(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		for _, mode := range []uint32{0o644, 0o600, 0o666, 0o777, 0o444, 0o4755, 0o2711} {
			for _, flag := range []cache.OpenFlag{0, cache.OpenExclusive} {
				name := fmt.Sprintf("f%o-%d", mode, flag)
				f, a, err := c.Open(t.Context(), name, cache.OpenWrite|cache.OpenCreate|flag, mode)
				must(t, err)
				closeFile(t, f)
				var st syscall.Stat_t
				must(t, syscall.Lstat(filepath.Join(dir, name), &st))
				if want := syscall.S_IFREG | mode; a.Mode != want || st.Mode != want {
					t.Errorf("mode %o, flag %d: told %o, is %o", mode, flag, a.Mode, st.Mode)
				}
			}
		}
	})
}

// A file that was there keeps its mode, whatever the create asks for.
func TestCreateExisting(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		writeFile(t, dir, "f", "content")
		must(t, os.Chmod(filepath.Join(dir, "f"), 0o640))
		f, a, err := c.Open(t.Context(), "f", cache.OpenRead|cache.OpenWrite|cache.OpenCreate, 0o777)
		must(t, err)
		closeFile(t, f)
		if a.Mode != syscall.S_IFREG|0o640 || a.Size != 7 {
			t.Errorf("%+v, want the file as it was", a)
		}
		f, a, err = c.Open(t.Context(), "f", cache.OpenWrite|cache.OpenCreate|cache.OpenTruncate, 0o777)
		must(t, err)
		closeFile(t, f)
		if a.Mode != syscall.S_IFREG|0o640 || a.Size != 0 {
			t.Errorf("%+v, want the file truncated", a)
		}
	})
}

func TestReadWrite(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		data := randomBytes(1_700_003)
		f := openFile(t, c, "f", cache.OpenRead|cache.OpenWrite|cache.OpenCreate)
		for off := 0; off < len(data); off += 700_000 {
			p := data[off:min(off+700_000, len(data))]
			if n, err := f.WriteAt(t.Context(), p, int64(off)); n != len(p) || err != nil {
				t.Fatalf("WriteAt(%d): %d, %v", off, n, err)
			}
		}
		onDisk, err := os.ReadFile(filepath.Join(dir, "f"))
		must(t, err)
		if !bytes.Equal(onDisk, data) {
			t.Fatal("what was written is not what is there")
		}
		checkReads(t, f, data)
		closeFile(t, f)
		f = openFile(t, c, "f", cache.OpenRead)
		checkReads(t, f, data)
		closeFile(t, f)
	})
}

// checkReads reads parts of f, over its end as well.
func checkReads(t *testing.T, f cache.File, data []byte) {
	t.Helper()
	size := len(data)
	for _, r := range []struct{ off, n int }{
		{0, 1}, {0, size}, {0, size + 1}, {0, size + 1_000_000}, {1, 261121}, {size - 1, 1}, {size - 1, 2},
		{size, 1}, {size + 5, 100}, {size - 300_000, 600_000}, {12345, 700_000},
	} {
		p := make([]byte, r.n)
		n, err := f.ReadAt(t.Context(), p, int64(r.off))
		want := data[min(r.off, size):min(r.off+r.n, size)]
		var wantErr error
		if len(want) < r.n {
			wantErr = io.EOF
		}
		if n != len(want) || err != wantErr || !bytes.Equal(p[:n], want) {
			t.Errorf("ReadAt(%d bytes at %d): %d, %v; want %d, %v", r.n, r.off, n, err, len(want), wantErr)
		}
	}
}

// Short replies are asked for again, and lose nothing.
func TestShortReplies(t *testing.T) {
	for _, limit := range []int{1000, 10_000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			f := &filter{reply: func(req, rep *packet) *packet {
				if req.typ == reqRead && rep.typ == repData && len(rep.body) > 4+limit {
					rep.body = append(u32(uint32(limit)), rep.body[4:4+limit]...)
				}
				return rep
			}}
			dir := t.TempDir()
			data := randomBytes(300_001)
			writeFile(t, dir, "f", string(data))
			c := newTestClient(t, pkgDialer(f), Options{Root: dir})
			file := openFile(t, c, "f", cache.OpenRead)
			defer closeFile(t, file)
			checkReads(t, file, data)
		})
	}
}

// A READ that fails is an error, and never the end of the file, nor for want
// of space.
func TestReadFails(t *testing.T) {
	const bad = 65536
	f := &filter{request: func(req *packet) *packet {
		if req.typ == reqRead {
			h := binary.BigEndian.Uint32(req.body)
			if binary.BigEndian.Uint64(req.body[4+h:]) == bad {
				return statusReply(4, "Failure")
			}
		}
		return nil
	}}
	dir := t.TempDir()
	writeFile(t, dir, "f", string(randomBytes(200_000)))
	c := newTestClient(t, pkgDialer(f), Options{Root: dir})
	file := openFile(t, c, "f", cache.OpenRead)
	defer closeFile(t, file)
	n, err := file.ReadAt(t.Context(), make([]byte, 200_000), 0)
	wantErrno(t, "ReadAt", err, syscall.EIO)
	if n != bad {
		t.Errorf("%d bytes before the error, want %d", n, bad)
	}
}

func TestUnlinkedFile(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir})
	f := openFile(t, c, "f", cache.OpenRead|cache.OpenWrite|cache.OpenCreate)
	defer closeFile(t, f)
	must(t, c.Remove(t.Context(), "f"))
	_, err := f.WriteAt(t.Context(), []byte("still there"), 0)
	must(t, err)
	p := make([]byte, 11)
	if _, err := f.ReadAt(t.Context(), p, 0); err != nil || string(p) != "still there" {
		t.Errorf("%q, %v", p, err)
	}
	if a, err := f.Stat(t.Context()); err != nil || a.Size != 11 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAppend(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir})
	writeFile(t, dir, "log", "one")
	f := openFile(t, c, "log", cache.OpenWrite|cache.OpenAppend)
	writeFile(t, dir, "log", "onetwo")
	_, err := f.WriteAt(t.Context(), []byte("three"), 3)
	must(t, err)
	closeFile(t, f)
	if b, _ := os.ReadFile(filepath.Join(dir, "log")); string(b) != "onetwothree" {
		t.Errorf("%q", b)
	}
}

func TestFileSetattr(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		f := openFile(t, c, "f", cache.OpenRead|cache.OpenWrite|cache.OpenCreate)
		defer closeFile(t, f)
		a, err := f.Setattr(t.Context(), cache.SetAttr{
			Valid: cache.SetSize | cache.SetMode | cache.SetTimes, Size: 1 << 33, Mode: 0o4700, Mtime: 1, Atime: 4_000_000_000,
		})
		must(t, err)
		if a.Size != 1<<33 || a.Mode != syscall.S_IFREG|0o4700 || a.Mtime != 1 {
			t.Errorf("%+v", a)
		}
		must(t, c.Remove(t.Context(), "f"))
	})
}

func TestSync(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		f := openFile(t, c, "f", cache.OpenWrite|cache.OpenCreate)
		defer closeFile(t, f)
		want := syscall.ENOTSUP
		if c.Features().Fsync {
			want = 0
		}
		wantErrno(t, "Sync", f.Sync(t.Context()), want)
	})
}

func TestCopyTo(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir, DataSessions: 2})
	data := randomBytes(copySlice + 1234)
	writeFile(t, dir, "src", string(data))
	src := openFile(t, c, "src", cache.OpenRead)
	defer closeFile(t, src)
	dst := openFile(t, c, "dst", cache.OpenWrite|cache.OpenCreate)
	defer closeFile(t, dst)
	n, err := src.CopyTo(t.Context(), dst, 1, 1<<40, 10)
	must(t, err)
	got, err := os.ReadFile(filepath.Join(dir, "dst"))
	must(t, err)
	if n != int64(len(data)-1) || !bytes.Equal(got[10:], data[1:]) {
		t.Errorf("copied %d of %d bytes, right: %t", n, len(data)-1, bytes.Equal(got[10:], data[1:]))
	}
	n, err = src.CopyTo(t.Context(), dst, int64(len(data)), 5, 0)
	if n != 0 || err != nil {
		t.Errorf("copy from behind the end: %d, %v", n, err)
	}
	_, err = src.CopyTo(t.Context(), src, 0, 5, 10)
	wantErrno(t, "copy inside a file", err, syscall.ENOTSUP)
}

// A copy where the name of the source leads elsewhere now is not done.
func TestCopyToReplaced(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir, DataSessions: 2})
	writeFile(t, dir, "src", "right")
	src := openFile(t, c, "src", cache.OpenRead)
	defer closeFile(t, src)
	must(t, os.Remove(filepath.Join(dir, "src")))
	writeFile(t, dir, "src", "wrong one")
	s, err := c.pool.openSession(t.Context())
	must(t, err)
	c.pool.mu.Lock()
	c.pool.data = []*session{s} // the only one for dst
	c.pool.mu.Unlock()
	dst := openFile(t, c, "dst", cache.OpenWrite|cache.OpenCreate)
	defer closeFile(t, dst)
	_, err = src.CopyTo(t.Context(), dst, 0, 5, 0)
	wantErrno(t, "CopyTo", err, syscall.ENOTSUP)
}
