package integration

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"seamount/fs"
)

// mountShared mounts as root for all users, on a directory that all can reach
// and in which all can write.
func mountShared(t *testing.T, kind serverKind) *mounted {
	t.Helper()
	needRoot(t)
	old := unix.Umask(0o022)
	t.Cleanup(func() { unix.Umask(old) })
	m := mount(t, mountOptions{server: kind, allowOther: true, mountpoint: userHome(t, 0)})
	must(t, os.Chmod(m.dir, 0o777))
	return m
}

func ownerOf(t testing.TB, path string) (uid, gid uint32, mode uint32) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Uid, st.Gid, st.Mode
}

// wantOwner fails the test unless the mount and the server both say so.
func (m *mounted) wantOwner(t testing.TB, name string, uid, gid, mode uint32) {
	t.Helper()
	must(t, m.sync())
	for _, dir := range []string{m.dir, m.served} {
		u, g, p := ownerOf(t, dir+"/"+name)
		if u != uid || g != gid || p&0o7777 != mode {
			t.Errorf("%s/%s: owner %d:%d mode %04o, want %d:%d %04o", dir, name, u, g, p&0o7777, uid, gid, mode)
		}
	}
}

// TestOtherUsers is about two users on a mount that root made for all.
func TestOtherUsers(t *testing.T) {
	alice := identity{uid: 12345, gid: 12345, groups: []int{777}}
	bob := identity{uid: 12346, gid: 12346}
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			m := mountShared(t, kind)
			t.Run("new files", func(t *testing.T) { testNewFiles(t, m, alice) })
			t.Run("permissions", func(t *testing.T) { testPermissions(t, m, alice, bob) })
			t.Run("set-group-ID directory", func(t *testing.T) { testSetgidDir(t, m, alice) })
			t.Run("sticky directory", func(t *testing.T) { testSticky(t, m, alice, bob) })
			t.Run("set-id bits", func(t *testing.T) { testSetID(t, m, alice) })
		})
	}
}

func testNewFiles(t *testing.T, m *mounted, who identity) {
	d := m.dir + "/"
	must(t, as(t, who, func() error {
		if m.opts.server.setsLinks() { // else it cannot be given to its maker, and is refused
			if err := os.Symlink("new", d+"newlink"); err != nil {
				return err
			}
		}
		return errors.Join(
			os.WriteFile(d+"new", []byte("x"), 0o640), os.Mkdir(d+"newdir", 0o750),
			unix.Mknod(d+"newnod", unix.S_IFREG|0o600, 0), os.WriteFile(d+"newdir/inside", nil, 0o600))
	}))
	for name, mode := range map[string]uint32{"new": 0o640, "newdir": 0o750, "newnod": 0o600, "newdir/inside": 0o600} {
		m.wantOwner(t, name, 12345, 12345, mode)
	}
	if m.opts.server.setsLinks() {
		m.wantOwner(t, "newlink", 12345, 12345, 0o777)
	}
}

func testPermissions(t *testing.T, m *mounted, owner, other identity) {
	d := m.dir + "/"
	must(t, as(t, owner, func() error {
		return errors.Join(os.WriteFile(d+"private", []byte("secret"), 0o600), os.Mkdir(d+"closed", 0o700),
			os.WriteFile(d+"closed/inside", nil, 0o666), os.WriteFile(d+"readable", []byte("x"), 0o644))
	}))
	for name, do := range map[string]func() error{
		"read":            func() error { return openClose(d+"private", unix.O_RDONLY) },
		"write":           func() error { return openClose(d+"readable", unix.O_WRONLY) },
		"look inside":     func() error { return unix.Stat(d+"closed/inside", new(unix.Stat_t)) },
		"list":            func() error { return listDir(d + "closed") },
		"create inside":   func() error { return openClose(d+"closed/x", unix.O_CREAT|unix.O_WRONLY) },
		"truncate":        func() error { return unix.Truncate(d+"readable", 0) },
		"access to write": func() error { return unix.Access(d+"readable", unix.W_OK) },
	} {
		t.Run(name, func(t *testing.T) { wantErrno(t, as(t, other, do), unix.EACCES) })
	}
	for name, do := range map[string]func() error{
		"chmod":     func() error { return unix.Chmod(d+"readable", 0o777) },
		"chown":     func() error { return unix.Chown(d+"readable", other.uid, -1) },
		"give away": func() error { return as(t, owner, func() error { return unix.Chown(d+"readable", other.uid, -1) }) },
	} {
		t.Run(name, func(t *testing.T) { wantErrno(t, as(t, other, do), unix.EPERM) })
	}
	must(t, as(t, other, func() error { return openClose(d+"readable", unix.O_RDONLY) }))
	m.wantOwner(t, "readable", 12345, 12345, 0o644)
}

func testSetgidDir(t *testing.T, m *mounted, who identity) {
	d := m.dir + "/group"
	must(t, os.Mkdir(d, 0o755))
	must(t, os.Chown(d, 0, 777))
	must(t, unix.Chmod(d, 0o2775))
	must(t, as(t, who, func() error {
		return errors.Join(os.WriteFile(d+"/file", nil, 0o644), os.Mkdir(d+"/dir", 0o755))
	}))
	m.wantOwner(t, "group/file", 12345, 777, 0o644)
	m.wantOwner(t, "group/dir", 12345, 777, 0o2755)
}

