package wire

import (
	"strings"
	"unicode"
)

// printable makes text of a server fit for a terminal: at most limit bytes of
// valid UTF-8, without control characters but for newlines.
func printable(text []byte, limit int) string {
	s := strings.ToValidUTF8(string(text[:min(len(text), limit)]), "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			return r
		case r == '\t':
			return ' '
		}
		return -1
	}, s)
}

// oneLine is printable for a message: one line of at most maxStatusText bytes.
func oneLine(text []byte) string {
	return strings.Join(strings.Fields(printable(text, maxStatusText)), " ")
}
