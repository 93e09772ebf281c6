package options

import (
	"fmt"
	"strings"
)

// UnknownError is an option that does not exist.
type UnknownError struct {
	Option  string
	Nearest string // the option that was perhaps meant, "" if none is near
}

func (e *UnknownError) Error() string {
	if e.Nearest == "" {
		return fmt.Sprintf("unknown option %q: see seamount help options", e.Option)
	}
	return fmt.Sprintf("unknown option %q: did you mean %q?", e.Option, e.Nearest)
}

// ValueError is an option whose value cannot be used.
type ValueError struct {
	Option string // with its value
	Reason string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("option %q: %s", e.Option, e.Reason)
}

// nearest returns the one of names, ssh_config keywords and ignored options
// that name is likely a misspelling of, "" if there is none.
func nearest(name string, names []string) string {
	candidates := append(append(names, strings.Fields(sshKeywords)...), ignored()...)
	best, bestDistance := "", 1+max(1, len(name)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete, replace or swap with
// their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range b {
		d[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := d[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			d[i][j] = min(replace, d[i-1][j]+1, d[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
