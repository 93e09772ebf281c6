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
		"OpenSymlinkRace": "SFTP opens by path, and follows links: a name replaced twice between look-up and " +
			"OPEN is ESTALE; go-fuse's own TestAll leaves it out",
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
