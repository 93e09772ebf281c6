package fs

import (
	"strings"
	"sync"
	"syscall"
)

// SymlinkMode says what becomes of the targets of symbolic links.
type SymlinkMode int

const (
	// SymlinksContain shows targets that cannot lead out of the mount: relative
	// ones with ".." only at the front and no more of them than the link is
	// deep, and absolute ones below the mounted directory, which are made
	// relative. Every other target reads as EPERM.
	SymlinksContain SymlinkMode = iota
	// SymlinksRaw shows targets as they are stored. The kernel resolves them
	// in the name space of this machine.
	SymlinksRaw
	// SymlinksFollow has the cache (its option Follow) show what a link leads
	// to on the server. A link that is seen nevertheless is contained.
	SymlinksFollow
)

// pathMax is PATH_MAX, the size of a path with its NUL, in bytes.
const pathMax = 4096

// contain returns target as the kernel may see it in a symbolic link at
// path (relative to the mount), which mounts the server's directory root.
//
// The check is lexical and holds whatever the server does later: the kernel
// resolves ".." against the directories of the mount, of which the link has
// as many above it as its path has components but one; a name after which no
// ".." comes can only lead further down or to another link, whose own target
// is checked when it is read.
func contain(path, target, root string) (string, error) {
	switch {
	case target == "" || strings.IndexByte(target, 0) >= 0:
		return "", syscall.EIO
	case len(target) >= pathMax:
		return "", syscall.ENAMETOOLONG
	}
	depth := strings.Count(path, "/")
	if strings.HasPrefix(target, "/") {
		rest, ok := below(root, target)
		if !ok || !climbs(rest, 0) {
			return "", syscall.EPERM
		}
		return relative(depth, rest)
	}
	if !climbs(target, depth) {
		return "", syscall.EPERM
	}
	return target, nil
}

// climbs tells whether target has ".." only at its front and at most depth
// of them. "." and empty components count as nothing.
func climbs(target string, depth int) bool {
	front := true
	for c := range strings.SplitSeq(target, "/") {
		switch c {
		case "", ".":
		case "..":
			depth--
			if !front || depth < 0 {
				return false
			}
		default:
			front = false
		}
	}
	return true
}

// below returns the path of target relative to directory root, both
// absolute; "" is root itself. An empty root contains nothing.
func below(root, target string) (string, bool) {
	if root == "" {
		return "", false
	}
	root = strings.TrimRight(root, "/")
	rest, ok := strings.CutPrefix(target, root)
	if !ok || (rest != "" && rest[0] != '/') {
		return "", false
	}
	return strings.TrimLeft(rest, "/"), true
}

// relative returns rest, a path below the mount, as seen from depth
// directories below it.
func relative(depth int, rest string) (string, error) {
	t := strings.Repeat("../", depth) + rest
	if rest == "" {
		t = strings.TrimSuffix(t, "/")
	}
	switch {
	case t == "":
		return ".", nil
	case len(t) >= pathMax:
		return "", syscall.ENAMETOOLONG
	}
	return t, nil
}

// links remembers the symbolic links that were shown with a target that
// depends on how deep they are. The kernel keeps targets, so when a directory
// or a link moves it must be told to ask again.
type links struct {
	mu   sync.Mutex
	deep map[uint64]struct{} // inode numbers
}

// shown records that link ino was shown with target.
func (l *links) shown(ino uint64, target string) {
	if !strings.Contains(target, "..") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deep == nil {
		l.deep = make(map[uint64]struct{})
	}
	l.deep[ino] = struct{}{}
}

// forget drops a link that the kernel no longer knows.
func (l *links) forget(ino uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.deep, ino)
}

// all returns the links recorded.
func (l *links) all() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	inos := make([]uint64, 0, len(l.deep))
	for ino := range l.deep {
		inos = append(inos, ino)
	}
	return inos
}
