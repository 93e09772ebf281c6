package fs

import (
	"context"
	"math"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"seamount/cache"
)

var (
	_ gofs.NodeCopyFileRanger = (*node)(nil)
	_ gofs.FileLseeker        = (*fileHandle)(nil)
	_ gofs.FileAllocater      = (*fileHandle)(nil)
)

// The values of whence that the kernel asks us about, of lseek(2).
const (
	seekData = 3
	seekHole = 4
)

// fallocKeepSize is FALLOC_FL_KEEP_SIZE of fallocate(2).
const fallocKeepSize = 1

// Lseek answers SEEK_DATA and SEEK_HOLE. SFTP shows no holes: a file is data
// to its end, which is where its only hole begins.
func (f *fileHandle) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	var at uint64
	e := f.n.m.read(ctx, f.request("LSEEK"), func(context.Context) (err error) {
		at, err = seek(off, uint64(f.h.Size()), whence)
		return err
	})
	return at, e
}

func seek(off, size uint64, whence uint32) (uint64, error) {
	switch {
	case whence != seekData && whence != seekHole:
		return 0, syscall.EINVAL
	case off >= size:
		return 0, syscall.ENXIO
	case whence == seekHole:
		return size, nil
	}
	return off, nil
}

// Allocate is fallocate(2). SFTP cannot reserve space: mode 0 makes the file
// as long as asked, FALLOC_FL_KEEP_SIZE has no effect that could be seen, and
// everything that changes content is EOPNOTSUPP.
func (f *fileHandle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	switch {
	case mode&^fallocKeepSize != 0:
		return syscall.EOPNOTSUPP
	case off > math.MaxInt64 || size > math.MaxInt64-off:
		return syscall.EFBIG
	}
	return f.n.m.wait(ctx, f.request("FALLOCATE"), graceChange, func(ctx context.Context) error {
		return f.h.Allocate(ctx, int64(off), int64(size), mode == fallocKeepSize)
	})
}

// CopyFileRange copies on the server. EOPNOTSUPP, where that cannot be done,
// has the kernel read and write instead.
func (n *node) CopyFileRange(ctx context.Context, fhIn gofs.FileHandle, offIn uint64, _ *gofs.Inode,
	fhOut gofs.FileHandle, offOut, length, flags uint64) (uint32, syscall.Errno) {
	in, okIn := fhIn.(*fileHandle)
	out, okOut := fhOut.(*fileHandle)
	if !okIn || !okOut {
		return 0, syscall.EOPNOTSUPP
	}
	r := copyRange{in: offIn, out: offOut, length: min(length, math.MaxUint32)}
	if flags != 0 || !r.valid(in.h.Node() == out.h.Node()) {
		return 0, syscall.EINVAL
	}
	copied, e := change(ctx, n.m, in.request("COPY_FILE_RANGE"), func(ctx context.Context) (int64, error) {
		return in.copyTo(ctx, out.h, r)
	}, func(int64, syscall.Errno) { n.m.notify.content(out.n.cn.Ino()) })
	return uint32(copied), e
}

func (f *fileHandle) copyTo(ctx context.Context, out *cache.Handle, r copyRange) (int64, error) {
	return f.h.Copy(ctx, int64(r.in), out, int64(r.out), int64(r.length))
}

// copyRange is length bytes at offset in to be copied to offset out.
type copyRange struct {
	in, out, length uint64
}

// valid tells whether r is within what a file can hold and, in one file, the
// two ranges are apart.
func (r copyRange) valid(sameFile bool) bool {
	if r.in > math.MaxInt64-r.length || r.out > math.MaxInt64-r.length {
		return false
	}
	return !sameFile || r.in+r.length <= r.out || r.out+r.length <= r.in
}
