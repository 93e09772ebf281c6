package fs

import (
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// toldKernel records what it is told. Telling waits for gate.
type toldKernel struct {
	gate chan struct{}
	told []notice
}

func (k *toldKernel) InodeNotify(node uint64, off, length int64) fuse.Status {
	<-k.gate
	k.told = append(k.told, notice{ino: node})
	return fuse.ENOENT
}

func (k *toldKernel) EntryNotify(parent uint64, name string) fuse.Status {
	<-k.gate
	k.told = append(k.told, notice{parent, name})
	return fuse.OK
}

func TestNotifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNotifier()
		n.content(1) // nobody attached
		k := &toldKernel{gate: make(chan struct{})}
		done := make(chan struct{})
		n.attach(k)
		go n.run(k, done)
		n.content(2)
		synctest.Wait() // 2 is being told, and waits for the gate
		n.content(3)
		n.entry(3, "x")
		n.content(3)
		n.content(2) // changed again since it was taken
		n.entry(3, "x")
		close(k.gate)
		synctest.Wait()
		want := []notice{{ino: 2}, {ino: 3}, {3, "x"}, {ino: 2}}
		if d := cmp.Diff(want, k.told, cmp.AllowUnexported(notice{})); d != "" {
			t.Error(d)
		}
		close(done)
		synctest.Wait()
		n.content(4)
		if len(n.queue) != 0 {
			t.Errorf("%d notices queued after the end", len(n.queue))
		}
	})
}

func TestNotifierIsBounded(t *testing.T) {
	n := NewNotifier()
	n.attach(&toldKernel{})
	for i := range maxNotices + 10 {
		n.entry(1, strconv.Itoa(i))
	}
	if len(n.queue) != maxNotices || len(n.queued) != maxNotices {
		t.Errorf("%d notices queued (%d in the index), want %d", len(n.queue), len(n.queued), maxNotices)
	}
}
