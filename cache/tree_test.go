package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const second = time.Second

// bubble runs f on a tree of an empty mem server, in virtual time.
func bubble(t *testing.T, rtt time.Duration, o Options, f func(t *testing.T, m *memRemote, tr *Tree, root *Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMem(rtt)
		tr := New(m, o)
		root, err := tr.Root(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f(t, m, tr, root)
		if err := tr.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if m.open != 0 {
			t.Errorf("%d files left open on the server", m.open)
		}
	})
}

// took runs f and fails unless it took exactly want round trips of a second.
func took(t *testing.T, what string, want int, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if got := time.Since(start); got != time.Duration(want)*second {
		t.Errorf("%s took %v, want %d round trips", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lookup(t *testing.T, dir *Node, name string) *Node {
	t.Helper()
	n, _, err := dir.Lookup(t.Context(), name)
	must(t, err)
	n.Held()
	return n
}

func readAll(t *testing.T, n *Node) string {
	t.Helper()
	h, _, err := n.Open(t.Context(), OpenRead)
	must(t, err)
	defer h.Release()
	var b bytes.Buffer
	for {
		chunks, err := h.Read(t.Context(), int64(b.Len()), 1<<20)
		must(t, err)
		if len(chunks) == 0 {
			return b.String()
		}
		for _, c := range chunks {
			b.Write(c)
		}
	}
}

func create(t *testing.T, dir *Node, name, data string) *Node {
	t.Helper()
	n, h, _, err := dir.Create(t.Context(), name, OpenRead|OpenWrite|OpenExclusive, 0644)
	must(t, err)
	n.Held()
	must(t, h.Write(t.Context(), []byte(data), 0))
	must(t, h.Flush(t.Context()))
	h.Release()
	return n
}

func TestRoundTrips(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		ctx := t.Context()
		for i := range 300 {
			m.put(fmt.Sprintf("f%03d", i), "small", 1000)
		}
		took(t, "listing 300 names", 2, func() { _, err := root.OpenDir(ctx); must(t, err) })
		took(t, "stat of a known name", 0, func() { lookup(t, root, "f001") })
		took(t, "stat of an unknown name", 0, func() {
			if _, s, err := root.Lookup(ctx, "nope"); err != syscall.ENOENT || s.TTL <= 0 {
				t.Errorf("got %v, ttl %v", err, s.TTL)
			}
		})
		took(t, "open, read, close: cold", 2, func() { readAll(t, lookup(t, root, "f001")) })
		took(t, "again within a second", 0, func() { readAll(t, lookup(t, root, "f001")) })
		time.Sleep(2 * second)
		took(t, "again later", 1, func() { readAll(t, lookup(t, root, "f001")) })
		took(t, "create, write, close", 2, func() { create(t, root, "new", "data") })
		took(t, "mkdir", 1, func() { _, _, err := root.Mkdir(ctx, "d", 0755); must(t, err) })
		took(t, "symlink", 1, func() { _, _, err := root.Symlink(ctx, "l", "f001"); must(t, err) })
		took(t, "link", 1, func() { _, err := root.Link(ctx, "hard", lookup(t, root, "f001")); must(t, err) })
		took(t, "rename", 1, func() { must(t, root.Rename(ctx, "hard", root, "hard2", false)) })
		took(t, "unlink", 1, func() { must(t, root.Remove(ctx, "hard2")) })
		took(t, "rmdir", 1, func() { must(t, root.Rmdir(ctx, "d")) })
		took(t, "chmod", 0, func() {
			_, err := lookup(t, root, "f002").Setattr(ctx, nil, SetAttr{Valid: SetMode, Mode: 0600})
			must(t, err)
		})
		took(t, "sync of the chmod", 1, func() { must(t, tr.Sync(ctx)) })
	})
}

// The way of rsync and editors: a temporary that is renamed over the file.
func TestRoundTripsOfSafeSave(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("file", "old", 1000)
		_, err := root.OpenDir(t.Context())
		must(t, err)
		took(t, "temporary, write, close, utimens, chmod, rename over", 3, func() {
			n := create(t, root, ".tmp", "new content")
			_, err := n.Setattr(t.Context(), nil, SetAttr{Valid: SetTimes, Mtime: 1e9, Atime: 1e9})
			must(t, err)
			_, err = n.Setattr(t.Context(), nil, SetAttr{Valid: SetMode, Mode: 0640})
			must(t, err)
			must(t, root.Rename(t.Context(), ".tmp", root, "file", false))
		})
		time.Sleep(second)
		a := m.nodes["file"].attr
		if m.data("file") != "new content" || a.Mode&07777 != 0640 || a.Mtime != 1e9 {
			t.Errorf("server has %q %+v", m.data("file"), a)
		}
	})
}

