package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hanwen/go-fuse/v2/posixtest"
	"golang.org/x/sys/unix"

	"seamount/cache"
)

// The tests of this file mount a memServer.

// mountServer mounts srv for the time of the test and returns the directory.
func mountServer(t *testing.T, srv *memServer, o Options) string {
	t.Helper()
	s, tree := startMount(t, srv, o)
	t.Cleanup(func() {
		if err := s.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
			if err := s.Detach(); err != nil {
				t.Error(err)
			}
		}
		if err := tree.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s.Mountpoint()
}

func startMount(t *testing.T, srv *memServer, o Options) (*Server, *cache.Tree) {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Notifier = NewNotifier()
	tree := cache.New(srv, cache.Options{Invalidate: o.Notifier.Invalidate})
	s, err := Mount(t.Context(), tree, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s, tree
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestPosix runs go-fuse's tests of POSIX semantics.
func TestPosix(t *testing.T) {
	cannot := map[string]string{
		"XAttr":      "SFTP carries no extended attributes",
		"XAttrLarge": "SFTP carries no extended attributes",
		"Tmpfile":    "SFTP has no files without a name",

		"FcntlFlockLocksFile": "expects locks of one process to conflict, which is not POSIX's",
	}
	for name, f := range posixtest.All {
		if _, ok := cannot[name]; ok {
			continue
		}
		t.Run(name, func(t *testing.T) { f(t, mountServer(t, newMemServer(), Options{Symlinks: SymlinksRaw})) })
	}
	t.Run("XAttrUnsupported", func(t *testing.T) {
		dir := mountServer(t, newMemServer(), Options{})
		wantErrno(t, "setxattr", unix.Setxattr(dir, "user.x", []byte("v"), 0), syscall.EOPNOTSUPP)
	})
	t.Run("TmpfileUnsupported", func(t *testing.T) {
		dir := mountServer(t, newMemServer(), Options{})
		_, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
		wantErrno(t, "O_TMPFILE", err, syscall.EOPNOTSUPP)
	})
}

func TestMountFiles(t *testing.T) {
	srv := newMemServer()
	dir := mountServer(t, srv, Options{})
	p := func(name string) string { return filepath.Join(dir, name) }
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	must(t, os.Mkdir(p("d"), 0o700))
	must(t, os.WriteFile(p("d/f"), content, 0o600))
	if srv.content("d/f") != string(content) {
		t.Error("content did not arrive with close")
	}
	got, err := os.ReadFile(p("d/f"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("read back %d bytes, %v", len(got), err)
	}
	must(t, os.Rename(p("d/f"), p("g")))
	must(t, os.Link(p("g"), p("h")))
	must(t, os.Remove(p("g")))
	must(t, os.Remove(p("d")))
	must(t, os.WriteFile(p("h"), []byte("short"), 0)) // O_TRUNC of what is there
	if srv.content("h") != "short" {
		t.Errorf("truncated and written: %q", srv.content("h"))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "h" {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestMountErrno(t *testing.T) {
	srv := newMemServer()
	srv.put("d", newInode(syscall.S_IFDIR|0o755))
	srv.put("d/f", newInode(syscall.S_IFREG|0o644))
	srv.put("loop", newInode(syscall.S_IFLNK|0o777)).target = "loop"
	srv.put("out", newInode(syscall.S_IFLNK|0o777)).target = "/etc/passwd"
	dir := mountServer(t, srv, Options{})
	p := func(name string) string { return filepath.Join(dir, name) }
	long := strings.Repeat("n", nameMax)
	_, err := os.ReadFile(p("out"))
	wantErrno(t, "a link that leads out", err, syscall.EPERM)
	_, err = os.Stat(p("loop"))
	wantErrno(t, "a loop", err, syscall.ELOOP)
	wantErrno(t, "rmdir", unix.Rmdir(p("d")), syscall.ENOTEMPTY)
	wantErrno(t, "mkdir", os.Mkdir(p("d"), 0o755), syscall.EEXIST)
	wantErrno(t, "unlink", unix.Unlink(p("d")), syscall.EISDIR)
	wantErrno(t, "stat below a file", errOf(os.Stat(p("d/f/x"))), syscall.ENOTDIR)
	wantErrno(t, "fifo", unix.Mkfifo(p("fifo"), 0o644), syscall.EPERM)
	wantErrno(t, "name of 256", os.Mkdir(p(long+"n"), 0o755), syscall.ENAMETOOLONG)
	wantErrno(t, "look for 256", errOf(os.Stat(p(long+"n"))), syscall.ENAMETOOLONG)
	wantErrno(t, "rename to 256", os.Rename(p("d/f"), p(long+"n")), syscall.ENAMETOOLONG)
	must(t, os.Mkdir(p(long), 0o755))
	must(t, os.Mkdir(p("\xff\x01 \n\\"), 0o755))
	if srv.attr("\xff\x01 \n\\").Mode == 0 || srv.attr(long).Mode == 0 {
		t.Error("a name of any bytes did not arrive as it is")
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestMountRenameFlags(t *testing.T) {
	srv := newMemServer()
	dir := mountServer(t, srv, Options{})
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	rename := func(flags uint) error { return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags) }
	must(t, os.WriteFile(a, []byte("a"), 0o644))
	must(t, os.WriteFile(b, []byte("b"), 0o644))
	wantErrno(t, "noreplace", rename(unix.RENAME_NOREPLACE), syscall.EEXIST)
	wantErrno(t, "exchange", rename(unix.RENAME_EXCHANGE), syscall.EINVAL)
	must(t, os.Remove(b))
	must(t, rename(unix.RENAME_NOREPLACE))
	srv.put("a", newInode(syscall.S_IFREG|0o644)) // nobody told us
	_, err := os.Stat(b)
	must(t, err)
	wantErrno(t, "noreplace of the server's", unix.Renameat2(unix.AT_FDCWD, b, unix.AT_FDCWD, a, unix.RENAME_NOREPLACE), syscall.EEXIST)
	if srv.content("b") != "a" {
		t.Errorf("b is %q", srv.content("b"))
	}
}

func TestMountTimes(t *testing.T) {
	srv := newMemServer()
	f := srv.put("f", newInode(syscall.S_IFREG|0o644))
	f.attr.Atime, f.attr.Mtime = 1000, 2000
	s, tree := startMount(t, srv, Options{})
	set := func(a, m unix.Timespec) {
		t.Helper()
		err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(s.Mountpoint(), "f"), []unix.Timespec{a, m}, 0)
		if err := errors.Join(err, tree.Sync(t.Context())); err != nil {
			t.Error(err)
		}
	}
	omit, now := unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_NOW}
	set(omit, omit)
	if a := srv.attr("f"); a.Atime != 1000 || a.Mtime != 2000 {
		t.Errorf("nothing set: %+v", a)
	}
	set(unix.Timespec{Sec: 5, Nsec: 6}, omit)
	if a := srv.attr("f"); a.Atime != 5 || a.Mtime != 2000 {
		t.Errorf("atime set: %+v", a)
	}
	set(omit, now)
	if a := srv.attr("f"); a.Atime != 5 || time.Since(time.Unix(a.Mtime, 0)) > time.Minute {
		t.Errorf("mtime now: %+v", a)
	}
	must(t, s.Unmount())
	must(t, tree.Close(t.Context()))
}

func TestMountSeekHole(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("0123456789"))
	f, err := os.Open(filepath.Join(mountServer(t, srv, Options{}), "f"))
	must(t, err)
	defer f.Close() //nolint:errcheck // only read
	for _, tt := range []struct {
		off    int64
		whence int
		want   int64
	}{{3, unix.SEEK_DATA, 3}, {3, unix.SEEK_HOLE, 10}} {
		if got, err := f.Seek(tt.off, tt.whence); got != tt.want || err != nil {
			t.Errorf("seek(%d, %d) = %d, %v; want %d", tt.off, tt.whence, got, err, tt.want)
		}
	}
	wantErrno(t, "data at the end", errOf(f.Seek(10, unix.SEEK_DATA)), syscall.ENXIO)
}

func TestMountAllocate(t *testing.T) {
	srv := newMemServer()
	f, err := os.Create(filepath.Join(mountServer(t, srv, Options{}), "f"))
	must(t, err)
	defer f.Close() //nolint:errcheck // checked by Sync
	fd := int(f.Fd())
	must(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 100))
	must(t, unix.Fallocate(fd, 0, 10, 20))
	wantErrno(t, "punch", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 10), syscall.EOPNOTSUPP)
	must(t, f.Sync())
	if a := srv.attr("f"); a.Size != 30 {
		t.Errorf("size %d, want 30", a.Size)
	}
}

func TestMountCopyFileRange(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("0123456789"))
	dir := mountServer(t, srv, Options{})
	in, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	must(t, err)
	defer in.Close() //nolint:errcheck // not written
	out, err := os.Create(filepath.Join(dir, "g"))
	must(t, err)
	from, to := int64(2), int64(1)
	n, err := unix.CopyFileRange(int(in.Fd()), &from, int(out.Fd()), &to, 5, 0)
	if n != 5 || err != nil {
		t.Errorf("copied %d, %v", n, err)
	}
	from, to = 0, 3
	_, err = unix.CopyFileRange(int(in.Fd()), &from, int(in.Fd()), &to, 5, 0)
	wantErrno(t, "overlap", err, syscall.EINVAL)
	must(t, out.Close())
	if got, want := srv.content("g"), "\x0023456"; got != want {
		t.Errorf("g is %q, want %q", got, want)
	}
	if c := srv.count(); c["COPY"] == 0 {
		t.Errorf("not copied on the server: %v", c)
	}
}

func TestMountDirectIO(t *testing.T) {
	srv := newMemServer()
	path := filepath.Join(mountServer(t, srv, Options{}), "f")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_DIRECT, 0o644)
	must(t, err)
	data := bytes.Repeat([]byte("x"), 3*maxTransfer+5)
	_, err = f.WriteAt(data, 7)
	must(t, err)
	got := make([]byte, len(data))
	if n, err := f.ReadAt(got, 7); n != len(data) || !bytes.Equal(got, data) {
		t.Errorf("read %d, %v", n, err)
	}
	must(t, f.Close())
	if got, err := os.ReadFile(path); err != nil || len(got) != len(data)+7 {
		t.Errorf("buffered read after: %d, %v", len(got), err)
	}
}

func TestMountAppend(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("a"))
	f, err := os.OpenFile(filepath.Join(mountServer(t, srv, Options{}), "f"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	for _, s := range []string{"b", "c", "d"} {
		_, err := f.WriteString(s)
		must(t, err)
	}
	must(t, f.Close())
	if got := srv.content("f"); got != "abcd" {
		t.Errorf("f is %q", got)
	}
}

func TestMountReadOnly(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644))
	dir := mountServer(t, srv, Options{ReadOnly: true})
	wantErrno(t, "mkdir", os.Mkdir(filepath.Join(dir, "d"), 0o755), syscall.EROFS)
	_, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	wantErrno(t, "open", err, syscall.EROFS)
}

