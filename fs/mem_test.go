package fs

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"seamount/cache"
)

// memServer is a cache.Remote: a server with a tree in memory and no delay.
// Its process is root's, so it refuses nothing.
type memServer struct {
	// hook, if set, is called before each request, with no lock held: it may
	// fail it, or hold it up until the test goes on.
	hook func(ctx context.Context, op, path string) error
	// umask is that of the server's process.
	umask uint32

	mu    sync.Mutex
	root  *memInode
	calls map[string]int // by operation
}

type memInode struct {
	attr     cache.Attr
	data     []byte
	target   string
	children map[string]*memInode // of a directory
}

func newMemServer() *memServer {
	return &memServer{root: newInode(syscall.S_IFDIR | 0o755), calls: make(map[string]int)}
}

// newInode returns an inode that was last changed a day ago.
func newInode(mode uint32) *memInode {
	old := time.Now().Unix() - 86400
	n := &memInode{attr: cache.Attr{Mode: mode, Nlink: 1, Mtime: old, Atime: old}}
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		n.children = make(map[string]*memInode)
	}
	return n
}

func (n *memInode) write(data string) *memInode {
	n.data = []byte(data)
	n.attr.Size = uint64(len(data))
	return n
}

// put makes a name from outside the mount; its directory must be there.
func (s *memServer) put(p string, n *memInode) *memInode {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, name, err := s.parent(p)
	if err != nil {
		panic(err)
	}
	dir.children[name] = n
	return n
}

// attr returns the server's view of p, the zero Attr if it is not there.
func (s *memServer) attr(p string) cache.Attr {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.find(p)
	if err != nil {
		return cache.Attr{}
	}
	return n.attr
}

func (s *memServer) content(p string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.find(p)
	if err != nil {
		return err.Error()
	}
	return string(n.data)
}

