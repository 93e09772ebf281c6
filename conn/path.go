package conn

import (
	"strings"
	"syscall"
)

// Limits of names, in bytes. No server known takes longer ones, and a longer
// one is refused without asking.
const (
	maxName = 255
	maxPath = 30000 // what fits a packet that every server takes
)

// remotePath is the path on the server of the relative path p.
func (c *Client) remotePath(op, p string) (string, error) {
	if errno := checkPath(p); errno != 0 {
		return "", errnoError(op, p, errno)
	}
	full := c.root
	switch {
	case p == "":
		return full, nil
	case full == "/":
		full += p
	default:
		full += "/" + p
	}
	if len(full) > maxPath {
		return "", errnoError(op, p, syscall.ENAMETOOLONG)
	}
	return full, nil
}

// checkPath keeps a path inside the mounted directory and free of what ends
// an OpenSSH session (a NUL).
func checkPath(p string) syscall.Errno {
	if p == "" {
		return 0
	}
	for name := range strings.SplitSeq(p, "/") {
		if errno := checkName(name); errno != 0 {
			return errno
		}
	}
	return 0
}

// checkName says what is wrong with the name of a directory's entry.
func checkName(name string) syscall.Errno {
	switch {
	case name == "" || name == "." || name == "..":
		return syscall.EINVAL
	case strings.IndexByte(name, 0) >= 0 || strings.IndexByte(name, '/') >= 0:
		return syscall.EINVAL
	case len(name) > maxName:
		return syscall.ENAMETOOLONG
	}
	return 0
}

// parent returns the directory that holds the path p of the server.
func parent(p string) string {
	switch i := strings.LastIndexByte(p, '/'); i {
	case -1:
		return "."
	case 0:
		return "/"
	default:
		return p[:i]
	}
}

// within tells whether path is dir or below it.
func within(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}
