package cache

import (
	"bytes"
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// lateRemote is a memRemote whose answers can be late, and whose files refuse
// to be used once closed, as conn's do.
type lateRemote struct {
	*memRemote
	late atomic.Bool // LSTAT and RENAME are answered 3 s after they were executed
	// write is called before a WRITE is sent, and may fail it.
	write func(off int64) error
}

func (l *lateRemote) wait() {
	if l.late.Load() {
		time.Sleep(3 * second)
	}
}

func (l *lateRemote) Lstat(ctx context.Context, p string) (Attr, error) {
	a, err := l.memRemote.Lstat(ctx, p)
	l.wait()
	return a, err
}

func (l *lateRemote) Rename(ctx context.Context, o, p string, no bool) error {
	err := l.memRemote.Rename(ctx, o, p, no)
	l.wait()
	return err
}

func (l *lateRemote) Open(ctx context.Context, p string, flag OpenFlag, mode uint32) (File, Attr, error) {
	f, a, err := l.memRemote.Open(ctx, p, flag, mode)
	if err != nil {
		return nil, a, err
	}
	return &strictFile{memFile: f.(*memFile), l: l, window: make(chan struct{}, 1)}, a, nil
}

// strictFile has one READ in flight at most: bytes in flight are bounded.
type strictFile struct {
	*memFile
	l      *lateRemote
	window chan struct{}
	closed atomic.Bool
}

func (f *strictFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	f.window <- struct{}{}
	defer func() { <-f.window }()
	if f.closed.Load() {
		return 0, syscall.EBADF
	}
	return f.memFile.ReadAt(ctx, p, off)
}

func (f *strictFile) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if f.l.write != nil {
		if err := f.l.write(off); err != nil {
			return 0, err
		}
	}
	return f.memFile.WriteAt(ctx, p, off)
}

type lateWrite func() (int, error)

func (w lateWrite) Wait(context.Context) (int, error) { return w() }

func (f *strictFile) StartWriteAt(ctx context.Context, p []byte, off int64) PendingWrite {
	p = bytes.Clone(p)
	return lateWrite(func() (int, error) { return f.WriteAt(ctx, p, off) })
}

func (f *strictFile) StartSetattr(context.Context, SetAttr) Pending { return nil }

func (f *strictFile) Close(ctx context.Context) error {
	f.closed.Store(true)
	return f.memFile.Close(ctx)
}

func lateBubble(t *testing.T, o Options, f func(t *testing.T, m *lateRemote, tr *Tree, root *Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &lateRemote{memRemote: newMem(second)}
		tr := New(m, o)
		root, err := tr.Root(t.Context())
		must(t, err)
		f(t, m, tr, root)
		if err := tr.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func chmod(t *testing.T, n *Node, mode uint32) {
	t.Helper()
	_, err := n.Setattr(t.Context(), nil, SetAttr{Valid: SetMode, Mode: mode})
	must(t, err)
}

func (m *memRemote) attrOf(p string) Attr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[p]; n != nil {
		return n.attr
	}
	return Attr{}
}

// change is what another client does to a file in place.
func (m *memRemote) change(p, data string, age int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[p]
	n.data = []byte(data)
	n.attr.Size, n.attr.Mtime = uint64(len(data)), time.Now().Unix()-age
}
