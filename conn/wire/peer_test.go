package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cat builds packet bodies on its own, apart from the code under test.
func cat(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch f := f.(type) {
		case byte:
			b = append(b, f)
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		case uint32:
			b = binary.BigEndian.AppendUint32(b, f)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, f)
		case string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
			b = append(b, f...)
		case []byte:
			b = append(b, f...)
		default:
			panic(fmt.Sprintf("cat: %T", f))
		}
	}
	return b
}

// packet is one that the peer has received.
type packet struct {
	typ  byte
	id   uint32
	body []byte
}

// peer is the server's end of a session, played by a test.
type peer struct {
	t *testing.T
	net.Conn
}

// recv takes the next packet.
func (p *peer) recv() packet {
	p.t.Helper()
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(p, head); err != nil {
		p.t.Fatalf("peer: receive: %v", err)
	}
	body := make([]byte, int(binary.BigEndian.Uint32(head))-5)
	if _, err := io.ReadFull(p, body); err != nil {
		p.t.Fatalf("peer: receive body: %v", err)
	}
	return packet{head[4], binary.BigEndian.Uint32(head[5:]), body}
}

// raw sends bytes as they are.
func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("peer: send: %v", err)
	}
}

// send sends a packet.
func (p *peer) send(typ byte, id uint32, body ...any) {
	p.t.Helper()
	p.raw(frame(typ, id, body...))
}

func frame(typ byte, id uint32, body ...any) []byte {
	rest := append([]any{typ, id}, body...)
	return cat(string(cat(rest...)))
}

func (p *peer) ok(id uint32) { p.t.Helper(); p.send(typeStatus, id, 0, "Success", "") }

// idle checks that the session sends nothing, however long one waits. Only in
// a bubble, where that takes no time.
func (p *peer) idle() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(time.Hour))
	defer p.SetReadDeadline(time.Time{})
	var b [1]byte
	if n, err := p.Read(b[:]); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("peer: unexpected packet (%v)", err)
	}
}

// offered are all the extensions that the package knows, but for limits.
var offered = [][2]string{
	{extPosixRename, "1"}, {extStatvfs, "2"}, {extFstatvfs, "2"}, {extHardlink, "1"},
	{extFsync, "1"}, {extLsetstat, "1"}, {extExpandPath, "1"}, {extCopyData, "1"},
	{extHomeDirectory, "1"}, {extUsersGroups, "1"},
}

func version(v int, ext ...[2]string) []byte {
	b := cat(byte(typeVersion), v)
	for _, e := range ext {
		b = append(b, cat(e[0], e[1])...)
	}
	return cat(string(b))
}

// dial begins a session with a peer, whose part of the handshake is greet.
func dial(t *testing.T, o Options, greet func(*peer)) (*Session, *peer, error) {
	t.Helper()
	here, there := net.Pipe()
	p := &peer{t, there}
	type result struct {
		s   *Session
		err error
	}
	c := make(chan result)
	go func() {
		s, err := New(t.Context(), here, o)
		c <- result{s, err}
	}()
	init := make([]byte, 9)
	if _, err := io.ReadFull(there, init); err != nil {
		t.Fatalf("peer: INIT: %v", err)
	}
	if want := cat(5, byte(typeInit), 3); string(init) != string(want) {
		t.Fatalf("INIT = %x, want %x", init, want)
	}
	greet(p)
	r := <-c
	return r.s, p, r.err
}

// open begins a session with all extensions and without limits.
func open(t *testing.T, o Options) (*Session, *peer) {
	t.Helper()
	s, p, err := dial(t, o, func(p *peer) { p.raw(version(3, offered...)) })
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

// hangUp, in a bubble, ends a session that must be idle, and waits for its goroutines.
func hangUp(t *testing.T, s *Session) {
	t.Helper()
	synctest.Wait()
	if n, bytes, oldest := s.InFlight(); n != 0 || bytes != 0 || !oldest.IsZero() {
		t.Errorf("InFlight() = %d, %d, %v at the end", n, bytes, oldest)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // of the bubble
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// bubble runs f where all of the session's goroutines must end with it, and
// where a wait without end is a failure.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// erased waits for a call whose type is of no interest.
type erased func(context.Context) (any, error)

func erase[T any](c *Call[T]) erased {
	return func(ctx context.Context) (any, error) {
		v, err := c.Wait(ctx)
		return v, err
	}
}

func wantErrorAs[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a %T", err, err, e)
	}
	return e
}
