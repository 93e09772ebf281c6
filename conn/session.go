package conn

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"seamount/cache"
	"seamount/conn/wire"
)

// session is an SFTP session of the pool.
type session struct {
	*wire.Session
	client *Client
	// generation tells this session from all others of the Client, those too
	// that take the place of one which ended.
	generation uint64
	// readCap is what a READ is asked for, in bytes: less than Caps.MaxRead
	// once the server was seen to give less.
	readCap   atomic.Int64
	lastShort atomic.Int64
}

// sawShort notes that a READ brought n bytes although there were more. The same
// number twice in a row is taken for all that the server gives at a time; once,
// the file may have grown meanwhile.
func (s *session) sawShort(n int64) {
	if s.lastShort.Swap(n) == n {
		s.readCap.Store(n)
	}
}

func (s *session) alive() bool {
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}

// load is the number of payload bytes under way.
func (s *session) load() int64 {
	_, bytes, _ := s.InFlight()
	return bytes
}

// pending is a request under way whose answer is wanted.
type pending[T any] struct {
	call     *wire.Call[T]
	session  *session
	trace    cache.TraceFunc
	op, path string
	sent     time.Time
}

// track follows a request that was just issued on behalf of ctx.
func track[T any](ctx context.Context, s *session, op, path string, call *wire.Call[T]) pending[T] {
	return pending[T]{call: call, session: s, trace: cache.TraceFrom(ctx), op: op, path: path, sent: time.Now()}
}

// wait waits for the answer. Errors are those of wire.
func (p pending[T]) wait(ctx context.Context) (T, error) {
	v, err := p.call.Wait(ctx)
	d := time.Since(p.sent)
	if err == nil && (p.op == "LSTAT" || p.op == "STAT" || p.op == "REALPATH") {
		p.session.client.rtt.observe(d)
	}
	if p.trace != nil {
		p.trace(p.op, p.path, d, traceError(err))
	}
	return v, err
}

// traceError leaves out the EOF that ends a listing or a file as it should.
func traceError(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// lstat issues an LSTAT of the path full of the server; path is for the trace.
func (s *session) lstat(ctx context.Context, path, full string) pending[wire.Attrs] {
	return track(ctx, s, "LSTAT", path, s.Session.Lstat(ctx, full))
}

// stat issues a STAT likewise.
func (s *session) stat(ctx context.Context, path, full string) pending[wire.Attrs] {
	return track(ctx, s, "STAT", path, s.Session.Stat(ctx, full))
}

// attr waits for attributes and converts them.
func (c *Client) attr(ctx context.Context, p pending[wire.Attrs]) (cache.Attr, error) {
	a, err := p.wait(ctx)
	if err != nil {
		return cache.Attr{}, err
	}
	out, ok := c.attrs.attr(a, "")
	if !ok {
		return cache.Attr{}, errAbsurd("a type of file that does not exist")
	}
	return out, nil
}

// errAbsurd is an answer that no server gives which means well. It is EIO.
type errAbsurd string

func (e errAbsurd) Error() string { return "the server's answer makes no sense: " + string(e) }
