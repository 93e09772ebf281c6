package dial

import (
	"crypto/sha1"
	"encoding/hex"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// local is what the configuration may ask about this machine and its user.
type local struct {
	home     string
	user     string
	uid      string
	hostname string
	getenv   func(string) (string, bool)
}

// thisMachine reads local from the system. Like ssh it takes the home directory
// from the user database and not from HOME.
func thisMachine() local {
	l := local{uid: strconv.Itoa(os.Getuid()), getenv: os.LookupEnv}
	if u, err := user.LookupId(l.uid); err == nil {
		l.user, l.home = u.Username, u.HomeDir
	} else {
		l.user, l.home = os.Getenv("USER"), os.Getenv("HOME")
	}
	l.hostname, _ = os.Hostname()
	return l
}

// tokens are the values of percent tokens, ssh_config(5) section TOKENS.
type tokens map[byte]string

// remote is what tokens tell of the other end.
type remote struct {
	original string // the host as the user named it
	host     string
	port     string
	user     string
	alias    string // HostKeyAlias
	jump     string // ProxyJump
}

// tokens gives the tokens of a connection from l to r.
func (l local) tokens(r remote) tokens {
	short, _, _ := strings.Cut(l.hostname, ".")
	sum := sha1.Sum([]byte(l.hostname + r.host + r.port + r.user + r.jump))
	return tokens{
		'%': "%", 'C': hex.EncodeToString(sum[:]), 'd': l.home, 'h': r.host, 'i': l.uid, 'j': r.jump,
		'k': orElse(r.alias, r.original), 'L': short, 'l': l.hostname, 'n': r.original, 'p': r.port, 'r': r.user, 'u': l.user,
	}
}

// expand replaces the tokens in s. A token that is not in t is an error.
func (t tokens) expand(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", &ConfigError{Reason: "a % at the end of " + strconv.Quote(s)}
		}
		v, ok := t[s[i]]
		if !ok {
			return "", &ConfigError{Reason: "unknown token %" + s[i:i+1] + " in " + strconv.Quote(s)}
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// only returns t with just the tokens in names.
func (t tokens) only(names string) tokens {
	some := tokens{}
	for i := range len(names) {
		if v, ok := t[names[i]]; ok {
			some[names[i]] = v
		}
	}
	return some
}

// forShell checks that each value can stand in a command line, quoted or not,
// without becoming anything but text.
func (t tokens) forShell(command string) error {
	for i := 0; i+1 < len(command); i++ {
		if command[i] != '%' {
			continue
		}
		i++
		v := t[command[i]]
		if command[i] != '%' && (strings.HasPrefix(v, "-") || strings.ContainsFunc(v, unsafeInShell)) {
			return &ConfigError{Reason: "the value " + strconv.Quote(v) + " of %" + command[i:i+1] + " is not safe in a command line"}
		}
	}
	return nil
}

func unsafeInShell(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("._-:@%+=,/", r)
}

// path expands a file name: a leading ~ or ~user, ${NAME} of the environment,
// percent tokens.
func (l local) path(s string, t tokens) (string, error) {
	s, err := l.environment(s)
	if err != nil {
		return "", err
	}
	if s, err = t.expand(s); err != nil {
		return "", err
	}
	return l.tilde(s)
}

func (l local) tilde(s string) (string, error) {
	if !strings.HasPrefix(s, "~") {
		return s, nil
	}
	name, rest, _ := strings.Cut(s[1:], "/")
	home := l.home
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", &ConfigError{Reason: "no user " + strconv.Quote(name) + " for " + strconv.Quote(s), Err: err}
		}
		home = u.HomeDir
	}
	return filepath.Join(home, rest), nil
}

func (l local) environment(s string) (string, error) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok {
			return "", &ConfigError{Reason: "${ without } in " + strconv.Quote(s)}
		}
		v, ok := l.getenv(name)
		if !ok {
			return "", &ConfigError{Reason: "the environment has no " + name}
		}
		b.WriteString(v)
		s = rest
	}
}