func TestMountSymlinks(t *testing.T) {
	for _, tt := range []struct {
		mode     SymlinkMode
		abs, out string
	}{
		{SymlinksContain, "../x", ""},
		{SymlinksRaw, "/srv/x", "../../x"},
	} {
		srv := newMemServer()
		srv.put("d", newInode(syscall.S_IFDIR|0o755))
		srv.put("d/abs", newInode(syscall.S_IFLNK|0o777)).target = "/srv/x"
		srv.put("d/out", newInode(syscall.S_IFLNK|0o777)).target = "../../x"
		dir := mountServer(t, srv, Options{Symlinks: tt.mode, Root: "/srv"})
		abs, err := os.Readlink(filepath.Join(dir, "d/abs"))
		out, _ := os.Readlink(filepath.Join(dir, "d/out"))
		if abs != tt.abs || out != tt.out || err != nil {
			t.Errorf("mode %d: %q, %q, %v; want %q, %q", tt.mode, abs, out, err, tt.abs, tt.out)
		}
	}
}

// A link that moves up must be judged again, though the kernel keeps targets.
func TestMountMovedSymlink(t *testing.T) {
	srv := newMemServer()
	srv.put("d", newInode(syscall.S_IFDIR|0o755))
	dir := mountServer(t, srv, Options{})
	must(t, os.Symlink("../x", filepath.Join(dir, "d/l")))
	target, err := os.Readlink(filepath.Join(dir, "d/l"))
	if target != "../x" || err != nil {
		t.Fatalf("%q, %v", target, err)
	}
	must(t, os.Rename(filepath.Join(dir, "d/l"), filepath.Join(dir, "l")))
	// The kernel is told by another goroutine than the one that answered.
	var shown string
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if shown, err = os.Readlink(filepath.Join(dir, "l")); err != nil {
			break
		}
	}
	wantErrno(t, fmt.Sprintf("moved link, shown as %q", shown), err, syscall.EPERM)
}

