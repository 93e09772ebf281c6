package cache

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// tree puts dirs directories of files small files each, in depth levels.
func (m *memRemote) tree(dir string, dirs, files, depth int) {
	for i := range files {
		m.put(fmt.Sprintf("%sf%03d", dir, i), "small", 1000)
	}
	for i := range dirs {
		d := fmt.Sprintf("%sd%02d", dir, i)
		m.mkdir(d)
		if depth > 1 {
			m.tree(d+"/", dirs, files, depth-1)
		} else {
			m.tree(d+"/", 0, files, 0)
		}
	}
}

// walk lists n and everything below it as find does, and calls file for each
// other name.
func walk(t *testing.T, n *Node, byNumber bool, file func(*Node)) {
	t.Helper()
	d, err := n.OpenDir(t.Context())
	must(t, err)
	type entry struct {
		i   int
		ino uint64
	}
	var order []entry
	for i := range d.Len() {
		_, ino, _ := d.Entry(i)
		order = append(order, entry{i, ino})
	}
	if byNumber {
		slices.SortFunc(order, func(a, b entry) int {
			if a.ino < b.ino {
				return -1
			}
			return 1
		})
	}
	for _, e := range order {
		child, _, err := d.Lookup(e.i)
		must(t, err)
		child.Held()
		if child.Type() == syscall.S_IFDIR {
			walk(t, child, byNumber, file)
		} else if file != nil {
			file(child)
		}
	}
}

func TestWalkListsAhead(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.tree("", 5, 3, 3) // 156 directories
		// Two for each of the four levels is the least. The 125 directories of
		// the last are more than are listed at once, and which of them come
		// first depends on the order in which answers are taken: some more.
		start := time.Now()
		walk(t, root, false, nil)
		if got := int(time.Since(start) / second); got > 20 {
			t.Errorf("find in a tree of three levels took %d round trips", got)
		}
		took(t, "find again", 0, func() { walk(t, root, false, nil) })
	})
}

// A walk of one directory lists nothing beside it.
func TestWalkStaysBelow(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.tree("", 4, 1, 2)
		walk(t, lookup(t, root, "d01"), false, nil)
		time.Sleep(10 * second)
		if got := m.count("OPENDIR"); got != 5 {
			t.Errorf("%d directories were listed, want 5", got)
		}
	})
}

// A walk that ends early stops what goes ahead of it.
func TestWalkStops(t *testing.T) {
	bubble(t, second, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.tree("", 30, 0, 2) // 931 directories
		d, err := root.OpenDir(t.Context())
		must(t, err)
		child, _, err := d.Lookup(0)
		must(t, err)
		_, err = child.OpenDir(t.Context())
		must(t, err)
		time.Sleep(100 * second)
		if got := m.count("OPENDIR"); got > 2+2*aheadListings {
			t.Errorf("%d directories were listed for two", got)
		}
	})
}

func TestFilesAreReadAhead(t *testing.T) {
	for _, byNumber := range []bool{false, true} {
		bubble(t, second, Options{}, func(t *testing.T, m *memRemote, tr *Tree, root *Node) {
			m.tree("", 0, 100, 1)
			start := time.Now()
			files := 0
			walk(t, root, byNumber, func(n *Node) {
				files++
				if got := readAll(t, n); got != "small" {
					t.Errorf("read %q", got)
				}
			})
			// The listing, two files on their own, and then the run doubles.
			if got := int(time.Since(start) / second); got > 14 || files != 100 {
				t.Errorf("by number %v: %d files in %d round trips", byNumber, files, got)
			}
			if hits, wasted := tr.AheadStats(); hits < 90 || wasted > 0 {
				t.Errorf("%d hits, %d bytes wasted", hits, wasted)
			}
		})
	}
}

// What was read ahead is not believed longer than anything else.
func TestReadAheadIsConfirmed(t *testing.T) {
	bubble(t, 10*time.Millisecond, Options{}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.tree("", 0, 50, 1)
		n := 0
		walk(t, root, false, func(f *Node) {
			if n++; n == 10 {
				m.put("f020", "other", 500)
				time.Sleep(1500 * time.Millisecond)
			}
			want := "small"
			if f.Path() == "f020" {
				want = "other"
			}
			if got := readAll(t, f); got != want {
				t.Errorf("%s: read %q", f.Path(), got)
			}
		})
	})
}

func TestNoPrefetch(t *testing.T) {
	bubble(t, second, Options{NoPrefetch: true}, func(t *testing.T, m *memRemote, _ *Tree, root *Node) {
		m.tree("", 3, 10, 1)
		walk(t, root, false, func(n *Node) {
			if m.count("OPEN") < 3 {
				readAll(t, n)
			}
		})
		if opens, lists := m.count("OPEN"), m.count("OPENDIR"); opens != 3 || lists != 4 {
			t.Errorf("%d files opened, %d directories listed", opens, lists)
		}
	})
}
