package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	defaultInFlight = 2 << 20
	readBuffer      = 64 << 10
)

// Options are the choices of a Session; the zero value is a good one.
type Options struct {
	// MaxInFlight bounds the bytes that requests without an answer may have
	// under way: the payloads of READ and WRITE, and the size of any other
	// request. 0 means 2 MiB. A single larger request is sent alone.
	MaxInFlight int64
}

// Session is one SFTP conversation over one byte stream. It is safe for
// concurrent use. The package comment is its contract.
type Session struct {
	rwc  io.ReadWriteCloser
	caps Caps // not changed once New has returned

	room    *semaphore.Weighted // bytes in flight; first come, first served
	maxRoom int64

	in      *bufio.Reader // the reader's
	greeted chan struct{} // closed by the reader when VERSION has come
	chatty  chan struct{} // closed by the reader when text came instead
	wake    chan struct{} // capacity 1: the queue is not empty
	done    chan struct{} // closed when err is set
	drained chan struct{} // closed when closing and no call is left
	ended   chan struct{} // closed when the last goroutine has ended

	chunks chunkPool

	// mu is the only lock of a Session. Nothing is waited for and no other
	// lock is taken while it is held.
	mu      sync.Mutex
	err     *ClosedError
	closing bool
	live    int // goroutines
	nextID  uint32
	calls   callTable
	queue   []*chunk // not yet taken by the writer, in order of issue
	chatter []byte
}

// New begins a session on rwc: INIT and VERSION, then limits@openssh.com where
// the server offers it. ctx bounds this handshake only. On error rwc is closed;
// the error wraps ctx's, *VersionError, *ChatterError, *ProtocolError or that
// of the stream.
//
// Closing rwc must end a Read and a Write that are waiting on it.
func New(ctx context.Context, rwc io.ReadWriteCloser, o Options) (*Session, error) {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultInFlight
	}
	s := &Session{
		rwc:     rwc,
		room:    semaphore.NewWeighted(o.MaxInFlight),
		maxRoom: o.MaxInFlight,
		in:      bufio.NewReaderSize(rwc, readBuffer),
		greeted: make(chan struct{}),
		chatty:  make(chan struct{}),
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		drained: make(chan struct{}),
		ended:   make(chan struct{}),
		live:    3, // reader, writer, and the closer that fail starts
		calls:   callTable{byID: make(map[uint32]pending)},
	}
	s.queueInit()
	go s.read()
	go s.write()
	if err := s.handshake(ctx); err != nil {
		s.fail(err)
		return nil, fmt.Errorf("sftp handshake: %w", s.cause())
	}
	return s, nil
}

// Caps returns what the server can do.
func (s *Session) Caps() Caps { return s.caps }

// Done is closed when the session has ended: by Close, by Abort, by the end of
// the stream or by a reply after which packets cannot be told apart any more.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns a *ClosedError with the reason of the session's end, nil before.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return s.err
}

// InFlight returns the number of requests without an answer, the bytes they
// count against Options.MaxInFlight, and when the oldest of them was issued;
// the zero time if there is none. Calls that were given up still count.
func (s *Session) InFlight() (requests int, bytes int64, oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls.first != nil {
		oldest = s.calls.first.flight().sent
	}
	return len(s.calls.byID), s.calls.bytes, oldest
}

// Close ends the session in order: no further request is accepted, those under
// way are answered first, then the stream is closed and the session's
// goroutines end. When ctx ends first the session is aborted and ctx.Err()
// returned. An earlier end for another reason is returned as Err does.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.checkDrainedLocked()
	s.mu.Unlock()

	select {
	case <-s.drained:
	case <-s.done:
	case <-ctx.Done():
		s.fail(ctx.Err())
		return ctx.Err()
	}
	s.fail(nil)
	select {
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.Err().(*ClosedError); err.Cause != nil {
		return err
	}
	return nil
}

// Abort ends the session at once: every call fails with a *ClosedError that
// wraps err, and the stream is closed. It does not wait: closing the channel of
// a dead SSH connection can block, until the connection under it is cut.
func (s *Session) Abort(err error) { s.fail(err) }

// fail ends the session with a cause, nil for an orderly end. Only the first
// one counts.
func (s *Session) fail(cause error) {
	if cause != nil {
		cause = withoutEOF(cause)
	}
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = &ClosedError{Cause: cause}
	s.queue = nil
	calls := s.calls.clear()
	close(s.done)
	s.mu.Unlock()

	for _, c := range calls {
		c.fail(&ClosedError{Cause: cause, Issued: true})
		s.room.Release(c.flight().cost)
	}
	go s.closeStream()
}

func (s *Session) closeStream() {
	defer s.exit()
	_ = s.rwc.Close() // the session is over whatever it says
}

// exit is how each of the session's goroutines ends.
func (s *Session) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live--; s.live == 0 {
		close(s.ended)
	}
}

// cause is why the session ended; it has ended.
func (s *Session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err.Cause
}

// checkDrainedLocked lets Close go on when the last call is answered.
func (s *Session) checkDrainedLocked() {
	if !s.closing || len(s.calls.byID) > 0 {
		return
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}