func TestMountStatfs(t *testing.T) {
	var st unix.Statfs_t
	must(t, unix.Statfs(mountServer(t, newMemServer(), Options{}), &st))
	got := []uint64{uint64(st.Bsize), uint64(st.Frsize), st.Blocks, st.Bfree, st.Bavail, st.Files, st.Ffree, uint64(st.Namelen)}
	if d := cmp.Diff([]uint64{4096, 512, 1000, 500, 400, 30, 20, 200}, got); d != "" {
		t.Error(d)
	}
}

func TestMountOverrides(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o600))
	uid, gid, umask := uint32(12), uint32(34), uint32(0o027)
	dir := mountServer(t, srv, Options{UID: &uid, GID: &gid, Umask: &umask})
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(dir, "f"), &st))
	if st.Uid != uid || st.Gid != gid || st.Mode != syscall.S_IFREG|0o750 {
		t.Errorf("%o %d:%d", st.Mode, st.Uid, st.Gid)
	}
}

// Content that another client changed is not the kernel's old one.
func TestMountInvalidates(t *testing.T) {
	srv := newMemServer()
	f := srv.put("f", newInode(syscall.S_IFREG|0o644).write("old content"))
	o := Options{Notifier: NewNotifier()}
	tree := cache.New(srv, cache.Options{OpenTTL: -1, Invalidate: o.Notifier.Invalidate})
	s, err := Mount(t.Context(), tree, t.TempDir(), o)
	must(t, err)
	path := filepath.Join(s.Mountpoint(), "f")
	for _, want := range []string{"old content", "new content"} {
		got, err := os.ReadFile(path)
		if string(got) != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		srv.mu.Lock()
		f.write("new content")
		f.attr.Mtime++
		srv.mu.Unlock()
	}
	must(t, s.Unmount())
	must(t, tree.Close(t.Context()))
}

