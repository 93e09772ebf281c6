package conn

import (
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"

	"seamount/cache"
	"seamount/conn/wire"
)

const (
	permBits = 0o7777

	defaultFileMode = syscall.S_IFREG | 0o644
	defaultDirMode  = syscall.S_IFDIR | 0o755

	// farFuture is how far ahead of now a time may be before it is taken for
	// one before 1970: version 3 has 32 bits and does not say which.
	farFuture = 10 * 365 * 24 * time.Hour
)

// attrReader turns attributes of the wire into those of the cache. What the
// server left out is filled in: the login's owner, the time the client began
// (the same at each look, so that nothing seems to change), 0644 or 0755.
type attrReader struct {
	start    time.Time
	uid, gid uint32
	// links says that long names begin as ls -l does, with a link count to be
	// believed.
	links bool
}

// attr converts a. It is false where the type is none that POSIX knows.
// longName may be "". A size that no off_t holds is cut to the largest one.
func (r attrReader) attr(a wire.Attrs, longName string) (cache.Attr, bool) {
	out := cache.Attr{
		Size:  min(a.Size, math.MaxInt64),
		UID:   r.uid,
		GID:   r.gid,
		Mtime: r.start.Unix(),
		Atime: r.start.Unix(),
	}
	if a.Flags&wire.AttrUIDGID != 0 {
		out.UID, out.GID = a.UID, a.GID
	}
	if a.Flags&wire.AttrACModTime != 0 {
		out.Mtime, out.Atime = r.time(a.Mtime), r.time(a.Atime)
	}
	if r.links {
		out.Nlink = linkCount(longName)
	}
	var ok bool
	out.Mode, ok = fileMode(a, longName)
	return out, ok
}

func (r attrReader) time(t uint32) int64 {
	if int64(t) > r.start.Add(farFuture).Unix() {
		return int64(int32(t))
	}
	return int64(t)
}

// fileMode finds type and permissions, the type by the long name where a
// server sends only permissions, and a regular file where nothing tells.
func fileMode(a wire.Attrs, longName string) (uint32, bool) {
	if a.Flags&wire.AttrPermissions == 0 {
		if typ := longNameType(longName); typ != 0 && typ != syscall.S_IFREG {
			return typ | defaultDirMode&permBits, true
		}
		return defaultFileMode, true
	}
	mode := a.Mode & (syscall.S_IFMT | permBits)
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG, syscall.S_IFDIR, syscall.S_IFLNK, syscall.S_IFCHR,
		syscall.S_IFBLK, syscall.S_IFIFO, syscall.S_IFSOCK:
		return mode, true
	case 0:
		if typ := longNameType(longName); typ != 0 {
			return mode | typ, true
		}
		return mode | syscall.S_IFREG, true
	}
	return 0, false
}

// longNameType is the type that the first letter of ls -l tells, or 0.
func longNameType(longName string) uint32 {
	if longName == "" {
		return 0
	}
	switch longName[0] {
	case '-':
		return syscall.S_IFREG
	case 'd':
		return syscall.S_IFDIR
	case 'l':
		return syscall.S_IFLNK
	case 'c':
		return syscall.S_IFCHR
	case 'b':
		return syscall.S_IFBLK
	case 'p':
		return syscall.S_IFIFO
	case 's':
		return syscall.S_IFSOCK
	}
	return 0
}

// linkCount reads the second field of a line of ls -l, or 0.
func linkCount(longName string) uint32 {
	_, rest, ok := strings.Cut(longName, " ")
	if !ok {
		return 0
	}
	count, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func isDir(mode uint32) bool  { return mode&syscall.S_IFMT == syscall.S_IFDIR }
func isLink(mode uint32) bool { return mode&syscall.S_IFMT == syscall.S_IFLNK }

// modeToSet returns the permissions to set on something new that was asked
// for with want and came out as got, and whether that is needed: the server's
// umask takes bits away, and some servers do not look at the mode at all. A
// directory keeps the set-group-id bit that it inherited.
func modeToSet(want, got uint32) (uint32, bool) {
	want &= permBits
	if isDir(got) {
		want |= got & syscall.S_ISGID
	}
	return want, want != got&permBits
}
