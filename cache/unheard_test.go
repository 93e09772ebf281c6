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

// A reader that joins the fetch of a handle must not hear that this handle
// was closed: two programs read the same large file, one stops early.
func TestReaderOfAClosedHandlesFetch(t *testing.T) {
	lateBubble(t, Options{NoPrefetch: true}, func(t *testing.T, m *lateRemote, tr *Tree, root *Node) {
		const blocks = 16
		m.put("f", string(bytes.Repeat([]byte("x"), blocks*BlockSize)), 1000)
		n := lookup(t, root, "f")
		a, _, err := n.Open(t.Context(), OpenRead)
		must(t, err)
		b, _, err := n.Open(t.Context(), OpenRead)
		must(t, err)
		for i := range int64(4) {
			_, err := a.Read(t.Context(), i*BlockSize, BlockSize)
			must(t, err)
		}
		a.Release() // its read-ahead is under way
		for i := range int64(blocks) {
			if _, err := b.Read(t.Context(), i*BlockSize, BlockSize); err != nil {
				t.Errorf("block %d through a handle that is open: %v", i, err)
				break
			}
		}
		b.Release()
	})
}

// An error of a change that nobody waited for is told by the next fsync or
// close of the file, and by Sync.
func TestUnheardErrors(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("f", "x", 1000)
		n := lookup(t, root, "f")
		m.setHook(func(op, _ string) error {
			if op == "SETSTAT" {
				return syscall.EROFS
			}
			return nil
		})
		chmod(t, n, 0600)
		time.Sleep(5 * second)
		m.setHook(nil)
		if err := tr.Sync(t.Context()); !errors.Is(err, syscall.EROFS) {
			t.Errorf("Sync: %v", err)
		}
		h, _, err := n.Open(t.Context(), OpenWrite)
		must(t, err)
		if err := h.Fsync(t.Context()); !errors.Is(err, syscall.EROFS) {
			t.Errorf("the next fsync: %v", err)
		}
		h.Release()
	})
}

// The rest of an interrupted write.
func TestInterruptedWrite(t *testing.T) {
	var logged atomic.Int32
	o := Options{Durability: DurabilityCall, Log: func(string, string, error) { logged.Add(1) }}
	lateBubble(t, o, func(t *testing.T, m *lateRemote, tr *Tree, root *Node) {
		_, h, _, err := root.Create(t.Context(), "f", OpenWrite, 0644)
		must(t, err)
		m.write = func(off int64) error {
			time.Sleep(second)
			if off >= BlockSize {
				return syscall.ENOSPC
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), second/10)
		defer cancel()
		if err := h.Write(ctx, make([]byte, 2*BlockSize), 0); err == nil {
			t.Error("not interrupted")
		}
		if err := h.Fsync(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("fsync: %v; logged %d", err, logged.Load())
		}
		h.Release()
	})
}

// Close ends with its context, whatever a copy on the server does.
func TestCloseDuringCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMem(time.Millisecond)
		m.put("a", "data", 1000)
		tr := New(m, Options{})
		root, err := tr.Root(t.Context())
		must(t, err)
		src, _, err := lookup(t, root, "a").Open(t.Context(), OpenRead)
		must(t, err)
		_, dst, _, err := root.Create(t.Context(), "b", OpenWrite, 0644)
		must(t, err)
		synctest.Wait()
		m.rtt = time.Hour
		go func() { _, _ = src.Copy(context.Background(), 0, dst, 0, 4) }() // fs: context.WithoutCancel
		time.Sleep(second)
		ctx, cancel := context.WithTimeout(context.Background(), second)
		defer cancel()
		start := time.Now()
		_ = tr.Close(ctx)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("Close took %v", took)
		}
	})
}

// A copy that has not begun ends with its caller.
func TestInterruptedCopyInQueue(t *testing.T) {
	bubble(t, time.Hour, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("a", "data", 1000)
		src, _, err := lookup(t, root, "a").Open(t.Context(), OpenRead)
		must(t, err)
		_, dst, _, err := root.Create(t.Context(), "b", OpenWrite, 0644)
		must(t, err)
		must(t, dst.Write(t.Context(), []byte("x"), 0))
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		start := time.Now()
		_, _ = src.Copy(ctx, 0, dst, 0, 4)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("took %v", took)
		}
		src.Release()
		dst.Release()
	})
}

