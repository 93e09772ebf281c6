package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"seamount/cmd/seamount/internal/mountpoint"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// awaitMounts returns when the table of mounts is as f wants it. The kernel
// tells of every change of the table (proc_pid_mountinfo(5)).
func awaitMounts(f func() bool) error {
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer table.Close()
	for end := time.Now().Add(patience); ; {
		if f() {
			return nil
		}
		left := time.Until(end)
		if left <= 0 {
			return errors.New("timeout")
		}
		fds := []unix.PollFd{{Fd: int32(table.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// isMounted tells whether path, or one that it matches, is a seamount.
func isMounted(path string) bool {
	paths, err := filepath.Glob(path)
	return err == nil && slices.ContainsFunc(paths, func(p string) bool {
		_, err := mountpoint.System{}.Mounted(p)
		return err == nil
	})
}

// cmdMounted waits until a directory is a seamount.
func cmdMounted(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	if err := awaitMounts(func() bool { return isMounted(path) }); err != nil {
		ts.Fatalf("%s is not mounted: %v", path, err)
	}
}

// cmdUnmounted checks that a directory is no mount any more: at once, as what
// ended it has returned.
func cmdUnmounted(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	if err := awaitMounts(func() bool { return !isMounted(path) }); err != nil {
		ts.Fatalf("%s is still mounted: %v", path, err)
	}
}

// logged returns the daemon's process id from the log of a mount.
func logged(ts *testscript.TestScript, path string) (pid int) {
	state := ts.Getenv("XDG_STATE_HOME")
	if user := ts.Getenv("USERDIR"); user != "" && strings.HasPrefix(path, user) {
		state = filepath.Join(user, "state")
	}
	name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-") + ".log"
	text, err := os.ReadFile(filepath.Join(state, "seamount", name))
	ts.Check(err)
	m := regexp.MustCompile(`msg=mounted .*pid=(\d+)`).FindAllStringSubmatch(string(text), -1)
	if m == nil {
		ts.Fatalf("no mount in the log: %s", text)
	}
	pid, err = strconv.Atoi(m[len(m)-1][1])
	ts.Check(err)
	return pid
}

// cmdAwaitEnd waits until the daemon that mounted a directory has ended.
func cmdAwaitEnd(ts *testscript.TestScript, _ bool, args []string) {
	pid := logged(ts, ts.MkAbs(args[0]))
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	ts.Check(err)
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, err := unix.Poll(fds, int(time.Until(end).Milliseconds()))
		if n == 1 {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	ts.Fatalf("process %d still runs", pid)
}

// cmdSignal sends a signal to the daemon behind a mount.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(unix.Kill(logged(ts, ts.MkAbs(args[1])), unix.SignalNum(args[0])))
}

// held is a file that a script keeps open.
type held struct {
	mu   sync.Mutex
	file *os.File
}

type heldKey struct{}

// cmdHold opens a file for appending, writes a line and keeps it open.
func cmdHold(ts *testscript.TestScript, _ bool, args []string) {
	h := ts.Value(heldKey{}).(*held)
	h.mu.Lock()
	defer h.mu.Unlock()
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	ts.Check(err)
	_, err = f.WriteString("held\n")
	ts.Check(err)
	h.file = f
}

// cmdRelease writes another line to the file and closes it; with ! that must fail.
func cmdRelease(ts *testscript.TestScript, neg bool, _ []string) {
	h := ts.Value(heldKey{}).(*held)
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.file.WriteString("released\n")
	if err = errors.Join(err, h.file.Close()); (err != nil) != neg {
		ts.Fatalf("release: %v", err)
	}
}

// nobody is the ordinary user of these tests, where they run as root.
const nobody = 65534

// cmdAsUser runs a command as an ordinary user. The user's copy of the
// program, key, settings and a mountpoint are in $USERDIR.
func cmdAsUser(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.Getenv("USERDIR")
	if dir == "" {
		dir = newUserDir(ts)
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "@USERDIR@", dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if args[0] == "seamount" {
		cmd.Path, cmd.Err = filepath.Join(dir, "seamount"), nil
	}
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "XDG_STATE_HOME=" + filepath.Join(dir, "state")}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	ts.Logf("%s", out.String())
	ts.Check(os.WriteFile(ts.MkAbs("output"), out.Bytes(), 0o600))
	if (err != nil) != neg {
		ts.Fatalf("%v: %v", args, err)
	}
}

// newUserDir makes what an ordinary user needs: the directories of a script
// and of the test's programs are closed to others.
func newUserDir(ts *testscript.TestScript) string {
	dir, err := os.MkdirTemp("", "seamount-user-")
	ts.Check(err)
	ts.Defer(func() {
		detachAll(dir)
		os.RemoveAll(dir)
	})
	exe, err := os.Executable()
	ts.Check(err)
	program, err := os.ReadFile(exe)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "seamount"), program, 0o755))
	for _, d := range []string{"mnt", "work"} {
		ts.Check(os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	work := filepath.Dir(ts.Getenv("CONFIG"))
	for _, f := range []string{"id_ed25519", "id_ed25519.known_hosts", "ssh_config"} {
		text, err := os.ReadFile(filepath.Join(work, f))
		ts.Check(err)
		text = bytes.ReplaceAll(text, []byte(work), []byte(dir))
		ts.Check(os.WriteFile(filepath.Join(dir, f), text, 0o600))
	}
	if os.Geteuid() == 0 {
		ts.Check(filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(p, nobody, nobody))
		}))
	}
	ts.Setenv("USERDIR", dir)
	return dir
}

// detachAll takes away the mounts that a failed script left below dir.
func detachAll(dir string) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			if err := mountpoint.Unmount(context.Background(), f[4], true); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
}
