package integration

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"seamount/cache"
)

// TestLimits: what SFTP cannot say has an errno, or a value that is always the
// same.
func TestLimits(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		file, dir := m.dir+"/file", m.dir+"/dir"
		must(t, os.WriteFile(file, []byte("x"), 0o644))
		must(t, errors.Join(os.Mkdir(dir, 0o755), os.Mkdir(dir+"/sub", 0o755)))
		wantErrno(t, unix.Setxattr(file, "user.x", []byte("v"), 0), unix.EOPNOTSUPP)
		_, err := unix.Getxattr(file, "user.x", make([]byte, 10))
		wantErrno(t, err, unix.EOPNOTSUPP)
		_, err = unix.Open(m.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		wantErrno(t, err, unix.EOPNOTSUPP)
		for _, kind := range []uint32{unix.S_IFIFO, unix.S_IFSOCK} {
			wantErrno(t, unix.Mknod(m.dir+"/special", kind|0o600, 0), unix.EPERM)
		}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, file, []unix.Timespec{{Sec: 1e9, Nsec: 5e8}, {Sec: 1e9 + 1, Nsec: 9e8}}, 0))
		must(t, m.sync())
		var st unix.Stat_t
		must(t, unix.Stat(file, &st))
		if want := (unix.Timespec{Sec: 1e9 + 1}); st.Mtim != want || st.Ctim != want {
			t.Errorf("mtime %v, ctime %v, want %v", st.Mtim, st.Ctim, want)
		}
		must(t, unix.Stat(dir, &st))
		if st.Nlink != 1 {
			t.Errorf("a directory has %d links", st.Nlink)
		}
	})
}

// TestSafeSave: when the rename over the old file has returned, the server has
// the new one, though nobody has waited for its mode and times.
func TestSafeSave(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		must(t, os.WriteFile(m.dir+"/file", []byte("old"), 0o644))
		for i := range 50 {
			content := strings.Repeat("new", i*100)
			mtime, mode := int64(1e9+i), os.FileMode(0o600+i%8)
			must(t, os.WriteFile(m.dir+"/.tmp", []byte(content), 0o644))
			must(t, os.Chtimes(m.dir+"/.tmp", time.Unix(mtime, 0), time.Unix(mtime, 0)))
			must(t, os.Chmod(m.dir+"/.tmp", mode))
			must(t, os.Rename(m.dir+"/.tmp", m.dir+"/file"))
			wantFile(t, m.served+"/file", content, mode)
			if fi, err := os.Stat(m.served + "/file"); err != nil || fi.ModTime().Unix() != mtime {
				t.Fatalf("round %d: mtime %v, want %d; %v", i, fi.ModTime(), mtime, err)
			}
		}
	})
}

// TestLocks: locks are between the programs of one mount.
func TestLocks(t *testing.T) {
	served := emptyDir(t, "served")
	must(t, os.WriteFile(served+"/file", []byte("x"), 0o644))
	lock := func(m *mounted) error {
		f, err := os.Open(m.dir + "/file")
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	one := mount(t, mountOptions{served: served})
	other := mount(t, mountOptions{served: served, mountpoint: emptyDir(t, "other"), second: true})
	must(t, lock(one))
	wantErrno(t, lock(one), unix.EWOULDBLOCK)
	must(t, lock(other))
}

// TestForeignChanges: what is changed on the server is seen through the mount,
// past its cache and the kernel's, when the time to live is over.
func TestForeignChanges(t *testing.T) {
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			life := 100 * time.Millisecond
			m := mount(t, mountOptions{server: kind, cache: cache.Options{AttrTTLMin: life, AttrTTLMax: life, OpenTTL: life}})
			in := func(dir string) map[string]string {
				return map[string]string{"changed": dir + "/changed", "removed": dir + "/removed", "new": dir + "/new"}
			}
			here, there := in(m.dir), in(m.served)
			must(t, os.WriteFile(here["changed"], []byte("old"), 0o644))
			must(t, os.WriteFile(here["removed"], []byte("old"), 0o644))
			must(t, listDir(m.dir))
			wantErrno(t, openClose(here["new"], unix.O_RDONLY), unix.ENOENT) // the kernel keeps that, too
			must(t, errors.Join(os.WriteFile(there["changed"], []byte("longer"), 0), os.Chmod(there["changed"], 0o600),
				os.Remove(there["removed"]), os.WriteFile(there["new"], []byte("new"), 0o644)))
			settles(t, "old attributes", func() string {
				fi, err := os.Lstat(here["changed"])
				return differs(err != nil || fi.Size() != 6 || fi.Mode() != 0o600)
			})
			settles(t, "old content", func() string {
				got, err := os.ReadFile(here["changed"])
				return differs(err != nil || string(got) != "longer")
			})
			settles(t, "a removed name", func() string {
				return differs(!errors.Is(openClose(here["removed"], unix.O_RDONLY), unix.ENOENT))
			})
			settles(t, "the lack of a new name", func() string { return differs(openClose(here["new"], unix.O_RDONLY) != nil) })
			settles(t, "an old listing", func() string {
				entries, err := os.ReadDir(m.dir)
				return differs(err != nil || len(entries) != 2 || entries[0].Name() != "changed" || entries[1].Name() != "new")
			})
		})
	}
}

