package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"seamount/conn/serve"
)

// bench is what is measured on: a server, a tree that it serves, and copies.
type bench struct {
	cfg     config
	dir     string
	served  string // the directory that is mounted
	tree    string // a copy of served/tree
	archive string // the same as a tar file
	local   string // where cp -r out puts it
	config  string // ssh_config
	binary  string // seamount
	server  *sshd
	proxy   *serve.Proxy
}

func newBench(dir string, c config) (*bench, error) {
	b := &bench{
		cfg: c, dir: dir, served: dir + "/served", tree: dir + "/tree", archive: dir + "/tree.tar",
		local: dir + "/out", config: dir + "/ssh_config", binary: dir + "/seamount",
	}
	if err := b.prepare(); err != nil {
		return nil, err
	}
	var err error
	if b.server, err = startSSHD(dir); err != nil {
		return nil, err
	}
	return b, b.startProxy()
}

// startProxy puts the delay, if there is one, before the server and writes the
// configuration of the clients.
func (b *bench) startProxy() error {
	addr := b.server.listener.Addr().String()
	if b.cfg.rtt > 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		b.proxy = serve.NewProxy(addr, serve.Link{Delay: b.cfg.rtt / 2})
		go b.proxy.Serve(l)
		addr = l.Addr().String()
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	return b.server.writeClientConfig(b.config, port)
}

func (b *bench) close() {
	if b.proxy != nil {
		b.proxy.Close()
	}
	b.server.close()
}

// prepare builds the program and makes the files to be served.
func (b *bench) prepare() error {
	if err := os.MkdirAll(b.served, 0o755); err != nil {
		return err
	}
	if _, err := command(".", "go", "build", "-o", b.binary, "seamount/cmd/seamount"); err != nil {
		return err
	}
	if err := makeTree(b.tree, b.cfg.files); err != nil {
		return err
	}
	for _, c := range [][]string{
		{"tar", "cf", b.archive, "-C", b.tree, "."},
		{"cp", "-r", b.tree, b.served + "/tree"},
		{"cp", "-r", b.tree, b.served + "/repo"},
		{"git", "-C", b.served + "/repo", "init", "-q"},
		{"git", "-C", b.served + "/repo", "add", "."},
		{"git", "-C", b.served + "/repo", "-c", "user.name=B", "-c", "user.email=b@example.org", "commit", "-qm", "all"},
	} {
		if _, err := command("/", c[0], c[1:]...); err != nil {
			return err
		}
	}
	if err := writeLarge(b.served+"/large", b.cfg.size); err != nil {
		return err
	}
	return writeRandom(b.served+"/random", b.cfg.size)
}

// makeTree makes files of a few KiB, twenty to a directory.
func makeTree(root string, files int) error {
	for i := range files {
		dir := filepath.Join(root, fmt.Sprintf("d%d/e%d", i/200, i/20))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		data := bytes.Repeat([]byte(fmt.Sprintf("file %d\n", i)), 1+i%2000)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.txt", i)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeRandom makes the file of which randomReads knows every byte.
func writeRandom(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf := make([]byte, piece)
	for off := int64(0); off < size; off += piece {
		fill(buf, off)
		if _, err := f.Write(buf); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// A program is one that mounts.
type program struct {
	name string
	args func(mnt string) []string
}

func (b *bench) programs() []program {
	source := "benchserver:" + b.served
	return []program{
		{"sshfs", func(mnt string) []string { return []string{"sshfs", "-f", "-F", b.config, source, mnt} }},
		{"seamount", func(mnt string) []string { return []string{b.binary, "-f", "-F", b.config, source, mnt} }},
	}
}

// A mounted is a mount and the process behind it.
type mounted struct {
	dir    string
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan error
}

// mount starts p in the foreground and waits for its mount.
func (b *bench) mount(p program) (*mounted, error) {
	m := &mounted{dir: b.dir + "/mnt", ended: make(chan error, 1)}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return nil, err
	}
	args := p.args(m.dir)
	m.cmd = exec.Command(args[0], args[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = &m.output, &m.output
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { m.ended <- m.cmd.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-m.ended:
			return nil, fmt.Errorf("ended before it was mounted: %w\n%s", err, m.output.String())
		case <-tick.C:
		}
		info, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(info), " "+m.dir+" ") {
			return m, nil
		}
	}
}

func (m *mounted) unmount() error {
	if _, err := command("/", "umount", m.dir); err != nil {
		return errors.Join(err, m.cmd.Process.Kill())
	}
	return <-m.ended
}
