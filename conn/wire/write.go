package wire

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"time"
)

// request is a packet to be sent: head is its body but for the request id and
// the payload of a WRITE. Both are copied before submit returns.
type request struct {
	typ     byte
	head    []byte
	payload []byte
	answer  int // payload asked for by a READ
}

func (r *request) size() int { return headerSize + len(r.head) + len(r.payload) }

// cost is what the request counts against Options.MaxInFlight.
func (r *request) cost() int64 {
	if r.typ == typeRead || r.typ == typeWrite {
		return int64(r.answer + len(r.payload))
	}
	return int64(r.size())
}

// start issues a request and returns its call, settled already if that failed.
func start[T any](ctx context.Context, s *Session, r request, c *Call[T]) *Call[T] {
	if err := s.submit(ctx, &r, c); err != nil {
		c.fail(err)
	}
	return c
}

// submit waits for room and queues a request.
func (s *Session) submit(ctx context.Context, r *request, p pending) error {
	f := p.flight()
	if r.size()-lengthSize > s.caps.MaxPacket {
		return &RequestError{f.op, syscall.ENAMETOOLONG}
	}
	cost := min(r.cost(), s.maxRoom)
	if err := s.room.Acquire(ctx, cost); err != nil {
		return err
	}
	f.cost = cost
	s.mu.Lock()
	err := s.acceptLocked()
	if err == nil {
		s.enqueueLocked(r, p)
	}
	s.mu.Unlock()
	if err != nil {
		s.room.Release(cost)
	}
	return err
}

// acceptLocked says whether further requests are accepted.
func (s *Session) acceptLocked() error {
	switch {
	case s.err != nil:
		return &ClosedError{Cause: s.err.Cause}
	case s.closing:
		return &ClosedError{}
	}
	return nil
}

// enqueueLocked gives a call its id and puts its packet last in the queue.
func (s *Session) enqueueLocked(r *request, p pending) {
	f := p.flight()
	f.id, f.sent = s.freeIDLocked(), time.Now()
	s.calls.add(p)

	c := s.chunkLocked(r.size())
	c.b = appendUint32(c.b, uint32(r.size()-lengthSize))
	c.b = append(c.b, r.typ)
	c.b = appendUint32(c.b, f.id)
	c.b = append(c.b, r.head...)
	c.b = append(c.b, r.payload...)
	s.wakeWriter()
}

// freeIDLocked returns an id that no call in flight has, also after 2^32 of them.
func (s *Session) freeIDLocked() uint32 {
	for {
		s.nextID++
		if _, taken := s.calls.byID[s.nextID]; !taken {
			return s.nextID
		}
	}
}

func (s *Session) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// chunkLocked returns the chunk that takes the next n bytes.
func (s *Session) chunkLocked(n int) *chunk {
	if k := len(s.queue); k > 0 && s.queue[k-1].room() >= n {
		return s.queue[k-1]
	}
	c := s.chunks.get(n)
	s.queue = append(s.queue, c)
	return c
}

// write is the writer: it sends the queue until the session ends. Requests
// that were issued while it was writing leave together.
func (s *Session) write() {
	defer s.exit()
	for {
		select {
		case <-s.wake:
		case <-s.done:
			return
		}
		for _, c := range s.takeQueue() {
			if _, err := s.rwc.Write(c.b); err != nil {
				s.writeFailed(err)
				return
			}
			s.chunks.put(c)
		}
	}
}

// writeFailed ends the session. A server that says why it goes away before it
// has taken INIT is heard first: the reader, or New's context, ends the wait.
func (s *Session) writeFailed(err error) {
	select {
	case <-s.greeted:
		s.fail(err)
	case <-s.done:
	}
}

func (s *Session) takeQueue() []*chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue
	s.queue = nil
	return q
}

// queueInit queues the packet that begins a session.
func (s *Session) queueInit() {
	c := s.chunks.get(headerSize)
	c.b = appendUint32(append(appendUint32(c.b, 5), typeInit), protocolVersion)
	s.queue = append(s.queue, c)
	s.wakeWriter()
}

// chunk is a run of whole packets.
type chunk struct{ b []byte }

func (c *chunk) room() int { return cap(c.b) - len(c.b) }

// Small packets share chunks of smallChunk bytes, a larger one has its own.
const (
	smallChunk = 16 << 10
	largeChunk = lengthSize + maxPacket
)

// chunkPool keeps chunks for further use, until the garbage collector comes by.
type chunkPool struct{ small, large sync.Pool }

func (p *chunkPool) get(n int) *chunk {
	pool, size := &p.small, smallChunk
	if n > smallChunk {
		pool, size = &p.large, largeChunk
	}
	if c, ok := pool.Get().(*chunk); ok {
		return c
	}
	return &chunk{b: make([]byte, 0, size)}
}

func (p *chunkPool) put(c *chunk) {
	c.b = c.b[:0]
	if cap(c.b) > smallChunk {
		p.large.Put(c)
		return
	}
	p.small.Put(c)
}

// checkPaths refuses what would make OpenSSH's server end the session.
func checkPaths(op string, paths ...string) error {
	for _, p := range paths {
		if strings.IndexByte(p, 0) >= 0 {
			return &RequestError{op, syscall.EINVAL}
		}
	}
	return nil
}
