package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// slots is the number of descriptors that a sequence of operations uses.
const slots = 12

// A world is one of the directories that an oracle works in, with the
// descriptors that are open there.
type world struct {
	root string
	dir  int // descriptor of root
	fds  [slots]int
}

func newWorld(root string) (*world, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	dir, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	w := &world{root: root, dir: dir}
	for i := range w.fds {
		w.fds[i] = -1
	}
	return w, nil
}

// typeOf is the type of what path names, 0 if there is nothing.
func (w *world) typeOf(path string) uint32 {
	var st unix.Stat_t
	if unix.Fstatat(w.dir, path, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return 0
	}
	return st.Mode & unix.S_IFMT
}

// nameless reports whether the descriptor is of a file that was removed.
func (w *world) nameless(slot int) bool {
	var st unix.Stat_t
	return unix.Fstat(w.fds[slot], &st) == nil && st.Nlink == 0
}

func (w *world) closeAll() {
	for i, fd := range w.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
		w.fds[i] = -1
	}
	unix.Close(w.dir)
}

// syncAll makes the content of every open file durable.
func (w *world) syncAll() error {
	for i, fd := range w.fds {
		if fd < 0 {
			continue
		}
		if err := unix.Fsync(fd); err != nil {
			return fmt.Errorf("fsync fd%d: %w", i, err)
		}
	}
	return nil
}

// A result is what an operation answered.
type result struct {
	Err   string
	N     int64
	Data  string
	Names []string
	Stat  *statView
}

// A statView is the part of a stat that is compared.
type statView struct {
	Type, Perm, UID, GID uint32
	Size, Nlink          int64
	Mtime                int64
}

// permit makes a permitted difference from got disappear (see oracle).
func (r *result) permit(got *result, began int64) {
	if r.Stat != nil && got.Stat != nil {
		r.Stat.permit(got.Stat, began)
	}
}

func (s *statView) permit(got *statView, began int64) {
	if s.Mtime >= began-1 && got.Mtime >= began-2 {
		got.Mtime = s.Mtime
	}
	if s.Nlink > 1 && got.Nlink >= 1 {
		got.Nlink = s.Nlink
	}
}

func viewOf(st *unix.Stat_t) *statView {
	v := &statView{
		Type: st.Mode & unix.S_IFMT, Perm: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Size: st.Size, Nlink: int64(st.Nlink), Mtime: st.Mtim.Sec,
	}
	if v.Type == unix.S_IFDIR {
		v.Size, v.Nlink = 0, 0
	}
	return v
}

func now() int64 { return time.Now().Unix() }

// failed is the result of an operation that ended with err.
func failed(err error) result {
	var errno syscall.Errno
	switch {
	case err == nil:
		return result{}
	case errors.As(err, &errno):
		return result{Err: unix.ErrnoName(errno)}
	}
	return result{Err: err.Error()}
}

// do executes op.
func (w *world) do(op oracleOp) result {
	if name, ok := strings.CutPrefix(op.Name, "at:"); ok {
		return w.doBelow(name, op)
	}
	if op.Slot >= 0 {
		return w.doHandle(op)
	}
	return w.doPath(op)
}

