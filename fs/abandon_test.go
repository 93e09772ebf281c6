package fs

import (
	"bytes"
	"context"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// gated holds up the requests op of srv until the test opens the gate. What
// ends while it waits is its error.
func gated(srv *memServer, op string) (open func()) {
	gate := make(chan struct{})
	srv.hook = func(ctx context.Context, o, _ string) error {
		if o != op {
			return nil
		}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sync.OnceFunc(func() { close(gate) })
}

// A change whose caller was killed is completed, and the kernel told.
func TestAbandonedChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newMemServer()
		srv.put("a", newInode(syscall.S_IFREG|0o644))
		r := newRaw(t, srv, Options{})
		open := gated(srv, "RENAME")
		close(r.cancel)
		start := time.Now()
		in := &fuse.RenameIn{InHeader: r.header(1), Newdir: 1}
		if st := r.Rename(r.cancel, in, "a", "b"); st != fuse.EINTR {
			t.Errorf("rename: %v, want EINTR", st)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("a dead caller waited %v", d)
		}
		open()
		synctest.Wait()
		if srv.attr("b").Mode == 0 || srv.attr("a").Mode != 0 {
			t.Error("the change was abandoned half done")
		}
		want := []notice{{1, "a"}, {1, "b"}}
		if d := cmp.Diff(want, r.m.notify.take(), cmp.AllowUnexported(notice{})); d != "" {
			t.Error(d)
		}
	})
}

// The handle of a create that nobody waited for is given back.
func TestAbandonedCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newMemServer()
		r := newRaw(t, srv, Options{})
		open := gated(srv, "OPEN")
		close(r.cancel)
		if _, st := r.create(1, "f", syscall.O_RDWR|syscall.O_CREAT, 0o644); st != fuse.EINTR {
			t.Errorf("create: %v, want EINTR", st)
		}
		open()
		synctest.Wait()
		if srv.attr("f").Mode == 0 {
			t.Error("not created")
		}
		if c := srv.count(); c["CLOSE"] != 1 {
			t.Errorf("requests: %v, want one CLOSE", c)
		}
	})
}

// A question ends with its caller's wait.
func TestInterruptedLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newMemServer()
		srv.put("a", newInode(syscall.S_IFREG|0o644))
		r := newRaw(t, srv, Options{})
		gated(srv, "LSTAT")
		close(r.cancel)
		h := r.header(1)
		var out fuse.EntryOut
		if st := r.Lookup(r.cancel, &h, "a", &out); st != fuse.EINTR {
			t.Errorf("lookup: %v, want EINTR", st)
		}
	})
}

// An INTERRUPT for a signal that ends nothing, as SIGURG is, ends nothing.
func TestHarmlessSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newMemServer()
		r := newRaw(t, srv, Options{})
		r.caller.Pid = uint32(syscall.Getpid())
		open := gated(srv, "MKDIR")
		close(r.cancel)
		done := make(chan fuse.Status)
		go func() {
			_, st := r.mkdir(1, "d", 0o755)
			done <- st
		}()
		time.Sleep(2 * graceChange)
		open()
		if st := <-done; !st.Ok() {
			t.Errorf("mkdir: %v", st)
		}
	})
}

// A write that finds no room before its caller is killed was not accepted.
func TestInterruptedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newMemServer()
		r := newRaw(t, srv, Options{})
		var out fuse.CreateOut
		in := &fuse.CreateIn{InHeader: r.header(1), Flags: syscall.O_WRONLY | syscall.O_CREAT, Mode: 0o644}
		if st := r.Create(r.cancel, in, "f", &out); !st.Ok() {
			t.Fatal(st)
		}
		open := gated(srv, "WRITE")
		limit := r.tree.Options().DirtyBytes
		data := bytes.Repeat([]byte("x"), maxTransfer)
		write := func(off int64) fuse.Status {
			w := &fuse.WriteIn{InHeader: r.header(out.NodeId), Fh: out.Fh, Offset: uint64(off)}
			_, st := r.Write(r.cancel, w, data)
			return st
		}
		var off int64
		for ; off < limit; off += maxTransfer {
			if st := write(off); !st.Ok() {
				t.Fatalf("write at %d: %v", off, st)
			}
		}
		close(r.cancel)
		if st := write(off); st != fuse.EINTR {
			t.Errorf("write without room: %v, want EINTR", st)
		}
		open()
		r.Release(nil, &fuse.ReleaseIn{InHeader: r.header(out.NodeId), Fh: out.Fh})
		r.sync()
		if a := srv.attr("f"); int64(a.Size) != limit {
			t.Errorf("the server has %d bytes, want %d", a.Size, limit)
		}
	})
}

// What the cache says changed on the server reaches the queue for the kernel.
func TestInvalidate(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644))
	n := NewNotifier()
	n.attach(&toldKernel{})
	tree := cache.New(srv, cache.Options{Invalidate: n.Invalidate})
	defer tree.Close(t.Context()) //nolint:errcheck // nothing was written
	root, err := tree.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.Invalidate(root)
	if got := n.take(); len(got) != 1 || got[0] != (notice{ino: 1}) {
		t.Errorf("queued %v", got)
	}
}
