package dial

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// maxInclude bounds how deep files include files, as in ssh.
const maxInclude = 16

// maxConfigFile bounds the size of a configuration file, bytes.
const maxConfigFile = 4 << 20

// evaluator finds the settings of a host in ssh_config files where there is no
// ssh program to ask: Host, Match (all, host, originalhost, user, localuser,
// exec, final, canonical) and Include, with the first value of a keyword
// winning, as ssh_config(5) says.
type evaluator struct {
	local    local
	original string // the host as given
	got      settings

	finalPass  bool // in the second reading, which Match final asks for
	wantsFinal bool
}

// source is a file and the directory its relative includes start from.
type source struct {
	file     string
	base     string
	required bool
	depth    int
}

// evaluate reads the files for t and returns the settings of its host.
func evaluate(ctx context.Context, t Target, l local) (settings, error) {
	e := &evaluator{local: l, original: t.Host, got: settings{}}
	for _, o := range t.Options {
		opt, ok, reason := parseLine(o)
		if !ok {
			if reason == "" {
				reason = "it is empty"
			}
			return nil, &ConfigError{Keyword: o, Reason: reason}
		}
		e.assign(opt)
	}
	if t.Port != 0 {
		e.got.set("port", strconv.Itoa(t.Port))
	}
	if t.User != "" {
		e.got.set("user", t.User)
	}
	if err := e.readAll(ctx, e.sources(t.ConfigFile)); err != nil {
		return nil, err
	}
	if e.wantsFinal {
		e.finalPass = true
		if err := e.readAll(ctx, e.sources(t.ConfigFile)); err != nil {
			return nil, err
		}
	}
	return e.got, e.finish()
}

// sources are the files to read when the user named configFile.
func (e *evaluator) sources(configFile string) []source {
	dir := filepath.Join(e.local.home, ".ssh")
	switch configFile {
	case "none":
		return nil
	case "":
		return []source{
			{file: filepath.Join(dir, "config"), base: dir},
			{file: "/etc/ssh/ssh_config", base: "/etc/ssh"},
		}
	}
	return []source{{file: configFile, base: dir, required: true}}
}

func (e *evaluator) readAll(ctx context.Context, files []source) error {
	for _, f := range files {
		if err := e.read(ctx, f, true); err != nil {
			return err
		}
	}
	return nil
}

// read applies one file; active says whether the lines before its first Host or
// Match count.
func (e *evaluator) read(ctx context.Context, src source, active bool) error {
	text, err := readBounded(src.file, maxConfigFile)
	if errors.Is(err, fs.ErrNotExist) && !src.required {
		return nil
	}
	if err != nil {
		return &ConfigError{File: src.file, Reason: plainReason(err), Err: err}
	}
	lines, err := parseConfig(src.file, string(text))
	if err != nil {
		return err
	}
	enclosing := active
	for _, l := range lines {
		if active, err = e.apply(ctx, l, src, active, enclosing); err != nil {
			return at(err, src.file, l.number)
		}
	}
	return nil
}

// apply handles one line and returns whether the following ones count. Nothing
// in a file included from a block that does not match counts.
func (e *evaluator) apply(ctx context.Context, l line, src source, active, enclosing bool) (bool, error) {
	switch l.keyword {
	case "host":
		return enclosing && matchPatterns(l.args, e.original), nil
	case "match":
		m, err := e.match(ctx, l.args, enclosing)
		return m && enclosing, err
	case "include":
		return active, e.include(ctx, l.args, src, active)
	}
	if active {
		e.assign(l)
	}
	return active, nil
}

func (e *evaluator) assign(l line) {
	if severalValues(l.keyword) {
		e.got.set(l.keyword, l.args...)
		return
	}
	e.got.set(l.keyword, l.args[0])
}

func (e *evaluator) include(ctx context.Context, patterns []string, src source, active bool) error {
	if src.depth >= maxInclude {
		return &ConfigError{Keyword: "include", Reason: "too many files include each other"}
	}
	for _, p := range patterns {
		p, err := e.local.tilde(p)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(p) {
			p = filepath.Join(src.base, p)
		}
		files, err := filepath.Glob(p)
		if err != nil {
			return &ConfigError{Keyword: "include", Reason: plainReason(err), Err: err}
		}
		sort.Strings(files)
		for _, f := range files {
			if err := e.read(ctx, source{file: f, base: src.base, depth: src.depth + 1}, active); err != nil {
				return err
			}
		}
	}
	return nil
}

