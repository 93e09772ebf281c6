package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// roleEnv makes the test binary a command that goes into the background.
const roleEnv = "SEAMOUNT_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is such a command. Its child answers on descriptor 4 of the parent,
// which is not there after Start; so it answers through the FIFO in its argument.
func play(role string) int {
	c, ok := AsChild()
	if !ok {
		code, err := Start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 99
		}
		return code
	}
	switch role {
	case "fail":
		fmt.Fprintln(os.Stderr, "did not work")
		return 3
	case "die":
		unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	report, err := os.OpenFile(os.Args[1], os.O_WRONLY, 0)
	if err != nil {
		return 4
	}
	if err := c.Ready(); err != nil {
		fmt.Fprintln(report, err)
		return 5
	}
	sid, _ := unix.Getsid(0)
	wd, _ := os.Getwd()
	out, _ := os.Readlink("/proc/self/fd/1")
	_, err = unix.FcntlInt(9, unix.F_GETFD, 0) // the parent had it
	fmt.Fprintln(report, os.Getpid() == sid, wd, out, os.Getenv(readyEnv) == "", err)
	report.Close()
	return 0
}

func command(t *testing.T, role string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return cmd, &stderr
}

func TestStart(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, stderr := command(t, "work", fifo)
	for range 7 {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.Stdin)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(report), "true / /dev/null true bad file descriptor\n"; got != want {
		t.Errorf("child: %q, want %q", got, want)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("parent: %v, %s", err, stderr)
	}
}

func TestStartFails(t *testing.T) {
	for role, want := range map[string]struct {
		code int
		said string
	}{
		"fail": {3, "did not work"},
		"die":  {99, "the background process was killed: killed"},
	} {
		cmd, stderr := command(t, role)
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != want.code {
			t.Errorf("%s: %v, want exit code %d", role, err, want.code)
		}
		if got := strings.TrimSpace(stderr.String()); got != want.said {
			t.Errorf("%s: said %q, want %q", role, got, want.said)
		}
	}
}

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "x.log")
	l := NewLogFile(path)
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Error("the log is there before its first line")
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 3*MaxLog/len(line) + 1 {
		if n, err := l.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int64{path: int64(len(line)), path + ".1": MaxLog} {
		st, err := os.Stat(name)
		if err != nil || st.Size() != want || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want %d bytes, mode 0600", name, st, err, want)
		}
	}
	// A new process goes on where the old one ended.
	l = NewLogFile(path)
	l.Write(line)
	l.Close()
	if st, err := os.Stat(path); err != nil || st.Size() != 2*int64(len(line)) {
		t.Errorf("after reopening: %v, %v", st, err)
	}
}

func TestLogFileImpossible(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", filepath.Join(file, "x.log")} {
		l := NewLogFile(path)
		if n, err := l.Write([]byte("lost\n")); n != 5 || err != nil {
			t.Errorf("%q: Write = %d, %v", path, n, err)
		}
	}
}

func TestLogPath(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	for _, tt := range []struct{ state, mountpoint, want string }{
		{"/state", "/mnt/my dir", "/state/seamount/mnt-my dir.log"},
		{"", "/mnt", "/home/ann/.local/state/seamount/mnt.log"},
		{"relative", "/", "/home/ann/.local/state/seamount/root.log"},
	} {
		t.Setenv("XDG_STATE_HOME", tt.state)
		if got := LogPath(tt.mountpoint); got != tt.want {
			t.Errorf("LogPath(%q) = %q, want %q", tt.mountpoint, got, tt.want)
		}
	}
	if n := fileName("/" + strings.Repeat("long/", 100)); len(n) > 200 {
		t.Errorf("a name of %d bytes", len(n))
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := takeLock(dir, "m.lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(dir, "m.lock"); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("second lock: %v", err)
	}
	f, err := os.Open(filepath.Join(dir, "m.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if !held(f) {
		t.Error("the lock is not held")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := waitFree(ended, f); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with an ended context: %v", err)
	}
	if f, err = os.Open(filepath.Join(dir, "m.lock")); err != nil {
		t.Fatal(err)
	}
	free := make(chan error, 1)
	go func() { free <- waitFree(t.Context(), f) }()
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if err := <-free; err != nil {
		t.Error(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(dir, "m.lock"); err == nil {
		t.Error("took a lock in a directory that others may write")
	}
}

// TestRunning: the lock of a mount is found by its user, and nothing is found
// where there is none.
func TestRunning(t *testing.T) {
	device := "test:" + strconv.Itoa(os.Getpid())
	if Running(device, os.Geteuid()) != nil {
		t.Error("found a process behind nothing")
	}
	l, err := TakeLock(device)
	if err != nil {
		t.Fatal(err)
	}
	wait := Running(device, os.Geteuid())
	if wait == nil {
		t.Error("the process was not found")
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if wait != nil {
		if err := wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
