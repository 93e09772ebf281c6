package dial

import (
	"fmt"
	"strings"
	"unicode"
)

// oneLine makes text from a server fit for one line of a terminal: control
// characters, which escape sequences begin with, become spaces, runs of spaces
// one, and what is beyond 300 runes is cut.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "..."
	}
	return s
}

// withHint joins what happened and what to do to one line.
func withHint(what, hint string) string {
	if hint == "" {
		return oneLine(what)
	}
	return oneLine(what) + ": " + hint
}

// TargetError is a host, user or target that cannot be used.
type TargetError struct {
	Target string
	Reason string
	hint   string
}

func (e *TargetError) Error() string {
	return withHint(fmt.Sprintf("%q is not a server: %s", e.Target, e.Reason), e.hint)
}

// Hint says what to do, "" if that is plain.
func (e *TargetError) Hint() string { return e.hint }
