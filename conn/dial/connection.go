package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"

	"seamount/conn"
)

// connection is a conn.Connection: SSH over TCP, or over a chain of jump hosts.
type connection struct {
	dialer  *Dialer
	below   io.Closer     // the TCP connection or process that carries all
	clients []*ssh.Client // the jump hosts, then the target
	done    chan struct{}

	mu   sync.Mutex
	ping *ping // the one that is under way, nil if none
}

// ping is a keepalive request that several callers may wait for. x/crypto/ssh
// sends one global request at a time, so a second one could only queue.
type ping struct {
	done chan struct{}
	err  error
}

func (c *connection) target() *ssh.Client { return c.clients[len(c.clients)-1] }

// serve watches for the end.
func (c *connection) serve() {
	go func() {
		defer close(c.done)
		c.target().Wait()
		c.abort()
	}()
}

// ServerVersion is the target's SSH version string.
func (c *connection) ServerVersion() string { return string(c.target().ServerVersion()) }

// Done is closed when the connection has ended and all of it is gone.
func (c *connection) Done() <-chan struct{} { return c.done }

// Close closes the TCP connection without a word to the server, which may be
// gone, and waits until all that belongs to it has ended.
func (c *connection) Close() error {
	c.closeBelow()
	<-c.done
	return nil
}

// Ping asks the server for an answer to a request that it need not know: a
// refusal is a sign of life too.
func (c *connection) Ping(ctx context.Context) error {
	p := c.currentPing()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *connection) currentPing() *ping {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ping == nil {
		c.ping = &ping{done: make(chan struct{})}
		go c.runPing(c.ping)
	}
	return c.ping
}

func (c *connection) runPing(p *ping) {
	_, _, p.err = c.target().SendRequest("keepalive@openssh.com", true, nil)
	c.mu.Lock()
	c.ping = nil
	c.mu.Unlock()
	close(p.done)
}

// maxExecOutput bounds what Exec returns, bytes.
const maxExecOutput = 16 << 20

// ExecError says that a command did not succeed.
type ExecError struct {
	Command string
	Status  int // -1 if the server did not tell one
	Stderr  string
}

func (e *ExecError) Error() string {
	what := fmt.Sprintf("%s: exit status %d", e.Command, e.Status)
	if e.Status < 0 {
		what = e.Command + ": no exit status"
	}
	if said := oneLine(e.Stderr); said != "" {
		what += ": " + said
	}
	return oneLine(what)
}

// Exec runs command and returns what it printed, at most 16 MiB of it. A status
// other than 0 is an *ExecError, with the output beside it. When ctx ends the
// server is told to close the channel; sshd does so once the command has ended.
func (c *connection) Exec(ctx context.Context, command string) ([]byte, error) {
	s, err := c.openSession(ctx)
	if err != nil {
		return nil, err
	}
	type output struct {
		text []byte
		err  error
	}
	out, err := await(ctx, func() (output, error) {
		text, err := s.run(command)
		return output{text, err}, nil
	}, func(output) {})
	if err != nil {
		go s.Close()
		return nil, err
	}
	s.Close()
	return out.text, out.err
}

// run starts command and reads what it prints to the end.
func (s *session) run(command string) ([]byte, error) {
	ok, err := s.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err != nil || !ok {
		return nil, &SubsystemError{Name: "to run a command", Err: err}
	}
	if err := s.CloseWrite(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(s, maxExecOutput+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxExecOutput {
		return nil, &ExecError{Command: command, Status: -1, Stderr: "it printed too much"}
	}
	<-s.ended
	if status := s.exitStatus(); status != 0 {
		return out, &ExecError{Command: command, Status: status, Stderr: s.stderr.String()}
	}
	return out, nil
}

// noMoreSessions gives a refused channel its meaning. sshd says "open failed"
// with the reason "administratively prohibited" beyond MaxSessions, others say
// "resource shortage".
func noMoreSessions(err error) error {
	var open *ssh.OpenChannelError
	if errors.As(err, &open) && (open.Reason == ssh.ResourceShortage || open.Reason == ssh.Prohibited || open.Reason == ssh.ConnectionFailed) {
		return fmt.Errorf("%w: %w", conn.ErrNoMoreSessions, err)
	}
	return err
}
