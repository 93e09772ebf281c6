package conn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"seamount/cache"
	"seamount/conn/wire"
)

// mount mounts something below dir for the time of the test.
func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	needRoot(t)
	if err := syscall.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("this test needs to mount (CAP_SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// errnoCase is an operation and how it must fail.
type errnoCase struct {
	name string
	want syscall.Errno
	op   func(ctx context.Context, c *Client) error
}

func runErrnoCases(t *testing.T, c *Client, cases []errnoCase) {
	t.Helper()
	for _, test := range cases {
		wantErrno(t, test.name, test.op(t.Context(), c), test.want)
	}
}

func opMkdir(path string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := c.Mkdir(ctx, path, 0o755); return err }
}

func opRmdir(path string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { return c.Rmdir(ctx, path) }
}

func opRemove(path string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { return c.Remove(ctx, path) }
}

func opRename(from, to string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { return c.Rename(ctx, from, to, false) }
}

func opNoReplace(from, to string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { return c.Rename(ctx, from, to, true) }
}

func opLink(from, to string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := c.Link(ctx, from, to); return err }
}

func opSymlink(path string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := c.Symlink(ctx, "x", path); return err }
}

func opList(path string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := listAll(ctx, c, path); return err }
}

func opReadlink(path string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := c.Readlink(ctx, path); return err }
}

func opStat(path string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { _, err := c.Stat(ctx, path); return err }
}

func opSetattr(path string, s cache.SetAttr) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error {
		_, err := c.StartSetattr(ctx, path, s).Wait(ctx)
		return err
	}
}

func opOpen(path string, flag cache.OpenFlag) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error {
		f, _, err := c.Open(ctx, path, flag, 0o644)
		if err == nil {
			return errors.Join(errors.New("it was opened"), f.Close(ctx))
		}
		return err
	}
}

const (
	create = cache.OpenWrite | cache.OpenCreate
	excl   = create | cache.OpenExclusive
)