// request runs f under the lock as request op of p.
func (s *memServer) request(ctx context.Context, op, p string, f func() error) (err error) {
	start := time.Now()
	defer func() {
		if trace := cache.TraceFrom(ctx); trace != nil {
			trace(op, p, time.Since(start), err)
		}
	}()
	if s.hook != nil {
		if err := s.hook(ctx, op, p); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	return f()
}

// find returns the inode of p. The lock is held.
func (s *memServer) find(p string) (*memInode, error) {
	n := s.root
	if p == "" {
		return n, nil
	}
	for name := range strings.SplitSeq(p, "/") {
		if n.children == nil {
			return nil, syscall.ENOTDIR
		}
		if n = n.children[name]; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

func (s *memServer) parent(p string) (dir *memInode, name string, err error) {
	d, name := path.Split(p)
	dir, err = s.find(strings.TrimSuffix(d, "/"))
	if err == nil && dir.children == nil {
		err = syscall.ENOTDIR
	}
	return dir, name, err
}

// add makes p an inode of mode, with the group of a set-group-ID directory.
func (s *memServer) add(p string, mode uint32) (*memInode, error) {
	dir, name, err := s.parent(p)
	if err != nil {
		return nil, err
	}
	if dir.children[name] != nil {
		return nil, syscall.EEXIST
	}
	n := newInode(mode)
	n.attr.Mtime = time.Now().Unix()
	if dir.attr.Mode&syscall.S_ISGID != 0 {
		n.attr.GID = dir.attr.GID
		if n.children != nil {
			n.attr.Mode |= syscall.S_ISGID
		}
	}
	dir.children[name] = n
	dir.attr.Mtime = n.attr.Mtime
	return n, nil
}

func (s *memServer) Lstat(ctx context.Context, p string) (a cache.Attr, err error) {
	err = s.request(ctx, "LSTAT", p, func() error {
		n, err := s.find(p)
		if err == nil {
			a = n.attr
		}
		return err
	})
	return a, err
}

func (s *memServer) Stat(ctx context.Context, p string) (cache.Attr, error) { return s.Lstat(ctx, p) }

func (s *memServer) List(ctx context.Context, p string, each func([]cache.Entry) error) error {
	var batch []cache.Entry
	err := s.request(ctx, "READDIR", p, func() error {
		n, err := s.find(p)
		if err != nil {
			return err
		}
		for name, c := range n.children {
			batch = append(batch, cache.Entry{Name: name, Attr: c.attr})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(batch)
}

func (s *memServer) Readlink(ctx context.Context, p string) (target string, err error) {
	err = s.request(ctx, "READLINK", p, func() error {
		n, err := s.find(p)
		if err == nil {
			target = n.target
		}
		return err
	})
	return target, err
}

func (s *memServer) Open(ctx context.Context, p string, flag cache.OpenFlag, mode uint32) (f cache.File, a cache.Attr, err error) {
	err = s.request(ctx, "OPEN", p, func() error {
		n, err := s.find(p)
		switch {
		case err == syscall.ENOENT && flag&cache.OpenCreate != 0:
			n, err = s.add(p, syscall.S_IFREG|mode&^s.umask)
		case err == nil && flag&cache.OpenExclusive != 0:
			err = syscall.EEXIST
		case err == nil && flag&cache.OpenTruncate != 0:
			n.resize(0)
		}
		if err == nil {
			f, a = &memFile{s, n, p}, n.attr
		}
		return err
	})
	return f, a, err
}

// make runs add as request op; then, if set, changes what was made.
func (s *memServer) make(ctx context.Context, op, p string, mode uint32, then func(*memInode)) (a cache.Attr, err error) {
	err = s.request(ctx, op, p, func() error {
		n, err := s.add(p, mode)
		if err != nil {
			return err
		}
		if then != nil {
			then(n)
		}
		a = n.attr
		return nil
	})
	return a, err
}

func (s *memServer) Mkdir(ctx context.Context, p string, mode uint32) (cache.Attr, error) {
	return s.make(ctx, "MKDIR", p, syscall.S_IFDIR|mode&^s.umask, nil)
}

func (s *memServer) Symlink(ctx context.Context, target, p string) (cache.Attr, error) {
	return s.make(ctx, "SYMLINK", p, syscall.S_IFLNK|0o777, func(n *memInode) {
		n.target, n.attr.Size = target, uint64(len(target))
	})
}

func (s *memServer) Rmdir(ctx context.Context, p string) error {
	return s.request(ctx, "RMDIR", p, func() error {
		n, err := s.find(p)
		switch {
		case err != nil:
			return err
		case n.children == nil:
			return syscall.ENOTDIR
		case len(n.children) > 0:
			return syscall.ENOTEMPTY
		}
		return s.unlink(p)
	})
}

func (s *memServer) Remove(ctx context.Context, p string) error {
	return s.request(ctx, "REMOVE", p, func() error {
		n, err := s.find(p)
		if err == nil && n.children != nil {
			err = syscall.EISDIR
		}
		if err != nil {
			return err
		}
		n.attr.Nlink--
		return s.unlink(p)
	})
}

func (s *memServer) unlink(p string) error {
	dir, name, err := s.parent(p)
	if err == nil {
		delete(dir.children, name)
	}
	return err
}

func (s *memServer) Rename(ctx context.Context, from, to string, noReplace bool) error {
	return s.request(ctx, "RENAME", from, func() error {
		n, err := s.find(from)
		if err != nil {
			return err
		}
		dir, name, err := s.parent(to)
		if err != nil {
			return err
		}
		if old := dir.children[name]; old != nil {
			switch {
			case noReplace:
				return syscall.EEXIST
			case len(old.children) > 0:
				return syscall.ENOTEMPTY
			}
			old.attr.Nlink--
		}
		dir.children[name] = n
		return s.unlink(from)
	})
}

func (s *memServer) Link(ctx context.Context, from, to string) (a cache.Attr, err error) {
	err = s.request(ctx, "LINK", to, func() error {
		n, err := s.find(from)
		if err != nil {
			return err
		}
		dir, name, err := s.parent(to)
		if err != nil {
			return err
		}
		if dir.children[name] != nil {
			return syscall.EEXIST
		}
		dir.children[name] = n
		n.attr.Nlink++
		a = n.attr
		return nil
	})
	return a, err
}

// memPending is a change that was executed when it was sent.
type memPending struct {
	a   cache.Attr
	err error
}

func (p memPending) Wait(context.Context) (cache.Attr, error) { return p.a, p.err }

func (s *memServer) StartSetattr(ctx context.Context, p string, set cache.SetAttr) cache.Pending {
	var w memPending
	w.err = s.request(ctx, "SETSTAT", p, func() error {
		n, err := s.find(p)
		if err == nil {
			n.set(set)
			w.a = n.attr
		}
		return err
	})
	return w
}

func (n *memInode) set(s cache.SetAttr) {
	if s.Valid&cache.SetUID != 0 {
		n.attr.UID = s.UID
	}
	if s.Valid&cache.SetGID != 0 {
		n.attr.GID = s.GID
	}
	if s.Valid&(cache.SetUID|cache.SetGID) != 0 && n.children == nil {
		n.attr.Mode &^= syscall.S_ISUID | syscall.S_ISGID // as Linux does
	}
	if s.Valid&cache.SetMode != 0 {
		n.attr.Mode = n.attr.Mode&syscall.S_IFMT | s.Mode
	}
	if s.Valid&cache.SetSize != 0 {
		n.resize(int(s.Size))
	}
	if s.Valid&cache.SetTimes != 0 {
		n.attr.Atime, n.attr.Mtime = s.Atime, s.Mtime
	}
}

func (n *memInode) resize(size int) {
	if grow := size - len(n.data); grow > 0 {
		if size > cap(n.data) {
			n.data = slices.Grow(n.data, max(grow, len(n.data)))
		}
		n.data = append(n.data, make([]byte, grow)...)
	}
	n.data, n.attr.Size, n.attr.Mtime = n.data[:size], uint64(size), time.Now().Unix()
}

func (s *memServer) Statfs(ctx context.Context, p string) (st cache.Statfs, err error) {
	err = s.request(ctx, "STATVFS", p, func() error {
		st = cache.Statfs{BlockSize: 4096, FragmentSize: 512, Blocks: 1000, Free: 500, Avail: 400, Files: 30, FilesFree: 20, NameMax: 200}
		return nil
	})
	return st, err
}

func (s *memServer) Names(context.Context, []uint32, []uint32) ([]string, []string, error) {
	return nil, nil, syscall.ENOTSUP
}

func (s *memServer) Features() cache.Features {
	return cache.Features{MaxRead: 1 << 18, MaxWrite: 1 << 18, CopyData: true, Hardlink: true, Lsetstat: true, LoginKnown: true}
}

// count returns how often each request was made since the last count.
func (s *memServer) count() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := maps.Clone(s.calls)
	clear(s.calls)
	return c
}
