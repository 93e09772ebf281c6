package dial

import (
	"context"
	"io"

	"golang.org/x/crypto/ssh"
)

// session is an SSH session channel: its stderr is always read, so that it
// never fills the window, and its exit status noted.
type session struct {
	ssh.Channel
	stderr *boundedBuffer
	ended  chan struct{} // closed when the server has closed the channel
	status int           // -1 until told; read it after ended
}

// openSession opens a session channel. The error wraps conn.ErrNoMoreSessions
// when the server refuses it.
func (c *connection) openSession(ctx context.Context) (*session, error) {
	return await(ctx, func() (*session, error) {
		ch, requests, err := c.target().OpenChannel("session", nil)
		if err != nil {
			return nil, noMoreSessions(err)
		}
		return newSession(ch, requests), nil
	}, func(s *session) { s.Close() })
}

func newSession(ch ssh.Channel, requests <-chan *ssh.Request) *session {
	s := &session{Channel: ch, stderr: &boundedBuffer{limit: maxStderr}, ended: make(chan struct{}), status: -1}
	complained := make(chan struct{})
	go func() {
		defer close(complained)
		// It ends with the channel; there is nothing to do about an error.
		_, _ = io.Copy(s.stderr, ch.Stderr())
	}()
	go func() {
		defer close(s.ended)
		for r := range requests {
			s.answer(r)
		}
		<-complained
	}()
	return s
}

// answer notes an exit status (RFC 4254 section 6.10) and refuses all else,
// which is what keepalives of a server expect.
func (s *session) answer(r *ssh.Request) {
	var exit struct{ Status uint32 }
	if r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &exit) == nil {
		s.status = int(exit.Status)
	}
	if r.WantReply {
		// A failure means that the connection is gone, as others will see.
		_ = r.Reply(false, nil)
	}
}

// exitStatus is the command's, -1 if the server did not tell. It is read after
// ended.
func (s *session) exitStatus() int { return s.status }

// await runs f and waits for it or for the end of ctx, whichever is first; a
// result that comes too late goes to drop. It is for calls that end with the
// connection at the latest but know no context.
func await[T any](ctx context.Context, f func() (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	got := make(chan result, 1)
	go func() {
		v, err := f()
		got <- result{v, err}
	}()
	select {
	case r := <-got:
		return r.value, r.err
	case <-ctx.Done():
		go func() {
			if r := <-got; r.err == nil {
				drop(r.value)
			}
		}()
		var none T
		return none, ctx.Err()
	}
}
