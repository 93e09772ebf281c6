package conn

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"seamount/cache"
)

// attrBlock encodes attributes with type and permission bits only.
func attrBlock(mode uint32) []byte { return cat(u32(4), u32(mode)) }

// listingOf is a filter whose server has the given NAME replies for a listing,
// then the end; forever repeats the last one for ever.
func listingOf(forever bool, replies ...*packet) *filter {
	next := 0
	return &filter{request: func(req *packet) *packet {
		if req.typ != reqReaddir {
			return nil
		}
		if next >= len(replies) && !forever {
			return statusReply(1, "End of file")
		}
		rep := replies[min(next, len(replies)-1)]
		next++
		return &packet{typ: rep.typ, body: rep.body}
	}}
}

func hostile(t *testing.T, f *filter, o Options) (*Client, string) {
	dir := t.TempDir()
	o.Root = dir
	return newTestClient(t, pkgDialer(f), o), dir
}

func TestListBadNames(t *testing.T) {
	file := attrBlock(syscall.S_IFREG | 0o644)
	bad := []string{"", "a/b", "/", "nul\x00", strings.Repeat("x", 256), "../up", "good", "good"}
	entries := [][]byte{nameEntry(".", "", file), nameEntry("..", "", file), nameEntry("good", "", file)}
	for _, name := range bad {
		entries = append(entries, nameEntry(name, "", file))
	}
	entries = append(entries,
		nameEntry("odd type", "", attrBlock(0o030644)),
		nameEntry(strings.Repeat("y", 255), "", file),
		nameEntry("\xff\n", "", file))
	var log logTo
	c, _ := hostile(t, listingOf(false, nameReply(entries...)), Options{Log: log.logger()})
	got, err := listAll(t.Context(), c, "")
	must(t, err)
	var names []string
	for _, e := range got {
		names = append(names, e.Name)
	}
	if want := []string{"good", strings.Repeat("y", 255), "\xff\n"}; !slices.Equal(names, want) {
		t.Errorf("listed %q, want %q", names, want)
	}
	if n := log.count(); n != maxComplaints {
		t.Errorf("%d lines logged, want %d", n, maxComplaints)
	}
}

func TestListWithoutEnd(t *testing.T) {
	file := attrBlock(syscall.S_IFREG | 0o644)
	for name, reply := range map[string]*packet{
		"repeating": nameReply(nameEntry("a", "", file), nameEntry("b", "", file)),
		"empty":     nameReply(),
		"dots":      nameReply(nameEntry(".", "", file)),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := hostile(t, listingOf(true, reply), Options{})
			_, err := listAll(t.Context(), c, "")
			wantErrno(t, "List", err, syscall.EIO)
		})
	}
	t.Run("new names", func(t *testing.T) {
		var asked atomic.Int64
		f := &filter{request: func(req *packet) *packet {
			if req.typ != reqReaddir {
				return nil
			}
			var entries [][]byte
			for range 100 {
				entries = append(entries, nameEntry(fmt.Sprint(asked.Add(1)), "", file))
			}
			return nameReply(entries...)
		}}
		c, _ := hostile(t, f, Options{})
		c.maxEntries = 1000
		_, err := listAll(t.Context(), c, "")
		wantErrno(t, "List", err, syscall.EIO)
		if n := asked.Load(); n > 1000+100*(maxReaddirs+2) {
			t.Errorf("the server was asked for %d names", n)
		}
	})
	t.Run("an error in the middle", func(t *testing.T) {
		c, _ := hostile(t, listingOf(true, nameReply(nameEntry("a", "", file)), statusReply(4, "Failure")), Options{})
		got, err := listAll(t.Context(), c, "")
		wantErrno(t, "List", err, syscall.EIO)
		if len(got) != 1 {
			t.Errorf("%d entries before the error", len(got))
		}
	})
}

// Types come from the long name, owner and times from what is known, where a
// server leaves them out.
func TestListSparseAttributes(t *testing.T) {
	none := u32(0)
	reply := nameReply(
		nameEntry("dir", "drwxr-xr-x 2 a b 0 Jan 1 00:00 dir", none),
		nameEntry("file", "-rw-r--r-- 1 a b 0 Jan 1 00:00 file", none),
		nameEntry("link", "lrwxrwxrwx 1 a b 0 Jan 1 00:00 link", attrBlock(0o777)),
		nameEntry("plain", "", none),
		nameEntry("typed", "drwx------", attrBlock(syscall.S_IFREG|0o600)),
		nameEntry("vast", "", cat(u32(1), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})),
	)
	c, _ := hostile(t, listingOf(false, reply, reply), Options{UID: 11, GID: 12})
	c.attrs.uid, c.attrs.gid = 11, 12
	got, err := listAll(t.Context(), c, "")
	must(t, err)
	modes := map[string]uint32{
		"dir": syscall.S_IFDIR | 0o755, "file": syscall.S_IFREG | 0o644, "link": syscall.S_IFLNK | 0o777,
		"plain": syscall.S_IFREG | 0o644, "typed": syscall.S_IFREG | 0o600, "vast": syscall.S_IFREG | 0o644,
	}
	if len(got) != len(modes) {
		t.Fatalf("%d entries: %+v", len(got), got)
	}
	for _, e := range got {
		if e.Attr.Mode != modes[e.Name] || e.Attr.UID != 11 || e.Attr.GID != 12 || e.Attr.Mtime != c.attrs.start.Unix() {
			t.Errorf("%s: %+v", e.Name, e.Attr)
		}
		if e.Name == "vast" && e.Attr.Size != 1<<63-1 {
			t.Errorf("size %d", e.Attr.Size)
		}
	}
}

