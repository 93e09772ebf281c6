package dial

import (
	"context"
	"errors"
)

// Prompter asks the user. Its methods are called one at a time, with text that
// is clean of control characters.
type Prompter interface {
	// Password shows prompt and returns a line typed without echo.
	Password(ctx context.Context, prompt string) (string, error)
	// Confirm shows prompt and returns whether the answer was yes.
	Confirm(ctx context.Context, prompt string) (bool, error)
	// Interactive tells whether there is a user to ask.
	Interactive() bool
}

// ErrNoTerminal says that there was a question and nobody to ask.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// NoPrompter is the Prompter of a process without a terminal.
type NoPrompter struct{}

// Password returns ErrNoTerminal.
func (NoPrompter) Password(context.Context, string) (string, error) { return "", ErrNoTerminal }

// Confirm returns ErrNoTerminal.
func (NoPrompter) Confirm(context.Context, string) (bool, error) { return false, ErrNoTerminal }

// Interactive returns false.
func (NoPrompter) Interactive() bool { return false }