func differs(yes bool) string {
	if yes {
		return "differs"
	}
	return ""
}

// aged is a server with a file "old" and, once it is there, one named "new";
// file and directory were last changed at mtime. It can do nothing else.
type aged struct {
	cache.Remote
	mtime   int64
	changed atomic.Bool // the file's mode, and that "new" is there
}

func (a *aged) Features() cache.Features { return cache.Features{} }

func (a *aged) Lstat(_ context.Context, path string) (cache.Attr, error) {
	file := cache.Attr{Mode: syscall.S_IFREG | 0o644, Mtime: a.mtime, Nlink: 1}
	switch {
	case path == "":
		return cache.Attr{Mode: syscall.S_IFDIR | 0o755, Mtime: a.mtime, Nlink: 1}, nil
	case path == "old" && a.changed.Load():
		file.Mode = syscall.S_IFREG | 0o600
	case path == "new" && !a.changed.Load():
		return cache.Attr{}, syscall.ENOENT
	}
	return file, nil
}

func (a *aged) Stat(ctx context.Context, path string) (cache.Attr, error) { return a.Lstat(ctx, path) }

func (a *aged) List(ctx context.Context, _ string, each func([]cache.Entry) error) error {
	entries := []cache.Entry{{Name: "old"}, {Name: "new"}}
	if !a.changed.Load() {
		entries = entries[:1]
	}
	for i, e := range entries {
		entries[i].Attr, _ = a.Lstat(ctx, e.Name)
	}
	return each(entries)
}

// TestTimeToLive: attributes, listings and the lack of a name are believed for a
// tenth of the age of the file or directory, but at least 3 s and at most 60 s.
func TestTimeToLive(t *testing.T) {
	for age, life := range map[time.Duration]time.Duration{
		0: 3 * time.Second, 200 * time.Second: 20 * time.Second, 24 * time.Hour: time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &aged{mtime: time.Now().Add(-age).Unix()}
			tree := cache.New(a, cache.Options{NoPrefetch: true})
			root, err := tree.Root(t.Context())
			must(t, err)
			names := func() int {
				d, err := root.OpenDir(t.Context())
				must(t, err)
				return d.Len()
			}
			mode := func() uint32 {
				_, st, err := root.Lookup(t.Context(), "old")
				must(t, err)
				return st.Mode & 0o777
			}
			there := func() bool {
				_, _, err := root.Lookup(t.Context(), "new")
				return err == nil
			}
			wasThere := names() == 2 || mode() == 0o600 || there()
			a.changed.Store(true)
			time.Sleep(life - time.Millisecond)
			if wasThere || there() || mode() == 0o600 || names() == 2 {
				t.Errorf("age %v: asked again before %v", age, life)
			}
			time.Sleep(life / 10)
			if !there() || mode() != 0o600 || names() != 2 {
				t.Errorf("age %v: not asked again after %v", age, life)
			}
			must(t, tree.Close(context.Background()))
		})
	}
}
