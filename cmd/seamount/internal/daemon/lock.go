package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is held by the process behind a mount for as long as it runs, so that
// who unmounts can wait until all data is on the server. The kernel lets go of
// it when the process ends, however it ends.
type Lock struct{ file *os.File }

// runDirs are the directories where a user's locks may be, the usual one first.
func runDirs(uid int) []string {
	if uid == 0 {
		return []string{"/run/seamount"}
	}
	var dirs []string
	if d := os.Getenv("XDG_RUNTIME_DIR"); uid == os.Geteuid() && filepath.IsAbs(d) {
		dirs = append(dirs, filepath.Join(d, "seamount"))
	}
	id := strconv.Itoa(uid)
	return append(dirs, filepath.Join("/run/user", id, "seamount"),
		filepath.Join(os.TempDir(), "seamount-"+id))
}

// lockName is that of a mount by its device number, which no other mount has
// at the same time; another one at the same mountpoint has another number.
func lockName(device string) string { return strings.ReplaceAll(device, ":", "-") + ".lock" }

// TakeLock takes the lock of the mount with a device number, such as "0:42",
// in the first directory of this user where it can.
func TakeLock(device string) (*Lock, error) {
	var errs []error
	for _, dir := range runDirs(os.Geteuid()) {
		l, err := takeLock(dir, lockName(device))
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func takeLock(dir, name string) (*Lock, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return nil, err
	}
	if err := own(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	return &Lock{f}, nil
}

// own makes sure that nobody else put dir there: /tmp is everybody's.
func own(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s: not a directory of this user's alone", dir)
	}
	return nil
}

// Release removes the lock.
func (l *Lock) Release() error {
	return errors.Join(os.Remove(l.file.Name()), l.file.Close())
}

// Running finds out whether the process behind the mount of user uid with a
// device number runs, and returns what waits for its end; nil if it does not
// run. It is to be called before the mount is taken away.
func Running(device string, uid int) (wait func(context.Context) error) {
	for _, dir := range runDirs(uid) {
		f, err := os.OpenFile(filepath.Join(dir, lockName(device)), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if held(f) {
			return func(ctx context.Context) error { return waitFree(ctx, f) }
		}
		f.Close()
	}
	return nil
}

func held(f *os.File) bool {
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// waitFree looks often: flock(2) itself cannot be interrupted by a context.
func waitFree(ctx context.Context, f *os.File) error {
	defer f.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for held(f) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