func TestFsyncdirErrors(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.features.Fsync = true
		m.setHook(func(op, _ string) error {
			if op == "OPEN" {
				return syscall.EIO
			}
			return nil
		})
		if err := root.Fsyncdir(t.Context()); !errors.Is(err, syscall.EIO) {
			t.Errorf("a dead server: %v", err)
		}
		m.setHook(nil)
		ctx, cancel := context.WithTimeout(t.Context(), second/10)
		defer cancel()
		if err := root.Fsyncdir(ctx); err == nil {
			t.Error("interrupted: success")
		}
	})
}

// Hard links that the kernel forgot give their memory back.
func TestForgottenHardLinks(t *testing.T) {
	bubble(t, time.Millisecond, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		for i := range 100 {
			n := create(t, root, fmt.Sprint("a", i), "")
			_, err := root.Link(t.Context(), fmt.Sprint("b", i), n)
			must(t, err)
			must(t, root.Remove(t.Context(), fmt.Sprint("a", i)))
			time.Sleep(second)
			n.Forget()
		}
		var kept []*Node
		for i := range 100 {
			n := create(t, root, fmt.Sprint("c", i), "")
			_, err := root.Link(t.Context(), fmt.Sprint("d", i), n)
			must(t, err)
			time.Sleep(second)
			n.Forget()
			kept = append(kept, n)
		}
		for i := range kept {
			must(t, root.Remove(t.Context(), fmt.Sprint("c", i)))
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if len(tr.inos) > 1 {
			t.Errorf("%d nodes left", len(tr.inos))
		}
	})
}

// The cache of many tiny files is bounded by what it takes, not only by
// their bytes.
func TestTinyBlocksAreCounted(t *testing.T) {
	bubble(t, time.Millisecond, Options{ContentBytes: 64 << 10, NoPrefetch: true}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		for i := range 5000 {
			m.put(fmt.Sprintf("f%04d", i), "x", 1000)
		}
		_, err := root.OpenDir(t.Context())
		must(t, err)
		for i := range 5000 {
			n := lookup(t, root, fmt.Sprintf("f%04d", i))
			readAll(t, n)
			n.Forget()
		}
		time.Sleep(second)
		// A Node alone is some 400 bytes, and every block keeps its own.
		if got := tr.blocks.lru.Len(); got > 64<<10/400 {
			t.Errorf("64 KiB hold %d blocks of forgotten files, with their nodes", got)
		}
	})
}

// stat is answered while somebody writes.
func TestStatDuringWriting(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.put("f", "x", 1000)
		n := lookup(t, root, "f")
		h, _, err := n.Open(t.Context(), OpenWrite)
		must(t, err)
		time.Sleep(5 * time.Minute)
		_, err = n.Setattr(t.Context(), h, SetAttr{Valid: SetMode, Mode: 0600}) // fchmod
		must(t, err)
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; i < 100; i++ {
				select {
				case <-stop:
					return
				default:
				}
				_ = h.Write(context.Background(), make([]byte, BlockSize), int64(i%8)*BlockSize)
				time.Sleep(second / 3)
			}
		}()
		start := time.Now()
		_, err = n.Attr(t.Context())
		must(t, err)
		if took := time.Since(start); took > 10*second {
			t.Errorf("stat took %v", took)
		}
		close(stop)
		<-done
		must(t, h.Flush(t.Context()))
		h.Release()
	})
}

// A walk that stopped leaves nothing behind.
func TestAbandonedWalk(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
		m.mkdir("d")
		for i := range 2000 {
			m.mkdir(fmt.Sprintf("d/%04d", i))
		}
		_, err := root.OpenDir(t.Context())
		must(t, err)
		d := lookup(t, root, "d")
		_, err = d.OpenDir(t.Context())
		must(t, err)
		time.Sleep(time.Second)
		d.Forget()
		time.Sleep(time.Hour)
		_, err = root.OpenDir(t.Context())
		must(t, err)
		time.Sleep(time.Second)
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if len(tr.inos) > 100 {
			t.Errorf("an hour later %d nodes and %d queued directories", len(tr.inos), len(tr.ahead.walk))
		}
	})
}