func TestErrno(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		writeFile(t, dir, "file", "x")
		for _, d := range []string{"dir", "full", "full/sub", "empty"} {
			must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
		}
		must(t, os.Symlink("loop2", filepath.Join(dir, "loop1")))
		must(t, os.Symlink("loop1", filepath.Join(dir, "loop2")))
		must(t, os.Symlink("gone", filepath.Join(dir, "dangling")))
		runErrnoCases(t, c, []errnoCase{
			{"lstat of nothing", syscall.ENOENT, func(ctx context.Context, c *Client) error { _, err := c.Lstat(ctx, "no"); return err }},
			{"stat of a dangling link", syscall.ENOENT, opStat("dangling")},
			{"stat of a loop", syscall.ELOOP, opStat("loop1")},
			{"open of a loop", syscall.ELOOP, opOpen("loop1", cache.OpenRead)},
			{"open of nothing", syscall.ENOENT, opOpen("no", cache.OpenRead)},
			{"open below a file", syscall.ENOTDIR, opOpen("file/x", cache.OpenRead)},
			{"create below a file", syscall.ENOTDIR, opOpen("file/x", create)},
			{"create in no directory", syscall.ENOENT, opOpen("no/x", create)},
			{"open a directory for writing", syscall.EISDIR, opOpen("dir", cache.OpenWrite)},
			{"open a directory for reading", syscall.EISDIR, opOpen("dir", cache.OpenRead)},
			{"create of what exists", syscall.EEXIST, opOpen("file", excl)},
			{"create of a dangling link", syscall.EEXIST, opOpen("dangling", excl)},
			{"mkdir of what exists", syscall.EEXIST, opMkdir("file")},
			{"mkdir of a dangling link", syscall.EEXIST, opMkdir("dangling")},
			{"mkdir below a file", syscall.ENOTDIR, opMkdir("file/x")},
			{"mkdir in no directory", syscall.ENOENT, opMkdir("no/x")},
			{"symlink over a file", syscall.EEXIST, opSymlink("file")},
			{"symlink in no directory", syscall.ENOENT, opSymlink("no/x")},
			{"link over a file", syscall.EEXIST, opLink("file", "full")},
			{"link of nothing", syscall.ENOENT, opLink("no", "new")},
			{"link below a file", syscall.ENOTDIR, opLink("file", "file/x")},
			{"link of a directory", syscall.EPERM, opLink("dir", "new")},
			{"rmdir of what has entries", syscall.ENOTEMPTY, opRmdir("full")},
			{"rmdir of nothing", syscall.ENOENT, opRmdir("no")},
			{"unlink of nothing", syscall.ENOENT, opRemove("no")},
			{"unlink below a file", syscall.ENOTDIR, opRemove("file/x")},
			{"readlink of a file", syscall.EINVAL, opReadlink("file")},
			{"readlink of nothing", syscall.ENOENT, opReadlink("no")},
			{"list of a file", syscall.ENOTDIR, opList("file")},
			{"list of nothing", syscall.ENOENT, opList("no")},
			{"rename of nothing", syscall.ENOENT, opRename("no", "new")},
			{"rename into no directory", syscall.ENOENT, opRename("file", "no/x")},
			{"rename to below a file", syscall.ENOTDIR, opRename("dir", "file/x")},
			{"rename of a file over a directory", syscall.EISDIR, opRename("file", "dir")},
			{"rename of a directory over a file", syscall.ENOTDIR, opRename("dir", "file")},
			{"rename over what has entries", syscall.ENOTEMPTY, opRename("dir", "full")},
			{"rename into itself", syscall.EINVAL, opRename("full", "full/sub/x")},
			{"rename of the root", syscall.EBUSY, opRename("", "x")},
			{"noreplace over a file", syscall.EEXIST, opNoReplace("dir", "file")},
			{"noreplace of nothing", syscall.ENOENT, opNoReplace("no", "new")},
			{"chmod of nothing", syscall.ENOENT, opSetattr("no", cache.SetAttr{Valid: cache.SetMode})},
			{"truncate of a directory", syscall.EISDIR, opSetattr("dir", cache.SetAttr{Valid: cache.SetSize})},
			{"chmod of a link", syscall.ENOTSUP, opSetattr("dangling", cache.SetAttr{Valid: cache.SetMode, Mode: 0o600})},
		})
		if st, err := os.Lstat(filepath.Join(dir, "file")); err != nil || st.Size() != 1 {
			t.Errorf("the file was changed: %v, %v", st, err)
		}
	})
}

// pkg/sftp's server removes files and directories by either request.
func TestErrnoOfTypes(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir})
	writeFile(t, dir, "file", "x")
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
	deep := strings.Repeat(strings.Repeat("d", 250)+"/", 20)
	runErrnoCases(t, c, []errnoCase{
		{"rmdir of a file", syscall.ENOTDIR, opRmdir("file")},
		{"unlink of a directory", syscall.EISDIR, opRemove("dir")},
		{"mkdir of a path over PATH_MAX", syscall.ENAMETOOLONG, opMkdir(deep + "x")},
		{"open of a path over PATH_MAX", syscall.ENAMETOOLONG, opOpen(deep+"x", cache.OpenRead)},
		{"rename to a path over PATH_MAX", syscall.ENAMETOOLONG, opRename("file", deep+"x")},
		{"rmdir of the root", syscall.ENOTEMPTY, opRmdir("")},
	})
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	before, _ := os.Stat(filepath.Join(dir, "file"))
	uid := uint32(os.Getuid())
	if uid == 0 {
		uid = 7 // root may give files away
	}
	a, err := c.StartSetattr(t.Context(), "link", cache.SetAttr{Valid: cache.SetTimes | cache.SetUID, UID: uid, Mtime: 5, Atime: 5}).Wait(t.Context())
	must(t, err)
	after, _ := os.Stat(filepath.Join(dir, "file"))
	if a.Mtime != 5 || a.UID != uid || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("times and owner of a link: %+v; its target %v", a, after.ModTime())
	}
}

