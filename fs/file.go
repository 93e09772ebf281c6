package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// fileHandle is an open regular file.
type fileHandle struct {
	n *node
	h *cache.Handle
}

var (
	_ gofs.NodeOpener   = (*node)(nil)
	_ gofs.NodeCreater  = (*node)(nil)
	_ gofs.FileReader   = (*fileHandle)(nil)
	_ gofs.FileWriter   = (*fileHandle)(nil)
	_ gofs.FileFlusher  = (*fileHandle)(nil)
	_ gofs.FileFsyncer  = (*fileHandle)(nil)
	_ gofs.FileReleaser = (*fileHandle)(nil)
)

// openFlags translates the flags of open(2).
func openFlags(flags uint32) (f cache.OpenFlag) {
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		f = cache.OpenRead
	case syscall.O_WRONLY:
		f = cache.OpenWrite
	default: // O_RDWR, and 3, which on Linux asks for both permissions
		f = cache.OpenRead | cache.OpenWrite
	}
	if flags&syscall.O_TRUNC != 0 {
		f |= cache.OpenTruncate
	}
	if flags&syscall.O_APPEND != 0 && f&cache.OpenWrite != 0 {
		f |= cache.OpenAppend
	}
	if flags&syscall.O_EXCL != 0 {
		f |= cache.OpenExclusive
	}
	return f
}

// replyFlags returns the FOPEN_ flags for a handle opened with flag. O_DIRECT
// is the kernel's to do: it then goes past its pages but keeps them coherent,
// and sends the pieces of a large transfer at once, which FOPEN_DIRECT_IO
// would not.
func replyFlags(flag cache.OpenFlag, keep bool) (f uint32) {
	if keep {
		f |= fuse.FOPEN_KEEP_CACHE
	}
	if flag&cache.OpenWrite == 0 {
		f |= fuse.FOPEN_NOFLUSH
	}
	return f
}

// Open opens regular file n. With O_TRUNC it truncates it, in one request.
func (n *node) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	flag := openFlags(flags) &^ cache.OpenExclusive
	if flag&cache.OpenTruncate != 0 {
		return n.openTruncate(ctx, flag)
	}
	var h *cache.Handle
	var keep bool
	e := n.m.read(ctx, request{op: "OPEN", node: n}, func(ctx context.Context) (err error) {
		h, keep, err = n.cn.Open(ctx, flag)
		return err
	})
	if e != 0 {
		return nil, 0, e
	}
	return &fileHandle{n, h}, replyFlags(flag, keep), 0
}

// openTruncate is Open as the change that it is.
func (n *node) openTruncate(ctx context.Context, flag cache.OpenFlag) (gofs.FileHandle, uint32, syscall.Errno) {
	h, e := change(ctx, n.m, request{op: "OPEN", node: n}, func(ctx context.Context) (*cache.Handle, error) {
		h, _, err := n.cn.Open(ctx, flag)
		return h, err
	}, func(h *cache.Handle, _ syscall.Errno) {
		if h != nil {
			h.Release()
		}
		n.m.notify.content(n.cn.Ino())
	})
	if e != 0 {
		return nil, 0, e
	}
	return &fileHandle{n, h}, replyFlags(flag, false), 0
}

// Create makes and opens regular file name in n.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	flag := openFlags(flags)
	inode, res, e := n.make(ctx, "CREATE", name, out, func(ctx context.Context) (made, error) {
		return n.createOrOpen(ctx, name, flag, mode)
	})
	if e != 0 {
		return nil, nil, 0, e
	}
	// go-fuse keeps the inode it knows, if this is one.
	owner, ok := inode.Operations().(*node)
	if !ok {
		owner = n
	}
	return inode, &fileHandle{owner, res.h}, replyFlags(flag, false), 0
}

func (f *fileHandle) request(op string) request { return request{op: op, node: f.n, open: true} }

// Read returns what is at off, without copying it; less than asked for only
// at the end of the file.
func (f *fileHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	var data [][]byte
	e := f.n.m.read(ctx, f.request("READ"), func(ctx context.Context) (err error) {
		data, err = f.h.Read(ctx, off, len(dest))
		return err
	})
	if e != 0 {
		return nil, e
	}
	return fuse.ReadResultVector(data), 0
}

// Write takes all of data, or nothing and an error.
func (f *fileHandle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	e := f.n.m.wait(ctx, f.request("WRITE"), graceChange, func(ctx context.Context) error {
		return f.h.Write(ctx, data, off)
	})
	if e != 0 {
		return 0, e
	}
	return uint32(len(data)), 0
}

// Flush is close(2) of one of the handle's descriptors, or their end with a
// process. One that was killed hears no error and is not kept waiting for it.
func (f *fileHandle) Flush(ctx context.Context) syscall.Errno {
	r := f.request("FLUSH")
	r.exit = true
	return f.n.m.wait(ctx, r, graceChange, f.h.Flush)
}

// Fsync returns when what was written is on the server. fdatasync is no
// different: SFTP knows only one.
func (f *fileHandle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	return f.n.m.wait(ctx, f.request("FSYNC"), graceChange, f.h.Fsync)
}

// Release is the last close. Its errors reach nobody; Flush told them.
func (f *fileHandle) Release(context.Context) syscall.Errno {
	f.h.Release()
	return 0
}