func TestMountRefusals(t *testing.T) {
	tree := cache.New(newMemServer(), cache.Options{})
	defer tree.Close(t.Context()) //nolint:errcheck // nothing was written
	full := t.TempDir()
	file := filepath.Join(full, "f")
	must(t, os.WriteFile(file, nil, 0o600))
	for dir, want := range map[string]syscall.Errno{
		full: syscall.ENOTEMPTY, file: syscall.ENOTDIR, filepath.Join(full, "missing"): syscall.ENOENT,
	} {
		_, err := Mount(t.Context(), tree, dir, Options{})
		wantErrno(t, dir, err, want)
	}
	down := newMemServer()
	down.hook = func(context.Context, string, string) error { return syscall.ENOENT }
	_, err := Mount(t.Context(), cache.New(down, cache.Options{}), t.TempDir(), Options{})
	wantErrno(t, "missing top directory", err, syscall.ENOENT)
	s, err := Mount(t.Context(), tree, full, Options{NonEmpty: true})
	must(t, err)
	must(t, s.Unmount())
}

// A mount that is in use is not unmounted; detached it lasts until it is not.
func TestDetach(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("content"))
	s, tree := startMount(t, srv, Options{})
	f, err := os.Open(filepath.Join(s.Mountpoint(), "f"))
	must(t, err)
	if err := s.Unmount(); err == nil {
		t.Error("unmounted while a file is open")
	}
	must(t, s.Detach())
	buf := make([]byte, 7)
	if _, err := f.ReadAt(buf, 0); string(buf) != "content" || err != nil {
		t.Errorf("read after detach: %q, %v", buf, err)
	}
	must(t, f.Close())
	s.Wait()
	must(t, tree.Close(t.Context()))
}

