package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"seamount/cache"
)

// worker changes and reads files of its own through a Client that others use
// as well, and knows what must be in them.
type worker struct {
	c    *Client
	dir  string // below the mounted one
	rand *rand.Rand
	// content is what the files hold, by name; open are some of them.
	content map[string][]byte
	open    map[string]cache.File
}

// TestConcurrent has several workers share few handles and all sessions.
func TestConcurrent(t *testing.T) {
	const workers, steps = 6, 100
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	test := func(t *testing.T, d Dialer) {
		dir := t.TempDir()
		c := newTestClient(t, d, Options{Root: dir, MaxHandles: 20, DataSessions: 2})
		seemDistant(c)
		var wg sync.WaitGroup
		for i := range workers {
			w := &worker{
				c: c, dir: fmt.Sprint(i), rand: rand.New(rand.NewPCG(seed, uint64(i))),
				content: make(map[string][]byte), open: make(map[string]cache.File),
			}
			wg.Go(func() {
				if err := w.run(context.Background(), steps); err != nil {
					t.Errorf("worker %s: %v", w.dir, err)
				}
			})
		}
		wg.Wait()
	}
	t.Run("openssh", func(t *testing.T) { test(t, opensshDialer(t)) })
	t.Run("pkgsftp", func(t *testing.T) { test(t, pkgDialer(nil)) })
}

func (w *worker) run(ctx context.Context, steps int) error {
	if _, err := w.c.Mkdir(ctx, w.dir, 0o755); err != nil {
		return err
	}
	ops := []func(context.Context, string) error{w.write, w.write, w.read, w.read, w.read, w.rename, w.remove, w.chmod, w.list}
	for i := range steps {
		name := fmt.Sprintf("f%d", w.rand.IntN(8))
		if err := ops[w.rand.IntN(len(ops))](ctx, name); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	for _, f := range w.open {
		if err := f.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) path(name string) string { return w.dir + "/" + name }

// write makes or changes a file, through a handle of its own.
func (w *worker) write(ctx context.Context, name string) error {
	w.drop(ctx, name) // it is about to change
	f, a, err := w.c.Open(ctx, w.path(name), cache.OpenRead|create, 0o644)
	if err != nil {
		return err
	}
	old := w.content[name]
	if a.Size != uint64(len(old)) {
		return fmt.Errorf("%s opened with %d bytes, want %d", name, a.Size, len(old))
	}
	off, p := w.rand.IntN(len(old)+1), make([]byte, w.rand.IntN(400_000))
	for i := range p {
		p[i] = byte(w.rand.Uint32())
	}
	if _, err := f.WriteAt(ctx, p, int64(off)); err != nil {
		return err
	}
	now := append(bytes.Clone(old[:off]), p...)
	if len(now) < len(old) {
		now = append(now, old[len(now):]...)
	}
	w.content[name] = now
	return errors.Join(holds(ctx, f, now), f.Close(ctx))
}

// drop closes the file that is kept open under a name.
func (w *worker) drop(ctx context.Context, name string) {
	if f := w.open[name]; f != nil {
		_ = f.Close(ctx)
		delete(w.open, name)
	}
}

// read compares a file, and keeps it open.
func (w *worker) read(ctx context.Context, name string) error {
	want, there := w.content[name]
	f := w.open[name]
	if f == nil {
		var err error
		f, _, err = w.c.Open(ctx, w.path(name), cache.OpenRead, 0)
		if !there && errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		w.open[name] = f
	}
	return holds(ctx, f, want)
}

func holds(ctx context.Context, f cache.File, want []byte) error {
	p := make([]byte, len(want)+10)
	n, err := f.ReadAt(ctx, p, 0)
	if err != io.EOF || !bytes.Equal(p[:n], want) {
		return fmt.Errorf("read %d bytes (%v), want %d, equal: %t", n, err, len(want), bytes.Equal(p[:n], want))
	}
	return nil
}

// rename moves a file over another one; who has one of them open keeps it.
func (w *worker) rename(ctx context.Context, name string) error {
	to := fmt.Sprintf("f%d", w.rand.IntN(8))
	content, there := w.content[name]
	err := w.c.Rename(ctx, w.path(name), w.path(to), false)
	switch {
	case !there && errors.Is(err, syscall.ENOENT), name == to && err == nil:
		return nil
	case err != nil:
		return err
	}
	if f := w.open[to]; f != nil {
		// Its name is gone, it is not.
		if err := holds(ctx, f, w.content[to]); err != nil {
			return fmt.Errorf("replaced: %w", err)
		}
	}
	w.drop(ctx, to)
	w.content[to] = content
	delete(w.content, name)
	if f := w.open[name]; f != nil {
		w.open[to] = f
		delete(w.open, name)
	}
	return nil
}

func (w *worker) remove(ctx context.Context, name string) error {
	content, there := w.content[name]
	err := w.c.Remove(ctx, w.path(name))
	if !there && errors.Is(err, syscall.ENOENT) {
		return nil
	}
	delete(w.content, name)
	if f := w.open[name]; f != nil && err == nil {
		err = holds(ctx, f, content)
	}
	w.drop(ctx, name)
	return err
}

// chmod changes a mode without waiting, and opens the file behind it.
func (w *worker) chmod(ctx context.Context, name string) error {
	if _, there := w.content[name]; !there {
		return nil
	}
	mode := 0o600 | uint32(w.rand.IntN(0o100))
	p := w.c.StartSetattr(ctx, w.path(name), cache.SetAttr{Valid: cache.SetMode, Mode: mode})
	f, a, err := w.c.Open(ctx, w.path(name), cache.OpenRead, 0)
	if err != nil {
		return err
	}
	if a.Mode&permBits != mode {
		return fmt.Errorf("opened with mode %o behind a chmod to %o", a.Mode, mode)
	}
	_, err = p.Wait(ctx)
	return errors.Join(err, f.Close(ctx))
}

func (w *worker) list(ctx context.Context, _ string) error {
	got, err := listAll(ctx, w.c, w.dir)
	if err != nil {
		return err
	}
	if len(got) != len(w.content) {
		return fmt.Errorf("%d names, want %d", len(got), len(w.content))
	}
	for _, e := range got {
		if e.Attr.Size != uint64(len(w.content[e.Name])) {
			return fmt.Errorf("%s has %d bytes, want %d", e.Name, e.Attr.Size, len(w.content[e.Name]))
		}
	}
	return nil
}