func TestTimes(t *testing.T) {
	c, _ := hostile(t, nil, Options{})
	for _, test := range []struct {
		wire uint32
		want int64
	}{
		{0, 0}, {1, 1}, {1 << 31, 1 << 31}, {4294967291, -5}, {4294967295, -1},
		{uint32(c.attrs.start.Unix()) + 86400, c.attrs.start.Unix() + 86400},
	} {
		want := test.want
		if far := c.attrs.start.Add(farFuture).Unix(); want > far {
			want -= 1 << 32
		}
		if got := c.attrs.time(test.wire); got != want {
			t.Errorf("%d: %d, want %d", test.wire, got, want)
		}
	}
}

func TestAbsurdAnswers(t *testing.T) {
	attrs := func(mode uint32) *packet { return &packet{typ: repAttrs, body: attrBlock(mode)} }
	f := &filter{request: func(req *packet) *packet {
		if len(req.body) < 4 {
			return nil
		}
		path := string(req.body[4:])
		switch {
		case req.typ == reqLstat && strings.HasSuffix(path, "odd"):
			return attrs(0o030644)
		case req.typ == reqReadlink && strings.HasSuffix(path, "nul"):
			return nameReply(nameEntry("a\x00b", "", u32(0)))
		case req.typ == reqReadlink && strings.HasSuffix(path, "long"):
			return nameReply(nameEntry(strings.Repeat("x", 5000), "", u32(0)))
		case req.typ == reqReadlink && strings.HasSuffix(path, "empty"):
			return nameReply(nameEntry("", "", u32(0)))
		case req.typ == reqReadlink:
			return nameReply()
		case req.typ == reqLstat && strings.HasSuffix(path, "handle"):
			return &packet{typ: 102, body: str("h")}
		}
		return nil
	}}
	c, _ := hostile(t, f, Options{})
	for _, path := range []string{"odd", "handle"} {
		_, err := c.Lstat(t.Context(), path)
		wantErrno(t, "Lstat of "+path, err, syscall.EIO)
	}
	for _, path := range []string{"nul", "long", "empty", "none"} {
		_, err := c.Readlink(t.Context(), path)
		wantErrno(t, "Readlink of "+path, err, syscall.EIO)
	}
	_, err := c.Lstat(t.Context(), "")
	wantErrno(t, "what is right, afterwards", err, 0)
}

// withoutExtensions is a filter for a server that offers none, and whose
// RENAME does not replace.
func withoutExtensions() *filter {
	return &filter{
		request: func(req *packet) *packet {
			if req.typ == reqRename {
				n := binary.BigEndian.Uint32(req.body)
				to := string(req.body[4+n+4:])
				if _, err := os.Lstat(to); err == nil {
					return statusReply(4, "Failure")
				}
			}
			return nil
		},
		reply: func(req, rep *packet) *packet {
			if req.typ == reqInit {
				rep.body = nil
			}
			return rep
		},
	}
}

func TestWithoutExtensions(t *testing.T) {
	c, dir := hostile(t, withoutExtensions(), Options{})
	writeFile(t, dir, "a", "A")
	writeFile(t, dir, "b", "B")
	for _, d := range []string{"d1", "d2", "d3"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	writeFile(t, dir, "d3/x", "")
	runErrnoCases(t, c, []errnoCase{
		{"link", syscall.ENOTSUP, opLink("a", "l")},
		{"noreplace", syscall.EEXIST, opNoReplace("a", "b")},
		{"rename over what has entries", syscall.ENOTEMPTY, opRename("d1", "d3")},
		{"rename of a file over a directory", syscall.EISDIR, opRename("a", "d1")},
		{"rename of a directory over a file", syscall.ENOTDIR, opRename("d1", "a")},
		{"rename of nothing", syscall.ENOENT, opRename("no", "a")},
		{"rename to itself", 0, opRename("a", "a")},
		{"rename over a file", 0, opRename("a", "b")},
		{"rename over a directory", 0, opRename("d1", "d2")},
		{"noreplace to a new name", 0, opNoReplace("b", "c")},
	})
	_, err := c.Statfs(t.Context(), "")
	wantErrno(t, "Statfs", err, syscall.ENOTSUP)
	f := openFile(t, c, "c", cache.OpenWrite)
	wantErrno(t, "Sync", f.Sync(t.Context()), syscall.ENOTSUP)
	closeFile(t, f)
	left, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if want := []string{"c", "d2", "d3"}; !slices.Equal(names, want) {
		t.Errorf("left over: %q, want %q", names, want)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "c")); string(b) != "A" {
		t.Errorf("the renamed file holds %q", b)
	}
}

