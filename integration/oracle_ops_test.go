package integration

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An oracleOp is one operation with all its arguments.
type oracleOp struct {
	Name         string
	Path, Path2  string
	Slot, Slot2  int // of the table of descriptors, -1: none
	Flags        int
	Mode         uint32
	Off, N       int64
	UID, GID     int
	Atime, Mtime int64
	Fill         byte
}

func (op oracleOp) String() string {
	var b strings.Builder
	b.WriteString(op.Name)
	for _, p := range []string{op.Path, op.Path2} {
		if p != "" {
			b.WriteString(" " + strings.ReplaceAll(strconv.Quote(p), longName(), "nnn..."))
		}
	}
	for _, slot := range []int{op.Slot, op.Slot2} {
		if slot >= 0 {
			fmt.Fprintf(&b, " fd%d", slot)
		}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"flags", int64(op.Flags)}, {"off", op.Off}, {"n", op.N}, {"uid", int64(op.UID)}, {"gid", int64(op.GID)},
		{"atime", op.Atime}, {"mtime", op.Mtime}, {"fill", int64(op.Fill)},
	} {
		if f.value != 0 {
			fmt.Fprintf(&b, " %s=%d", f.name, f.value)
		}
	}
	if op.Mode != 0 {
		fmt.Fprintf(&b, " mode=%#o", op.Mode)
	}
	return b.String()
}

func longName() string { return strings.Repeat("n", 255) }

// names are the names that op works on.
func (op oracleOp) names() []string {
	var names []string
	for _, p := range []string{op.Path, op.Path2} {
		if p != "" && op.Name != "symlink" && !strings.HasPrefix(op.Name, "at:") {
			names = append(names, p)
		}
	}
	return names
}

// concerns reports whether op works on one of the names, on a directory above
// or on something below.
func (op oracleOp) concerns(names []string) bool {
	for _, a := range op.names() {
		for _, b := range names {
			if a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
				return true
			}
		}
	}
	return false
}

// kinds are the operations with their weights.
func (o *oracle) kinds() []weighted {
	return []weighted{
		{10, o.open}, {8, o.close}, {8, o.pread}, {4, o.read}, {10, o.pwrite}, {4, o.write}, {2, o.seek},
		{4, o.ftruncate}, {2, o.truncate}, {2, o.fsync}, {6, o.fstat}, {8, o.stat}, {5, o.rename},
		{3, o.link}, {3, o.symlink}, {4, o.readlink}, {5, o.unlink}, {6, o.mkdir}, {3, o.rmdir},
		{3, o.chmod}, {2, o.fchmod}, {3, o.utimens}, {2, o.futimens}, {4, o.readdir}, {2, o.access},
		{2, o.mknod}, {2, o.fallocate}, {2, o.copyRange}, {2, o.chown}, {3, o.openDir}, {4, o.below}, {3, o.bad},
	}
}

type weighted struct {
	weight int
	make   func() oracleOp
}

// next chooses the next operation.
func (o *oracle) next() oracleOp {
	kinds, sum := o.kinds(), 0
	for _, k := range kinds {
		sum += k.weight
	}
	r := o.rng.IntN(sum)
	for _, k := range kinds {
		if r -= k.weight; r < 0 {
			return k.make()
		}
	}
	panic("weights do not add up")
}

func (o *oracle) chance(percent int) bool { return o.rng.IntN(100) < percent }

func pick[T any](o *oracle, from ...T) T { return from[o.rng.IntN(len(from))] }

// name is one of few, so that operations meet.
func (o *oracle) name() string {
	return pick(o, "a", "b", "c", "d", "e", "f", "g.txt", "name with blanks", "\xff\xfe\x01", "ümläut", longName())
}

// path leads to something that may or may not be there.
func (o *oracle) path() string {
	parts := []string{o.name()}
	for len(parts) < 4 && o.chance(45) {
		parts = append(parts, pick(o, "a", "b", "c", o.name()))
	}
	return strings.Join(parts, "/")
}

// data file sizes: mostly small, some over several blocks of a cache.
func (o *oracle) offset() int64 {
	return pick(o, 0, 0, o.rng.Int64N(100), o.rng.Int64N(5000), o.rng.Int64N(300<<10))
}

