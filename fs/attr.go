package fs

import (
	"context"
	"math"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

const (
	// blockSize is st_blksize, which programs take as a good size to read. The
	// kernel needs it to be at most a page.
	blockSize = 4096
	// sectorSize is the unit of st_blocks.
	sectorSize = 512
)

// fillAttrOut fills in the reply to GETATTR and SETATTR.
func (m *mount) fillAttrOut(ctx context.Context, out *fuse.AttrOut, ino uint64, st cache.Stat) {
	m.fillAttr(ctx, &out.Attr, ino, st)
	out.SetTimeout(st.TTL)
}

// fillAttr translates attributes for the kernel. A size that it would refuse,
// with the whole listing that it comes in, is cut to the largest it takes.
func (m *mount) fillAttr(ctx context.Context, a *fuse.Attr, ino uint64, st cache.Stat) {
	a.Ino = ino
	a.Mode = st.Mode
	a.Nlink = st.Nlink
	a.Size = min(st.Size, math.MaxInt64)
	a.Blocks = a.Size/sectorSize + (a.Size%sectorSize+sectorSize-1)/sectorSize
	a.Blksize = blockSize
	// SFTP tells no change time; that of the content is the nearest.
	a.Atime, a.Mtime, a.Ctime = uint64(st.Atime), uint64(st.Mtime), uint64(st.Mtime)
	a.Uid, a.Gid = m.opts.IDMap.local(ctx, st.UID, st.GID)
	m.opts.override(a)
}

// override applies uid=, gid= and umask=.
func (o *Options) override(a *fuse.Attr) {
	if o.UID != nil {
		a.Uid = *o.UID
	}
	if o.GID != nil {
		a.Gid = *o.GID
	}
	if o.Umask != nil {
		a.Mode = a.Mode&syscall.S_IFMT | 0o777&^*o.Umask
	}
}

// setAttr translates what the kernel wants changed. Nothing to change is a
// Valid of 0: SFTP carries no change time.
func (n *node) setAttr(ctx context.Context, in *fuse.SetAttrIn) (cache.SetAttr, error) {
	var s cache.SetAttr
	if mode, ok := in.GetMode(); ok {
		s.Valid |= cache.SetMode
		s.Mode = mode
	}
	if uid, ok := in.GetUID(); ok {
		s.Valid |= cache.SetUID
		s.UID = n.m.opts.IDMap.remoteUID(uid)
	}
	if gid, ok := in.GetGID(); ok {
		s.Valid |= cache.SetGID
		s.GID = n.m.opts.IDMap.remoteGID(gid)
	}
	if size, ok := in.GetSize(); ok {
		s.Valid |= cache.SetSize
		s.Size = size
	}
	return s, n.setTimes(ctx, in, &s)
}

// setTimes fills in both times of s when the kernel wants one of them set:
// the protocol carries them together, so the other is the current one.
//
// With a new size the kernel asks for a modification time of now, which the
// server sets by itself, and finer than we could.
func (n *node) setTimes(ctx context.Context, in *fuse.SetAttrIn, s *cache.SetAttr) error {
	atime, setAtime := in.GetATime()
	mtime, setMtime := in.GetMTime()
	if s.Valid&cache.SetSize != 0 && in.Valid&fuse.FATTR_MTIME_NOW != 0 {
		setMtime = false
	}
	if !setAtime && !setMtime {
		return nil
	}
	s.Valid |= cache.SetTimes
	s.Atime, s.Mtime = seconds(atime), seconds(mtime)
	if setAtime && setMtime {
		return nil
	}
	st, err := n.cn.Attr(ctx)
	if err != nil {
		return err
	}
	if !setAtime {
		s.Atime = st.Atime
	}
	if !setMtime {
		s.Mtime = st.Mtime
	}
	return nil
}

// seconds returns t as SFTP version 3 carries it: whole seconds of 1970 to
// 2106. Times outside are cut to its ends, as Linux does for file systems
// with a limited range.
func seconds(t time.Time) int64 {
	return min(max(t.Unix(), 0), math.MaxUint32)
}

func fillStatfs(out *fuse.StatfsOut, st cache.Statfs) {
	out.Bsize = clamp32(st.BlockSize)
	out.Frsize = clamp32(st.FragmentSize)
	out.Blocks, out.Bfree, out.Bavail = st.Blocks, st.Free, st.Avail
	out.Files, out.Ffree = st.Files, st.FilesFree
	out.NameLen = nameMax
	if st.NameMax != 0 && st.NameMax < nameMax {
		out.NameLen = uint32(st.NameMax)
	}
	if out.Bsize == 0 {
		out.Bsize = blockSize
	}
	if out.Frsize == 0 {
		out.Frsize = out.Bsize
	}
}

func clamp32(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }
