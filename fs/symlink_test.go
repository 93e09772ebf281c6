package fs

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestContain(t *testing.T) {
	long := strings.Repeat("n/", pathMax/2)
	tests := []struct {
		path, target, root string
		want               string
		err                error
	}{
		{"l", "x", "/srv", "x", nil},
		{"l", "x/y/", "/srv", "x/y/", nil},
		{"l", ".", "/srv", ".", nil},
		{"l", "..", "/srv", "", syscall.EPERM},
		{"l", "./..", "/srv", "", syscall.EPERM},
		{"a/l", "..", "/srv", "..", nil},
		{"a/l", "../x", "/srv", "../x", nil},
		{"a/l", ".//../x", "/srv", ".//../x", nil},
		{"a/l", "../../x", "/srv", "", syscall.EPERM},
		{"a/b/l", "../../x", "/srv", "../../x", nil},
		{"a/b/l", "../x/..", "/srv", "", syscall.EPERM},
		{"a/b/l", "x/../y", "/srv", "", syscall.EPERM},
		{"a/l", "..x", "/srv", "..x", nil},
		{"a/l", "...", "/srv", "...", nil},
		{"a/l", "/etc/passwd", "/srv", "", syscall.EPERM},
		{"a/l", "/srv", "/srv", "..", nil},
		{"l", "/srv", "/srv", ".", nil},
		{"l", "/srv/", "/srv", ".", nil},
		{"l", "/srv/x", "/srv/", "x", nil},
		{"a/b/l", "/srv//x/y", "/srv", "../../x/y", nil},
		{"l", "/srvx", "/srv", "", syscall.EPERM},
		{"a/b/l", "/srv/../x", "/srv", "", syscall.EPERM},
		{"a/b/l", "/srv/x/../y", "/srv", "", syscall.EPERM},
		{"a/l", "/etc/passwd", "/", "../etc/passwd", nil},
		{"a/l", "//etc", "/", "../etc", nil},
		{"a/l", "/etc/passwd", "", "", syscall.EPERM},
		{"l", "", "/srv", "", syscall.EIO},
		{"a/l", "x\x00/../..", "/srv", "", syscall.EIO},
		{"l", long, "/srv", "", syscall.ENAMETOOLONG},
		{"a/b/l", "/srv/" + long[:pathMax-8], "/srv", "../../" + long[:pathMax-8], nil},
		{"a/b/l", "/srv/" + long[:pathMax-6], "/srv", "", syscall.ENAMETOOLONG},
	}
	for _, tt := range tests {
		got, err := contain(tt.path, tt.target, tt.root)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("contain(%q, %.40q, %q) = %.40q, %v; want %.40q, %v",
				tt.path, tt.target, tt.root, got, err, tt.want, tt.err)
		}
	}
}

// escapes resolves target from the link at path as the kernel does, in a
// mount where every named component is a directory or, by the bits of links,
// a link to the top of the mount, the worst that a contained link can lead to.
func escapes(path, target string, links uint64) bool {
	if strings.HasPrefix(target, "/") {
		return true
	}
	depth := strings.Count(path, "/")
	for i, c := range strings.Split(target, "/") {
		switch c {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
			if links>>(i%64)&1 == 1 {
				depth = 0
			}
		}
	}
	return false
}

func FuzzContain(f *testing.F) {
	for _, target := range []string{"x", "../x", "a/../../x", "/srv/../../x", "/srv/x", "..//..//x", "./../x/./..", "/srv"} {
		f.Add("a/b/l", target, "/srv", uint64(0))
		f.Add("l", target, "/", ^uint64(0))
	}
	f.Fuzz(func(t *testing.T, path, target, root string, links uint64) {
		if path == "" || strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
			return // no path of a link
		}
		got, err := contain(path, target, root)
		if err != nil {
			return
		}
		if escapes(path, got, links) {
			t.Errorf("link %q to %q (root %q) shown as %q leads out of the mount", path, target, root, got)
		}
		if got == "" || len(got) >= pathMax || strings.IndexByte(got, 0) >= 0 {
			t.Errorf("target %q is not one the kernel takes", got)
		}
	})
}

func TestLinks(t *testing.T) {
	var l links
	l.shown(2, "x")
	l.shown(3, "../x")
	l.shown(4, "../../y")
	l.forget(4)
	if got := l.all(); len(got) != 1 || got[0] != 3 {
		t.Errorf("all = %v, want [3]", got)
	}
}