func TestRoundTripsOfDurabilityCall(t *testing.T) {
	bubble(t, second, Options{Durability: DurabilityCall}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		n, h, _, err := root.Create(t.Context(), "f", OpenWrite, 0644)
		must(t, err)
		took(t, "write", 1, func() { must(t, h.Write(t.Context(), []byte("x"), 0)) })
		took(t, "close", 0, func() { must(t, h.Flush(t.Context())) })
		h.Release()
		took(t, "chmod", 1, func() {
			_, err := n.Setattr(t.Context(), nil, SetAttr{Valid: SetMode, Mode: 0600})
			must(t, err)
		})
		if m.nodes["f"].attr.Mode&07777 != 0600 {
			t.Error("chmod returned before it was done")
		}
	})
}

// A slow answer must not undo a change made meanwhile.
func TestSlowFillIsDropped(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("f", "content", 1000)
		n := lookup(t, root, "f")
		time.Sleep(5 * time.Minute)
		go n.Attr(t.Context())
		time.Sleep(second * 6 / 10) // the answer is on its way
		_, err := n.Setattr(context.WithoutCancel(t.Context()), nil, SetAttr{Valid: SetMode, Mode: 0600})
		must(t, err)
		s, err := n.Attr(t.Context())
		must(t, err)
		if s.Mode&07777 != 0600 {
			t.Errorf("mode is %o", s.Mode)
		}
	})
}

// Names changed while a listing is read are right in it.
func TestListingKeepsLocalChanges(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("old", "", 1000)
		m.put("stays", "", 1000)
		go root.OpenDir(t.Context())
		time.Sleep(second * 17 / 10) // READDIR was executed, its answer is on its way
		must(t, root.Remove(t.Context(), "old"))
		create(t, root, "new", "x")
		time.Sleep(5 * second)
		d, err := root.OpenDir(t.Context())
		must(t, err)
		var names []string
		for i := range d.Len() {
			name, _, _ := d.Entry(i)
			names = append(names, name)
		}
		if fmt.Sprint(names) != "[new stays]" {
			t.Errorf("listing is %v", names)
		}
	})
}

func TestWriteThenRead(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{ContentBytes: 2 * BlockSize}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		_, h, _, err := root.Create(t.Context(), "f", OpenRead|OpenWrite, 0644)
		must(t, err)
		want := make([]byte, 5*BlockSize/2)
		for i := range 200 {
			off := (i * 7919 * 13) % (len(want) - 5000)
			p := bytes.Repeat([]byte{byte(i + 1)}, 1+i*20)
			copy(want[off:], p)
			must(t, h.Write(t.Context(), p, int64(off)))
			from := (i * 104729) % len(want)
			chunks, err := h.Read(t.Context(), int64(from), 3000)
			must(t, err)
			got := bytes.Join(chunks, nil)
			if end := min(from+3000, int(h.Size())); from < end && !bytes.Equal(got, want[from:end]) {
				t.Fatalf("step %d: read at %d differs", i, from)
			}
		}
		must(t, h.Flush(t.Context()))
		size := h.Size()
		h.Release()
		if m.data("f") != string(want[:size]) {
			t.Error("the server has something else")
		}
	})
}

// Small writes in sequence travel together.
func TestSmallWritesCoalesce(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		_, h, _, err := root.Create(t.Context(), "f", OpenWrite, 0644)
		must(t, err)
		took(t, "1000 small writes", 0, func() {
			for i := range 1000 {
				must(t, h.Write(t.Context(), []byte("0123456789"), int64(10*i)))
			}
		})
		took(t, "close", 1, func() { must(t, h.Flush(t.Context())) })
		h.Release()
		if got := m.count("WRITE"); got > 3 {
			t.Errorf("%d WRITE requests", got)
		}
		if len(m.data("f")) != 10000 {
			t.Errorf("%d bytes on the server", len(m.data("f")))
		}
	})
}

