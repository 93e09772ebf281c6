package dial

import (
	"fmt"
	"strings"
)

// settings are values of ssh_config by keyword in lower case. A keyword that
// takes one value has the first that was set; one that takes several, or is
// repeatable, has them in order. Both `ssh -G` and our own evaluator end here.
type settings map[string][]string

// repeatable keywords collect the values of all their lines.
func repeatable(keyword string) bool {
	return keyword == "identityfile" || keyword == "certificatefile"
}

// severalValues tells keywords whose one line holds several words.
func severalValues(keyword string) bool {
	return keyword == "userknownhostsfile" || keyword == "globalknownhostsfile"
}

// wholeLine tells keywords whose value is the rest of the line as it stands.
func wholeLine(keyword string) bool {
	return keyword == "proxycommand" || keyword == "localcommand" || keyword == "remotecommand"
}

// canonicalKeyword gives old names their new ones.
func canonicalKeyword(keyword string) string {
	k := strings.ToLower(keyword)
	switch k {
	case "pubkeyacceptedkeytypes":
		return "pubkeyacceptedalgorithms"
	case "challengeresponseauthentication", "skeyauthentication", "tisauthentication":
		return "kbdinteractiveauthentication"
	case "userknownhostsfile2":
		return "userknownhostsfile"
	case "globalknownhostsfile2":
		return "globalknownhostsfile"
	case "dsaauthentication":
		return "pubkeyauthentication"
	}
	return k
}

// set records values unless the keyword has some already and is not repeatable.
func (s settings) set(keyword string, values ...string) {
	k := canonicalKeyword(keyword)
	switch {
	case repeatable(k):
		for _, v := range values {
			if !contains(s[k], v) {
				s[k] = append(s[k], v)
			}
		}
	case k == "proxyjump" && s.has("proxycommand"), k == "proxycommand" && s.has("proxyjump"):
		// The first of the two wins, whichever it is.
	case !s.has(k):
		s[k] = values
	}
}

func (s settings) has(keyword string) bool { return len(s[keyword]) > 0 }

// first returns the value of keyword, "" without one.
func (s settings) first(keyword string) string {
	if v := s[keyword]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// value is first where "none" means the same as nothing.
func (s settings) value(keyword string) string {
	if v := s.first(keyword); !strings.EqualFold(v, "none") {
		return v
	}
	return ""
}

// list is all values of keyword, nothing if the first is "none".
func (s settings) list(keyword string) []string {
	if strings.EqualFold(s.first(keyword), "none") {
		return nil
	}
	return s[keyword]
}

// yes reads a flag as ssh does; dflt if it is not set.
func (s settings) yes(keyword string, dflt bool) bool {
	switch strings.ToLower(s.first(keyword)) {
	case "yes", "true":
		return true
	case "no", "false":
		return false
	}
	return dflt
}

// parseDump reads what ssh -G prints: a keyword and its value on each line.
func parseDump(out string) settings {
	s := settings{}
	for line := range strings.Lines(out) {
		keyword, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if !ok || strings.TrimSpace(value) == "" {
			continue
		}
		if severalValues(keyword) {
			s.set(keyword, strings.Fields(value)...)
		} else {
			s.set(keyword, value)
		}
	}
	return s
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// ConfigError is a setting or a configuration file that cannot be used.
type ConfigError struct {
	File    string // "" for the command line
	Line    int    // 0 if unknown
	Keyword string // "" if the fault is in no single one
	Reason  string
	Err     error
}

func (e *ConfigError) Error() string {
	what := e.Reason
	if e.Keyword != "" {
		what = e.Keyword + ": " + what
	}
	switch {
	case e.File != "" && e.Line > 0:
		what = fmt.Sprintf("%s:%d: %s", e.File, e.Line, what)
	case e.File != "":
		what = e.File + ": " + what
	}
	return oneLine("ssh configuration: " + what)
}

func (e *ConfigError) Unwrap() error { return e.Err }
