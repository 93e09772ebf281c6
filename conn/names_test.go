package conn

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seamount/cache"
)

func TestLstatStat(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		writeFile(t, dir, "f", "hello")
		must(t, os.Symlink("f", filepath.Join(dir, "l")))
		at := time.Unix(1700000000, 0) // one for both: pkg/sftp's server tells the mtime twice
		must(t, os.Chtimes(filepath.Join(dir, "f"), at, at))
		got, err := c.Stat(t.Context(), "l")
		must(t, err)
		want := cache.Attr{
			Size: 5, Mode: syscall.S_IFREG | 0o644, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
			Atime: at.Unix(), Mtime: at.Unix(),
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("Stat (-want +got):\n%s", d)
		}
		if a, err := c.Lstat(t.Context(), "l"); err != nil || !isLink(a.Mode) {
			t.Errorf("Lstat of a link: %+v, %v", a, err)
		}
		if a, err := c.Lstat(t.Context(), ""); err != nil || !isDir(a.Mode) {
			t.Errorf("Lstat of the root: %+v, %v", a, err)
		}
		if target, err := c.Readlink(t.Context(), "l"); err != nil || target != "f" {
			t.Errorf("Readlink: %q, %v", target, err)
		}
	})
}

func TestMkdirMode(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		for _, mode := range []uint32{0o755, 0o700, 0o777, 0o1777, 0o2770} {
			name := fmt.Sprintf("d%o", mode)
			a, err := c.Mkdir(t.Context(), name, mode)
			must(t, err)
			var st syscall.Stat_t
			must(t, syscall.Lstat(filepath.Join(dir, name), &st))
			if want := syscall.S_IFDIR | mode; a.Mode != want || st.Mode != want {
				t.Errorf("mode %o: told %o, is %o", mode, a.Mode, st.Mode)
			}
		}
	})
}

func TestMkdirInheritsGroupBit(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		must(t, os.Chmod(dir, 0o755|os.ModeSetgid))
		a, err := c.Mkdir(t.Context(), "d", 0o777)
		must(t, err)
		if a.Mode != syscall.S_IFDIR|0o2777 {
			t.Errorf("mode %o, want the set-group-id bit of the directory above kept", a.Mode)
		}
	})
}

func TestNames(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		ctx := t.Context()
		writeFile(t, dir, "a", "A")
		a, err := c.Symlink(ctx, "nowhere/at all", "s")
		must(t, err)
		if !isLink(a.Mode) {
			t.Errorf("a symbolic link has mode %o", a.Mode)
		}
		if target, _ := os.Readlink(filepath.Join(dir, "s")); target != "nowhere/at all" {
			t.Errorf("target %q", target)
		}
		a, err = c.Link(ctx, "a", "b")
		must(t, err)
		if a.Size != 1 {
			t.Errorf("attributes of a link: %+v", a)
		}
		must(t, c.Rename(ctx, "b", "c", false))
		must(t, c.Rename(ctx, "c", "d", true))
		wantErrno(t, "rename over a name with noReplace", c.Rename(ctx, "a", "d", true), syscall.EEXIST)
		writeFile(t, dir, "x", "X")
		must(t, c.Rename(ctx, "x", "a", false))
		if b, _ := os.ReadFile(filepath.Join(dir, "a")); string(b) != "X" {
			t.Errorf("replaced file holds %q", b)
		}
		must(t, c.Remove(ctx, "a"))
		must(t, c.Remove(ctx, "s"))
		_, err = c.Mkdir(ctx, "sub", 0o755)
		must(t, err)
		must(t, c.Rmdir(ctx, "sub"))
		left, _ := os.ReadDir(dir)
		if len(left) != 1 || left[0].Name() != "d" {
			t.Errorf("left over: %v", left)
		}
	})
}

// listAll reads a whole directory.
func listAll(ctx context.Context, c *Client, path string) ([]cache.Entry, error) {
	var all []cache.Entry
	err := c.List(ctx, path, func(e []cache.Entry) error {
		all = append(all, e...)
		return nil
	})
	slices.SortFunc(all, func(a, b cache.Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

func TestList(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		for _, count := range []int{0, 1, 99, 100, 101, 1100} {
			sub := filepath.Join(dir, fmt.Sprint(count))
			must(t, os.Mkdir(sub, 0o755))
			var want []string
			for i := range count {
				name := fmt.Sprintf("n%05d\n\xff", i)
				want = append(want, name)
				writeFile(t, sub, name, "")
			}
			got, err := listAll(t.Context(), c, fmt.Sprint(count))
			must(t, err)
			var names []string
			for _, e := range got {
				names = append(names, e.Name)
				if e.Attr.Mode != syscall.S_IFREG|0o644 {
					t.Fatalf("%q has mode %o", e.Name, e.Attr.Mode)
				}
			}
			if !slices.Equal(names, want) {
				t.Errorf("%d names instead of %d", len(names), count)
			}
		}
	})
}

func TestListLinkCount(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir})
	writeFile(t, dir, "a", "")
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	got, err := listAll(t.Context(), c, "")
	must(t, err)
	if len(got) != 2 || got[0].Attr.Nlink != 2 || got[1].Attr.Nlink != 2 {
		t.Errorf("%+v, want two links each", got)
	}
}

func TestListStopped(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		for i := range 1500 { // more than is asked for ahead
			writeFile(t, dir, fmt.Sprint(i), "")
		}
		want := fmt.Errorf("enough")
		if err := c.List(t.Context(), "", func([]cache.Entry) error { return want }); err != want {
			t.Errorf("List: %v, want the error of its function", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := c.List(ctx, "", func([]cache.Entry) error { cancel(); return nil })
		wantErrno(t, "List cancelled", err, syscall.EINTR)
		if n := c.Info().Handles; n != 0 {
			t.Errorf("%d handles left", n)
		}
	})
}

func TestPathsStayInside(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, pkgDialer(nil), Options{Root: dir})
	for _, p := range []string{"..", "a/../..", "/etc", "a//b", ".", "a/", "a\x00b"} {
		_, err := c.Lstat(t.Context(), p)
		wantErrno(t, fmt.Sprintf("Lstat(%q)", p), err, syscall.EINVAL)
	}
	_, err := c.Lstat(t.Context(), strings.Repeat("x", 256))
	wantErrno(t, "a name of 256 bytes", err, syscall.ENAMETOOLONG)
	_, err = c.Lstat(t.Context(), strings.Repeat("x/", 20000)+"x")
	wantErrno(t, "a path of 40 kB", err, syscall.ENAMETOOLONG)
}

func TestStatfsAndNames(t *testing.T) {
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		got, err := c.Statfs(t.Context(), "")
		must(t, err)
		var want syscall.Statfs_t
		must(t, syscall.Statfs(dir, &want))
		if got.Blocks != want.Blocks || got.BlockSize != uint64(want.Bsize) || got.NameMax != 255 || got.ReadOnly {
			t.Errorf("Statfs: %+v, want %+v", got, want)
		}
		users, groups, err := c.Names(t.Context(), []uint32{0, 4000000000}, []uint32{0})
		if !c.pool.metaSession().Caps().UsersGroups {
			wantErrno(t, "Names", err, syscall.ENOTSUP)
			return
		}
		must(t, err)
		if d := cmp.Diff([]string{"root", ""}, users); d != "" || len(groups) != 1 || groups[0] != "root" {
			t.Errorf("Names: %q %q", users, groups)
		}
	})
}