// A write error is told to every handle that was open, by write and by close,
// once each, and the tree shows what the server has.
func TestWriteError(t *testing.T) {
	var logged atomic.Int32
	o := Options{Log: func(string, string, error) { logged.Add(1) }}
	bubble(t, second, o, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		n, h, _, err := root.Create(t.Context(), "f", OpenWrite, 0644)
		must(t, err)
		other, _, err := n.Open(t.Context(), OpenWrite)
		must(t, err)
		m.setHook(func(op, _ string) error {
			if op == "WRITE" {
				return syscall.ENOSPC
			}
			return nil
		})
		must(t, h.Write(t.Context(), []byte("lost"), 0))
		for _, x := range []*Handle{h, other} {
			if err := x.Fsync(t.Context()); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("fsync: %v", err)
			}
			if err := x.Flush(t.Context()); err != nil {
				t.Errorf("close after the error was heard: %v", err)
			}
		}
		if err := other.Write(t.Context(), []byte("x"), 0); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("write: %v", err)
		}
		m.setHook(nil)
		synctest.Wait()
		s, err := n.Attr(t.Context())
		must(t, err)
		if s.Size != 0 || logged.Load() != 1 {
			t.Errorf("size %d, logged %d times", s.Size, logged.Load())
		}
		h.Release()
		other.Release()
	})
}

// A file that another client closed is seen whole by the next open.
func TestCloseToOpen(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("f", "first", 1000)
		n := lookup(t, root, "f")
		if got := readAll(t, n); got != "first" {
			t.Fatal(got)
		}
		m.put("f", "other", 500) // same size
		time.Sleep(1100 * time.Millisecond)
		if got := readAll(t, lookup(t, root, "f")); got != "other" {
			t.Errorf("after a change: %q", got)
		}
	})
}

// Two changes within a second of the same size cannot be told apart by their
// attributes: content that young is not trusted.
func TestRacyContent(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("f", "first", 0)
		n := lookup(t, root, "f")
		if got := readAll(t, n); got != "first" {
			t.Fatal(got)
		}
		mtime := m.nodes["f"].attr.Mtime
		m.put("f", "other", 0)
		m.nodes["f"].attr.Mtime = mtime
		time.Sleep(1100 * time.Millisecond)
		if got := readAll(t, lookup(t, root, "f")); got != "other" {
			t.Errorf("got %q", got)
		}
	})
}

func TestUnlinkedFileLivesOn(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{ContentBytes: BlockSize}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("f", "content", 1000)
		m.put("big", string(make([]byte, 4*BlockSize)), 1000)
		n := lookup(t, root, "f")
		readAll(t, n)
		h, _, err := n.Open(t.Context(), OpenRead) // nothing is asked for it
		must(t, err)
		must(t, root.Remove(t.Context(), "f"))
		readAll(t, lookup(t, root, "big")) // pushes the content out
		chunks, err := h.Read(t.Context(), 0, 100)
		must(t, err)
		if got := string(bytes.Join(chunks, nil)); got != "content" {
			t.Errorf("read %q", got)
		}
		s, err := n.Attr(t.Context())
		must(t, err)
		if s.Nlink != 0 {
			t.Errorf("nlink %d", s.Nlink)
		}
		h.Release()
	})
}

// An open file whose name was replaced on the server stays what it was.
func TestReplacedWhileOpen(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("f", "old content", 1000)
		n := lookup(t, root, "f")
		h, _, err := n.Open(t.Context(), OpenRead)
		must(t, err)
		m.put("f", "new", 100)
		time.Sleep(5 * time.Minute)
		n2 := lookup(t, root, "f")
		if n2 == n || n2.Ino() == n.Ino() {
			t.Error("the new file is taken for the old one")
		}
		if got := readAll(t, n2); got != "new" {
			t.Errorf("new file reads %q", got)
		}
		chunks, err := h.Read(t.Context(), 0, 100)
		must(t, err)
		if got := string(bytes.Join(chunks, nil)); got != "old content" {
			t.Errorf("old file reads %q", got)
		}
		h.Release()
	})
}

func TestTypeChangeIsAnotherNode(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("x", "file", 1000)
		n := lookup(t, root, "x")
		m.mkdir("x")
		time.Sleep(5 * time.Minute)
		if _, err := n.Attr(t.Context()); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("the old node: %v", err)
		}
		if n2 := lookup(t, root, "x"); n2.Type() != syscall.S_IFDIR || n2.Ino() == n.Ino() {
			t.Errorf("the new node: type %o", n2.Type())
		}
	})
}

