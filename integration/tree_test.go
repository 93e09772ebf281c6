package integration

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A treeEntry is what readTree tells of one name.
type treeEntry struct {
	Stat    statView
	Content string // digest of a file, target of a symbolic link
}

// readTree reads everything below root, not following symbolic links.
func readTree(root string) (map[string]treeEntry, error) {
	tree := map[string]treeEntry{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		e, err := readTreeEntry(path)
		if err != nil {
			return err
		}
		tree[strings.TrimPrefix(path, root+"/")] = e
		return nil
	})
	return tree, err
}

func readTreeEntry(path string) (treeEntry, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return treeEntry{}, fmt.Errorf("lstat %s: %w", path, err)
	}
	e := treeEntry{Stat: *viewOf(&st)}
	switch e.Stat.Type {
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return e, err
		}
		e.Content = target
	case unix.S_IFREG:
		data, err := os.ReadFile(path)
		if err != nil {
			return e, err
		}
		if int64(len(data)) != e.Stat.Size {
			return e, fmt.Errorf("%s: %d bytes read of a size of %d", path, len(data), e.Stat.Size)
		}
		e.Content = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return e, nil
}

// diffTrees describes how two trees differ, "" when they do not. Times since
// began count as equal (see oracle).
func diffTrees(want, got map[string]treeEntry, began int64) string {
	permitted := make(map[string]treeEntry, len(got))
	for name, g := range got {
		if w, ok := want[name]; ok {
			w.Stat.permit(&g.Stat, began)
		}
		permitted[name] = g
	}
	return cmp.Diff(want, permitted)
}

// sameTree fails the test where the tree at got is not that at want: names,
// types, permissions, owners, times in seconds, content.
func sameTree(t *testing.T, want, got string) {
	t.Helper()
	w, err := readTree(want)
	if err != nil {
		t.Fatal(err)
	}
	if len(w) == 0 {
		t.Fatalf("%s is empty: nothing to compare", want)
	}
	g, err := readTree(got)
	if err != nil {
		t.Fatal(err)
	}
	if d := diffTrees(w, g, 1<<62); d != "" {
		t.Errorf("%s and %s differ:\n%s", want, got, d)
	}
}

// sameAsServed fails the test where the server's directory name is not the
// tree at want. The times and owners of symbolic links count where the server
// can set them.
func (m *mounted) sameAsServed(t *testing.T, want, name string) {
	t.Helper()
	must(t, m.sync())
	w, err := readTree(want)
	must(t, err)
	g, err := readTree(filepath.Join(m.served, name))
	must(t, err)
	if !m.opts.server.setsLinks() {
		for name, e := range g {
			if e.Stat.Type == unix.S_IFLNK {
				e.Stat.Mtime, e.Stat.UID, e.Stat.GID = w[name].Stat.Mtime, w[name].Stat.UID, w[name].Stat.GID
				g[name] = e
			}
		}
	}
	if d := diffTrees(w, g, 1<<62); d != "" || len(w) == 0 {
		t.Errorf("%s and what the server has (%s) differ:\n%s", want, name, d)
	}
}
