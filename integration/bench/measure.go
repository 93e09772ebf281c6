package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"
)

// A row is one workload.
type row struct {
	name string
	// setup, if there is one, makes ready for it, by the server's files.
	setup func(context.Context) error
	// mounted does the work in a mount.
	mounted func(ctx context.Context, mnt string) error
	// plain does the same by ssh; nil where ssh has nothing like it.
	plain func(context.Context) error
	// check, if there is one, verifies what was done, by the server's files.
	check func(context.Context) error
	// cpuPer is how many bytes the row moves, if the processor time for them is of interest.
	cpuPer int64
}

// A group is rows of which the first begins with a fresh mount.
type group []row

func (g group) matches(only *regexp.Regexp) bool {
	return slices.ContainsFunc(g, func(r row) bool { return only.MatchString(r.name) })
}

// A contender is one of those that are compared.
type contender struct {
	name string
	// args mounts at mnt and stays in the foreground; nil for plain ssh.
	args func(mnt string) []string
}

const (
	sshfs    = "sshfs"
	seamount = "seamount"
	plainSSH = "ssh"
)

func (b *bench) contenders() []contender {
	source := "benchserver:" + b.served
	ours := func(mnt string) []string { return []string{b.binary, "-f", "-F", b.sshConfig, source, mnt} }
	if b.cfg.logs != "" {
		ours = func(mnt string) []string { return []string{b.binary, "-f", "--debug", "-F", b.sshConfig, source, mnt} }
	}
	return []contender{
		{sshfs, func(mnt string) []string { return []string{sshfs, "-f", "-F", b.sshConfig, source, mnt} }},
		{seamount, ours},
		{plainSSH, nil},
	}
}

// measure runs the rows of g once. Its error is one of the bench; how a row
// ended is in the table.
func (b *bench) measure(ctx context.Context, c contender, g group, t *table) (err error) {
	fmt.Fprintf(os.Stderr, "%v: %s: %s\n", t.rtt, g[0].name, c.name)
	if err := g[0].prepare(ctx); err != nil {
		return err
	}
	var m *mounted
	if c.args != nil {
		began := time.Now()
		if m, err = b.mount(ctx, c); err != nil {
			return err
		}
		t.results.record(mountRow, c.name, sample{took: time.Since(began)})
		defer func() { err = errors.Join(err, m.unmount(), b.keepLog(m, c, g[0].name, t.rtt)) }()
	}
	for i, r := range g {
		if i > 0 {
			if err := r.prepare(ctx); err != nil {
				return err
			}
		}
		if !b.measureRow(ctx, c, r, m, t) {
			break
		}
	}
	return ctx.Err()
}

func (r row) prepare(ctx context.Context) error {
	if r.setup == nil {
		return nil
	}
	return r.setup(ctx)
}

// measureRow runs one row, and reports whether the mount can go on.
func (b *bench) measureRow(ctx context.Context, c contender, r row, m *mounted, t *table) bool {
	do := r.plain
	switch {
	case m != nil && r.mounted == nil:
		do = nil
	case m != nil:
		do = func(ctx context.Context) error { return r.mounted(ctx, m.dir) }
	}
	if do == nil {
		return true
	}
	limited, cancel := context.WithTimeout(ctx, b.cfg.limit)
	defer cancel()
	cpu := m.cpu()
	began := time.Now()
	err := do(limited)
	s := sample{took: time.Since(began)}
	switch {
	case err != nil && limited.Err() != nil:
		s.cut = true
	case err != nil:
		s.fault = err
	case r.check != nil:
		s.fault = r.check(ctx)
	}
	if r.cpuPer > 0 && m != nil && err == nil {
		used := time.Duration(float64(m.cpu()-cpu) / float64(r.cpuPer) * (1 << 30))
		t.results.record(r.cpuRow(), c.name, sample{took: used})
	}
	t.results.record(r.name, c.name, s)
	return !s.cut
}

func (r row) cpuRow() string { return r.name + ", CPU per GiB" }
