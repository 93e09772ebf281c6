package cache

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// memRemote is a Remote in memory that takes rtt for every round trip, which
// in a synctest bubble makes the clock count them. Changes are executed in
// the middle of the round trip, reads too.
type memRemote struct {
	rtt      time.Duration
	features Features

	mu sync.Mutex
	// inodes by path; hard links share an inode.
	nodes map[string]*memNode
	// calls counts the requests by name.
	calls map[string]int
	open  int
	// hook, if set, may fail a call.
	hook func(op, path string) error
	// last is closed when the latest request was executed: they are in order.
	last chan struct{}
}

type memNode struct {
	attr   Attr
	data   []byte
	target string
}

func newMem(rtt time.Duration) *memRemote {
	m := &memRemote{
		rtt:      rtt,
		features: Features{RTT: rtt, InOrder: true, LoginKnown: true, CopyData: true, MaxRead: 256 << 10, MaxWrite: 256 << 10},
		nodes:    make(map[string]*memNode),
		calls:    make(map[string]int),
	}
	m.nodes[""] = &memNode{attr: Attr{Mode: syscall.S_IFDIR | 0755, Mtime: time.Now().Unix() - 1000, Nlink: 1}}
	return m
}

// put makes a file from outside, with an mtime age seconds ago.
func (m *memRemote) put(p, data string, age int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[p] = &memNode{data: []byte(data), attr: Attr{
		Mode: syscall.S_IFREG | 0644, Size: uint64(len(data)), Mtime: time.Now().Unix() - age, Nlink: 1,
	}}
}

func (m *memRemote) mkdir(p string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[p] = &memNode{attr: Attr{Mode: syscall.S_IFDIR | 0755, Mtime: time.Now().Unix() - 1000, Nlink: 1}}
}

func (m *memRemote) data(p string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[p]; n != nil {
		return string(n.data)
	}
	return "<none>"
}