func TestHardLinkIsOneNode(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		n := create(t, root, "a", "x")
		s, err := root.Link(t.Context(), "b", n)
		must(t, err)
		if s.Nlink != 2 || lookup(t, root, "b") != n {
			t.Errorf("nlink %d", s.Nlink)
		}
		must(t, root.Remove(t.Context(), "a"))
		if got := readAll(t, lookup(t, root, "b")); got != "x" {
			t.Errorf("read %q", got)
		}
		if s, _ := n.Attr(t.Context()); s.Nlink != 1 {
			t.Errorf("nlink after removing one: %d", s.Nlink)
		}
	})
}

// A change whose answer nobody waits for reaches the server before the name moves.
func TestSetattrThenRename(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		n, h, _, err := root.Create(t.Context(), "a", OpenWrite, 0644)
		must(t, err)
		must(t, h.Write(t.Context(), []byte("data"), 0))
		_, err = n.Setattr(t.Context(), nil, SetAttr{Valid: SetMode, Mode: 0400})
		must(t, err)
		must(t, root.Rename(t.Context(), "a", root, "b", false))
		must(t, tr.Sync(t.Context()))
		h.Release()
		if a := m.nodes["b"].attr; a.Mode&07777 != 0400 || m.data("b") != "data" {
			t.Errorf("server has %q %o", m.data("b"), a.Mode)
		}
	})
}

func TestTruncateBetweenWrites(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		n, h, _, err := root.Create(t.Context(), "f", OpenRead|OpenWrite, 0644)
		must(t, err)
		took(t, "writes and truncates", 0, func() {
			must(t, h.Write(t.Context(), []byte("0123456789"), 0))
			_, err = n.Setattr(t.Context(), h, SetAttr{Valid: SetSize, Size: 4})
			must(t, err)
			must(t, h.Write(t.Context(), []byte("X"), 8))
		})
		chunks, err := h.Read(t.Context(), 0, 100)
		must(t, err)
		if got := string(bytes.Join(chunks, nil)); got != "0123\x00\x00\x00\x00X" {
			t.Errorf("read %q", got)
		}
		must(t, h.Flush(t.Context()))
		h.Release()
		if got := m.data("f"); got != "0123\x00\x00\x00\x00X" {
			t.Errorf("server has %q", got)
		}
	})
}

func TestSequentialReadKeepsManyInFlight(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		const blocks = 256
		m.put("big", string(make([]byte, blocks*BlockSize)), 1000)
		n := lookup(t, root, "big")
		start := time.Now()
		readAll(t, n)
		if got := time.Since(start) / second; got > 14 {
			t.Errorf("32 MiB took %d round trips", got)
		}
	})
}

// Who waits for a dead server is let go when interrupted.
func TestInterruptedRead(t *testing.T) {
	bubble(t, time.Hour, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("f", "data", 1000)
		n := lookup(t, root, "f")
		h, _, err := n.Open(t.Context(), OpenRead)
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		if _, err := h.Read(ctx, 0, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		h.Release()
	})
}

// Directories that the kernel forgot give their memory back.
func TestForgetDropsListings(t *testing.T) {
	bubble(t, time.Millisecond, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.mkdir("d")
		for i := range 1000 {
			m.put(fmt.Sprintf("d/%d", i), "", 1000)
		}
		d := lookup(t, root, "d")
		dir, err := d.OpenDir(t.Context())
		must(t, err)
		var nodes []*Node
		for i := range dir.Len() {
			n, _, err := dir.Lookup(i)
			must(t, err)
			n.Held()
			nodes = append(nodes, n)
		}
		for _, n := range nodes {
			n.Forget()
		}
		d.Forget()
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if len(tr.inos) != 1 || tr.entries != 1 {
			t.Errorf("%d nodes and %d entries left", len(tr.inos), tr.entries)
		}
	})
}

// A mounted directory that is replaced by a file is stale, not a crash.
func TestRootChangesType(t *testing.T) {
	bubble(t, time.Millisecond, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.put("", "file", 1000)
		time.Sleep(5 * time.Minute)
		if _, err := root.Attr(t.Context()); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("got %v", err)
		}
	})
}

// Changes by path are sent in the order they were made: else the answer of
// the last would show what an earlier one has yet to change.
func TestChangesByPathKeepTheirOrder(t *testing.T) {
	for range 50 {
		bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
			m.put("f", "", 1000)
			n := lookup(t, root, "f")
			for i := range 20 {
				_, err := n.Setattr(t.Context(), nil, SetAttr{Valid: SetTimes, Mtime: int64(i), Atime: 1})
				must(t, err)
			}
			must(t, tr.Sync(t.Context()))
			s, err := n.Attr(t.Context())
			must(t, err)
			if server := m.nodes["f"].attr.Mtime; s.Mtime != 19 || server != 19 {
				t.Fatalf("shown mtime %d, the server's %d", s.Mtime, server)
			}
		})
	}
}