// doPath executes an operation on names.
func (w *world) doPath(op oracleOp) result {
	switch op.Name {
	case "truncate":
		return w.truncate(op)
	case "stat":
		return statAt(w.dir, op.Path, op.Flags)
	case "rename":
		return failed(unix.Renameat2(w.dir, op.Path, w.dir, op.Path2, uint(op.Flags)))
	case "link":
		return failed(unix.Linkat(w.dir, op.Path, w.dir, op.Path2, 0))
	case "symlink":
		return failed(unix.Symlinkat(op.Path2, w.dir, op.Path))
	case "readlink":
		buf := make([]byte, 5000)
		n, err := unix.Readlinkat(w.dir, op.Path, buf)
		r := failed(err)
		r.Data = string(buf[:max(n, 0)])
		return r
	case "unlink":
		return failed(unix.Unlinkat(w.dir, op.Path, 0))
	case "rmdir":
		return failed(unix.Unlinkat(w.dir, op.Path, unix.AT_REMOVEDIR))
	case "mkdir":
		return failed(unix.Mkdirat(w.dir, op.Path, op.Mode))
	case "mknod":
		return failed(unix.Mknodat(w.dir, op.Path, unix.S_IFREG|op.Mode, 0))
	case "chmod":
		return failed(unix.Fchmodat(w.dir, op.Path, op.Mode, 0))
	case "chown":
		return failed(unix.Fchownat(w.dir, op.Path, op.UID, op.GID, op.Flags))
	case "utimens":
		return failed(unix.UtimesNanoAt(w.dir, op.Path, op.times(), op.Flags))
	case "access":
		return failed(unix.Faccessat(w.dir, op.Path, op.Mode, 0))
	case "readdir":
		return w.readdir(op)
	}
	panic("unknown operation " + op.Name)
}

func (op oracleOp) times() []unix.Timespec {
	return []unix.Timespec{{Sec: op.Atime}, {Sec: op.Mtime}}
}

// truncate works on a path relative to the directory, which truncate(2) lacks.
func (w *world) truncate(op oracleOp) result {
	fd, err := unix.Openat(w.dir, op.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	return failed(unix.Truncate(fmt.Sprintf("/proc/self/fd/%d", fd), op.N))
}

func statAt(dir int, path string, flags int) result {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, path, &st, flags); err != nil {
		return failed(err)
	}
	return result{Stat: viewOf(&st)}
}

// doHandle executes an operation on a descriptor.
func (w *world) doHandle(op oracleOp) result {
	fd := w.fds[op.Slot]
	switch op.Name {
	case "open":
		return w.open(op)
	case "close":
		w.fds[op.Slot] = -1
		return failed(unix.Close(fd))
	case "fsync":
		return failed(unix.Fsync(fd))
	case "fstat":
		return statAt(fd, "", unix.AT_EMPTY_PATH)
	case "pread":
		buf := make([]byte, op.N)
		n, err := unix.Pread(fd, buf, op.Off)
		return readResult(buf, n, err)
	case "read":
		if isDir(fd) { // there the position is the file system's own too
			_, err := unix.Pread(fd, make([]byte, 1), 0)
			return failed(err)
		}
		buf := make([]byte, op.N)
		n, err := unix.Read(fd, buf)
		return readResult(buf, n, err)
	case "pwrite":
		n, err := unix.Pwrite(fd, op.data(), op.Off)
		return countResult(int64(n), err)
	case "write":
		n, err := unix.Write(fd, op.data())
		return countResult(int64(n), err)
	case "lseek":
		if isDir(fd) { // the offsets of directories are the file system's own
			return result{}
		}
		return countResult(unix.Seek(fd, op.Off, op.Flags))
	case "ftruncate":
		return failed(unix.Ftruncate(fd, op.N))
	case "fchmod":
		return failed(unix.Fchmod(fd, op.Mode))
	case "futimens":
		return failed(unix.UtimesNanoAt(fd, "", op.times(), unix.AT_EMPTY_PATH))
	case "fallocate":
		return failed(unix.Fallocate(fd, op.Mode, op.Off, op.N))
	case "copy_file_range":
		return w.copyRange(op)
	}
	panic("unknown operation " + op.Name)
}