// A replacing rename in steps that fails halfway puts back what was there.
func TestRenameRollback(t *testing.T) {
	f := withoutExtensions()
	plain := f.request
	f.request = func(req *packet) *packet {
		if req.typ == reqRename {
			n := binary.BigEndian.Uint32(req.body)
			if strings.HasSuffix(string(req.body[4:4+n]), "/new") {
				return statusReply(3, "Permission denied")
			}
		}
		return plain(req)
	}
	c, dir := hostile(t, f, Options{})
	writeFile(t, dir, "new", "new")
	writeFile(t, dir, "old", "old")
	wantErrno(t, "Rename", c.Rename(t.Context(), "new", "old", false), syscall.EACCES)
	left, _ := os.ReadDir(dir)
	if b, _ := os.ReadFile(filepath.Join(dir, "old")); string(b) != "old" || len(left) != 2 {
		t.Errorf("old holds %q, %d names", b, len(left))
	}
}

// lsetstat that cannot set modes (no fchmodat without following links on the
// server) is made up for by SETSTAT, but not on links.
func TestLsetstatWithoutMode(t *testing.T) {
	f := withLsetstat()
	request := f.request
	var asked atomic.Int64
	f.request = func(req *packet) *packet {
		if req.extName() == "lsetstat@openssh.com" && binary.BigEndian.Uint32(req.body[len(req.body)-8:]) == 4 {
			asked.Add(1)
			return statusReply(4, "Failure")
		}
		return request(req)
	}
	c, dir := hostile(t, f, Options{})
	writeFile(t, dir, "f", "")
	must(t, os.Symlink("f", filepath.Join(dir, "l")))
	change := cache.SetAttr{Valid: cache.SetMode | cache.SetTimes, Mode: 0o600, Mtime: 9, Atime: 9}
	for range 2 {
		a, err := c.StartSetattr(t.Context(), "f", change).Wait(t.Context())
		must(t, err)
		if a.Mode&permBits != 0o600 || a.Mtime != 9 {
			t.Errorf("%+v", a)
		}
		_, err = c.StartSetattr(t.Context(), "l", cache.SetAttr{Valid: cache.SetMode, Mode: 0o777}).Wait(t.Context())
		wantErrno(t, "chmod of a link", err, syscall.ENOTSUP)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("lsetstat was tried %d times, want it given up after the first", n)
	}
	if st, _ := os.Stat(filepath.Join(dir, "f")); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", st.Mode())
	}
}

// A change of one id keeps the other one on servers that know no "keep it".
func TestChownOneID(t *testing.T) {
	needRoot(t)
	onEachServer(t, func(t *testing.T, c *Client, dir string) {
		writeFile(t, dir, "f", "")
		must(t, os.Chown(filepath.Join(dir, "f"), 5, 6))
		a, err := c.StartSetattr(t.Context(), "f", cache.SetAttr{Valid: cache.SetGID, GID: 7}).Wait(t.Context())
		must(t, err)
		if a.UID != 5 || a.GID != 7 {
			t.Errorf("%+v", a)
		}
		f := openFile(t, c, "f", cache.OpenWrite)
		defer closeFile(t, f)
		a, err = f.Setattr(t.Context(), cache.SetAttr{Valid: cache.SetUID | cache.SetMode, UID: 8, Mode: 0o4755})
		must(t, err)
		if a.UID != 8 || a.GID != 7 || a.Mode&permBits != 0o4755 {
			t.Errorf("%+v", a)
		}
	})
}

// A server without attributes: the mounted directory is one nevertheless.
func TestNoAttributes(t *testing.T) {
	f := &filter{reply: func(_, rep *packet) *packet {
		if rep.typ == repAttrs {
			rep.body = u32(0)
		}
		return rep
	}}
	c, dir := hostile(t, f, Options{UID: 3, GID: 4})
	writeFile(t, dir, "f", "")
	if a, err := c.Lstat(t.Context(), ""); err != nil || a.Mode != defaultDirMode || a.UID != 3 || a.GID != 4 {
		t.Errorf("the mounted directory: %+v, %v", a, err)
	}
	if a, err := c.Lstat(t.Context(), "f"); err != nil || a.Mode != defaultFileMode {
		t.Errorf("a file: %+v, %v", a, err)
	}
	if c.Info().OwnerKnown {
		t.Error("the owner is said to be known")
	}
}
