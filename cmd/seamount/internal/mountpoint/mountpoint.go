// Package mountpoint looks at the place where a mount is to be made, before
// anybody is asked for a password, and takes mounts away again.
//
// # Contract
//
// Check finds what would make a mount fail or hide something: a mountpoint
// that is missing, no directory, not empty, in use or left dead by a crash,
// and a system without what FUSE needs. Each is a *Problem that says in one
// line what is the matter and what to do.
//
// A mountpoint can be the root of a mount whose server does not answer, and a
// process that looks into it hangs. So the kernel's table of mounts is asked
// before the path itself is touched, and the path is only ever touched in a
// goroutine that may be left behind.
package mountpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Problem is a reason why a mount cannot be made or taken away.
type Problem struct {
	Path   string // the mountpoint, or the file that is missing
	Reason string // what is the matter
	Hint   string // what to do about it
}

func (p *Problem) Error() string {
	if p.Hint == "" {
		return fmt.Sprintf("%s: %s", p.Path, p.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", p.Path, p.Reason, p.Hint)
}

// Request is what a mount wants.
type Request struct {
	Path       string // absolute or relative to the working directory
	NonEmpty   bool   // hide what is in the directory
	AllowOther bool   // let other users in
}

// System is what Check looks at; the zero value of a field means the usual.
type System struct {
	Device    string // /dev/fuse
	FuseConf  string // /etc/fuse.conf
	MountInfo string // /proc/self/mountinfo
	// UID is the effective user id; nil means that of the process.
	UID *int
	// LookPath finds programs; nil means exec.LookPath.
	LookPath func(name string) (string, error)
}

func (s System) withDefaults() System {
	for p, def := range map[*string]string{
		&s.Device: "/dev/fuse", &s.FuseConf: "/etc/fuse.conf", &s.MountInfo: "/proc/self/mountinfo",
	} {
		if *p == "" {
			*p = def
		}
	}
	if s.UID == nil {
		uid := os.Geteuid()
		s.UID = &uid
	}
	if s.LookPath == nil {
		s.LookPath = exec.LookPath
	}
	return s
}

// Check returns the absolute path of the mountpoint, free of symbolic links,
// or a *Problem.
func (s System) Check(ctx context.Context, r Request) (string, error) {
	s = s.withDefaults()
	path, err := s.checkDirectory(ctx, r)
	if err != nil {
		return "", err
	}
	if err := s.checkFUSE(); err != nil {
		return "", err
	}
	if r.AllowOther && *s.UID != 0 && !allowsOthers(s.FuseConf) {
		return "", &Problem{s.FuseConf, "only root may use allow_other here",
			"have root add a line user_allow_other to it"}
	}
	return path, nil
}

// checkFUSE looks for what every mount needs.
func (s System) checkFUSE() error {
	if _, err := os.Stat(s.Device); err != nil {
		return &Problem{s.Device, "the kernel's side of FUSE is missing",
			"run modprobe fuse as root, or start the container with --device /dev/fuse"}
	}
	if *s.UID == 0 {
		return nil
	}
	if _, err := s.LookPath("fusermount3"); err == nil {
		return nil
	}
	if _, err := s.LookPath("fusermount"); err != nil {
		return &Problem{"fusermount3", "the program is missing, and only root can mount without it",
			"install the package fuse3"}
	}
	return nil
}

// checkDirectory looks at the mountpoint itself.
func (s System) checkDirectory(ctx context.Context, r Request) (string, error) {
	path, err := Resolve(r.Path)
	if err != nil {
		return "", pathProblem(r.Path, err)
	}
	mounts, err := readMounts(s.MountInfo)
	if err != nil {
		return "", err
	}
	if m, ok := mounts.at(path); ok {
		return "", mountedProblem(ctx, path, m)
	}
	if err := bounded(ctx, func() error { return s.inspect(path, r.NonEmpty) }); err != nil {
		var p *Problem
		if errors.As(err, &p) {
			return "", err
		}
		return "", pathProblem(path, err)
	}
	return path, nil
}

// inspect touches path.
func (s System) inspect(path string, nonEmpty bool) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return unix.ENOTDIR
	}
	if *s.UID != 0 && unix.Access(path, unix.W_OK) != nil {
		return &Problem{path, "you may not write there", "choose a directory of your own"}
	}
	if nonEmpty {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if names, _ := d.Readdirnames(1); len(names) > 0 {
		return &Problem{path, "the directory is not empty",
			"choose another, or hide what is in it with -o nonempty"}
	}
	return nil
}

// mountedProblem tells a living mount from one that a crash left behind.
func mountedProblem(ctx context.Context, path string, m mount) error {
	err := bounded(ctx, func() error { return unix.Stat(path, new(unix.Stat_t)) })
	if errors.Is(err, unix.ENOTCONN) {
		return pathProblem(path, err)
	}
	hint := "unmount it first: umount " + path
	if m.isFUSE() {
		hint = "unmount it first: fusermount3 -u " + path
	}
	return &Problem{path, fmt.Sprintf("already a mount (%s of type %s)", m.source, m.fstype), hint}
}

func pathProblem(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{path, "the mountpoint does not exist", "create it with mkdir -p " + path}
	case errors.Is(err, unix.ENOTDIR):
		return &Problem{path, "the mountpoint is not a directory", "name a directory"}
	case errors.Is(err, unix.ENOTCONN):
		return &Problem{path, "a dead mount, left by a crash", "run fusermount3 -u " + path}
	case errors.Is(err, context.DeadlineExceeded):
		return &Problem{path, "the directory does not answer", "see what is mounted above it"}
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &Problem{path, err.Error(), ""}
}

// Resolve returns path absolute and without symbolic links, touching the last
// component only to see whether it is a link.
func Resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	abs = filepath.Join(dir, filepath.Base(abs))
	// readlink(2) asks nothing of a directory that is the root of a mount.
	if _, err := os.Readlink(abs); err == nil {
		return filepath.EvalSymlinks(abs)
	}
	return abs, nil
}

// allowsOthers tells whether fuse.conf lets ordinary users give access to others.
func allowsOthers(conf string) bool {
	text, err := os.ReadFile(conf)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// touchTimeout is how long a path may take to answer.
const touchTimeout = 3 * time.Second

// bounded runs f, which may hang in the kernel, and leaves it behind when it
// takes too long.
func bounded(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, touchTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
