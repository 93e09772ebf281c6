package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// chatterGrace is how long text instead of SFTP is collected after its
// beginning, so that a message that comes in pieces is shown whole.
const chatterGrace = time.Second

// handshake waits for VERSION and asks for the limits.
func (s *Session) handshake(ctx context.Context) error {
	select {
	case <-s.greeted:
	case <-s.chatty:
		return s.hearOut(ctx)
	case <-s.done:
		return s.cause()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !s.caps.Limits {
		return nil
	}
	l, err := s.limits(ctx).Wait(ctx)
	if errors.As(err, new(*StatusError)) {
		return nil // offered and refused: the sizes of every server stand
	}
	if err != nil {
		return err
	}
	s.caps.setLimits(l)
	return nil
}

func (s *Session) limits(ctx context.Context) *Call[limits] {
	c := newCall(extLimits, typeExtendedReply, decodeLimits)
	return start(ctx, s, request{typ: typeExtended, head: appendString(nil, extLimits)}, c)
}

// hearOut gives a talkative server the time to end its message.
func (s *Session) hearOut(ctx context.Context) error {
	grace := time.NewTimer(chatterGrace)
	defer grace.Stop()
	select {
	case <-s.done:
	case <-ctx.Done():
	case <-grace.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &ChatterError{Text: printable(s.chatter, maxChatter)}
}

// readVersion takes the server's first packet.
func (s *Session) readVersion() error {
	first, err := s.in.Peek(1)
	if err != nil {
		return fmt.Errorf("no answer: %w", withoutEOF(err))
	}
	if first[0] != 0 { // no packet is that long
		return s.listen()
	}
	head, err := s.in.Peek(lengthSize + 1)
	if err != nil {
		return s.endOfStream(err)
	}
	n, typ := binary.BigEndian.Uint32(head), head[lengthSize]
	if typ != typeVersion || n < 1 || n > maxReceive {
		return &ProtocolError{"INIT", fmt.Sprintf("packet of type %d with %d bytes instead of VERSION", typ, n)}
	}
	s.discard(lengthSize + 1)
	body, err := s.readGreeting(int(n) - 1)
	if err != nil {
		return err
	}
	version, ext, err := decodeVersion(body)
	switch {
	case len(body) >= 4 && version != protocolVersion:
		return &VersionError{version}
	case err != nil:
		return &ProtocolError{"INIT", fmt.Sprintf("VERSION: %v", err)}
	}
	s.caps = newCaps(version, ext)
	close(s.greeted)
	return nil
}

// readGreeting reads n bytes; memory grows with what has really come.
func (s *Session) readGreeting(n int) ([]byte, error) {
	var body []byte
	for len(body) < n {
		b, err := s.peekSome(n - len(body))
		if err != nil {
			return nil, &ProtocolError{"INIT", "stream ended inside VERSION"}
		}
		body = append(body, b...)
		s.discard(len(b))
	}
	return body, nil
}

// decodeVersion decodes the body of VERSION. The version counts even where the
// extensions behind it are not those of version 3.
func decodeVersion(body []byte) (version uint32, ext map[string]string, err error) {
	d := decoder{rest: body}
	version = d.uint32()
	ext = make(map[string]string)
	for len(d.rest) > 0 && !d.short {
		name, data := d.string(), d.string()
		if !d.short {
			ext[name] = data
		}
	}
	return version, ext, d.atLeast()
}

// listen collects text that came instead of VERSION, up to a NUL (where the
// SFTP server begins to speak behind the shell's text) or maxChatter bytes.
func (s *Session) listen() error {
	var text []byte
	for {
		b, err := s.peekSome(maxChatter - len(text))
		if err != nil {
			break
		}
		end := bytes.IndexByte(b, 0)
		if end >= 0 {
			b = b[:end]
		}
		text = append(text, b...)
		s.setChatter(text)
		s.discard(len(b))
		if end >= 0 || len(text) == maxChatter {
			break
		}
	}
	return &ChatterError{Text: printable(text, maxChatter)}
}

func (s *Session) setChatter(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chatter == nil {
		close(s.chatty)
	}
	s.chatter = bytes.Clone(text)
}
