package mountpoint

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Type is the file system type of seamount's mounts.
const Type = "fuse.seamount"

// Mounted is a mount of seamount.
type Mounted struct {
	Path   string // resolved
	Device string // its device number, such as "0:42"
	UserID int    // of the user who mounted it
}

// Mounted finds the seamount mounted at path; a *Problem when there is none.
func (s System) Mounted(path string) (Mounted, error) {
	s = s.withDefaults()
	resolved, err := Resolve(path)
	if err != nil {
		return Mounted{}, pathProblem(path, err)
	}
	mounts, err := readMounts(s.MountInfo)
	if err != nil {
		return Mounted{}, err
	}
	m, ok := mounts.at(resolved)
	if !ok {
		return Mounted{}, &Problem{resolved, "nothing is mounted there", ""}
	}
	if m.fstype != Type {
		return Mounted{}, &Problem{resolved, "a mount of type " + m.fstype + ", not of seamount", "umount " + resolved}
	}
	return Mounted{resolved, m.device, m.userID()}, nil
}

// busyRetries is how often, and busyPause how long apart, a mount that is in
// use is tried again.
const (
	busyRetries = 10
	busyPause   = 50 * time.Millisecond
)

// Unmount takes the mount at path away: at once, or, when lazy, from sight at
// once and for good when the last program has let go of it. A mount that is
// in use is a *BusyError; it is tried for half a second, because a process
// that was just forked, or has just ended, holds on to it for a moment.
func Unmount(ctx context.Context, path string, lazy bool) error {
	for try := 0; ; try++ {
		err := unmount(ctx, path, lazy)
		var busy *BusyError
		if !errors.As(err, &busy) || try == busyRetries {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return err
		}
	}
}

func unmount(ctx context.Context, path string, lazy bool) error {
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		return unmountError(path, unix.Unmount(path, flags), "")
	}
	args := []string{"-u", "--", path}
	if lazy {
		args = []string{"-u", "-z", "--", path}
	}
	cmd := exec.CommandContext(ctx, fusermount(), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // its message is the only way to tell EBUSY
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return unmountError(path, cmd.Run(), stderr.String())
}

func fusermount() string {
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return "fusermount"
	}
	return "fusermount3"
}

func unmountError(path string, err error, said string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY), strings.Contains(said, unix.EBUSY.Error()),
		strings.Contains(said, "Device or resource busy"):
		return &BusyError{path}
	case said != "":
		return &Problem{path, strings.Join(strings.Fields(said), " "), ""}
	}
	return &Problem{path, err.Error(), ""}
}

// BusyError is a mount that programs still use.
type BusyError struct{ Path string }

func (e *BusyError) Error() string {
	return e.Path + ": in use: see by whom with fuser -vm " + e.Path + ", or unmount with --lazy"
}
