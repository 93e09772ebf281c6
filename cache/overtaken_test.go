package cache

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// A reader beyond the end that a truncation leaves must end. Real time: a
// goroutine that spins stops the clock of a bubble.
func TestReadDuringTruncate(t *testing.T) {
	m := newMem(20 * time.Millisecond)
	m.put("f", string(make([]byte, 2*BlockSize)), 1000)
	tr := New(m, Options{})
	root, err := tr.Root(t.Context())
	must(t, err)
	n := lookup(t, root, "f")
	h, _, err := n.Open(t.Context(), OpenRead|OpenWrite)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := h.Read(ctx, 0, 2*BlockSize); done <- err }()
	time.Sleep(5 * time.Millisecond)
	_, err = n.Setattr(t.Context(), h, SetAttr{Valid: SetSize, Size: 10})
	must(t, err)
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(3 * time.Second):
		t.Error("Read spins in block(), deaf to its context")
		must(t, h.Write(t.Context(), []byte("x"), 2*BlockSize-1)) // lets it end
		<-done
	}
	h.Release()
	must(t, tr.Close(context.Background()))
}

// A file that turns out empty when it is fetched ahead must not spin either.
func TestFetchAheadOfEmptiedFile(t *testing.T) {
	m := newMem(time.Millisecond)
	for i := range 8 {
		m.put(fmt.Sprint("f", i), "x", 1000)
	}
	tr := New(m, Options{OpenTTL: time.Hour})
	root, err := tr.Root(t.Context())
	must(t, err)
	_, err = root.OpenDir(t.Context())
	must(t, err)
	m.change("f7", "", 0)
	n := lookup(t, root, "f7")
	done := make(chan error, 1)
	go func() { done <- n.fetchWhole(t.Context()) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		t.Error("fetchWhole spins: Close would hang")
		h, _, err := n.Open(t.Context(), OpenWrite)
		must(t, err)
		must(t, h.Write(t.Context(), []byte("x"), 0)) // lets it end
		<-done
		h.Release()
	}
	must(t, tr.Close(context.Background()))
}

// chmod of a file in a directory that is being renamed.
func TestSetattrDuringRenameOfParent(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.mkdir("a")
		m.put("a/f", "x", 1000)
		n := lookup(t, lookup(t, root, "a"), "f")
		go root.Rename(t.Context(), "a", root, "b", false)
		time.Sleep(second / 10)
		chmod(t, n, 0600)
		time.Sleep(5 * second)
		if a := m.attrOf("b/f"); a.Mode&07777 != 0600 {
			t.Errorf("chmod returned success, the server has %o", a.Mode&07777)
		}
	})
}

// A listing that is read while a rename waits for its second answer.
func TestRenameDuringListing(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("a", "one", 1000)
		m.put("b", "two", 1000) // looks like a: the rename is checked by an LSTAT
		a, _ := lookup(t, root, "a"), lookup(t, root, "b")
		time.Sleep(5 * time.Minute)
		go func() { _, _ = root.OpenDir(t.Context()) }()
		time.Sleep(second * 3 / 10)
		must(t, root.Rename(t.Context(), "a", root, "b", false)) // executed before READDIR, done after it
		_, err := a.Setattr(t.Context(), nil, SetAttr{Valid: SetMode, Mode: 0600})
		must(t, err)
		must(t, tr.Sync(t.Context()))
		time.Sleep(3 * second)
		if got := m.attrOf("b").Mode & 07777; got != 0600 {
			t.Errorf("chmod of the renamed file returned success, the server has %o", got)
		}
		if n := lookup(t, root, "b"); n != a {
			t.Error("the renamed file is another node now")
		}
		if _, _, err := a.Open(t.Context(), OpenRead); err != nil {
			t.Errorf("open of the renamed file: %v", err)
		}
	})
}

// stat of a file that is being renamed.
func TestStatDuringRename(t *testing.T) {
	lateBubble(t, Options{}, func(t *testing.T, m *lateRemote, tr *Tree, root *Node) {
		m.put("a", "one", 1000)
		m.put("b", "two", 1000)
		a, _ := lookup(t, root, "a"), lookup(t, root, "b")
		time.Sleep(5 * time.Minute)
		go func() { _ = root.Rename(t.Context(), "a", root, "b", false) }()
		time.Sleep(second / 10)
		if _, err := a.Attr(t.Context()); err != nil {
			t.Errorf("stat during the rename: %v", err)
		}
		time.Sleep(5 * second)
		if p := a.Path(); p != "b" {
			t.Errorf("after the rename its path is %q", p)
		}
	})
}

