package cache

import (
	"bytes"
	"testing"
	"time"
)

// One of two hard links is replaced by another client; the other is truncated.
func TestTruncateByOtherLink(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		n := create(t, root, "a", "shared")
		_, err := root.Link(t.Context(), "b", n)
		must(t, err)
		m.put("a", "precious", 0) // by rename, from elsewhere
		time.Sleep(time.Hour)
		b := lookup(t, root, "b")
		_, err = b.Setattr(t.Context(), nil, SetAttr{Valid: SetMode, Mode: 0600})
		must(t, err)
		must(t, tr.Sync(t.Context()))
		b = lookup(t, root, "b")
		h, _, err := b.Open(t.Context(), OpenWrite|OpenTruncate)
		must(t, err)
		h.Release()
		if got := m.data("a"); got != "precious" {
			t.Errorf("truncating b left %q in a", got)
		}
		if got := m.attrOf("a").Mode & 07777; got != 0644 {
			t.Errorf("chmod of b made a %o", got)
		}
		if got := m.data("b"); got != "" {
			t.Errorf("b is %q", got)
		}
	})
}

// chmod does not explain a new mtime.
func TestChmodHidesForeignChange(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("f", "first", 1000)
		n := lookup(t, root, "f")
		readAll(t, n)
		time.Sleep(time.Minute)
		m.change("f", "other", 30)
		chmod(t, n, 0600)
		must(t, tr.Sync(t.Context()))
		time.Sleep(time.Hour)
		if got := readAll(t, lookup(t, root, "f")); got != "other" {
			t.Errorf("an hour later: %q", got)
		}
	})
}

// A change that waits for its answer is no reason to believe old content.
func TestOpenWithPendingChmod(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("f", "first", 1000)
		n := lookup(t, root, "f")
		readAll(t, n)
		m.change("f", "second", 0)
		time.Sleep(time.Hour)
		chmod(t, n, 0600)
		if got := readAll(t, n); got != "second" {
			t.Errorf("an hour after the change: %q", got)
		}
	})
}

// What is between the end that was known and a new one may not be zeros.
func TestTruncateAfterForeignAppend(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("f", "0123", 1000)
		n := lookup(t, root, "f")
		readAll(t, n)
		m.change("f", "0123456789", 500)
		_, err := n.Setattr(t.Context(), nil, SetAttr{Valid: SetSize, Size: 8})
		must(t, err)
		must(t, tr.Sync(t.Context()))
		time.Sleep(time.Hour)
		if got := readAll(t, lookup(t, root, "f")); got != m.data("f") {
			t.Errorf("an hour later %q, the server has %q", got, m.data("f"))
		}
	})
}

// A file that another client made shorter has no zeros at its end.
func TestShortReadWithUnrelatedChange(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("f", "0123456789", 1000)
		n := lookup(t, root, "f")
		h, _, err := n.Open(t.Context(), OpenRead)
		must(t, err)
		m.change("f", "0123", 0)
		chmod(t, n, 0600)
		chunks, err := h.Read(t.Context(), 0, 100)
		must(t, err)
		if got := string(bytes.Join(chunks, nil)); got != "0123" {
			t.Errorf("read %q", got)
		}
		h.Release()
	})
}

// A writer that stays does not hide another client's change for ever.
func TestWriterHidesForeignChange(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{NoPrefetch: true}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		old := bytes.Repeat([]byte("o"), 2*BlockSize)
		m.put("f", string(old), 1000)
		n := lookup(t, root, "f")
		h, _, err := n.Open(t.Context(), OpenRead|OpenWrite)
		must(t, err)
		_, err = h.Read(t.Context(), 0, 2*BlockSize)
		must(t, err)
		theirs := bytes.Clone(old)
		theirs[BlockSize+5] = 'T'
		m.change("f", string(theirs), 0) // another client writes block 1 and closes
		time.Sleep(second)
		must(t, h.Write(t.Context(), []byte("ours"), 0))
		time.Sleep(10 * second)
		_, err = n.Attr(t.Context())
		must(t, err)
		time.Sleep(time.Hour)
		if got := readAll(t, lookup(t, root, "f")); got != m.data("f") {
			t.Errorf("an hour later an open does not see what the other client wrote before")
		}
		must(t, h.Flush(t.Context()))
		h.Release()
	})
}

// The server's clock is told by a write just done, not by an old one.
func TestSkew(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		_, h, _, err := root.Create(t.Context(), "log", OpenWrite, 0644)
		must(t, err)
		must(t, h.Write(t.Context(), []byte("x"), 0))
		time.Sleep(10 * time.Hour)
		must(t, h.Flush(t.Context()))
		time.Sleep(second)
		h.Release()
		m.put("g", "data", 1000)
		n := lookup(t, root, "g")
		g, _, err := n.Open(t.Context(), OpenWrite)
		must(t, err)
		must(t, g.Allocate(t.Context(), 0, 1, true))
		must(t, tr.Sync(t.Context()))
		if age := time.Now().Unix() - m.attrOf("g").Mtime; age > 5 {
			t.Errorf("fallocate set the mtime %d s back on the server", age)
		}
		g.Release()
	})
}
