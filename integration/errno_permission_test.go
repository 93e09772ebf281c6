package integration

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// permissionCases are those that root does not know.
func permissionCases() []errnoCase {
	return []errnoCase{
		{"open", func(d string) error {
			return errors.Join(unix.Chmod(d+"/file", 0), openClose(d+"/file", unix.O_RDONLY))
		}, unix.EACCES},
		{"open to write", func(d string) error {
			return errors.Join(unix.Chmod(d+"/file", 0o444), openClose(d+"/file", unix.O_WRONLY))
		}, unix.EACCES},
		{"create", func(d string) error {
			return errors.Join(unix.Chmod(d+"/dir", 0o555), openClose(d+"/dir/new", unix.O_CREAT|unix.O_WRONLY))
		}, unix.EACCES},
		{"mkdir", func(d string) error {
			return errors.Join(unix.Chmod(d+"/dir", 0o555), unix.Mkdir(d+"/dir/new", 0o755))
		}, unix.EACCES},
		{"unlink", func(d string) error {
			return errors.Join(unix.Chmod(d+"/dir", 0o555), unix.Unlink(d+"/dir/inside"))
		}, unix.EACCES},
		{"list", func(d string) error {
			return errors.Join(unix.Chmod(d+"/dir", 0), listDir(d+"/dir"))
		}, unix.EACCES},
		{"give away", func(d string) error { return unix.Chown(d+"/file", 0, -1) }, unix.EPERM},
	}
}

// TestErrnoPermission is about an ordinary user's own mount.
func TestErrnoPermission(t *testing.T) {
	if !asUser() {
		rerunAs(t, nobody, "TestErrnoPermission")
		return
	}
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			m := mount(t, mountOptions{server: kind})
			for _, c := range permissionCases() {
				c.run(t, m.dir)
			}
			allowRemoval(t, m.served)
		})
	}
}

// allowRemoval gives the owner back what the cases took away.
func allowRemoval(t *testing.T, dir string) {
	dirs, err := filepath.Glob(dir + "/*/dir")
	must(t, err)
	for _, d := range dirs {
		must(t, os.Chmod(d, 0o755))
	}
}