func isDir(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func (w *world) open(op oracleOp) result {
	if old := w.fds[op.Slot]; old >= 0 {
		if err := unix.Close(old); err != nil {
			return failed(err)
		}
		w.fds[op.Slot] = -1
	}
	fd, err := unix.Openat(w.dir, op.Path, op.Flags|unix.O_CLOEXEC, op.Mode)
	if err == nil {
		w.fds[op.Slot] = fd
	}
	return failed(err)
}

// data is op.N bytes in which no two blocks are alike.
func (op oracleOp) data() []byte {
	p := make([]byte, op.N)
	for i := range p {
		p[i] = op.Fill + byte(i) + byte(i>>8)*3 + byte(i>>16)*5
	}
	return p
}

func readResult(buf []byte, n int, err error) result {
	r := countResult(int64(n), err)
	r.Data = string(buf[:max(n, 0)])
	return r
}

func countResult(n int64, err error) result {
	r := failed(err)
	if err == nil {
		r.N = n
	}
	return r
}

// copyRange copies until nothing more comes: a short copy is allowed.
func (w *world) copyRange(op oracleOp) result {
	in, out := op.Off, op.Off+op.N // never overlapping, also within one file
	var sum int64
	for left := op.N; left > 0; {
		n, err := unix.CopyFileRange(w.fds[op.Slot], &in, w.fds[op.Slot2], &out, int(left), 0)
		if err != nil {
			return failed(err)
		}
		if n == 0 {
			break
		}
		sum += int64(n)
		left -= int64(n)
	}
	return result{N: sum}
}

// doBelow executes an operation relative to an open directory.
func (w *world) doBelow(name string, op oracleOp) result {
	fd := w.fds[op.Slot]
	switch name {
	case "mkdir":
		return failed(unix.Mkdirat(fd, op.Path, op.Mode))
	case "stat":
		return statAt(fd, op.Path, unix.AT_SYMLINK_NOFOLLOW)
	case "unlink":
		return failed(unix.Unlinkat(fd, op.Path, 0))
	case "creat":
		n, err := unix.Openat(fd, op.Path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, op.Mode)
		if err == nil {
			err = unix.Close(n)
		}
		return failed(err)
	case "readdir":
		if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
			return failed(err)
		}
		entries, err := readEntries(fd, 4096)
		return namesResult(entries, err)
	}
	panic("unknown operation " + name)
}

// readdir lists a directory in small pieces and reads it a second time from
// an offset in the middle: what comes must be the same.
func (w *world) readdir(op oracleOp) result {
	fd, err := unix.Openat(w.dir, op.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	entries, err := readEntries(fd, 600)
	if err != nil {
		return failed(err)
	}
	if at := int(op.N); at < len(entries) {
		if _, err := unix.Seek(fd, entries[at].off, unix.SEEK_SET); err != nil {
			return failed(err)
		}
		again, err := readEntries(fd, 4096)
		if err != nil {
			return failed(err)
		}
		if fmt.Sprint(again) != fmt.Sprint(entries[at+1:]) {
			return result{Err: fmt.Sprintf("from offset %d: %v, before: %v", entries[at].off, again, entries[at+1:])}
		}
	}
	return namesResult(entries, nil)
}

func namesResult(entries []entry, err error) result {
	r := failed(err)
	for _, e := range entries {
		r.Names = append(r.Names, fmt.Sprintf("%q %d", e.name, e.typ))
	}
	sort.Strings(r.Names)
	return r
}

// An entry is one of a directory: its name, its type (DT_*), and the offset
// of the one after it.
type entry struct {
	name string
	typ  byte
	off  int64
}

// readEntries reads the rest of the directory fd with a buffer of size bytes.
func readEntries(fd, size int) ([]entry, error) {
	var entries []entry
	buf := make([]byte, size)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return entries, err
		}
		entries = append(entries, parseDirents(buf[:n])...)
	}
}

// parseDirents reads struct linux_dirent64 (getdents64(2)), leaving out "."
// and "..".
func parseDirents(p []byte) []entry {
	var entries []entry
	for len(p) >= 19 {
		off := int64(p[8]) | int64(p[9])<<8 | int64(p[10])<<16 | int64(p[11])<<24 |
			int64(p[12])<<32 | int64(p[13])<<40 | int64(p[14])<<48 | int64(p[15])<<56
		reclen, typ := int(p[16])|int(p[17])<<8, p[18]
		name := p[19:reclen]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		if s := string(name); s != "." && s != ".." {
			entries = append(entries, entry{s, typ, off})
		}
		p = p[reclen:]
	}
	return entries
}