// A late answer does not bring a removed name back.
func TestLateLookup(t *testing.T) {
	lateBubble(t, Options{NoPrefetch: true}, func(t *testing.T, m *lateRemote, tr *Tree, root *Node) {
		m.put("f", "x", 1000)
		_, err := root.OpenDir(t.Context())
		must(t, err)
		time.Sleep(5 * time.Minute)
		m.late.Store(true)
		go func() { _, _, _ = root.Lookup(t.Context(), "f") }()
		time.Sleep(second / 10)
		must(t, root.Remove(t.Context(), "f"))
		time.Sleep(10 * second)
		m.late.Store(false)
		if _, _, err := root.Lookup(t.Context(), "f"); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("a removed name: %v", err)
		}
	})
}

// A late ENOENT does not take away the file that was made since.
func TestLateStatTakesNewFile(t *testing.T) {
	lateBubble(t, Options{NoPrefetch: true}, func(t *testing.T, m *lateRemote, tr *Tree, root *Node) {
		m.put("f", "x", 1000)
		n := lookup(t, root, "f")
		time.Sleep(5 * time.Minute)
		must(t, m.memRemote.Remove(t.Context(), "f")) // by another client
		m.late.Store(true)
		go func() { _, _ = n.Attr(t.Context()) }()
		time.Sleep(second / 10)
		n2 := create(t, root, "f", "new")
		time.Sleep(5 * second)
		m.late.Store(false)
		if p := n2.Path(); p != "f" {
			t.Errorf("the new file's path is %q", p)
		}
		chmod(t, n2, 0600)
		must(t, tr.Sync(t.Context()))
		if got := m.attrOf("f").Mode & 07777; got != 0600 {
			t.Errorf("chmod of the new file returned success, the server has %o", got)
		}
	})
}

// O_CREAT|O_TRUNC of a file that is there: what was written before comes first.
func TestCreateTruncatesPendingWrites(t *testing.T) {
	lateBubble(t, Options{}, func(t *testing.T, m *lateRemote, tr *Tree, root *Node) {
		_, h, _, err := root.Create(t.Context(), "f", OpenWrite, 0644)
		must(t, err)
		m.write = func(int64) error { time.Sleep(2 * second); return nil } // a busy data session
		must(t, h.Write(t.Context(), []byte("old"), 0))
		_, h2, s, err := root.Create(t.Context(), "f", OpenRead|OpenWrite|OpenTruncate, 0644)
		must(t, err)
		if s.Size != 0 {
			t.Errorf("truncated, and %d bytes long", s.Size)
		}
		must(t, h.Flush(t.Context()))
		if got := m.data("f"); got != "" {
			t.Errorf("the server has %q after the truncation", got)
		}
		h.Release()
		h2.Release()
	})
}

// Two lookups around a Forget must not leave two nodes for one file.
func TestTwoNodesForOneFile(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("f", "x", 1000)
		n := lookup(t, root, "f")
		again, _, err := root.Lookup(t.Context(), "f") // a lookup ...
		must(t, err)
		n.Forget()                    // ... overtaken by a forget ...
		other := lookup(t, root, "f") // ... and by another lookup
		again = again.Held()
		if again != other {
			chmod(t, again, 0600) // go-fuse keeps the first inode of a number
			if s, _ := other.Attr(t.Context()); s.Mode&07777 != 0600 {
				t.Errorf("two nodes of inode %d and %d; the other shows mode %o", again.Ino(), other.Ino(), s.Mode&07777)
			}
		}
	})
}

// A directory is not renamed while a request that goes through its path is on
// its way: there, the path could mean another directory when it arrives.
func TestRenameOfDirectoryWaits(t *testing.T) {
	bubble(t, second, Options{NoPrefetch: true}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.mkdir("a")
		m.mkdir("a/b")
		m.put("a/b/f", "x", 1000)
		a := lookup(t, root, "a")
		b := lookup(t, a, "b")
		listed := make(chan time.Time, 1)
		go func() {
			_, _ = b.OpenDir(t.Context())
			listed <- time.Now()
		}()
		time.Sleep(second / 10)
		ctx, cancel := context.WithTimeout(t.Context(), second/10)
		if err := root.Rename(ctx, "a", root, "c", false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an interrupted rename: %v", err)
		}
		cancel()
		took(t, "a lookup, after the rename gave up", 1, func() { _, _, _ = root.Lookup(t.Context(), "nope") })
		go func() { _, _ = b.OpenDir(t.Context()) }()
		must(t, root.Rename(t.Context(), "a", root, "c", false))
		if end := <-listed; time.Since(end) < second {
			t.Errorf("the rename was sent %v after the listing", time.Since(end)-second)
		}
		if got := readAll(t, lookup(t, lookup(t, lookup(t, root, "c"), "b"), "f")); got != "x" {
			t.Errorf("read %q", got)
		}
	})
}
