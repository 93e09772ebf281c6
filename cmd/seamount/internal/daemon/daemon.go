// Package daemon lets a command return to the shell with its work going on in
// the background, but only once all that can fail has been done.
//
// # Concept
//
// Go cannot fork, so the command starts itself again (Start) as a child that
// does all the work, and waits for its word on a pipe. Until then the child is
// a process of the foreground like any other: it stands in the same process
// group, so it may ask questions on the terminal and ^C reaches it. With Ready
// the child leaves session, terminal and working directory and gives the word;
// the parent exits. A child that ends before that was heard on the terminal
// already, and the parent ends with its exit code.
//
// Beside this stand what a process without a terminal needs: a LogFile, and a
// Lock by which others know that it still runs.
package daemon

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// readyEnv names the descriptor on which a child gives its word.
const readyEnv = "SEAMOUNT_READY_FD"

// readyWord is what it writes.
const readyWord = "ready"

// DiedError is a child that was killed before it was ready.
type DiedError struct{ Signal syscall.Signal }

func (e *DiedError) Error() string {
	return fmt.Sprintf("the background process was killed: %v", e.Signal)
}

// Start runs this command again in the background and returns its exit code
// if it ended, or 0 once it is ready.
func Start() (code int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	// What the shell had open, such as a lock, is not a daemon's to keep. The
	// call is Linux 5.11's; older ones do without.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	// Package exec makes the first of ExtraFiles descriptor 3.
	cmd := &exec.Cmd{
		Path: self(), Args: os.Args, Env: append(os.Environ(), readyEnv+"=3"),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{w},
	}
	// The child ends for both, and says what became of it.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, err
	}
	done := make(chan struct{})
	defer close(done)
	go forward(cmd.Process, signals, done)
	word, err := io.ReadAll(r)
	if err == nil && string(word) == readyWord {
		return 0, cmd.Process.Release()
	}
	return exitCode(cmd.Wait())
}

// self is the path of this program: by its name, which ps(1) shows, unless an
// update has put another program there.
func self() string {
	const link = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return link
	}
	named, err := os.Stat(path)
	if err != nil {
		return link
	}
	if running, err := os.Stat(link); err != nil || !os.SameFile(named, running) {
		return link
	}
	return path
}

func forward(p *os.Process, signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			// It may have ended just now, or have heard ^C on the terminal itself.
			_ = p.Signal(s)
		case <-done:
			return
		}
	}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 0, &DiedError{s.Signal()}
	}
	return exit.ExitCode(), nil
}

// Child is this process as one that Start made.
type Child struct{ ready *os.File }

// AsChild tells whether this process was made by Start.
func AsChild() (c *Child, ok bool) {
	fd, err := strconv.Atoi(os.Getenv(readyEnv))
	if err != nil {
		return nil, false
	}
	// Programs that this one starts are no children of Start, and must not
	// keep the pipe open.
	os.Unsetenv(readyEnv)
	unix.CloseOnExec(fd)
	return &Child{os.NewFile(uintptr(fd), "ready")}, true
}

// Ready leaves the terminal and lets the parent go.
func (c *Child) Ready() error {
	defer c.ready.Close()
	if _, err := unix.Setsid(); err != nil {
		return os.NewSyscallError("setsid", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := detachStdio(); err != nil {
		return err
	}
	_, err := c.ready.WriteString(readyWord)
	return err
}

func detachStdio() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	return nil
}