func (o *oracle) length() int64 {
	return pick(o, 0, 1, o.rng.Int64N(100), o.rng.Int64N(5000), o.rng.Int64N(70<<10))
}

func (o *oracle) slot() int { return o.rng.IntN(slots) }

// mode is one that leaves the owner able to work: who is not root would
// otherwise only test the permission check of the local directory.
func (o *oracle) mode() uint32 {
	m := pick[uint32](o, 0o600, 0o644, 0o666, 0o700, 0o755, 0o777, 0o1777, 0o2755, 0o4755)
	if o.root {
		m = pick(o, m, 0, 0o400, 0o111)
	}
	return m
}

// past is a time before the run, in whole seconds.
func (o *oracle) past() int64 { return 1 + o.rng.Int64N(1_500_000_000) }

func newOp(name string) oracleOp { return oracleOp{Name: name, Slot: -1, Slot2: -1} }

func (o *oracle) onPath(name string) oracleOp {
	op := newOp(name)
	op.Path = o.path()
	return op
}

func (o *oracle) onSlot(name string) oracleOp {
	op := newOp(name)
	op.Slot = o.slot()
	return op
}

func (o *oracle) open() oracleOp {
	op := o.onPath("open")
	op.Slot = o.slot()
	op.Flags = pick(o, unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR)
	for _, f := range []struct{ percent, flag int }{
		{60, unix.O_CREAT}, {10, unix.O_EXCL}, {10, unix.O_APPEND}, {5, unix.O_NOFOLLOW}, {3, unix.O_DIRECTORY}, {3, unix.O_SYNC},
	} {
		if o.chance(f.percent) {
			op.Flags |= f.flag
		}
	}
	// What O_RDONLY|O_TRUNC does is unspecified (POSIX open), O_EXCL without
	// O_CREAT and O_CREAT with O_DIRECTORY too.
	if op.Flags&unix.O_ACCMODE != unix.O_RDONLY && o.chance(15) {
		op.Flags |= unix.O_TRUNC
	}
	if op.Flags&unix.O_CREAT == 0 {
		op.Flags &^= unix.O_EXCL
	}
	if op.Flags&unix.O_CREAT != 0 {
		op.Flags &^= unix.O_DIRECTORY
	}
	op.Mode = o.mode()
	return op
}

func (o *oracle) close() oracleOp { return o.onSlot("close") }
func (o *oracle) fsync() oracleOp { return o.onSlot("fsync") }
func (o *oracle) fstat() oracleOp { return o.onSlot("fstat") }

func (o *oracle) pread() oracleOp {
	op := o.onSlot("pread")
	op.Off, op.N = o.offset(), o.length()
	return op
}

func (o *oracle) read() oracleOp {
	op := o.onSlot("read")
	op.N = o.length()
	return op
}

func (o *oracle) pwrite() oracleOp {
	op := o.onSlot("pwrite")
	op.Off, op.N, op.Fill = o.offset(), o.length(), byte(o.rng.IntN(256))
	return op
}

func (o *oracle) write() oracleOp {
	op := o.onSlot("write")
	op.N, op.Fill = o.length(), byte(o.rng.IntN(256))
	return op
}

func (o *oracle) seek() oracleOp {
	op := o.onSlot("lseek")
	op.Off, op.Flags = o.offset(), pick(o, unix.SEEK_SET, unix.SEEK_CUR, unix.SEEK_END)
	return op
}

func (o *oracle) ftruncate() oracleOp {
	op := o.onSlot("ftruncate")
	op.N = o.offset()
	return op
}

func (o *oracle) truncate() oracleOp {
	op := o.onPath("truncate")
	op.N = o.offset()
	return op
}

func (o *oracle) stat() oracleOp {
	op := o.onPath("stat")
	op.Flags = pick(o, 0, unix.AT_SYMLINK_NOFOLLOW)
	return op
}

func (o *oracle) rename() oracleOp {
	op := o.onPath("rename")
	op.Path2, op.Flags = o.path(), pick(o, 0, 0, 0, unix.RENAME_NOREPLACE)
	if o.chance(10) {
		op.Path2 = op.Path + "/" + o.name() // into itself
	}
	return op
}

func (o *oracle) link() oracleOp {
	op := o.onPath("link")
	op.Path2 = o.path()
	return op
}

