package fs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// readAheadKiB is the kernel's read-ahead window of the mount. The default of
// 128 KiB keeps two requests in flight and so ties throughput to the round
// trip time; the daemon cannot raise it in the protocol, only root here.
const readAheadKiB = 4096

// connection is the kernel's side of a mount as sysfs shows it. The zero
// value is one that cannot be found.
type connection struct {
	dev     string // MAJOR:MINOR of the mount
	control string // its directory of fusectl, if that is mounted and ours to use
}

// findConnection looks mountpoint up in /proc/self/mountinfo. It asks nothing
// of the mount itself.
func findConnection(mountpoint string) connection {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return connection{}
	}
	c := connection{dev: mountDevice(info, mountpoint)}
	_, minor, _ := strings.Cut(c.dev, ":")
	dir := "/sys/fs/fuse/connections/" + minor
	if _, err := os.ReadFile(dir + "/waiting"); err == nil && minor != "" {
		c.control = dir
	}
	return c
}

// mountDevice returns the device of the last mount on mountpoint in the
// content of a mountinfo file, as proc(5) has it.
func mountDevice(mountinfo []byte, mountpoint string) (dev string) {
	for line := range bytes.Lines(mountinfo) {
		f := strings.Fields(string(line))
		if len(f) > 4 && unescape(f[4]) == mountpoint {
			dev = f[2]
		}
	}
	return dev
}

// unescape undoes the \ooo of space, tab, newline and backslash.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// raiseReadAhead widens the read-ahead window where the mounting user may.
func (c connection) raiseReadAhead(log *slog.Logger) {
	if c.dev == "" || os.Geteuid() != 0 {
		return
	}
	file := "/sys/class/bdi/" + c.dev + "/read_ahead_kb"
	if err := os.WriteFile(file, []byte(strconv.Itoa(readAheadKiB)), 0); err != nil {
		log.Debug("read-ahead stays at the kernel's default", "error", err)
	}
}

// abort has the kernel end every request. Where fusectl is not mounted, root
// can do so by a forced umount(2), whatever that itself comes to.
func (c connection) abort(mountpoint string) error {
	if c.control != "" {
		return os.WriteFile(c.control+"/abort", []byte("1"), 0)
	}
	if err := syscall.Unmount(mountpoint, syscall.MNT_FORCE); err != nil && !errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("abort %s: %w", mountpoint, err)
	}
	return nil
}

// gone tells whether the kernel waits for no request any more, though one is
// being worked on: the connection was aborted, or the mount ended.
func (c connection) gone() bool {
	if c.control == "" {
		return false
	}
	waiting, err := os.ReadFile(c.control + "/waiting")
	return errors.Is(err, os.ErrNotExist) || (err == nil && string(bytes.TrimSpace(waiting)) == "0")
}
