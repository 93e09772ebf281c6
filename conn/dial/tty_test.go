package dial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: user is the end of the person typing.
type terminal struct {
	user *os.File
	path string
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := onTerminal(user, func(fd int) (err error) {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{user: user, path: fmt.Sprintf("/dev/pts/%d", n)}
	// While this end is open the terminal keeps its settings.
	hold, err := os.OpenFile(term.path, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close(); hold.Close() })
	return term
}

func (term *terminal) echoes(t *testing.T) bool {
	t.Helper()
	on := false
	if err := onTerminal(term.user, func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			on = mode.Lflag&unix.ECHO != 0
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return on
}

// sees reads what the terminal shows until it ends in want.
func (term *terminal) sees(t *testing.T, r *bufio.Reader, want string) string {
	t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), want) {
		c, err := r.ReadByte()
		if err != nil {
			t.Fatalf("terminal shows %q: %v", b.String(), err)
		}
		b.WriteByte(c)
	}
	return b.String()
}

type answered struct {
	text string
	yes  bool
	err  error
}

func TestPasswordOnTerminal(t *testing.T) {
	term := newTerminal(t)
	p := TTYPrompter{Path: term.path}
	if !p.Interactive() || (TTYPrompter{Path: "/nonexistent"}).Interactive() {
		t.Error("Interactive is wrong")
	}
	got := make(chan answered, 1)
	go func() {
		text, err := p.Password(t.Context(), "Password: ")
		got <- answered{text: text, err: err}
	}()
	r := bufio.NewReader(term.user)
	term.sees(t, r, "Password: ")
	if term.echoes(t) {
		t.Error("echo is on while the password is typed")
	}
	fmt.Fprint(term.user, "oopss\x7f\n") // the terminal's own erase works
	if a := <-got; a.text != "oops" || a.err != nil {
		t.Errorf("Password = %q, %v", a.text, a.err)
	}
	if shown := term.sees(t, r, "\n"); strings.Contains(shown, "oops") {
		t.Errorf("terminal shows %q", shown)
	}
	if !term.echoes(t) {
		t.Error("echo is off afterwards")
	}
}

func TestConfirmOnTerminal(t *testing.T) {
	term := newTerminal(t)
	got := make(chan answered, 1)
	go func() {
		yes, err := TTYPrompter{Path: term.path}.Confirm(t.Context(), "Sure? ")
		got <- answered{yes: yes, err: err}
	}()
	r := bufio.NewReader(term.user)
	term.sees(t, r, "Sure? ")
	fmt.Fprint(term.user, "maybe\n")
	term.sees(t, r, "yes or no: ")
	fmt.Fprint(term.user, "YES\n")
	if a := <-got; !a.yes || a.err != nil {
		t.Errorf("Confirm = %v, %v", a.yes, a.err)
	}
}

func TestTerminalAfterInterrupt(t *testing.T) {
	for name, interrupt := range map[string]func(term *terminal, cancel func()){
		"context":     func(_ *terminal, cancel func()) { cancel() },
		"end of file": func(term *terminal, _ func()) { fmt.Fprint(term.user, "\x04") },
		"signal": func(*terminal, func()) {
			// What ^C sends, here where the terminal is not this process's own.
			syscall.Kill(os.Getpid(), syscall.SIGINT)
		},
	} {
		t.Run(name, func(t *testing.T) {
			term := newTerminal(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			got := make(chan answered, 1)
			go func() {
				text, err := TTYPrompter{Path: term.path}.Password(ctx, "Password: ")
				got <- answered{text: text, err: err}
			}()
			term.sees(t, bufio.NewReader(term.user), "Password: ")
			interrupt(term, cancel)
			if a := <-got; !errors.Is(a.err, ErrInterrupted) {
				t.Errorf("Password = %q, %v; want ErrInterrupted", a.text, a.err)
			}
			if !term.echoes(t) {
				t.Error("echo is off afterwards")
			}
		})
	}
}

func TestNoTerminal(t *testing.T) {
	if _, err := (TTYPrompter{Path: "/nonexistent"}).Password(t.Context(), "x"); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("error %v", err)
	}
}
