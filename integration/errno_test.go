package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// An errnoCase is a call that must fail with one error.
type errnoCase struct {
	name string
	do   func(dir string) error
	want syscall.Errno
}

// run executes the case in a directory of its own below dir.
func (c errnoCase) run(t *testing.T, dir string) {
	t.Run(fmt.Sprintf("%s/%s", unix.ErrnoName(c.want), c.name), func(t *testing.T) {
		dir := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "_"))
		must(t, os.Mkdir(dir, 0o755))
		must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "dir/inside"), []byte("x"), 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644))
		must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
		must(t, os.Symlink("file", filepath.Join(dir, "link")))
		wantErrno(t, c.do(dir), c.want)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErrno(t testing.TB, err error, want syscall.Errno) {
	t.Helper()
	var got syscall.Errno
	if !errors.As(err, &got) || got != want {
		t.Errorf("got %v (%s), want %v (%s)", err, unix.ErrnoName(got), want, unix.ErrnoName(want))
	}
}

func openClose(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func rename(dir, from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, from), unix.AT_FDCWD, filepath.Join(dir, to), flags)
}

// errnoCases need nothing but a directory.
func errnoCases() []errnoCase {
	long := strings.Repeat("x", 256)
	return []errnoCase{
		{"mkdir", func(d string) error { return unix.Mkdir(d+"/dir", 0o755) }, unix.EEXIST},
		{"mkdir over file", func(d string) error { return unix.Mkdir(d+"/file", 0o755) }, unix.EEXIST},
		{"exclusive open", func(d string) error { return openClose(d+"/file", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY) }, unix.EEXIST},
		{"exclusive open of a link", func(d string) error { return openClose(d+"/loop", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY) }, unix.EEXIST},
		{"link", func(d string) error { return unix.Link(d+"/file", d+"/dir/inside") }, unix.EEXIST},
		{"symlink", func(d string) error { return unix.Symlink("x", d+"/file") }, unix.EEXIST},
		{"rename without replacing", func(d string) error { return rename(d, "file", "dir/inside", unix.RENAME_NOREPLACE) }, unix.EEXIST},
		{"mknod", func(d string) error { return unix.Mknod(d+"/file", unix.S_IFREG|0o644, 0) }, unix.EEXIST},

		{"rmdir", func(d string) error { return unix.Rmdir(d + "/dir") }, unix.ENOTEMPTY},
		{"rename over a full directory", func(d string) error {
			return errors.Join(unix.Mkdir(d+"/other", 0o755), rename(d, "other", "dir", 0))
		}, unix.ENOTEMPTY},

		{"open below a file", func(d string) error { return openClose(d+"/file/x", unix.O_RDONLY) }, unix.ENOTDIR},
		{"create below a file", func(d string) error { return openClose(d+"/file/x", unix.O_CREAT|unix.O_WRONLY) }, unix.ENOTDIR},
		{"rmdir of a file", func(d string) error { return unix.Rmdir(d + "/file") }, unix.ENOTDIR},
		{"rename of a directory over a file", func(d string) error { return rename(d, "dir", "file", 0) }, unix.ENOTDIR},
		{"open of a file as a directory", func(d string) error { return openClose(d+"/file", unix.O_DIRECTORY) }, unix.ENOTDIR},

		{"open to write", func(d string) error { return openClose(d+"/dir", unix.O_WRONLY) }, unix.EISDIR},
		{"unlink", func(d string) error { return unix.Unlink(d + "/dir") }, unix.EISDIR},
		{"rename of a file over a directory", func(d string) error { return rename(d, "file", "dir", 0) }, unix.EISDIR},
		{"read", func(d string) error { return readDirFD(d + "/dir") }, unix.EISDIR},
		{"truncate", func(d string) error { return unix.Truncate(d+"/dir", 0) }, unix.EISDIR},

		{"open", func(d string) error { return openClose(d+"/none", unix.O_RDONLY) }, unix.ENOENT},
		{"open below nothing", func(d string) error { return openClose(d+"/none/x", unix.O_CREAT|unix.O_WRONLY) }, unix.ENOENT},
		{"unlink of nothing", func(d string) error { return unix.Unlink(d + "/none") }, unix.ENOENT},
		{"rmdir of nothing", func(d string) error { return unix.Rmdir(d + "/none") }, unix.ENOENT},
		{"rename of nothing", func(d string) error { return rename(d, "none", "new", 0) }, unix.ENOENT},
		{"link to nothing", func(d string) error { return unix.Link(d+"/none", d+"/new") }, unix.ENOENT},
		{"open through a dangling link", func(d string) error {
			return errors.Join(unix.Symlink("none", d+"/dangling"), openClose(d+"/dangling", unix.O_RDONLY))
		}, unix.ENOENT},

		{"create with a long name", func(d string) error { return openClose(d+"/"+long, unix.O_CREAT|unix.O_WRONLY) }, unix.ENAMETOOLONG},
		{"stat of a long name", func(d string) error { return unix.Stat(d+"/"+long, new(unix.Stat_t)) }, unix.ENAMETOOLONG},
		{"mkdir with a long name", func(d string) error { return unix.Mkdir(d+"/"+long, 0o755) }, unix.ENAMETOOLONG},
		{"rename to a long name", func(d string) error { return rename(d, "file", long, 0) }, unix.ENAMETOOLONG},

		{"open of a loop", func(d string) error { return openClose(d+"/loop", unix.O_RDONLY) }, unix.ELOOP},
		{"open of a link not followed", func(d string) error { return openClose(d+"/link", unix.O_NOFOLLOW) }, unix.ELOOP},
		{"create below a loop", func(d string) error { return openClose(d+"/loop/x", unix.O_CREAT|unix.O_WRONLY) }, unix.ELOOP},

		{"rename into itself", func(d string) error { return rename(d, "dir", "dir/new", 0) }, unix.EINVAL},
		{"readlink of a file", func(d string) error { return readlink(d + "/file") }, unix.EINVAL},
		{"exchange", func(d string) error { return rename(d, "file", "dir/inside", unix.RENAME_EXCHANGE) }, unix.EINVAL},
		{"truncate below zero", func(d string) error { return unix.Truncate(d+"/file", -1) }, unix.EINVAL},

		{"link to a directory", func(d string) error { return unix.Link(d+"/dir", d+"/new") }, unix.EPERM},
	}
}

func readDirFD(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Read(fd, make([]byte, 10))
	return err
}

func readlink(path string) error {
	_, err := unix.Readlink(path, make([]byte, 10))
	return err
}

func listDir(path string) error {
	_, err := os.ReadDir(path)
	return err
}

func TestErrno(t *testing.T) {
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			m := mount(t, mountOptions{server: kind})
			for _, c := range errnoCases() {
				c.run(t, m.dir)
			}
		})
	}
	t.Run("local", func(t *testing.T) { // what a local directory answers is the measure
		dir := t.TempDir()
		for _, c := range errnoCases() {
			if c.name != "exchange" { // local file systems can
				c.run(t, dir)
			}
		}
	})
}
