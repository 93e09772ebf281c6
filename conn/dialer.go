package conn

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"sync"
)

// Dialer makes connections to one server.
type Dialer interface {
	// Dial returns one authenticated connection. ctx bounds the whole of it.
	Dial(ctx context.Context) (Connection, error)
}

// Connection is one authenticated SSH connection, or something that can start
// SFTP servers as one can.
type Connection interface {
	// OpenSFTP opens a channel with an SFTP server behind it. The error wraps
	// ErrNoMoreSessions when the server allows no further one (sshd's
	// MaxSessions), which a Client takes as: use those that are there.
	OpenSFTP(ctx context.Context) (io.ReadWriteCloser, error)
	// Exec runs command on the server and returns what it printed.
	Exec(ctx context.Context, command string) ([]byte, error)
	// Ping asks for a sign of life.
	Ping(ctx context.Context) error
	// ServerVersion is the SSH version string, such as
	// "SSH-2.0-OpenSSH_9.2p1"; "" if unknown.
	ServerVersion() string
	// Close ends the connection at once; whatever waits for it fails. Later
	// calls do nothing.
	Close() error
	// Done is closed when the connection has ended.
	Done() <-chan struct{}
}

// ErrNoMoreSessions says that the server refuses another session on this
// connection and that those which are open are unharmed.
var ErrNoMoreSessions = errors.New("the server allows no more sessions on this connection")

// PipeDialer returns a Dialer whose connections take a byte stream to an SFTP
// server from open. It knows no commands and no keepalive.
func PipeDialer(open func(ctx context.Context) (io.ReadWriteCloser, error)) Dialer {
	return pipeDialer(open)
}

// CommandDialer returns a Dialer that starts a process for each SFTP session,
// such as /usr/lib/openssh/sftp-server, and speaks with it over pipes.
func CommandDialer(name string, args ...string) Dialer {
	return PipeDialer(func(context.Context) (io.ReadWriteCloser, error) {
		return startProcess(exec.Command(name, args...))
	})
}

type pipeDialer func(ctx context.Context) (io.ReadWriteCloser, error)

func (d pipeDialer) Dial(context.Context) (Connection, error) {
	return &pipeConn{
		open:    d,
		streams: make(map[io.Closer]struct{}),
		done:    make(chan struct{}),
	}, nil
}

// pipeConn is a Connection made of independent streams.
type pipeConn struct {
	open pipeDialer
	done chan struct{}

	mu      sync.Mutex
	streams map[io.Closer]struct{} // nil once closed
}

func (c *pipeConn) OpenSFTP(ctx context.Context) (io.ReadWriteCloser, error) {
	rwc, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	s := &pipeStream{ReadWriteCloser: rwc, conn: c}
	c.mu.Lock()
	closed := c.streams == nil
	if !closed {
		c.streams[s] = struct{}{}
	}
	c.mu.Unlock()
	if closed {
		return nil, errors.Join(io.ErrClosedPipe, rwc.Close())
	}
	return s, nil
}

func (c *pipeConn) Exec(context.Context, string) ([]byte, error) { return nil, errors.ErrUnsupported }
func (c *pipeConn) Ping(context.Context) error                   { return nil }
func (c *pipeConn) ServerVersion() string                        { return "" }
func (c *pipeConn) Done() <-chan struct{}                        { return c.done }

func (c *pipeConn) Close() error {
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	if streams == nil {
		return nil
	}
	close(c.done)
	var errs []error
	for s := range streams {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// pipeStream takes itself out of its connection when closed.
type pipeStream struct {
	io.ReadWriteCloser
	conn *pipeConn
	once sync.Once
	err  error
}

func (s *pipeStream) Close() error {
	s.once.Do(func() {
		s.err = s.ReadWriteCloser.Close()
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		delete(s.conn.streams, s)
	})
	return s.err
}

// process is the byte stream of a running command.
type process struct {
	io.ReadCloser
	in  io.WriteCloser
	cmd *exec.Cmd
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{ReadCloser: out, in: in, cmd: cmd}, nil
}

func (p *process) Write(b []byte) (int, error) { return p.in.Write(b) }

// Close ends the process. A session that was drained has nothing left for it
// to do, so it is not asked politely, and how it ended says nothing.
func (p *process) Close() error {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	return nil
}
