package dial

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Target names a server as the user does.
type Target struct {
	User string // "" leaves it to the configuration
	Host string // a name, an alias of the configuration, or an address without brackets
	Port int    // 0 leaves it to the configuration
	// ConfigFile is an ssh_config file that replaces the user's and the
	// system's; "" for those two, "none" for no file.
	ConfigFile string
	// Options are ssh_config settings "Keyword=value" that come before all
	// others; the first of a keyword wins.
	Options []string
	// SFTPServer is the name of the SSH subsystem, or, when it has a slash or
	// a space, a command to run in its place. "" asks for the subsystem sftp
	// and tries the usual paths of sftp-server where there is none.
	SFTPServer string
}

// Characters that no host or user name has and that mean something to a shell
// or to ssh; users may have the backslash of a Windows domain inside.
const (
	badInHost = "'`\"$\\;&<>|(){}[]*?!#~/@%^,"
	badInUser = "'`\"$;&<>|(){}[]*?!#~/:,"
)

// ParseTarget splits [user@]host:[dir]. An IPv6 address stands in brackets. The
// directory is "" when there is none and may hold any byte but NUL. A host or a
// user that could be taken for an option or by a shell for something else is
// refused with a *TargetError.
func ParseTarget(s string) (t Target, dir string, err error) {
	login, dir, ok := splitTarget(s)
	if !ok {
		return Target{}, "", &TargetError{Target: s, Reason: "it has no colon after the host", hint: "write [user@]host:[dir]"}
	}
	t.Host = login
	if i := strings.LastIndexByte(login, '@'); i >= 0 {
		if i == 0 {
			return Target{}, "", &TargetError{Target: s, Reason: "the user is empty"}
		}
		t.User, t.Host = login[:i], login[i+1:]
	}
	t.Host = strings.TrimSuffix(strings.TrimPrefix(t.Host, "["), "]")
	if strings.IndexByte(dir, 0) >= 0 {
		return Target{}, "", &TargetError{Target: s, Reason: "the directory has a NUL byte"}
	}
	if err := t.validate(); err != nil {
		return Target{}, "", err
	}
	return t, dir, nil
}

// splitTarget cuts s at the colon before the directory, which is the first one
// outside brackets.
func splitTarget(s string) (login, dir string, ok bool) {
	start := 0
	if open := strings.IndexByte(s, '['); open >= 0 && strings.IndexByte(s[:open], ':') < 0 {
		end := strings.Index(s[open:], "]:")
		if end < 0 {
			return "", "", false
		}
		start = open + end + 1
		if open == 0 && strings.Contains(s[:start], "@") { // [user@host]:dir
			return strings.Trim(s[:start], "[]"), s[start+1:], true
		}
	}
	i := strings.IndexByte(s[start:], ':')
	if i < 0 {
		return "", "", false
	}
	return s[:start+i], s[start+i+1:], true
}

// validate is the gate between what came from outside and command lines.
func (t Target) validate() error {
	if reason := badHost(t.Host); reason != "" {
		return &TargetError{Target: t.Host, Reason: reason}
	}
	if reason := badUser(t.User); reason != "" {
		return &TargetError{Target: t.User, Reason: reason}
	}
	if t.Port < 0 || t.Port > 65535 {
		return &TargetError{Target: t.Host, Reason: "the port is not between 1 and 65535"}
	}
	return nil
}

// badHost says what is wrong with a host, "" if nothing.
func badHost(host string) string {
	switch {
	case host == "":
		return "the host is empty"
	case host[0] == '-':
		return "a host does not begin with -"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return badName("the host", a.Zone(), badInHost)
	}
	return badName("the host", host, badInHost+":")
}

// badUser says what is wrong with a user, "" if nothing.
func badUser(user string) string {
	switch {
	case strings.HasPrefix(user, "-"):
		return "a user does not begin with -"
	case strings.HasSuffix(user, `\`):
		return "a user does not end with a backslash"
	}
	return badName("the user", user, badInUser)
}

func badName(what, name, bad string) string {
	if !utf8.ValidString(name) {
		return what + " is not valid UTF-8"
	}
	for _, r := range name {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return what + " has a space or a control character"
		}
		if strings.ContainsRune(bad, r) {
			return what + " has the character " + string(r)
		}
	}
	return ""
}