func TestErrnoFileSystems(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	for _, d := range []string{"here", "tmpfs", "ro", "ro/sub"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	writeFile(t, dir, "ro/file", "x")
	writeFile(t, dir, "file", "x")
	mount(t, "none", filepath.Join(dir, "tmpfs"), "tmpfs", 0, "size=64k,nr_inodes=20")
	mount(t, filepath.Join(dir, "ro"), filepath.Join(dir, "ro"), "", syscall.MS_BIND, "")
	must(t, syscall.Mount("", filepath.Join(dir, "ro"), "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	c := newTestClient(t, opensshDialer(t), Options{Root: dir})
	runErrnoCases(t, c, []errnoCase{
		{"rename to another file system", syscall.EXDEV, opRename("file", "tmpfs/file")},
		{"link to another file system", syscall.EXDEV, opLink("file", "tmpfs/file")},
		{"rmdir of a mount point", syscall.EBUSY, opRmdir("tmpfs")},
		{"mkdir, read-only", syscall.EROFS, opMkdir("ro/d")},
		{"create, read-only", syscall.EROFS, opOpen("ro/f", excl)},
		{"open to write, read-only", syscall.EROFS, opOpen("ro/file", cache.OpenWrite)},
		{"unlink, read-only", syscall.EROFS, opRemove("ro/file")},
		{"rmdir, read-only", syscall.EROFS, opRmdir("ro/sub")},
		{"rename, read-only", syscall.EROFS, opRename("ro/file", "ro/f")},
		{"symlink, read-only", syscall.EROFS, opSymlink("ro/l")},
		{"link, read-only", syscall.EROFS, opLink("ro/file", "ro/l")},
		{"chmod, read-only", syscall.EROFS, opSetattr("ro/file", cache.SetAttr{Valid: cache.SetMode, Mode: 0o600})},
		{"utimes, read-only", syscall.EROFS, opSetattr("ro/file", cache.SetAttr{Valid: cache.SetTimes})},
		{"truncate, read-only", syscall.EROFS, opSetattr("ro/file", cache.SetAttr{Valid: cache.SetSize})},
	})
	testNoSpace(t, c, dir)
}

func testNoSpace(t *testing.T, c *Client, dir string) {
	f := openFile(t, c, "tmpfs/f", create)
	defer closeFile(t, f)
	_, err := f.WriteAt(t.Context(), make([]byte, 200_000), 0)
	wantErrno(t, "write to a full file system", err, syscall.ENOSPC)
	writeFile(t, dir, "big", string(make([]byte, 200_000)))
	big := openFile(t, c, "big", cache.OpenRead)
	defer closeFile(t, big)
	_, err = big.CopyTo(t.Context(), f, 0, 200_000, 0)
	wantErrno(t, "copy to a full file system", err, syscall.ENOSPC)
	for i := range 20 {
		_ = os.WriteFile(filepath.Join(dir, "tmpfs", fmt.Sprint(i)), nil, 0o644)
	}
	runErrnoCases(t, c, []errnoCase{
		{"mkdir without inodes", syscall.ENOSPC, opMkdir("tmpfs/d")},
		{"create without inodes", syscall.ENOSPC, opOpen("tmpfs/new", excl)},
		{"symlink without inodes", syscall.ENOSPC, opSymlink("tmpfs/l")},
	})
}

func TestErrnoPermissions(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "file", "x")
	must(t, os.Chmod(filepath.Join(dir, "file"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "secret"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, "free"), 0o777))
	must(t, os.Chmod(filepath.Join(dir, "free"), 0o777))
	writeFile(t, dir, "free/theirs", "x")
	c := newTestClient(t, asNobody(t, dir), Options{Root: dir})
	closeFile(t, openFile(t, c, "home/own", create))
	runErrnoCases(t, c, []errnoCase{
		{"open", syscall.EACCES, opOpen("file", cache.OpenRead)},
		{"create", syscall.EACCES, opOpen("new", create)},
		{"mkdir", syscall.EACCES, opMkdir("new")},
		{"unlink", syscall.EACCES, opRemove("file")},
		{"list", syscall.EACCES, opList("secret")},
		{"symlink", syscall.EACCES, opSymlink("new")},
		{"link", syscall.EACCES, opLink("home/own", "new")},
		{"link of another's file", syscall.EPERM, opLink("file", "home/new")},
		{"stat", syscall.EACCES, opStat("secret/x")},
		{"rename", syscall.EACCES, opRename("file", "new")},
		{"truncate", syscall.EACCES, opSetattr("file", cache.SetAttr{Valid: cache.SetSize})},
		{"chmod", syscall.EPERM, opSetattr("file", cache.SetAttr{Valid: cache.SetMode, Mode: 0o777})},
		{"chown", syscall.EPERM, opSetattr("file", cache.SetAttr{Valid: cache.SetUID, UID: 65534})},
		{"utimes", syscall.EPERM, opSetattr("file", cache.SetAttr{Valid: cache.SetTimes})},
	})
}

func TestStatusErrno(t *testing.T) {
	for _, test := range []struct {
		code uint32
		text string
		want syscall.Errno
		sure bool
	}{
		{2, "No such file", syscall.ENOENT, false},
		{3, "Permission denied", syscall.EACCES, false},
		{4, "Failure", syscall.EIO, false},
		{5, "Bad message", syscall.EINVAL, false},
		{6, "", syscall.EIO, false},
		{8, "Operation unsupported", syscall.ENOTSUP, true},
		{9, "", syscall.EBADF, true},
		{10, "", syscall.ENOENT, true},
		{11, "", syscall.EEXIST, true},
		{12, "", syscall.EROFS, true},
		{14, "", syscall.ENOSPC, true},
		{15, "", syscall.EDQUOT, true},
		{17, "", syscall.EBUSY, true},
		{18, "", syscall.ENOTEMPTY, true},
		{19, "", syscall.ENOTDIR, true},
		{20, "", syscall.EINVAL, true},
		{21, "", syscall.ELOOP, true},
		{24, "", syscall.EISDIR, true},
		{99, "", syscall.EIO, false},
		{4, "mkdir /a: file exists", syscall.EEXIST, true},
		{4, "File Already Exists.", syscall.EEXIST, true},
		{4, "remove /a: directory not empty", syscall.ENOTEMPTY, true},
		{4, "No space left on device", syscall.ENOSPC, true},
		{4, "Disk quota exceeded", syscall.EDQUOT, true},
		{4, "rename a b: invalid cross-device link", syscall.EXDEV, true},
		{4, "open a: read-only file system", syscall.EROFS, true},
		{4, "open a: is a directory", syscall.EISDIR, true},
		{4, "open a: not a directory", syscall.ENOTDIR, true},
		{4, "open a: file name too long", syscall.ENAMETOOLONG, true},
		{4, "stat a: too many levels of symbolic links", syscall.ELOOP, true},
		{4, "open a: too many open files", syscall.ENFILE, true},
		{3, "chmod a: operation not permitted", syscall.EPERM, true},
		{4, "open /no space/is a directory: input/output error", syscall.EIO, false},
	} {
		got, sure := statusErrno(&wire.StatusError{Code: test.code, Msg: test.text})
		if got != test.want || sure != test.sure {
			t.Errorf("status %d %q: %v, %t; want %v, %t", test.code, test.text, got, sure, test.want, test.sure)
		}
	}
}

// What may not be a target of a symbolic link, or an offset, is not sent.
func TestErrnoWithoutAsking(t *testing.T) {
	c := newTestClient(t, opensshDialer(t), Options{Root: t.TempDir()})
	for target, want := range map[string]syscall.Errno{
		"": syscall.ENOENT, "a\x00b": syscall.EINVAL, strings.Repeat("x", 4096): syscall.ENAMETOOLONG,
	} {
		_, err := c.Symlink(t.Context(), target, "l")
		wantErrno(t, "symlink", err, want)
	}
	f := openFile(t, c, "f", cache.OpenRead|create)
	defer closeFile(t, f)
	_, err := f.ReadAt(t.Context(), make([]byte, 1), -1)
	wantErrno(t, "a negative offset", err, syscall.EINVAL)
	_, err = f.WriteAt(t.Context(), make([]byte, 10), 1<<63-5)
	wantErrno(t, "an offset beyond all files", err, syscall.EINVAL)
	_, err = f.WriteAt(t.Context(), make([]byte, 10), 1<<62)
	wantErrno(t, "a file that is too large", err, syscall.EFBIG)
	_, err = f.Setattr(t.Context(), cache.SetAttr{Valid: cache.SetSize, Size: 1 << 62})
	wantErrno(t, "a size that is too large", err, syscall.EFBIG)
}