// match evaluates the criteria of a Match line. enclosing false says that the
// outcome does not matter, so that no command runs for it.
func (e *evaluator) match(ctx context.Context, args []string, enclosing bool) (bool, error) {
	if len(args) == 1 && strings.EqualFold(args[0], "all") {
		return true, nil
	}
	result := true
	for len(args) > 0 {
		name, negated := strings.CutPrefix(args[0], "!")
		args = args[1:]
		name, value, inline := strings.Cut(name, "=")
		name = strings.ToLower(name)
		switch name {
		case "all":
			return false, &ConfigError{Keyword: "match", Reason: "all stands with other criteria"}
		case "final", "canonical":
			e.wantsFinal = e.wantsFinal || name == "final"
			result = result && e.finalPass != negated
			continue
		}
		if !inline {
			if len(args) == 0 {
				return false, &ConfigError{Keyword: "match", Reason: "no value for " + name}
			}
			value, args = args[0], args[1:]
		}
		ok, err := e.criterion(ctx, name, value, result && enclosing)
		if err != nil {
			return false, err
		}
		result = result && ok != negated
	}
	return result, nil
}

// criterion evaluates one criterion with a value; a command runs only if the
// outcome is still open.
func (e *evaluator) criterion(ctx context.Context, name, value string, open bool) (bool, error) {
	patterns := strings.Split(value, ",")
	switch name {
	case "host":
		return matchPatterns(lowerAll(patterns), strings.ToLower(e.hostName())), nil
	case "originalhost":
		return matchPatterns(lowerAll(patterns), strings.ToLower(e.original)), nil
	case "user":
		return matchPatterns(patterns, e.user()), nil
	case "localuser":
		return matchPatterns(patterns, e.local.user), nil
	case "exec":
		if !open {
			return false, nil
		}
		return e.run(ctx, value)
	}
	return false, &ConfigError{Keyword: "match", Reason: "the criterion " + strconv.Quote(name) + " needs the ssh program"}
}

// run tells whether a command of Match exec succeeds.
func (e *evaluator) run(ctx context.Context, command string) (bool, error) {
	t := e.tokens()
	if err := t.forShell(command); err != nil {
		return false, err
	}
	command, err := t.expand(command)
	if err != nil {
		return false, err
	}
	err = exec.CommandContext(ctx, "/bin/sh", "-c", command).Run()
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) {
		return err == nil, ctx.Err()
	}
	return false, err
}

// hostName is the name to connect to as far as it is known by now.
func (e *evaluator) hostName() string {
	if h := e.got.first("hostname"); h != "" {
		if h, err := (tokens{'h': e.original, '%': "%"}).expand(h); err == nil {
			return h
		}
	}
	return e.original
}

func (e *evaluator) user() string {
	if u := e.got.first("user"); u != "" {
		return u
	}
	return e.local.user
}

func (e *evaluator) port() string {
	if p := e.got.first("port"); p != "" {
		return p
	}
	return "22"
}

func (e *evaluator) tokens() tokens {
	return e.local.tokens(remote{
		original: e.original, host: e.hostName(), port: e.port(), user: e.user(),
		alias: e.got.first("hostkeyalias"), jump: e.got.value("proxyjump"),
	})
}

// finish gives the settings the form in which ssh -G prints them.
func (e *evaluator) finish() error {
	host, err := (tokens{'h': e.original, '%': "%"}).expand(orElse(e.got.first("hostname"), e.original))
	if err != nil {
		return at(err, "", 0)
	}
	t := e.tokens()
	e.got["hostname"] = []string{strings.ToLower(host)}
	e.got["user"] = []string{e.user()}
	e.got["port"] = []string{e.port()}
	for i, f := range e.got.list("userknownhostsfile") {
		if e.got["userknownhostsfile"][i], err = e.local.path(f, t); err != nil {
			return err
		}
	}
	for i, f := range e.got.list("globalknownhostsfile") {
		if e.got["globalknownhostsfile"][i], err = e.local.tilde(f); err != nil {
			return err
		}
	}
	return nil
}

func lowerAll(list []string) []string {
	low := make([]string, len(list))
	for i, s := range list {
		low[i] = strings.ToLower(s)
	}
	return low
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// at adds a place to a *ConfigError that has none.
func at(err error, file string, number int) error {
	var c *ConfigError
	if errors.As(err, &c) && c.File == "" {
		c.File, c.Line = file, number
	}
	return err
}

// readBounded reads a regular file of at most limit bytes.
func readBounded(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: file, Err: errors.New("not a regular file")}
	}
	if info.Size() > limit {
		return nil, &fs.PathError{Op: "read", Path: file, Err: errors.New("the file is too large")}
	}
	return os.ReadFile(file)
}

// plainReason is err without the name of the file, which the caller tells.
func plainReason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
