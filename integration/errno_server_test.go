package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"seamount/cache"
)

// tmpfs mounts a file system of its own at dir/name, on the server's side.
func tmpfs(t testing.TB, dir, name, options string) {
	t.Helper()
	needRoot(t)
	path := filepath.Join(dir, name)
	must(t, os.Mkdir(path, 0o755))
	must(t, unix.Mount("tmpfs", path, "tmpfs", 0, options))
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestErrnoExdev moves and links between two file systems of the server.
func TestErrnoExdev(t *testing.T) {
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			served := emptyDir(t, "served")
			tmpfs(t, served, "a", "size=1m")
			tmpfs(t, served, "b", "size=1m")
			m := mount(t, mountOptions{server: kind, served: served})
			must(t, os.WriteFile(m.dir+"/a/file", []byte("x"), 0o644))
			must(t, os.Mkdir(m.dir+"/a/dir", 0o755))
			t.Run("rename", func(t *testing.T) { wantErrno(t, rename(m.dir, "a/file", "b/file", 0), unix.EXDEV) })
			t.Run("rename without replacing", func(t *testing.T) {
				wantErrno(t, rename(m.dir, "a/dir", "b/dir", unix.RENAME_NOREPLACE), unix.EXDEV)
			})
			t.Run("rename of a directory", func(t *testing.T) { wantErrno(t, rename(m.dir, "a/dir", "b/dir", 0), unix.EXDEV) })
			t.Run("link", func(t *testing.T) { wantErrno(t, unix.Link(m.dir+"/a/file", m.dir+"/b/file"), unix.EXDEV) })
			t.Run("mv copies", func(t *testing.T) {
				run(t, m.dir, "mv", "a/file", "a/dir", "b/")
				if got, err := os.ReadFile(served + "/b/file"); err != nil || string(got) != "x" {
					t.Errorf("after mv: %q, %v", got, err)
				}
			})
		})
	}
}

// writeUntilFull writes size bytes in pieces and returns the first error of
// write, fsync or close.
func writeUntilFull(path string, size, piece int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf := bytes.Repeat([]byte("full"), piece/4)
	for n := 0; n < size; n += piece {
		if _, err := f.Write(buf); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// TestErrnoEnospc fills a file system of the server.
func TestErrnoEnospc(t *testing.T) {
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			served := emptyDir(t, "served")
			tmpfs(t, served, "small", "size=256k")
			tmpfs(t, served, "few", "nr_inodes=4")
			m := mount(t, mountOptions{server: kind, served: served, faulty: true})
			t.Run("write", func(t *testing.T) {
				wantErrno(t, writeUntilFull(m.dir+"/small/file", 4<<20, 64<<10), unix.ENOSPC)
			})
			t.Run("close", func(t *testing.T) {
				must(t, os.Remove(m.dir+"/small/file"))
				f, err := os.Create(m.dir + "/small/file")
				must(t, err)
				_, werr := f.Write(make([]byte, 400<<10))
				wantErrno(t, errors.Join(werr, f.Close()), unix.ENOSPC)
			})
			t.Run("mkdir", func(t *testing.T) { wantErrno(t, makeMany(m.dir+"/few"), unix.ENOSPC) })
			t.Run("create", func(t *testing.T) {
				wantErrno(t, openClose(m.dir+"/few/new", unix.O_CREAT|unix.O_WRONLY), unix.ENOSPC)
			})
			t.Run("symlink", func(t *testing.T) { wantErrno(t, unix.Symlink("x", m.dir+"/few/link"), unix.ENOSPC) })
			t.Run("room again", func(t *testing.T) {
				must(t, os.Remove(m.dir+"/small/file"))
				must(t, os.WriteFile(m.dir+"/small/file", []byte("fits"), 0o644))
			})
		})
	}
}

// makeMany makes directories until it fails.
func makeMany(dir string) error {
	for i := range 100 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// changes are calls that a read-only file system refuses.
func changes() map[string]func(dir string) error {
	return map[string]func(dir string) error{
		"create":   func(d string) error { return openClose(d+"/new", unix.O_CREAT|unix.O_WRONLY) },
		"open":     func(d string) error { return openClose(d+"/file", unix.O_WRONLY) },
		"mkdir":    func(d string) error { return unix.Mkdir(d+"/new", 0o755) },
		"unlink":   func(d string) error { return unix.Unlink(d + "/file") },
		"rename":   func(d string) error { return rename(d, "file", "new", 0) },
		"symlink":  func(d string) error { return unix.Symlink("x", d+"/new") },
		"chmod":    func(d string) error { return unix.Chmod(d+"/file", 0o600) },
		"truncate": func(d string) error { return unix.Truncate(d+"/file", 0) },
		"rmdir":    func(d string) error { return unix.Rmdir(d + "/dir") },
	}
}

// TestErrnoErofs changes a file system of the server that is mounted
// read-only, and a mount that is.
func TestErrnoErofs(t *testing.T) {
	for _, kind := range serverKinds {
		served := emptyDir(t, "served")
		tmpfs(t, served, "ro", "size=1m")
		must(t, os.WriteFile(served+"/ro/file", []byte("x"), 0o644))
		must(t, os.Mkdir(served+"/ro/dir", 0o755))
		must(t, unix.Mount("", served+"/ro", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		for name, o := range map[string]mountOptions{
			// With durability=close chmod and truncate have no answer yet when they return.
			"server": {cache: cache.Options{Durability: cache.DurabilityCall}},
			"mount":  {readOnly: true},
		} {
			t.Run(fmt.Sprintf("%s/%s", kind, name), func(t *testing.T) {
				o.server, o.served, o.faulty = kind, served, true
				m := mount(t, o)
				for name, change := range changes() {
					t.Run(name, func(t *testing.T) { wantErrno(t, change(m.dir+"/ro"), unix.EROFS) })
				}
				if got, err := os.ReadFile(m.dir + "/ro/file"); err != nil || string(got) != "x" {
					t.Errorf("read: %q, %v", got, err)
				}
			})
		}
	}
}
