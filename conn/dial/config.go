package dial

import (
	"context"
	"time"
)

// HostKeyPolicy says what to do with a host key that is not in known_hosts.
type HostKeyPolicy int

// The values of StrictHostKeyChecking. A key that differs from the known one is
// refused under all of them but HostKeyNo.
const (
	HostKeyAsk       HostKeyPolicy = iota // ask on the terminal; refuse without one
	HostKeyYes                            // refuse
	HostKeyAcceptNew                      // take it and write it down
	HostKeyNo                             // take any, write new ones down
)

// Config is everything needed to reach one server. Resolve makes it; a caller
// may set Password before NewDialer and changes nothing afterwards.
type Config struct {
	Alias    string // the host as the user named it
	HostName string // the name or address to connect to
	Port     int
	User     string

	IdentityFiles    []string // private keys, most wanted first; need not exist
	CertificateFiles []string
	IdentitiesOnly   bool   // agent keys only where they match a file
	IdentityAgent    string // socket of the agent, "" for none

	UserKnownHostsFiles   []string // new keys go to the first
	GlobalKnownHostsFiles []string
	StrictHostKeyChecking HostKeyPolicy
	HostKeyAlias          string // name to look up in place of HostName, "" for none
	HashKnownHosts        bool

	// Names as in SSH, most wanted first, only those that are implemented
	// here. nil is this package's default.
	HostKeyAlgorithms        []string
	KexAlgorithms            []string
	Ciphers                  []string
	MACs                     []string
	PubkeyAcceptedAlgorithms []string

	ConnectTimeout      time.Duration // of each step; a question to the user stops the clock
	ConnectionAttempts  int           // at least 1, a second apart
	ServerAliveInterval time.Duration // 0 if not set
	ServerAliveCountMax int
	AddressFamily       string // "any", "inet" or "inet6"
	BindAddress         string

	PreferredAuthentications     []string
	PubkeyAuthentication         bool
	PasswordAuthentication       bool
	KbdInteractiveAuthentication bool
	NumberOfPasswordPrompts      int
	BatchMode                    bool // never ask

	Via          *Config // the jump host to go through, nil for none
	ProxyCommand string  // with tokens expanded, "" for none

	SFTPServer string // as in Target

	// Password gives the password in place of the terminal; nil for none. It
	// is used for this server, never for a jump host.
	Password func(ctx context.Context) (string, error)

	// Notes tell settings that cannot be honoured, one line each.
	Notes []string
}
