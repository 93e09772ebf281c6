package dial

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of ssh_config where ours are the same or stand in their place.
const (
	defaultConnectTimeout = 15 * time.Second
	defaultPrompts        = 3
	defaultAliveCount     = 3
)

// defaultAuthentications is the order in which ssh tries methods, without those
// that are not implemented here.
const defaultAuthentications = "publickey,keyboard-interactive,password"

// builder turns settings into a Config and keeps the first error.
type builder struct {
	local local
	from  settings
	t     tokens
	cfg   *Config
	err   error
}

// newConfig makes the Config of t from its settings. Via is left to the caller.
func newConfig(t Target, s settings, l local) (*Config, error) {
	b := &builder{local: l, from: s, cfg: &Config{Alias: t.Host, SFTPServer: t.SFTPServer}}
	b.connection()
	b.tokens()
	b.identities()
	b.hostKeys()
	b.algorithms()
	b.authentication()
	b.proxy()
	b.notes()
	if b.err != nil {
		return nil, b.err
	}
	return b.cfg, nil
}

func (b *builder) fail(keyword string, err error) {
	if err == nil || b.err != nil {
		return
	}
	var c *ConfigError
	if errors.As(err, &c) && c.Keyword == "" {
		c.Keyword = keyword
	}
	b.err = err
}

func (b *builder) connection() {
	c := b.cfg
	c.HostName = b.from.first("hostname")
	if c.HostName == "" {
		c.HostName = c.Alias
	}
	if reason := badHost(c.HostName); reason != "" {
		b.fail("hostname", &ConfigError{Keyword: "hostname", Reason: reason})
	}
	c.User = b.from.first("user")
	if c.User == "" {
		c.User = b.local.user
	}
	if reason := badUser(c.User); reason != "" {
		b.fail("user", &ConfigError{Keyword: "user", Reason: reason})
	}
	c.Port = b.number("port", 22, 1, 65535)
	c.ConnectTimeout = b.duration("connecttimeout", defaultConnectTimeout)
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	c.ConnectionAttempts = b.number("connectionattempts", 1, 1, 1000)
	c.ServerAliveInterval = b.duration("serveraliveinterval", 0)
	c.ServerAliveCountMax = b.number("serveralivecountmax", defaultAliveCount, 0, 1<<20)
	c.AddressFamily = b.word("addressfamily", "any", "any", "inet", "inet6")
	c.BindAddress = b.from.value("bindaddress")
}

func (b *builder) tokens() {
	c := b.cfg
	b.t = b.local.tokens(remote{
		original: c.Alias, host: c.HostName, port: strconv.Itoa(c.Port), user: c.User,
		alias: b.from.first("hostkeyalias"), jump: b.from.value("proxyjump"),
	})
}

func (b *builder) identities() {
	c := b.cfg
	names := b.from["identityfile"]
	if len(names) == 0 {
		names = []string{"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"}
	}
	c.IdentityFiles = b.paths("identityfile", without(names, "none"))
	c.CertificateFiles = b.paths("certificatefile", without(b.from["certificatefile"], "none"))
	c.IdentitiesOnly = b.from.yes("identitiesonly", false)
	c.IdentityAgent = b.agent(b.from.first("identityagent"))
}

// agent finds the socket: the setting, where SSH_AUTH_SOCK or $NAME stand for
// variables of the environment, or by default SSH_AUTH_SOCK.
func (b *builder) agent(setting string) string {
	name, variable := strings.CutPrefix(setting, "$")
	switch {
	case setting == "none":
		return ""
	case setting == "" || setting == "SSH_AUTH_SOCK":
		name, variable = "SSH_AUTH_SOCK", true
	case strings.HasPrefix(name, "{"):
		variable = false
	}
	if variable {
		socket, _ := b.local.getenv(name)
		return socket
	}
	return b.path("identityagent", setting)
}

