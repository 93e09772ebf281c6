package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"seamount/conn/serve"
)

// bench is what is measured on: a server, what it serves, and copies of that.
type bench struct {
	cfg       config // at the distance that is being measured
	dir       string
	served    string // the directory that is mounted
	tree      string // a copy of served/tree
	archive   string // the same as a tar file
	origin    string // the same as a bare repository
	local     string // where copies out go
	sshConfig string
	binary    string // seamount
	noise     noise  // content of the large file
	found     string // what find says of the tree
	grepped   string // and grep
	server    *sshd
}

func newBench(ctx context.Context, dir string, c config) (*bench, error) {
	b := &bench{
		cfg: c, dir: dir, served: dir + "/served", tree: dir + "/tree", archive: dir + "/tree.tar",
		origin: dir + "/origin.git", local: dir + "/out", sshConfig: dir + "/ssh_config", binary: dir + "/seamount",
		noise: newNoise(),
	}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	var err error
	b.server, err = startSSHD(ctx, dir)
	return b, err
}

func (b *bench) close() { b.server.close() }

// measureAt measures all rows at one distance. The table is as far as it came.
func (b *bench) measureAt(ctx context.Context, rtt time.Duration) (*table, error) {
	outer := b.cfg
	b.cfg = b.cfg.at(rtt)
	defer func() { b.cfg = outer }()
	t := &table{rtt: rtt, cfg: b.cfg, dir: b.dir, results: results{}}
	addr, stop, err := b.startProxy(rtt)
	if err != nil {
		return t, err
	}
	defer stop()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return t, err
	}
	err = errors.Join(b.server.writeClientConfig(b.sshConfig, port), b.noise.write(ctx, b.served+"/large", b.cfg.size))
	if err != nil {
		return t, err
	}
	for i := range b.cfg.rounds {
		if err := b.round(ctx, i, t); err != nil {
			return t, err
		}
	}
	if t.results.wrong("seamount") {
		return t, errWrong
	}
	return t, nil
}

// startProxy returns the address of the server, behind a proxy if there is
// something to delay.
func (b *bench) startProxy(rtt time.Duration) (addr string, stop func(), err error) {
	addr = b.server.addr
	if rtt == 0 && b.cfg.rate == 0 {
		return addr, func() {}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	p := serve.NewProxy(addr, serve.Link{Delay: rtt / 2, Rate: b.cfg.rate})
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.Serve(l) }() // ErrClosed
	return l.Addr().String(), func() { p.Close(); <-ended }, nil
}

// round measures every group once with each contender.
func (b *bench) round(ctx context.Context, number int, t *table) error {
	if err := b.warm(ctx); err != nil {
		return err
	}
	for _, g := range b.groups() {
		if !g.matches(b.cfg.only) {
			continue
		}
		t.add(g)
		contenders := b.contenders()
		for i := range contenders {
			c := contenders[(i+number)%len(contenders)]
			if err := b.measure(ctx, c, g, t); err != nil {
				return fmt.Errorf("%s: %s: %w", c.name, g[0].name, err)
			}
		}
	}
	return nil
}

// warm drops what the kernel remembers, as far as this process may, and has it
// read what is served, so that no row measures the server's disk.
func (b *bench) warm(ctx context.Context) error {
	if os.Geteuid() == 0 {
		// A container may not; all contenders are in the same position then.
		_ = os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
	}
	_, err := command(ctx, "/", "tar", "cf", "/dev/zero", b.served, b.tree, b.archive, b.origin)
	return err
}

// command runs a program in dir and returns what it printed on its standard
// output. With ctx it ends, and all that it started.
//
// It is env that goes into dir. Between fork and exec a child of Go's holds up
// the collector of its parent, and the parent has the proxy in it: if dir is in a
// mount, whose server is behind that proxy, none of them could go on. For the
// same reason nothing may be started while this process has a file of a mount
// open, which exec would close, and so flush.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "env", append([]string{"-C", dir, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var errors tail
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return string(out), &commandError{name, errors.String(), err}
	}
	return string(out), nil
}

// A commandError is a program that failed.
type commandError struct {
	name string
	said string // on its standard error
	err  error
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.name, e.err, e.said)
}

func (e *commandError) Unwrap() error { return e.err }
