package dial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxAnswer bounds a line typed by the user, bytes.
const maxAnswer = 4096

// ErrInterrupted says that the user ended a question with ^C or ^D.
var ErrInterrupted = errors.New("interrupted")

// TTYPrompter asks on the terminal of the process, even where its standard
// input and output are something else.
type TTYPrompter struct {
	Path string // "" for /dev/tty
}

func (p TTYPrompter) path() string { return orElse(p.Path, "/dev/tty") }

// Interactive tells whether the process has a terminal.
func (p TTYPrompter) Interactive() bool {
	f, err := os.OpenFile(p.path(), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Password shows prompt and reads a line with echo off. Whatever ends it, ^C
// included, the terminal is as it was before.
func (p TTYPrompter) Password(ctx context.Context, prompt string) (string, error) {
	return p.ask(ctx, prompt, true)
}

// Confirm shows prompt and reads lines until one is yes or no.
func (p TTYPrompter) Confirm(ctx context.Context, prompt string) (bool, error) {
	for {
		answer, err := p.ask(ctx, prompt, false)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "yes":
			return true, nil
		case "no":
			return false, nil
		}
		prompt = "Please type yes or no: "
	}
}

// ask shows prompt and reads a line.
func (p TTYPrompter) ask(ctx context.Context, prompt string, secret bool) (answer string, err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	f, err := os.OpenFile(p.path(), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return "", fmt.Errorf("%w (%w)", ErrNoTerminal, err)
	}
	defer f.Close()
	if secret {
		restore, offErr := echoOff(f)
		if offErr != nil {
			return "", offErr
		}
		defer func() { err = errors.Join(err, restore()) }()
	}
	if _, err := f.WriteString(prompt); err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })()
	answer, err = readAnswer(f)
	if secret || err != nil {
		_, werr := f.WriteString("\n") // what was typed to end the line was not shown
		err = errors.Join(err, werr)
	}
	if ctx.Err() != nil {
		return "", ErrInterrupted
	}
	return answer, err
}

// readAnswer reads byte by byte: what is behind the line is for others.
func readAnswer(f *os.File) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := f.Read(b)
		if n == 1 && b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if err != nil || n == 0 {
			return "", ErrInterrupted
		}
		if len(line) == maxAnswer {
			return "", errors.New("the answer is too long")
		}
		line = append(line, b[0])
	}
}

// echoOff makes the terminal show nothing but line ends and returns what undoes
// it. File.Fd is not for this: it would make reads block for ever.
func echoOff(f *os.File) (restore func() error, err error) {
	var before unix.Termios
	err = onTerminal(f, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		before = *t
		t.Lflag &^= unix.ECHO
		t.Lflag |= unix.ICANON | unix.ISIG
		t.Iflag |= unix.ICRNL
		return unix.IoctlSetTermios(fd, unix.TCSETSF, t)
	})
	restore = func() error {
		return onTerminal(f, func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETSW, &before) })
	}
	return restore, err
}

func onTerminal(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}
