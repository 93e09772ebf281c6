package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// maxPlus is how many entries of a directory are given to the kernel with
// their attributes. Each costs an inode there and here until the kernel is
// short of memory; those after it are looked up when they are asked for.
const maxPlus = 20000

// dots are "." and "..", which every listing begins with.
const dots = 2

// dirHandle is an open directory. Offset i stands before entry i, where "."
// and ".." are 0 and 1 and the entries of the snapshot come after.
type dirHandle struct {
	n *node
	d *cache.Dir

	// Guarded by go-fuse's lock of the handle.
	pos  uint64 // the offset to read next
	last int    // the entry of the snapshot looked up last
}

var (
	_ gofs.NodeOpendirHandler = (*node)(nil)
	_ gofs.FileReaddirenter   = (*dirHandle)(nil)
	_ gofs.FileLookuper       = (*dirHandle)(nil)
	_ gofs.FileSeekdirer      = (*dirHandle)(nil)
	_ gofs.FileFsyncdirer     = (*dirHandle)(nil)
)

// OpendirHandle opens directory n for reading.
func (n *node) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	var d *cache.Dir
	e := n.m.read(ctx, request{op: "OPENDIR", node: n}, func(ctx context.Context) (err error) {
		d, err = n.cn.OpenDir(ctx)
		return err
	})
	if e != 0 {
		return nil, 0, e
	}
	return &dirHandle{n: n, d: d, last: -1}, 0, 0
}

// Readdirent returns the next entry, or nil at the end. The listing is as of
// the first read, or the first after rewinddir(3), not as of opendir(3): what
// was made in between is in it, as on a local disk.
func (h *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if h.pos == 0 {
		e := h.n.m.read(ctx, request{op: "LISTDIR", node: h.n, open: true}, h.d.Refresh)
		if e != 0 {
			return nil, e
		}
	}
	e := fuse.DirEntry{Off: h.pos + 1, Mode: syscall.S_IFDIR, Ino: h.n.cn.Ino()}
	switch {
	case h.pos == 0:
		e.Name = "."
	case h.pos == 1:
		// The parent's inode number is the VFS's to know; readdir(3) promises none.
		e.Name, e.Ino = "..", 0
	case h.pos-dots >= uint64(h.d.Len()):
		return nil, 0
	default:
		e.Name, e.Ino, e.Mode = h.d.Entry(int(h.pos - dots))
	}
	h.pos++
	return &e, 0
}

// Seekdir goes to an offset that an entry came with.
func (h *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	h.pos, h.last = off, -1
	return 0
}

// Lookup gives the kernel the node of an entry that Readdirent returned, from
// the listing. An error makes no gap: the kernel then has the name alone.
func (h *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	i := h.find(name)
	if i < 0 || i >= maxPlus {
		return nil, syscall.ENOENT
	}
	h.last = i
	cn, st, err := h.d.Lookup(i)
	if err != nil {
		e, _ := toErrno(err)
		return nil, e
	}
	return h.n.entry(ctx, name, cn, st, out), 0
}

// find returns the index of name in the snapshot, or -1. It is nearly always
// that of the entry read last; when go-fuse repeats a reply that the kernel
// used in part, it is the one after the last looked up, or somewhere before.
func (h *dirHandle) find(name string) int {
	for _, i := range []int{int(h.pos) - dots - 1, h.last + 1} {
		if h.is(i, name) {
			return i
		}
	}
	for i := min(int(h.pos)-dots, h.d.Len()) - 1; i >= 0; i-- {
		if h.is(i, name) {
			return i
		}
	}
	return -1
}

func (h *dirHandle) is(i int, name string) bool {
	if i < 0 || i >= h.d.Len() {
		return false
	}
	n, _, _ := h.d.Entry(i)
	return n == name
}

// Fsyncdir waits for the changes of names in the directory.
func (h *dirHandle) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	return h.n.m.wait(ctx, request{op: "FSYNCDIR", node: h.n, open: true}, graceChange, h.n.cn.Fsyncdir)
}
