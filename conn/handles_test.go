package conn

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"seamount/cache"
)

// limited returns a Client on OpenSSH that may have n handles open.
func limited(t *testing.T, n int) (*Client, string) {
	dir := t.TempDir()
	return newTestClient(t, opensshDialer(t), Options{Root: dir, MaxHandles: n}), dir
}

func readString(t *testing.T, f cache.File, n int) (string, error) {
	t.Helper()
	p := make([]byte, n)
	n, err := f.ReadAt(t.Context(), p, 0)
	return string(p[:n]), err
}

// Many files are open for reading with few handles.
func TestManyFilesFewHandles(t *testing.T) {
	c, dir := limited(t, 3)
	var files []cache.File
	for i := range 20 {
		name := fmt.Sprintf("f%02d", i)
		writeFile(t, dir, name, name)
		files = append(files, openFile(t, c, name, cache.OpenRead))
	}
	for range 2 {
		for i, f := range files {
			want := fmt.Sprintf("f%02d", i)
			if got, err := readString(t, f, 3); got != want || err != nil {
				t.Errorf("file %d: %q, %v", i, got, err)
			}
			if n := c.Info().Handles; n > 3 {
				t.Errorf("%d handles open", n)
			}
		}
	}
	var wg sync.WaitGroup
	for i, f := range files {
		wg.Go(func() {
			for range 5 {
				p := make([]byte, 3)
				if _, err := f.ReadAt(context.Background(), p, 0); err != nil && errnoOf(err) != syscall.ENFILE {
					t.Errorf("file %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	for _, f := range files {
		closeFile(t, f)
	}
}

// Files open for writing keep their handles.
func TestWritersAreNotEvicted(t *testing.T) {
	c, dir := limited(t, 2)
	a := openFile(t, c, "a", create)
	b := openFile(t, c, "b", create)
	_, _, err := c.Open(t.Context(), "c", create, 0o644)
	wantErrno(t, "a third file", err, syscall.ENFILE)
	wantErrno(t, "a listing", opList("")(t.Context(), c), syscall.ENFILE)
	closeFile(t, a)
	writeFile(t, dir, "r", "r")
	r := openFile(t, c, "r", cache.OpenRead)
	_, err = b.WriteAt(t.Context(), []byte("b"), 0)
	must(t, err)
	w := openFile(t, c, "w", create) // takes the handle of r
	closeFile(t, w)
	if got, err := readString(t, r, 1); got != "r" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	closeFile(t, r)
	closeFile(t, b)
}

// evict has one file give up its handles, and waits until the server has them back.
func evict(t *testing.T, c *Client) {
	t.Helper()
	gone := c.handles.evict()
	if gone == nil {
		t.Fatal("there is nothing to evict")
	}
	<-gone
	if n := c.Info().Handles; n != 0 {
		t.Fatalf("%d handles after the eviction", n)
	}
}

func TestReopen(t *testing.T) {
	for _, test := range []struct {
		name string
		want syscall.Errno
		// change happens while the file has no handle.
		change func(t *testing.T, c *Client, dir string)
	}{
		{"unchanged", 0, func(*testing.T, *Client, string) {}},
		{"grown", syscall.ESTALE, func(t *testing.T, _ *Client, dir string) { writeFile(t, dir, "f", "content and more") }},
		{"written by us", 0, func(t *testing.T, c *Client, dir string) {
			w := openFile(t, c, "f", cache.OpenWrite)
			defer closeFile(t, w)
			_, err := w.WriteAt(t.Context(), []byte("content that is longer"), 0)
			must(t, err)
		}},
		{"touched by us", 0, func(t *testing.T, c *Client, dir string) {
			_, err := c.StartSetattr(t.Context(), "f", cache.SetAttr{Valid: cache.SetTimes, Mtime: 1}).Wait(t.Context())
			must(t, err)
		}},
		{"gone", syscall.ESTALE, func(t *testing.T, _ *Client, dir string) { must(t, os.Remove(filepath.Join(dir, "f"))) }},
		{"a directory", syscall.EISDIR, func(t *testing.T, _ *Client, dir string) {
			must(t, os.Remove(filepath.Join(dir, "f")))
			must(t, os.Mkdir(filepath.Join(dir, "f"), 0o755))
		}},
		{"renamed", 0, func(t *testing.T, c *Client, dir string) { must(t, c.Rename(t.Context(), "f", "g", false)) }},
		{"removed", 0, func(t *testing.T, c *Client, dir string) { must(t, c.Remove(t.Context(), "f")) }},
		{"replaced", 0, func(t *testing.T, c *Client, dir string) {
			writeFile(t, dir, "other", "another")
			must(t, c.Rename(t.Context(), "other", "f", false))
		}},
		{"directory renamed", 0, func(t *testing.T, c *Client, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
			must(t, c.Rename(t.Context(), "f", "d/f", false))
			must(t, c.Rename(t.Context(), "d", "e", false))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := limited(t, 5)
			writeFile(t, dir, "f", "content")
			f := openFile(t, c, "f", cache.OpenRead)
			defer closeFile(t, f)
			evict(t, c)
			test.change(t, c, dir)
			got, err := readString(t, f, 7)
			wantErrno(t, "ReadAt", err, test.want)
			if test.want == 0 && got != "content" {
				t.Errorf("%q", got)
			}
		})
	}
}

// The handles of a session that has ended are never sent on another one: a
// reader opens its file again, a writer learns that it was cut off.
func TestSessionLost(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir, DataSessions: 1})
	writeFile(t, dir, "r", "content")
	r := openFile(t, c, "r", cache.OpenRead)
	defer closeFile(t, r)
	w := openFile(t, c, "w", create)
	old := r.(*file).handles[0].session
	for _, s := range c.pool.dataSessions() {
		s.Abort(ErrDisconnected)
	}
	if got, err := readString(t, r, 7); got != "content" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if now := r.(*file).handles[0].session; now.generation == old.generation {
		t.Error("a handle of the session that has ended is in use")
	}
	_, err := w.WriteAt(t.Context(), []byte("x"), 0)
	wantErrno(t, "WriteAt", err, syscall.EIO)
	wantErrno(t, "Close", w.Close(t.Context()), syscall.EIO)
}

// A server that holds fewer handles than it was thought to is not asked for more.
func TestFewerHandlesThanThought(t *testing.T) {
	var mu sync.Mutex
	open := 0
	f := &filter{request: func(req *packet) *packet {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case req.typ == reqOpen && open == 4:
			return statusReply(4, "Failure")
		case req.typ == reqOpen:
			open++
		case req.typ == reqClose:
			open--
		}
		return nil
	}}
	c, dir := hostile(t, f, Options{})
	var files []cache.File
	for i := range 10 {
		writeFile(t, dir, fmt.Sprint(i), "x")
		files = append(files, openFile(t, c, fmt.Sprint(i), cache.OpenRead))
	}
	if n := c.Info().MaxHandles; n != 4 {
		t.Errorf("limit %d, want 4", n)
	}
	for _, f := range files {
		if got, err := readString(t, f, 1); got != "x" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		closeFile(t, f)
	}
}
