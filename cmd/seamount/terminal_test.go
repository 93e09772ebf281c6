package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a new pseudo-terminal (pty(7)).
func openTerminal() (user, program *os.File, err error) {
	user, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		user.Close()
	}
	return user, program, err
}

// cmdOnTerminal runs a command that has a controlling terminal and types the
// second argument when the first is shown. What is shown goes to the file output.
func cmdOnTerminal(ts *testscript.TestScript, neg bool, args []string) {
	answer, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	user, program, err := openTerminal()
	ts.Check(err)
	defer user.Close()
	path, err := exec.LookPath(args[2])
	ts.Check(err)
	cmd := exec.Command(path, args[3:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "XDG_STATE_HOME=" + ts.Getenv("XDG_STATE_HOME"),
	}
	cmd.Args[0] = args[2]
	cmd.Stdout, cmd.Stderr = program, program
	cmd.ExtraFiles = []*os.File{program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	ts.Check(cmd.Start())
	program.Close()

	var shown []byte
	var reader sync.WaitGroup
	reader.Go(func() { shown = converse(user, args[0], answer) })
	err = cmd.Wait()
	reader.Wait() // until nobody has the terminal any more
	ts.Logf("%s", shown)
	ts.Check(os.WriteFile(ts.MkAbs("output"), shown, 0o600))
	var exit *exec.ExitError
	if neg != errors.As(err, &exit) || neg && exit.ExitCode() != exitFailed {
		ts.Fatalf("%v: %v", args, err)
	}
}

// converse reads until there is no more, and types answer, once, after question.
func converse(terminal *os.File, question, answer string) (shown []byte) {
	buf := make([]byte, 4096)
	for asked := false; ; {
		n, err := terminal.Read(buf)
		shown = append(shown, buf[:n]...)
		if !asked && bytes.Contains(shown, []byte(question)) {
			asked = true
			_, err = terminal.WriteString(answer)
		}
		if err != nil {
			return shown
		}
	}
}