func (b *builder) hostKeys() {
	c := b.cfg
	users, globals := b.from["userknownhostsfile"], b.from["globalknownhostsfile"]
	if len(users) == 0 {
		users = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	if len(globals) == 0 {
		globals = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	c.UserKnownHostsFiles = b.paths("userknownhostsfile", without(users, "none"))
	c.GlobalKnownHostsFiles = b.paths("globalknownhostsfile", without(globals, "none"))
	c.HostKeyAlias = strings.ToLower(b.from.first("hostkeyalias"))
	c.HashKnownHosts = b.from.yes("hashknownhosts", false)
	switch b.word("stricthostkeychecking", "ask", "ask", "yes", "true", "no", "false", "off", "accept-new") {
	case "yes", "true":
		c.StrictHostKeyChecking = HostKeyYes
	case "no", "false", "off":
		c.StrictHostKeyChecking = HostKeyNo
	case "accept-new":
		c.StrictHostKeyChecking = HostKeyAcceptNew
	}
}

func (b *builder) algorithms() {
	c := b.cfg
	into := map[string]*[]string{
		"ciphers": &c.Ciphers, "macs": &c.MACs, "kexalgorithms": &c.KexAlgorithms,
		"hostkeyalgorithms": &c.HostKeyAlgorithms, "pubkeyacceptedalgorithms": &c.PubkeyAcceptedAlgorithms,
	}
	for _, kind := range algorithmKinds() {
		list, err := kind.choose(b.from.first(kind.keyword))
		b.fail(kind.keyword, err)
		*into[kind.keyword] = list
	}
}

func (b *builder) authentication() {
	c := b.cfg
	known := strings.Split(defaultAuthentications, ",")
	methods := strings.Split(orElse(b.from.first("preferredauthentications"), defaultAuthentications), ",")
	c.PreferredAuthentications = slices.DeleteFunc(methods, func(m string) bool { return !slices.Contains(known, m) })
	switch strings.ToLower(b.from.first("pubkeyauthentication")) {
	case "no", "false":
	default: // also unbound and host-bound
		c.PubkeyAuthentication = true
	}
	c.PasswordAuthentication = b.from.yes("passwordauthentication", true)
	c.KbdInteractiveAuthentication = b.from.yes("kbdinteractiveauthentication", true)
	c.NumberOfPasswordPrompts = b.number("numberofpasswordprompts", defaultPrompts, 0, 100)
	c.BatchMode = b.from.yes("batchmode", false)
}

// proxy expands ProxyCommand. Its values reach a shell, so each must be plain.
func (b *builder) proxy() {
	command := b.from.value("proxycommand")
	t := b.t.only("%hnpr")
	b.fail("proxycommand", t.forShell(command))
	expanded, err := t.expand(command)
	b.fail("proxycommand", err)
	b.cfg.ProxyCommand = expanded
}

// notes lists settings with an effect that we cannot have.
func (b *builder) notes() {
	unsupported := map[string]string{
		"compression":             "compression is not implemented",
		"gssapiauthentication":    "GSSAPI is not implemented",
		"hostbasedauthentication": "host-based authentication is not implemented",
		"proxyusefdpass":          "passing descriptors is not implemented",
		"verifyhostkeydns":        "host keys in DNS are not looked at",
	}
	for _, k := range sortedKeys(unsupported) {
		if b.from.yes(k, false) {
			b.cfg.Notes = append(b.cfg.Notes, "ssh configuration: "+k+": "+unsupported[k])
		}
	}
	for _, k := range []string{"pkcs11provider", "bindinterface"} {
		if b.from.value(k) != "" {
			b.cfg.Notes = append(b.cfg.Notes, "ssh configuration: "+k+" is not implemented")
		}
	}
}

func (b *builder) path(keyword, s string) string {
	p, err := b.local.path(s, b.t)
	b.fail(keyword, err)
	return p
}

func (b *builder) paths(keyword string, names []string) []string {
	var out []string
	for _, n := range names {
		if p := b.path(keyword, n); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// number reads a setting between low and high.
func (b *builder) number(keyword string, dflt, low, high int) int {
	s := b.from.value(keyword)
	if s == "" {
		return dflt
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		b.fail(keyword, &ConfigError{Keyword: keyword, Reason: strconv.Quote(s) + " is not a number from " +
			strconv.Itoa(low) + " to " + strconv.Itoa(high)})
		return dflt
	}
	return n
}

// duration reads a time as sshd_config(5) TIME FORMATS: seconds, or a sequence
// such as 1h30m.
func (b *builder) duration(keyword string, dflt time.Duration) time.Duration {
	s := b.from.value(keyword)
	if s == "" {
		return dflt
	}
	d, ok := parseTime(s)
	if !ok {
		b.fail(keyword, &ConfigError{Keyword: keyword, Reason: strconv.Quote(s) + " is not a time"})
	}
	return d
}

// maxTime keeps sums of times far from overflow.
const maxTime = 10 * 365 * 24 * time.Hour

func parseTime(s string) (total time.Duration, ok bool) {
	units := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
	}
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 32)
		if err != nil {
			return 0, false
		}
		unit := time.Second
		if s = s[digits:]; s != "" {
			if unit, ok = units[s[0]|0x20]; !ok {
				return 0, false
			}
			s = s[1:]
		}
		if n > int64(maxTime/unit) || total > maxTime {
			return 0, false
		}
		total += time.Duration(n) * unit
	}
	return total, true
}

// word reads one of a few words.
func (b *builder) word(keyword, dflt string, words ...string) string {
	s := strings.ToLower(orElse(b.from.first(keyword), dflt))
	if !slices.Contains(words, s) {
		b.fail(keyword, &ConfigError{Keyword: keyword, Reason: strconv.Quote(s) + " is none of " + strings.Join(words, ", ")})
	}
	return s
}

func without(list []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.EqualFold(s, word) })
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