// Abort frees who waits for a server that never answers.
func TestAbort(t *testing.T) {
	srv := newMemServer()
	open := gated(srv, "MKDIR")
	asked := make(chan struct{})
	gate := srv.hook
	srv.hook = func(ctx context.Context, op, p string) error {
		if op == "MKDIR" {
			close(asked)
		}
		return gate(ctx, op, p)
	}
	s, tree := startMount(t, srv, Options{})
	done := make(chan error, 1)
	go func() { done <- os.Mkdir(filepath.Join(s.Mountpoint(), "d"), 0o755) }()
	<-asked
	if err := s.Abort(); err != nil {
		open() // or this process would wait for itself, for ever
		t.Fatal(err)
	}
	wantErrno(t, "mkdir", <-done, syscall.ECONNABORTED)
	if err := s.Detach(); err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	s.Wait()
	open()
	must(t, tree.Close(t.Context()))
}

// An open file keeps what it is when its name is given to another.
func TestMountReplacedWhileOpen(t *testing.T) {
	srv := newMemServer()
	dir := mountServer(t, srv, Options{})
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("first"), 0o644))
	f, err := os.Open(path)
	must(t, err)
	defer f.Close() //nolint:errcheck // only read
	must(t, os.WriteFile(path+".new", []byte("second"), 0o644))
	must(t, os.Rename(path+".new", path))
	old := make([]byte, 5)
	if _, err := f.ReadAt(old, 0); string(old) != "first" || err != nil {
		t.Errorf("open file: %q, %v", old, err)
	}
	if got, err := os.ReadFile(path); string(got) != "second" || err != nil {
		t.Errorf("by name: %q, %v", got, err)
	}
	var a, b unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &a))
	must(t, unix.Stat(path, &b))
	if a.Ino == b.Ino || a.Nlink != 0 {
		t.Errorf("inodes %d (nlink %d) and %d", a.Ino, a.Nlink, b.Ino)
	}
}

func TestMountHugeDirectory(t *testing.T) {
	srv := newMemServer()
	var want []string
	for i := range maxPlus + 10 {
		name := fmt.Sprintf("file%06d", i)
		srv.put(name, newInode(syscall.S_IFREG|0o644).write("x"))
		want = append(want, name)
	}
	dir := mountServer(t, srv, Options{})
	entries, err := os.ReadDir(dir)
	must(t, err)
	got := make([]string, len(entries))
	for i, e := range entries {
		got[i] = e.Name()
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d names, want %d", len(got), len(want))
	}
	last, err := entries[len(entries)-1].Info()
	if err != nil || last.Size() != 1 {
		t.Errorf("the last entry: %v, %v", last, err)
	}
}
