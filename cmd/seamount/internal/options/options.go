// Package options understands what is written after -o, as sshfs and mount(8)
// write it: names and name=value pairs separated by commas.
//
// An option is one of three things: an option of seamount or of sshfs with a
// meaning here (table.go); an option that asks for what seamount does anyway,
// or for what it never does, and is accepted so that old fstab lines work
// (ignored.go); or an ssh_config keyword (ssh.go). Everything else is an
// *UnknownError that names the option and the nearest one there is: a
// misspelt option must not go unnoticed.
//
// Where an option is given twice, the last one counts, except for ssh_config
// keywords, of which the first one counts, as ssh has it.
package options

import (
	"strings"
	"time"
)

// Mount is what the options of a mount say. New gives the defaults.
type Mount struct {
	// The way to the server.

	Port         int      // 0: as ssh_config says
	SSH          []string // ssh_config settings, "Keyword=value"
	SFTPServer   string   // subsystem, path or command; "": the usual
	PasswordFrom Source   // where a password comes from
	MaxConns     int      // 0: as seamount thinks best

	// What the mount is like.

	ReadOnly           bool
	AllowOther         bool
	AllowRoot          bool
	DefaultPermissions bool
	NonEmpty           bool
	FsName             string   // "": the source
	Kernel             []string // flags for the kernel, such as "noatime"
	Debug              bool

	Symlinks Symlinks
	IDMap    IDMap
	UIDFile  string // for IDMapFile
	GIDFile  string
	UID, GID *uint32 // what every owner is shown as; nil: mapped
	Umask    *uint32 // bits taken from every mode shown; nil: none

	// What is remembered, and when a call returns.

	Durability Durability
	// AttrTTL is how long attributes and listings are believed, nil: adapted
	// to their age between AttrTTLMin and AttrTTLMax (0: default).
	AttrTTL                *time.Duration
	AttrTTLMin, AttrTTLMax time.Duration
	OpenTTL                *time.Duration // nil: default
	CacheSize              int64          // bytes of content; 0: default
	Prefetch               bool
}

// Source says where a password comes from.
type Source int

// The sources of a password.
const (
	FromTerminal Source = iota
	FromStdin
)

// Durability says when a call that changes something returns.
type Durability string

// The values of -o durability.
const (
	DurabilityCall  Durability = "call"
	DurabilityClose Durability = "close"
)

// Symlinks says how symbolic links are shown.
type Symlinks string

// The values of -o symlinks.
const (
	SymlinksContain Symlinks = "contain"
	SymlinksRaw     Symlinks = "raw"
	SymlinksFollow  Symlinks = "follow"
)

// IDMap says how owners are shown.
type IDMap string

// The values of -o idmap.
const (
	IDMapUser IDMap = "user"
	IDMapNone IDMap = "none"
	IDMapFile IDMap = "file"
	IDMapName IDMap = "name"
)

// New returns the options of a mount for which none was given.
func New() *Mount {
	return &Mount{
		Symlinks:   SymlinksContain,
		IDMap:      IDMapUser,
		Durability: DurabilityClose,
		Prefetch:   true,
	}
}

// Parse adds the options in list, which is one argument of -o. The error is
// an *UnknownError or a *ValueError.
func (m *Mount) Parse(list string) error {
	for _, o := range split(list) {
		if err := m.Set(o); err != nil {
			return err
		}
	}
	return nil
}

// Set adds one option, in which commas and backslashes stand for themselves.
func (m *Mount) Set(option string) error {
	table := table()
	name, value, hasValue := strings.Cut(option, "=")
	if set, ok := table[name]; ok {
		if err := set(m, value, hasValue); err != nil {
			return &ValueError{Option: option, Reason: err.Error()}
		}
		return nil
	}
	if keyword, ok := sshKeyword(name); ok && hasValue {
		m.SSH = append(m.SSH, keyword+"="+value)
		return nil
	} else if ok {
		return &ValueError{Option: option, Reason: "it needs a value: " + keyword + "=..."}
	}
	if isIgnored(name) {
		return nil
	}
	return &UnknownError{Option: option, Nearest: nearest(name, names(table))}
}

// Check tells of options that contradict each other.
func (m *Mount) Check() error {
	switch {
	case m.IDMap == IDMapFile && m.UIDFile == "" && m.GIDFile == "":
		return &ValueError{Option: "idmap=file", Reason: "it needs uidfile=FILE or gidfile=FILE"}
	case m.IDMap != IDMapFile && (m.UIDFile != "" || m.GIDFile != ""):
		return &ValueError{Option: "uidfile/gidfile", Reason: "they need idmap=file"}
	case m.AllowOther && m.AllowRoot:
		return &ValueError{Option: "allow_root", Reason: "it excludes allow_other"}
	case m.AttrTTLMax != 0 && m.AttrTTLMax < m.AttrTTLMin:
		return &ValueError{Option: "attr_ttl_max", Reason: "it is less than attr_ttl_min"}
	}
	return nil
}

// split cuts list at its commas. A backslash takes the meaning from the
// character after it; with three octal digits it stands for a byte, as
// libfuse has it. Empty options are left out.
func split(list string) []string {
	var (
		out []string
		cur strings.Builder
	)
	flush := func() {
		if cur.Len() > 0 {
			out = append(out, cur.String())
			cur.Reset()
		}
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == ',':
			flush()
		case c == '\\' && i+1 < len(list):
			b, n := unescape(list[i+1:])
			cur.WriteByte(b)
			i += n
		default:
			cur.WriteByte(c)
		}
	}
	flush()
	return out
}

// unescape reads what stands after a backslash and returns how long it was.
func unescape(s string) (b byte, n int) {
	if len(s) < 3 || s[0] < '0' || s[0] > '3' {
		return s[0], 1
	}
	for _, c := range []byte(s[:3]) {
		if c < '0' || c > '7' {
			return s[0], 1
		}
		b = b<<3 | (c - '0')
	}
	return b, 3
}
