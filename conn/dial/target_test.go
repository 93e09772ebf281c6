package dial

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct{ in, user, host, dir string }{
		{"host:", "", "host", ""},
		{"host:dir", "", "host", "dir"},
		{"me@host:/a b:c@d", "me", "host", "/a b:c@d"},
		{"me@host.example.org:~/x", "me", "host.example.org", "~/x"},
		{"a@b@host:", "a@b", "host", ""},
		{`DOM\me@host:`, `DOM\me`, "host", ""},
		{"[::1]:/x", "", "::1", "/x"},
		{"me@[fe80::1%eth0]:x[1]:y", "me", "fe80::1%eth0", "x[1]:y"},
		{"[me@::1]:x", "me", "::1", "x"},
		{"host:[::1]:x", "", "host", "[::1]:x"},
		{"10.0.0.1:a", "", "10.0.0.1", "a"},
		{"hëst:", "", "hëst", ""},
	} {
		got, dir, err := ParseTarget(tt.in)
		if err != nil || got.User != tt.user || got.Host != tt.host || dir != tt.dir {
			t.Errorf("ParseTarget(%q) = %+v, %q, %v; want %q %q %q", tt.in, got, dir, err, tt.user, tt.host, tt.dir)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for _, in := range []string{
		"", "host", ":", ":dir", "@host:", "me@:", "-oProxyCommand=x:", "me@-h:", "-me@host:", "a b:", "a\tb:", "a\nb:", "a\x00:", "a;b:", "$(x):",
		"`x`:", "a|b:", "a&b:", "a>b:", "'a':", `"a":`, `a\b:`, "a*:", "a/b:", "me;x@host:", "m e@host:", "$u@host:", `me\@host:`, "[::1", "[::1]x",
		"[::1%;x]:", "[-x]:", "h\x1b[1m:", "h\xff:", "host:a\x00b", "a,b:", "ho\u200bst:", "h\u00a0st:",
	} {
		got, _, err := ParseTarget(in)
		var e *TargetError
		if !errors.As(err, &e) {
			t.Errorf("ParseTarget(%q) = %+v, %v; want a *TargetError", in, got, err)
		} else if strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("ParseTarget(%q): error is not one clean line: %q", in, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"me@host:dir", "[::1]:x", "[a@b]:c", "x@[fe80::1%1]:", "-a:", "a@:", "a[b]:c", "]:[", "[]:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, dir, err := ParseTarget(s)
		if err != nil {
			return
		}
		if got.Host == "" || got.Host[0] == '-' || strings.HasPrefix(got.User, "-") ||
			strings.ContainsAny(got.Host+got.User, " \t\r\n\x00'\"`$;&|<>(){}*?!") {
			t.Fatalf("%q was taken as %+v", s, got)
		}
		if !strings.HasSuffix(s, ":"+dir) {
			t.Fatalf("%q has no directory %q", s, dir)
		}
	})
}