// symlink makes links that stay within the mount, as many of them dangling:
// what becomes of others is the matter of the tests of containment.
func (o *oracle) symlink() oracleOp {
	op := o.onPath("symlink")
	op.Path2 = pick(o, "", "", "../", "../../", "../../w1/w2/") + o.path()
	return op
}

func (o *oracle) readlink() oracleOp { return o.onPath("readlink") }
func (o *oracle) unlink() oracleOp   { return o.onPath("unlink") }
func (o *oracle) rmdir() oracleOp    { return o.onPath("rmdir") }

func (o *oracle) mkdir() oracleOp {
	op := o.onPath("mkdir")
	op.Mode = pick[uint32](o, 0o755, 0o700, 0o777, 0o1777, 0o711)
	return op
}

func (o *oracle) mknod() oracleOp {
	op := o.onPath("mknod")
	op.Mode = o.mode()
	return op
}

func (o *oracle) chmod() oracleOp {
	op := o.onPath("chmod")
	op.Mode = o.mode() | 0o700
	return op
}

func (o *oracle) fchmod() oracleOp {
	op := o.onSlot("fchmod")
	op.Mode = o.mode() | 0o700
	return op
}

func (o *oracle) utimens() oracleOp {
	op := o.onPath("utimens")
	op.Atime, op.Mtime, op.Flags = o.past(), o.past(), pick(o, 0, unix.AT_SYMLINK_NOFOLLOW)
	return op
}

func (o *oracle) futimens() oracleOp {
	op := o.onSlot("futimens")
	op.Atime, op.Mtime = o.past(), o.past()
	return op
}

func (o *oracle) readdir() oracleOp {
	op := o.onPath("readdir")
	if o.chance(30) {
		op.Path = "."
	}
	op.N = o.rng.Int64N(4)
	return op
}

func (o *oracle) access() oracleOp {
	op := o.onPath("access")
	op.Mode = pick[uint32](o, unix.F_OK, unix.R_OK, unix.W_OK, unix.X_OK)
	return op
}

func (o *oracle) fallocate() oracleOp {
	op := o.onSlot("fallocate")
	op.Off, op.N = o.offset(), 1+o.length()
	op.Mode = pick[uint32](o, 0, unix.FALLOC_FL_KEEP_SIZE)
	return op
}

func (o *oracle) copyRange() oracleOp {
	op := o.onSlot("copy_file_range")
	op.Slot2, op.Off, op.N = o.slot(), o.offset(), o.length()
	return op
}

// chown is root's; for others the owner is who they are.
func (o *oracle) chown() oracleOp {
	op := o.onPath("chown")
	op.UID, op.GID = -1, -1
	op.Flags = unix.AT_SYMLINK_NOFOLLOW
	if o.root {
		op.UID, op.GID = pick(o, -1, 0, 1234, 65533), pick(o, -1, 0, 4321)
	}
	return op
}

// openDir opens a directory for the operations of below.
func (o *oracle) openDir() oracleOp {
	op := o.onPath("open")
	op.Slot, op.Flags = o.slot(), unix.O_RDONLY|unix.O_DIRECTORY
	return op
}

// below works on a name below an open directory, which may have moved or gone.
func (o *oracle) below() oracleOp {
	op := o.onSlot("at:" + pick(o, "mkdir", "stat", "creat", "unlink", "readdir"))
	op.Path, op.Mode = o.name(), 0o755
	return op
}

// bad is an operation that must fail.
func (o *oracle) bad() oracleOp {
	long := strings.Repeat("l", 256)
	switch o.rng.IntN(8) {
	case 0:
		op := o.open()
		op.Path += "/"
		return op
	case 1:
		op := o.mkdir()
		op.Path = long
		return op
	case 2:
		op := o.rename()
		op.Path2 = o.name() + "/" + long
		return op
	case 3:
		op := o.stat()
		op.Path = pick(o, long, "a/"+long, "a/../../../"+long, strings.Repeat("a/", 2100)+"a")
		return op
	case 4:
		op := o.truncate()
		op.N = -1
		return op
	case 5:
		op := o.rmdir()
		op.Path = pick(o, "a/.", "a/..", "b/.", "c/..")
		return op
	case 6:
		op := o.rename()
		op.Path, op.Flags = pick(o, ".", "a/.", "a/.."), 0
		return op
	default:
		op := o.pread()
		op.Off = -1
		return op
	}
}
