package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Close takes no further requests, waits for those under way, also those that
// were given up and what they bring, and then ends.
func TestCloseDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		write := s.Write(t.Context(), "h", 0, []byte("x"))
		orphan := s.Open(t.Context(), "a", OpenRead, Attrs{})
		writeID, orphanID := p.recv().id, p.recv().id
		ctx, cancel := contextWithCancel(t)
		cancel()
		if _, err := orphan.Wait(ctx); err == nil {
			t.Fatal("not given up")
		}
		closed := make(chan error, 1)
		go func() { closed <- s.Close(t.Context()) }()
		synctest.Wait()

		_, err := s.Lstat(t.Context(), "late").Wait(t.Context())
		if c := wantErrorAs[*ClosedError](t, err); c.Issued || c.Cause != nil {
			t.Errorf("while closing: %#v", c)
		}
		p.ok(writeID)
		if _, err := write.Wait(t.Context()); err != nil {
			t.Errorf("the write: %v", err)
		}
		p.send(typeHandle, orphanID, "h")
		synctest.Wait()
		select {
		case err := <-closed:
			t.Fatalf("Close before the handle was closed: %v", err)
		default:
		}
		expectClosed(t, p, "h")
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := s.Err(); !errors.Is(err, ErrClosed) || errors.Unwrap(err) != nil {
			t.Errorf("Err() = %v", err)
		}
		if _, err := p.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the stream after Close: %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		c := s.Remove(t.Context(), "a")
		p.recv()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != context.DeadlineExceeded {
			t.Errorf("Close: %v", err)
		}
		if _, err := c.Wait(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("the call: %v", err)
		}
		expectEnd(t, s)
	})
}

// Abort fails everybody: those who wait for answers, those who wait for room,
// and does not wait for a peer that takes nothing.
func TestAbort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := open(t, Options{MaxInFlight: 100})
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() {
				_, err := s.Write(t.Context(), "h", 0, make([]byte, 100)).Wait(t.Context())
				errs <- err
			}()
		}
		synctest.Wait()
		cause := errors.New("dead peer")
		s.Abort(cause)
		s.Abort(errors.New("too late"))
		issued := 0
		for range cap(errs) {
			err := <-errs
			if !errors.Is(err, ErrClosed) || !errors.Is(err, cause) {
				t.Errorf("error %v", err)
			}
			if wantErrorAs[*ClosedError](t, err).Issued {
				issued++
			}
		}
		if issued != 1 {
			t.Errorf("%d calls issued, want 1", issued)
		}
		expectEnd(t, s)
	})
}

// The cause of an end is never taken for the end of a file.
func TestAbortWithEOF(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		c := s.Read(t.Context(), "h", 0, make([]byte, 1))
		p.recv()
		s.Abort(&net.OpError{Op: "read", Err: io.EOF})
		if _, err := c.Wait(t.Context()); errors.Is(err, io.EOF) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v", err)
		}
		expectEnd(t, s)
	})
}

// stuckStream is a stream whose Close blocks, as that of an SSH channel can.
type stuckStream struct {
	net.Conn
	release chan struct{}
}

func (s *stuckStream) Close() error {
	<-s.release
	return s.Conn.Close()
}

func TestAbortStuckStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := net.Pipe()
		stuck := &stuckStream{here, make(chan struct{})}
		p := &peer{t, there}
		go func() {
			_, _ = io.ReadFull(there, make([]byte, 9))
			p.raw(version(3))
		}()
		s, err := New(t.Context(), stuck, Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := s.Lstat(t.Context(), "a")
		s.Abort(errors.New("dead peer"))
		if _, err := c.Wait(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("the call: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != context.DeadlineExceeded {
			t.Errorf("Close of a stuck stream: %v", err)
		}
		close(stuck.release)
		expectEnd(t, s)
	})
}
