package dial

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxJumps bounds a chain of jump hosts, each of which may name another one.
const maxJumps = 8

// resolveTimeout bounds ssh -G, which looks names up when asked to
// canonicalise and runs the commands of Match exec.
const resolveTimeout = 30 * time.Second

// Resolve finds the settings for t and for each jump host on the way: those
// that the ssh program prints with -G, so that each rule of the user's
// ssh_config holds, or our own reading of the same files where there is no ssh.
// It connects to nothing. The errors are *TargetError and *ConfigError.
func Resolve(ctx context.Context, t Target) (*Config, error) {
	program, _ := exec.LookPath("ssh")
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	return resolver{local: thisMachine(), ssh: program}.resolve(ctx, t, 0)
}

// resolver holds what Resolve takes from the machine. ssh is the path of the
// ssh program, "" to do without.
type resolver struct {
	local local
	ssh   string
}

func (r resolver) resolve(ctx context.Context, t Target, depth int) (*Config, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	if depth > maxJumps {
		return nil, &ConfigError{Keyword: "proxyjump", Reason: "more than " + strconv.Itoa(maxJumps) + " jump hosts; does one jump through itself? Give it ProxyJump none"}
	}
	s, err := r.settings(ctx, t)
	if err != nil {
		return nil, err
	}
	cfg, err := newConfig(t, s, r.local)
	if err != nil {
		return nil, err
	}
	if jump := s.value("proxyjump"); jump != "" {
		cfg.Via, err = r.chain(ctx, jump, t.ConfigFile, depth)
	}
	return cfg, err
}

// chain resolves the hosts of a ProxyJump list and links them, last to first.
// Each has its own settings; options of the command line are not for them.
func (r resolver) chain(ctx context.Context, jump, configFile string, depth int) (*Config, error) {
	hops := strings.Split(jump, ",")
	if len(hops)+depth > maxJumps {
		return nil, &ConfigError{Keyword: "proxyjump", Reason: "more than " + strconv.Itoa(maxJumps) + " jump hosts"}
	}
	var via *Config
	for i, hop := range hops {
		t, err := parseHop(hop)
		if err != nil {
			return nil, err
		}
		t.ConfigFile = configFile
		if i > 0 { // reached through the one before, whatever its own settings say
			t.Options = []string{"ProxyJump=none", "ProxyCommand=none"}
		}
		cfg, err := r.resolve(ctx, t, depth+1)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			cfg.Via = via
		}
		via = cfg
	}
	return via, nil
}

// parseHop reads [user@]host[:port] or ssh://[user@]host[:port].
func parseHop(s string) (Target, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "ssh://"), "/")
	var t Target
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		t.User, rest = rest[:i], rest[i+1:]
	}
	t.Host = strings.Trim(rest, "[]")
	if host, port, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return Target{}, &ConfigError{Keyword: "proxyjump", Reason: strconv.Quote(port) + " is not a port"}
		}
		t.Host, t.Port = host, n
	}
	return t, t.validate()
}

// errNoDump says that the program named ssh knows no -G.
var errNoDump = errors.New("this ssh has no option -G")

func (r resolver) settings(ctx context.Context, t Target) (settings, error) {
	if r.ssh != "" {
		s, err := r.ask(ctx, t)
		if !errors.Is(err, errNoDump) {
			return s, err
		}
	}
	return evaluate(ctx, t, r.local)
}

// ask has the ssh program evaluate the configuration for t, and at the same
// time tell its own defaults: the lists of algorithms that are equal to those
// were not asked for by anybody.
func (r resolver) ask(ctx context.Context, t Target) (settings, error) {
	var got, dflt settings
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		got, err = r.dump(ctx, t)
		return err
	})
	g.Go(func() (err error) {
		dflt, err = r.dump(ctx, Target{Host: "localhost", ConfigFile: "none"})
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, kind := range algorithmKinds() {
		if list := relative(got.first(kind.keyword), dflt.first(kind.keyword)); list == "" {
			delete(got, kind.keyword)
		} else {
			got[kind.keyword] = []string{list}
		}
	}
	return got, nil
}

// dump runs ssh -G.
func (r resolver) dump(ctx context.Context, t Target) (settings, error) {
	args := []string{"-G"}
	if t.ConfigFile != "" {
		args = append(args, "-F", t.ConfigFile)
	}
	for _, o := range t.Options {
		args = append(args, "-o", o)
	}
	if t.Port != 0 {
		args = append(args, "-p", strconv.Itoa(t.Port))
	}
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	cmd := exec.CommandContext(ctx, r.ssh, append(args, "--", t.Host)...)
	cmd.WaitDelay = time.Second // a command of Match exec may keep the pipes open
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, dumpError(ctx, err, stderr.String())
	}
	s := parseDump(string(out))
	if !s.has("hostname") {
		return nil, errNoDump
	}
	return s, nil
}

func dumpError(ctx context.Context, err error, stderr string) error {
	if ctx.Err() != nil {
		return &ConfigError{Reason: "ssh -G did not end", Err: ctx.Err()}
	}
	low := strings.ToLower(stderr)
	if strings.Contains(low, "unknown option") || strings.Contains(low, "illegal option") || strings.Contains(low, "invalid option") {
		return errNoDump
	}
	reason, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	if reason == "" {
		reason = "ssh -G: " + err.Error()
	}
	return &ConfigError{Reason: reason, Err: err}
}