// An answer that was asked for while a change was on its way may tell of the
// time before it, even if it comes after the change's own answer.
func TestAnswerOvertakenByAChange(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		n, h, _, err := root.Create(t.Context(), "f", OpenRead|OpenWrite, 0644)
		must(t, err)
		before := m.nodes["f"].attr
		must(t, h.Write(t.Context(), []byte("data"), 0))
		tr.mu.Lock()
		asked := tr.seq // the write is on its way
		tr.mu.Unlock()
		must(t, h.Flush(t.Context()))
		tr.mu.Lock()
		if n.fillLocked(before, asked) {
			t.Error("the answer was taken")
		}
		tr.mu.Unlock()
		s, err := n.Attr(t.Context())
		must(t, err)
		if s.Size != 4 {
			t.Errorf("size %d", s.Size)
		}
		h.Release()
	})
}

// A read that the server answered before a write behind it was executed finds
// the file short. That is no news of another client.
func TestReadBeforeAnExtendingWrite(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		n := create(t, root, "f", "x")
		time.Sleep(5 * time.Minute)
		h, _, err := n.Open(t.Context(), OpenRead|OpenWrite)
		must(t, err)
		m.setHook(func(op, _ string) error { // the write comes to the server last
			if op == "WRITE" {
				time.Sleep(second / 4)
			}
			return nil
		})
		must(t, h.Write(t.Context(), []byte("y"), 3*BlockSize))
		chunks, err := h.Read(t.Context(), BlockSize, 10)
		must(t, err)
		if got := bytes.Join(chunks, nil); !bytes.Equal(got, make([]byte, 10)) {
			t.Errorf("read %q", got)
		}
		must(t, h.Flush(t.Context()))
		if size := h.Size(); size != 3*BlockSize+1 {
			t.Errorf("size %d", size)
		}
		h.Release()
	})
}

// The way of tar: attributes are set before the close, behind the data.
func TestRoundTripsOfTar(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		start := time.Now()
		func() {
			n, h, _, err := root.Create(t.Context(), "f", OpenWrite|OpenExclusive, 0600)
			must(t, err)
			must(t, h.Write(t.Context(), []byte("data"), 0))
			time.Sleep(second / 10) // the write is on its way
			for _, s := range []SetAttr{
				{Valid: SetTimes, Mtime: 1e9, Atime: 1e9}, {Valid: SetUID | SetGID, UID: 7, GID: 8}, {Valid: SetMode, Mode: 0444},
			} {
				_, err = n.Setattr(t.Context(), nil, s)
				must(t, err)
			}
			must(t, h.Flush(t.Context()))
			h.Release()
		}()
		// One for the name, and one for the rest from when it was sent last.
		if got := time.Since(start); got != 2*second+second/10 {
			t.Errorf("create, write, utimens, chown, chmod, close took %v", got)
		}
		if a := m.nodes["f"].attr; m.data("f") != "data" || a.Mtime != 1e9 || a.UID != 7 || a.GID != 8 || a.Mode&07777 != 0444 {
			t.Errorf("server has %q %+v", m.data("f"), a)
		}
	})
}

// The way of rsync: a temporary that gets its mode before it is written, is
// looked at when it is closed, and renamed.
func TestRoundTripsOfRsync(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		start := time.Now()
		n, h, _, err := root.Create(t.Context(), ".f.x", OpenWrite|OpenExclusive, 0600)
		must(t, err)
		n.Held()
		_, err = n.Setattr(t.Context(), nil, SetAttr{Valid: SetMode, Mode: 0600})
		must(t, err)
		must(t, h.Write(t.Context(), []byte("data"), 0))
		must(t, h.Flush(t.Context()))
		h.Release()
		s, err := n.Attr(t.Context())
		must(t, err)
		_, err = n.Setattr(t.Context(), nil, SetAttr{Valid: SetTimes, Mtime: 1e9, Atime: s.Atime})
		must(t, err)
		must(t, root.Rename(t.Context(), ".f.x", root, "f", false))
		if got := time.Since(start); got != 3*second {
			t.Errorf("took %v, want 3 round trips", got)
		}
		time.Sleep(second)
		if a := m.nodes["f"].attr; m.data("f") != "data" || a.Mtime != 1e9 || a.Mode&07777 != 0600 {
			t.Errorf("server has %q %+v", m.data("f"), a)
		}
	})
}