func (m *memRemote) setHook(f func(op, path string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = f
}

func (m *memRemote) count(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[op]
}

// trip is a round trip in the middle of which f is executed.
func (m *memRemote) trip(ctx context.Context, op, p string, f func() error) error {
	return m.send(op)(ctx, p, f)
}

// send takes the place of a request in the order of execution.
func (m *memRemote) send(op string) func(ctx context.Context, p string, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[op]++
	before, mine := m.last, make(chan struct{})
	m.last = mine
	return func(ctx context.Context, p string, f func() error) error {
		err := sleep(ctx, m.rtt/2)
		if before != nil {
			<-before
		}
		if err == nil {
			err = m.execute(op, p, f)
		}
		close(mine)
		if serr := sleep(ctx, m.rtt/2); serr != nil {
			return serr
		}
		return err
	}
}

func (m *memRemote) execute(op, p string, f func() error) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	var err error
	if hook != nil {
		err = hook(op, p)
	}
	if err == nil {
		m.mu.Lock()
		err = f()
		m.mu.Unlock()
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memRemote) find(p string) (*memNode, error) {
	if n := m.nodes[p]; n != nil {
		return n, nil
	}
	return nil, syscall.ENOENT
}

func (m *memRemote) Lstat(ctx context.Context, p string) (a Attr, err error) {
	err = m.trip(ctx, "LSTAT", p, func() error {
		n, err := m.find(p)
		if err == nil {
			a = n.attr
		}
		return err
	})
	return a, err
}

func (m *memRemote) Stat(ctx context.Context, p string) (a Attr, err error) {
	return m.Lstat(ctx, p)
}

func (m *memRemote) List(ctx context.Context, p string, each func([]Entry) error) error {
	var batch []Entry
	err := m.trip(ctx, "OPENDIR", p, func() error {
		_, err := m.find(p)
		return err
	})
	if err != nil {
		return err
	}
	err = m.trip(ctx, "READDIR", p, func() error {
		for q, n := range m.nodes {
			if q != "" && dirOf(q) == p {
				batch = append(batch, Entry{path.Base(q), n.attr})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(batch)
}

func dirOf(p string) string {
	if d := path.Dir(p); d != "." {
		return d
	}
	return ""
}

func (m *memRemote) Readlink(ctx context.Context, p string) (t string, err error) {
	err = m.trip(ctx, "READLINK", p, func() error {
		n, err := m.find(p)
		if err == nil {
			t = n.target
		}
		return err
	})
	return t, err
}

func (m *memRemote) Open(ctx context.Context, p string, flag OpenFlag, mode uint32) (File, Attr, error) {
	var a Attr
	var node *memNode
	err := m.trip(ctx, "OPEN", p, func() error {
		n := m.nodes[p]
		switch {
		case n == nil && flag&OpenCreate == 0:
			return syscall.ENOENT
		case n == nil:
			n = &memNode{attr: Attr{Mode: syscall.S_IFREG | mode, Mtime: time.Now().Unix(), Nlink: 1}}
			m.nodes[p] = n
		case flag&OpenExclusive != 0:
			return syscall.EEXIST
		case flag&OpenTruncate != 0:
			n.data, n.attr.Size, n.attr.Mtime = nil, 0, time.Now().Unix()
		}
		m.open++
		node, a = n, n.attr
		return nil
	})
	if err != nil {
		return nil, a, err
	}
	return &memFile{m, node, p}, a, nil
}

// add makes a name.
func (m *memRemote) add(ctx context.Context, op, p string, n *memNode) (a Attr, err error) {
	err = m.trip(ctx, op, p, func() error {
		if m.nodes[p] != nil {
			return syscall.EEXIST
		}
		n.attr.Mtime, n.attr.Nlink = time.Now().Unix(), 1
		m.nodes[p], a = n, n.attr
		return nil
	})
	return a, err
}

func (m *memRemote) Mkdir(ctx context.Context, p string, mode uint32) (Attr, error) {
	return m.add(ctx, "MKDIR", p, &memNode{attr: Attr{Mode: syscall.S_IFDIR | mode}})
}

func (m *memRemote) Symlink(ctx context.Context, target, p string) (Attr, error) {
	return m.add(ctx, "SYMLINK", p, &memNode{target: target, attr: Attr{Mode: syscall.S_IFLNK | 0777}})
}

func (m *memRemote) Link(ctx context.Context, o, p string) (a Attr, err error) {
	err = m.trip(ctx, "LINK", p, func() error {
		n, err := m.find(o)
		if err != nil {
			return err
		}
		if m.nodes[p] != nil {
			return syscall.EEXIST
		}
		n.attr.Nlink++
		m.nodes[p], a = n, n.attr
		return nil
	})
	return a, err
}

func (m *memRemote) Remove(ctx context.Context, p string) error {
	return m.trip(ctx, "REMOVE", p, func() error {
		n, err := m.find(p)
		if err == nil {
			n.attr.Nlink--
			delete(m.nodes, p)
		}
		return err
	})
}

func (m *memRemote) Rmdir(ctx context.Context, p string) error {
	return m.trip(ctx, "RMDIR", p, func() error {
		for q := range m.nodes {
			if q != "" && dirOf(q) == p {
				return syscall.ENOTEMPTY
			}
		}
		_, err := m.find(p)
		delete(m.nodes, p)
		return err
	})
}

func (m *memRemote) Rename(ctx context.Context, o, p string, noReplace bool) error {
	return m.trip(ctx, "RENAME", o, func() error {
		n, err := m.find(o)
		if err != nil {
			return err
		}
		if m.nodes[p] != nil && noReplace {
			return syscall.EEXIST
		}
		m.nodes[p] = n
		delete(m.nodes, o)
		for q, n := range m.nodes {
			if rest, ok := strings.CutPrefix(q, o+"/"); ok {
				delete(m.nodes, q)
				m.nodes[p+"/"+rest] = n
			}
		}
		return nil
	})
}

type memPending struct {
	done chan struct{}
	a    Attr
	err  error
}

func (p *memPending) Wait(context.Context) (Attr, error) {
	<-p.done
	return p.a, p.err
}

func (m *memRemote) StartSetattr(ctx context.Context, p string, s SetAttr) Pending {
	w := &memPending{done: make(chan struct{})}
	do := m.send("SETSTAT")
	go func() {
		defer close(w.done)
		w.err = do(ctx, p, func() error {
			n, err := m.find(p)
			if err == nil {
				n.set(s)
				w.a = n.attr
			}
			return err
		})
	}()
	return w
}

func (n *memNode) set(s SetAttr) {
	if s.Valid&SetMode != 0 {
		n.attr.Mode = n.attr.Mode&syscall.S_IFMT | s.Mode
	}
	if s.Valid&SetUID != 0 {
		n.attr.UID = s.UID
	}
	if s.Valid&SetGID != 0 {
		n.attr.GID = s.GID
	}
	if s.Valid&SetSize != 0 {
		n.resize(int(s.Size))
	}
	if s.Valid&SetTimes != 0 {
		n.attr.Atime, n.attr.Mtime = s.Atime, s.Mtime
	}
}

func (n *memNode) resize(size int) {
	if size <= len(n.data) {
		n.data = slices.Clone(n.data[:size])
	} else {
		n.data = append(slices.Clone(n.data), make([]byte, size-len(n.data))...)
	}
	n.attr.Size, n.attr.Mtime = uint64(size), time.Now().Unix()
}

func (m *memRemote) Statfs(context.Context, string) (Statfs, error) { return Statfs{}, nil }

func (m *memRemote) Names(context.Context, []uint32, []uint32) (u, g []string, err error) {
	return nil, nil, syscall.ENOTSUP
}

func (m *memRemote) Features() Features { return m.features }

type memFile struct {
	m *memRemote
	n *memNode
	p string
}

func (f *memFile) ReadAt(ctx context.Context, p []byte, off int64) (k int, err error) {
	err = f.m.trip(ctx, "READ", f.p, func() error {
		if off < int64(len(f.n.data)) {
			k = copy(p, f.n.data[off:])
		}
		return nil
	})
	if err == nil && k < len(p) {
		err = io.EOF
	}
	return k, err
}

func (f *memFile) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	return f.StartWriteAt(ctx, p, off).Wait(ctx)
}

type memWrite struct {
	done chan struct{}
	n    int
	err  error
}

func (w *memWrite) Wait(context.Context) (int, error) {
	<-w.done
	return w.n, w.err
}

func (f *memFile) StartWriteAt(ctx context.Context, p []byte, off int64) PendingWrite {
	w := &memWrite{done: make(chan struct{})}
	p = slices.Clone(p)
	do := f.m.send("WRITE")
	go func() {
		defer close(w.done)
		w.err = do(ctx, f.p, func() error { w.n = f.write(p, off); return nil })
	}()
	return w
}

func (f *memFile) StartSetattr(ctx context.Context, s SetAttr) Pending {
	w := &memPending{done: make(chan struct{})}
	do := f.m.send("FSETSTAT")
	go func() {
		defer close(w.done)
		w.err = do(ctx, f.p, func() error { f.n.set(s); w.a = f.n.attr; return nil })
	}()
	return w
}

func (f *memFile) write(p []byte, off int64) int {
	f.n.resize(max(int(off)+len(p), len(f.n.data)))
	return copy(f.n.data[off:], p)
}

func (f *memFile) Stat(ctx context.Context) (a Attr, err error) {
	err = f.m.trip(ctx, "FSTAT", f.p, func() error { a = f.n.attr; return nil })
	return a, err
}

func (f *memFile) Setattr(ctx context.Context, s SetAttr) (a Attr, err error) {
	err = f.m.trip(ctx, "FSETSTAT", f.p, func() error { f.n.set(s); a = f.n.attr; return nil })
	return a, err
}

func (f *memFile) Sync(ctx context.Context) error {
	return f.m.trip(ctx, "FSYNC", f.p, func() error { return nil })
}

func (f *memFile) CopyTo(ctx context.Context, dst File, off, length, to int64) (int64, error) {
	d := dst.(*memFile)
	err := f.m.trip(ctx, "COPY", f.p, func() error {
		d.n.resize(max(len(d.n.data), int(to+length)))
		copy(d.n.data[to:], f.n.data[off:off+length])
		return nil
	})
	return length, err
}

func (f *memFile) Close(ctx context.Context) error {
	return f.m.trip(ctx, "CLOSE", f.p, func() error { f.m.open--; return nil })
}
