package wire

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Call is a request on its way. It is safe for concurrent use.
type Call[T any] struct {
	inFlight
	decode func(body []byte) (T, error)
	// orphan is called with a value that nobody waits for any more.
	orphan func(*Session, T)
	done   chan struct{}

	mu      sync.Mutex
	settled bool
	value   T     // not changed once settled
	err     error // likewise
}

// inFlight is what the session's table keeps of a call.
type inFlight struct {
	op   string
	want byte // the type of the reply that brings a value
	ends bool // the status EOF is an answer of its own: io.EOF
	id   uint32
	cost int64
	sent time.Time
	// The calls of a table in the order in which they were issued.
	prev, next pending
}

// pending is a Call[T] of whatever T in the session's table.
type pending interface {
	flight() *inFlight
	// reply settles the call with a reply's type and body, which are the
	// reader's again afterwards.
	reply(s *Session, typ byte, body []byte)
	fail(err error)
}

func (f *inFlight) flight() *inFlight { return f }

func newCall[T any](op string, want byte, decode func([]byte) (T, error)) *Call[T] {
	c := &Call[T]{decode: decode}
	c.init(op, want)
	return c
}

func (c *Call[T]) init(op string, want byte) {
	c.op, c.want, c.done = op, want, make(chan struct{})
}

// Done is closed when Wait returns at once. Who selects on it and then turns
// away gives the call up by a Wait with a context that has ended; otherwise a
// handle that comes stays open and is the caller's.
func (c *Call[T]) Done() <-chan struct{} { return c.done }

// Wait returns what the server answered. When ctx ends first the call is given
// up for good and Wait returns ctx.Err(), now and later: the server may or may
// not execute the request, its reply is dropped, and a handle it brings closed.
func (c *Call[T]) Wait(ctx context.Context) (T, error) {
	select {
	case <-c.done:
		return c.value, c.err
	default:
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.fail(ctx.Err())
	}
	return c.value, c.err
}

// fail settles the call with an error, if it is not settled yet.
func (c *Call[T]) fail(err error) {
	var zero T
	c.settle(zero, err)
}

// settle gives the call its outcome and tells whether it had none before.
func (c *Call[T]) settle(v T, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settled {
		return false
	}
	c.settled, c.value, c.err = true, v, err
	close(c.done)
	return true
}

func (c *Call[T]) reply(s *Session, typ byte, body []byte) {
	v, err := c.parse(typ, body)
	if err != nil {
		c.fail(err)
		return
	}
	if !c.settle(v, nil) && c.orphan != nil {
		c.orphan(s, v)
	}
}

// parse makes a reply into the call's value or error.
func (c *Call[T]) parse(typ byte, body []byte) (T, error) {
	var zero T
	switch {
	case typ == typeStatus:
		return zero, c.status(body)
	case typ != c.want || c.decode == nil:
		return zero, &ProtocolError{c.op, fmt.Sprintf("reply of type %d", typ)}
	}
	v, err := c.decode(body)
	if err != nil {
		return zero, &ProtocolError{c.op, fmt.Sprintf("reply of type %d: %v", typ, err)}
	}
	return v, nil
}

// status makes a STATUS reply into an error: nil only for OK as the answer to
// a request that no other reply answers.
func (f *inFlight) status(body []byte) error {
	st, err := decodeStatus(f.op, body)
	switch {
	case err != nil:
		return &ProtocolError{f.op, fmt.Sprintf("status reply: %v", err)}
	case st.Code == StatusOK && f.want == typeStatus:
		return nil
	case st.Code == StatusOK:
		return &ProtocolError{f.op, "status OK instead of a value"}
	case st.Code == StatusEOF && f.ends:
		return io.EOF
	}
	return st
}
