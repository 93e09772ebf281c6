package dial

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// tcpKeepAlive notices a peer that is gone within about a minute, where nothing
// above asks for a sign of life.
func tcpKeepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}
}

// address is where to connect to.
func (c *Config) address() string { return net.JoinHostPort(c.HostName, strconv.Itoa(c.Port)) }

// dialTCP connects to the server itself. Go sets TCP_NODELAY.
func dialTCP(ctx context.Context, cfg *Config) (net.Conn, error) {
	d := net.Dialer{Timeout: cfg.ConnectTimeout, KeepAliveConfig: tcpKeepAlive()}
	if cfg.BindAddress != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(cfg.BindAddress, "0"))
		if err != nil {
			return nil, &ConfigError{Keyword: "bindaddress", Reason: err.Error(), Err: err}
		}
		d.LocalAddr = local
	}
	network := map[string]string{"inet": "tcp4", "inet6": "tcp6"}[cfg.AddressFamily]
	if network == "" {
		network = "tcp"
	}
	c, err := d.DialContext(ctx, network, cfg.address())
	if err != nil {
		return nil, connectError(ctx, cfg, "", err)
	}
	return c, nil
}

// dialThrough has a jump host connect to the server. Its channel knows no
// deadlines, so guard ends the wait.
func dialThrough(ctx context.Context, client *ssh.Client, cfg *Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	c, err := client.DialContext(ctx, "tcp", cfg.address())
	if err != nil {
		return nil, connectError(ctx, cfg, cfg.Via.Alias, err)
	}
	return c, nil
}

func connectError(ctx context.Context, cfg *Config, via string, err error) error {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return &TimeoutError{Host: cfg.Alias, Step: "connecting to " + cfg.address(), After: cfg.ConnectTimeout}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &ConnectError{Address: cfg.address(), Via: via, Err: err}
}

// command is a net.Conn over the pipes of a ProxyCommand.
type command struct {
	io.Reader
	io.Writer
	text   string
	cmd    *exec.Cmd
	in     io.Closer
	stderr *boundedBuffer
	once   sync.Once
	err    error // of Wait, after Close
}

// startCommand runs a ProxyCommand as ssh does, by a shell that replaces itself
// with it, in a process group of its own so that a ^C at the terminal is ours.
func startCommand(text string) (*command, error) {
	c := &command{text: text, stderr: &boundedBuffer{limit: maxStderr}}
	c.cmd = exec.Command("/bin/sh", "-c", "exec "+text)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stderr = c.stderr
	c.cmd.WaitDelay = time.Second // a grandchild may keep stderr open
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, &ProxyError{Command: text, Err: err}
	}
	c.Reader, c.Writer, c.in = bufio.NewReaderSize(out, readBuffer), in, in
	return c, nil
}

// Close ends the process and those that it started, and waits for it.
func (c *command) Close() error {
	c.once.Do(func() {
		c.in.Close()
		if err := syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			c.err = err
		}
		if err := c.cmd.Wait(); c.err == nil && !killed(err) {
			c.err = err
		}
	})
	return nil
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// failure returns why the process ended by itself, nil if it did not. It is
// called after Close.
func (c *command) failure() error {
	if c.err == nil && c.stderr.String() == "" {
		return nil
	}
	err := c.err
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return &ProxyError{Command: c.text, Stderr: c.stderr.String(), Err: err}
}

func (c *command) LocalAddr() net.Addr              { return commandAddr(c.text) }
func (c *command) RemoteAddr() net.Addr             { return commandAddr(c.text) }
func (c *command) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *command) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *command) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

type commandAddr string

func (commandAddr) Network() string  { return "pipe" }
func (a commandAddr) String() string { return string(a) }

// maxStderr is how much of what a program complains is kept, bytes.
const maxStderr = 4 << 10

// boundedBuffer keeps the beginning of what is written to it.
type boundedBuffer struct {
	limit int

	mu   sync.Mutex
	text []byte
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := b.limit - len(b.text); room > 0 {
		b.text = append(b.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// readBuffer is the size of the read buffer below SSH, bytes: a system call
// fetches several 32 KiB packets.
const readBuffer = 256 << 10

// bufferedConn reads in large pieces.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func newBufferedConn(c net.Conn) net.Conn {
	return &bufferedConn{Conn: c, r: bufio.NewReaderSize(c, readBuffer)}
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }
