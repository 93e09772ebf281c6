package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// read is the reader: it takes VERSION, then replies, until the stream ends.
func (s *Session) read() {
	defer s.exit()
	err := s.readVersion()
	for err == nil {
		err = s.readReply()
	}
	s.fail(err)
}

// readReply takes one reply and settles its call. An error means that the
// packets that follow cannot be trusted, or that there are none.
func (s *Session) readReply() error {
	head, err := s.in.Peek(lengthSize)
	if err != nil {
		return s.endOfStream(err)
	}
	n := binary.BigEndian.Uint32(head)
	if n < headerSize-lengthSize || n > maxReceive {
		return &ProtocolError{Reason: fmt.Sprintf("packet of %d bytes", n)}
	}
	if head, err = s.in.Peek(headerSize); err != nil {
		return s.endOfStream(err)
	}
	typ, id := head[lengthSize], binary.BigEndian.Uint32(head[lengthSize+1:])
	s.discard(headerSize)
	p := s.lookup(id)
	if p == nil {
		return &ProtocolError{Reason: fmt.Sprintf("reply of type %d to request %d, which is not under way", typ, id)}
	}
	n -= headerSize - lengthSize
	if r, ok := p.(*readCall); ok && typ == typeData {
		return s.readData(r, int(n))
	}
	return s.readBody(p, typ, int(n))
}

// endOfStream tells an end between packets from one inside.
func (s *Session) endOfStream(err error) error {
	if n := s.in.Buffered(); n > 0 && err == io.EOF {
		return &ProtocolError{Reason: fmt.Sprintf("stream ended after %d bytes of a packet", n)}
	}
	return err
}

func (s *Session) discard(n int) {
	_, _ = s.in.Discard(n) // only of what is buffered: it cannot fail
}

// readBody takes the rest of a packet, n bytes, and has the call decode it.
func (s *Session) readBody(p pending, typ byte, n int) error {
	if n > s.in.Size() {
		return s.readLongBody(p, typ, n)
	}
	body, err := s.in.Peek(n)
	if err != nil {
		return truncated(p, err)
	}
	s.answer(p, typ, body)
	s.discard(n)
	return nil
}

// readLongBody is readBody for what the buffer cannot hold. Memory grows with
// what has really come.
func (s *Session) readLongBody(p pending, typ byte, n int) error {
	var body []byte
	for len(body) < n {
		b, err := s.peekSome(n - len(body))
		if err != nil {
			return truncated(p, err)
		}
		body = append(body, b...)
		s.discard(len(b))
	}
	s.answer(p, typ, body)
	return nil
}

// peekSome returns what is buffered, at least one and at most n bytes.
func (s *Session) peekSome(n int) ([]byte, error) {
	if s.in.Buffered() == 0 {
		if _, err := s.in.Peek(1); err != nil {
			return nil, err
		}
	}
	return s.in.Peek(min(n, s.in.Buffered()))
}

// answer settles a call with its reply.
func (s *Session) answer(p pending, typ byte, body []byte) {
	s.retire(p)
	p.reply(s, typ, body)
	s.checkDrained()
}

// readData takes the rest of a DATA packet, n bytes, straight into the
// caller's buffer.
func (s *Session) readData(r *readCall, n int) error {
	if n < lengthSize {
		return s.skipData(r, n, "truncated")
	}
	b, err := s.in.Peek(lengthSize)
	if err != nil {
		return truncated(r, err)
	}
	size := int64(binary.BigEndian.Uint32(b))
	s.discard(lengthSize)
	n -= lengthSize
	switch {
	case size != int64(n):
		return s.skipData(r, n, fmt.Sprintf("data length %d in a packet with room for %d", size, n))
	case n == 0:
		return s.skipData(r, n, "no data, and no end of file")
	case n > len(r.p):
		return s.skipData(r, n, fmt.Sprintf("%d bytes of data where %d were asked for", n, len(r.p)))
	}
	for off := 0; off < n; {
		b, err := s.peekSome(n - off)
		if err != nil {
			return truncated(r, err)
		}
		r.fill(off, b)
		s.discard(len(b))
		off += len(b)
	}
	s.retire(r)
	r.settle(n, nil)
	s.checkDrained()
	return nil
}

// skipData fails a call whose DATA reply is wrong. The packet's own length is
// not in doubt, so the session goes on behind it.
func (s *Session) skipData(r *readCall, n int, reason string) error {
	if _, err := s.in.Discard(n); err != nil {
		return truncated(r, err)
	}
	s.retire(r)
	r.fail(&ProtocolError{r.op, reason})
	s.checkDrained()
	return nil
}

// truncated is the error of a stream that ended inside a packet.
func truncated(p pending, err error) error {
	if err == io.EOF {
		return &ProtocolError{p.flight().op, "stream ended inside the reply"}
	}
	return err
}

func (s *Session) lookup(id uint32) pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls.byID[id]
}

// retire takes a call that is answered out of the table and gives its room to
// others. A call stays in the table until its reply is whole: should the
// session end before, it fails with all the others.
func (s *Session) retire(p pending) {
	f := p.flight()
	s.mu.Lock()
	mine := s.calls.byID[f.id] == p
	if mine {
		s.calls.remove(f.id)
	}
	s.mu.Unlock()
	if mine {
		s.room.Release(f.cost)
	}
}

func (s *Session) checkDrained() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkDrainedLocked()
}