func testSticky(t *testing.T, m *mounted, owner, other identity) {
	d := m.dir + "/sticky"
	must(t, os.Mkdir(d, 0o755))
	must(t, unix.Chmod(d, 0o1777))
	must(t, as(t, owner, func() error { return os.WriteFile(d+"/mine", nil, 0o666) }))
	wantErrno(t, as(t, other, func() error { return unix.Unlink(d + "/mine") }), unix.EPERM)
	wantErrno(t, as(t, other, func() error { return unix.Rename(d+"/mine", d+"/yours") }), unix.EPERM)
	must(t, as(t, owner, func() error { return unix.Unlink(d + "/mine") }))
}

// testSetID: a write by who is not root takes the set-id bits away, and so
// does a change of owner by anyone.
func testSetID(t *testing.T, m *mounted, owner identity) {
	for name, do := range map[string]func(path string) error{
		"write": func(path string) error {
			return as(t, owner, func() error { return os.WriteFile(path, []byte("new"), 0) })
		},
		"truncate":      func(path string) error { return as(t, owner, func() error { return unix.Truncate(path, 1) }) },
		"chgrp":         func(path string) error { return as(t, owner, func() error { return unix.Chown(path, -1, 777) }) },
		"chown by root": func(path string) error { return unix.Chown(path, 12345, 12345) },
	} {
		t.Run(name, func(t *testing.T) {
			path := m.dir + "/setid-" + name
			must(t, as(t, owner, func() error {
				return errors.Join(os.WriteFile(path, []byte("old"), 0o755), unix.Chmod(path, 0o6755))
			}))
			if _, _, mode := ownerOf(t, path); mode&0o6000 != 0o6000 {
				t.Fatalf("mode %o before", mode)
			}
			must(t, do(path))
			must(t, m.sync())
			for _, dir := range []string{m.dir, m.served} {
				if _, _, mode := ownerOf(t, dir+"/setid-"+name); mode&0o6000 != 0 {
					t.Errorf("%s: mode %o: the set-id bits are still there", dir, mode)
				}
			}
		})
	}
}

// TestSymlinks is about links that lead out of the mount.
func TestSymlinks(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(outside+"/secret", []byte("local"), 0o644))
	links := func(served string) map[string]string {
		return map[string]string{
			"absolute": outside + "/secret", "up": "../" + "secret", "deep/up": "../../secret", "deep/twist": "x/../../../secret",
			"inside": "file", "deep/inside": "../file", "own": served + "/file", "dangling": "none",
		}
	}
	make := func(t *testing.T, m string) {
		must(t, os.WriteFile(m+"/file", []byte("inside"), 0o644))
		must(t, os.Mkdir(m+"/deep", 0o755))
		for name, target := range links(m) {
			must(t, os.Symlink(target, m+"/"+name))
		}
	}
	for _, kind := range serverKinds {
		t.Run(string(kind)+"/contain", func(t *testing.T) {
			m := mount(t, mountOptions{server: kind})
			make(t, m.served)
			for _, name := range []string{"absolute", "up", "deep/up", "deep/twist"} {
				wantErrno(t, readlink(m.dir+"/"+name), unix.EPERM)
				wantErrno(t, openClose(m.dir+"/"+name, unix.O_RDONLY), unix.EPERM)
			}
			for _, name := range []string{"inside", "deep/inside", "own"} {
				wantContent(t, m.dir+"/"+name, "inside")
			}
			if _, err := os.ReadDir(m.dir); err != nil {
				t.Errorf("a link that leads out hides the directory: %v", err)
			}
		})
		t.Run(string(kind)+"/raw", func(t *testing.T) {
			m := mount(t, mountOptions{server: kind, symlinks: fs.SymlinksRaw})
			make(t, m.served)
			for name, target := range links(m.served) {
				if got, err := os.Readlink(m.dir + "/" + name); err != nil || got != target {
					t.Errorf("readlink %s: %q, %v, want %q", name, got, err, target)
				}
			}
			wantContent(t, m.dir+"/absolute", "local")
		})
		t.Run(string(kind)+"/follow", func(t *testing.T) {
			m := mount(t, mountOptions{server: kind, symlinks: fs.SymlinksFollow})
			make(t, m.served)
			fi, err := os.Lstat(m.dir + "/absolute")
			if err != nil || !fi.Mode().IsRegular() {
				t.Errorf("lstat of a followed link: %v, %v", fi, err)
			}
			wantContent(t, m.dir+"/absolute", "local")
			wantContent(t, m.dir+"/deep/inside", "inside")
			if fi, err := os.Lstat(m.dir + "/dangling"); err == nil && fi.Mode().IsRegular() {
				t.Error("a dangling link appears as a file")
			}
		})
	}
}

func wantContent(t testing.TB, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: %q, %v, want %q", path, got, err, want)
	}
}
