package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// counting counts the writes to a stream.
type counting struct {
	net.Conn
	writes atomic.Int32
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// Requests go out in the order of issue, and those that were issued while the
// writer was busy leave together.
func TestOrderAndBatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := net.Pipe()
		stream, p := &counting{Conn: here}, &peer{t, there}
		go func() {
			_, _ = io.ReadFull(there, make([]byte, 9))
			p.raw(version(3))
		}()
		s, err := New(t.Context(), stream, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer hangUp(t, s)
		stream.writes.Store(0)

		const small = 50
		issue := func(i int) { s.Lstat(t.Context(), fmt.Sprint(i)) }
		issue(0)
		synctest.Wait() // the writer is busy until the peer reads
		for i := 1; i < small; i++ {
			issue(i)
		}
		s.Write(t.Context(), "h", 0, make([]byte, 32768))
		issue(small)

		for i := range small + 2 {
			got := p.recv()
			switch {
			case got.typ == typeWrite && i == small && len(got.body) == 4+1+8+4+32768:
				p.ok(got.id)
			case got.typ == typeLstat && string(got.body) == string(cat(fmt.Sprint(min(i, small)))):
				p.send(typeAttrs, got.id, 0)
			default:
				t.Errorf("request %d: type %d, %.20q", i, got.typ, got.body)
			}
		}
		if n := stream.writes.Load(); n != 3 { // the first, the small ones, the large one and what followed
			t.Errorf("%d writes", n)
		}
	})
}

// broken is a stream that takes no more at some point, and says nothing either.
type broken struct {
	net.Conn
	now chan struct{}
}

func (b *broken) Write(p []byte) (int, error) {
	select {
	case <-b.now:
		return 0, syscall.EPIPE
	default:
		return b.Conn.Write(p)
	}
}

func TestWriteFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := net.Pipe()
		stream, p := &broken{here, make(chan struct{})}, &peer{t, there}
		go func() {
			_, _ = io.ReadFull(there, make([]byte, 9))
			p.raw(version(3))
		}()
		s, err := New(t.Context(), stream, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("Err() = %v before the end", err)
		}
		close(stream.now)
		_, err = s.Lstat(t.Context(), "a").Wait(t.Context())
		if !errors.Is(err, ErrClosed) || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("error %v", err)
		}
		expectEnd(t, s)
	})
}

// A request is copied when it is issued: its data may change afterwards.
func TestWriteCopies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		data := []byte("data")
		s.Write(t.Context(), "h", 0, data)
		copy(data, "gone")
		got := p.recv()
		if want := cat("h", uint64(0), "data"); string(got.body) != string(want) {
			t.Errorf("request %q, want %q", got.body, want)
		}
		p.ok(got.id)
	})
}

// Close refuses those who wait for room, and does not wait for them.
func TestCloseWhileWaitingForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{MaxInFlight: 10})
		s.Write(t.Context(), "h", 0, make([]byte, 10))
		id := p.recv().id
		refused := make(chan error, 1)
		go func() {
			_, err := s.Remove(t.Context(), "a").Wait(t.Context())
			refused <- err
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.Close(context.Background()) }()
		synctest.Wait()
		p.ok(id)
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if c := wantErrorAs[*ClosedError](t, <-refused); c.Issued {
			t.Error("the one who waited counts as issued")
		}
	})
}
