package dial

import (
	"strings"
)

// line is one setting of an ssh_config file.
type line struct {
	number  int
	keyword string   // in lower case, old names replaced
	args    []string // without quotes
}

// parseConfig splits text into its settings. file is for errors.
func parseConfig(file, text string) ([]line, error) {
	var lines []line
	n := 0
	for raw := range strings.Lines(text) {
		n++
		l, ok, reason := parseLine(raw)
		if reason != "" {
			return nil, &ConfigError{File: file, Line: n, Keyword: l.keyword, Reason: reason}
		}
		if ok {
			l.number = n
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// parseLine reads "Keyword value", "Keyword=value" or "Keyword = value". ok is
// false for empty lines and comments.
func parseLine(raw string) (l line, ok bool, reason string) {
	s := strings.Trim(raw, " \t\r\n\f")
	if s == "" || s[0] == '#' {
		return line{}, false, ""
	}
	end := strings.IndexAny(s, " \t=\"")
	if end < 0 {
		return line{keyword: canonicalKeyword(s)}, false, "it has no value"
	}
	l.keyword = canonicalKeyword(s[:end])
	rest := strings.TrimLeft(s[end:], " \t")
	if strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], " \t")
	}
	if wholeLine(l.keyword) {
		l.args = []string{rest}
	} else if l.args, reason = splitArgs(rest); reason != "" {
		return l, false, reason
	}
	if len(l.args) == 0 || l.args[0] == "" && l.keyword != "match" {
		return l, false, "it has no value"
	}
	return l, true, ""
}

// splitArgs cuts s into words: quotes of either kind hold spaces, a backslash
// makes a following quote, space or backslash plain, # begins a comment.
func splitArgs(s string) (args []string, reason string) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return args, ""
		}
		word, rest, closed := nextArg(s)
		if !closed {
			return nil, "a quote is not closed"
		}
		args = append(args, word)
		s = rest
	}
}

// nextArg takes the first word of s.
func nextArg(s string) (word, rest string, closed bool) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`"'\`, s[i+1]) >= 0,
			c == '\\' && quote == 0 && i+1 < len(s) && s[i+1] == ' ':
			i++
			b.WriteByte(s[i])
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), s[i:], true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", quote == 0
}

// matchPattern is ssh's: * for any run, ? for one character, no other wildcard.
func matchPattern(pattern, s string) bool {
	// Greedy with one point to go back to, so that no pattern takes long.
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchPatterns reports whether one of patterns matches s and none of the
// negated ones, which begin with an exclamation mark, does.
func matchPatterns(patterns []string, s string) bool {
	matched := false
	for _, p := range patterns {
		if negated, ok := strings.CutPrefix(p, "!"); ok {
			if matchPattern(negated, s) {
				return false
			}
		} else if matchPattern(p, s) {
			matched = true
		}
	}
	return matched
}
