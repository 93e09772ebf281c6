package wire

import (
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
)

// After these packets nothing that follows can be trusted: the session ends,
// and every call with it.
func TestHostilePacketEndsSession(t *testing.T) {
	for name, raw := range map[string][]byte{
		"length 0":         cat(0, byte(typeStatus), 1, okRaw),
		"length 4":         cat(4, byte(typeStatus), 1, okRaw),
		"only a length":    cat(1),
		"too long":         cat(maxReceive+1, byte(typeStatus), 1),
		"longest possible": cat(uint32(0xffffffff), byte(typeData), 1),
		"text":             []byte("Killed by administrator\n"),
		"unknown id":       frame(typeStatus, 77, okRaw),
		"id 0":             frame(typeStatus, 0, okRaw),
		"answered twice":   append(frame(typeStatus, 1, okRaw), frame(typeStatus, 1, okRaw)...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := open(t, Options{})
				c := s.Remove(t.Context(), "a")
				d := s.Read(t.Context(), "h", 0, make([]byte, 8))
				p.recv()
				p.recv()
				p.raw(raw)
				_, err := d.Wait(t.Context())
				wantErrorAs[*ProtocolError](t, err)
				if closed := wantErrorAs[*ClosedError](t, err); !closed.Issued || !errors.Is(err, ErrClosed) {
					t.Errorf("error %#v", closed)
				}
				if _, err := c.Wait(t.Context()); err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("the call before: %v", err)
				}
				expectEnd(t, s)
			})
		})
	}
}

// expectEnd checks that a session has ended for a reason, and has gone.
func expectEnd(t *testing.T, s *Session) {
	t.Helper()
	<-s.Done()
	if err := s.Err(); !errors.Is(err, ErrClosed) || err.(*ClosedError).Cause == nil {
		t.Errorf("Err() = %v", err)
	}
	for _, late := range []erased{
		erase(s.Lstat(t.Context(), "late")), erase(s.Read(t.Context(), "h", 0, make([]byte, 1))),
	} {
		_, err := late(t.Context())
		if closed := wantErrorAs[*ClosedError](t, err); closed.Issued {
			t.Error("a request after the end counts as issued")
		}
	}
	if err := s.Close(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Close after the end: %v", err)
	}
	if n, bytes, _ := s.InFlight(); n != 0 || bytes != 0 {
		t.Errorf("InFlight() = %d, %d after the end", n, bytes)
	}
}

// A stream that ends is an error of its own, and never the end of a file.
func TestStreamEnds(t *testing.T) {
	for name, e := range map[string]struct {
		raw      []byte
		protocol bool
	}{
		"between packets": {nil, false},
		"in a length":     {cat(byte(0)), true},
		"in a header":     {cat(100, byte(typeData)), true},
		"in data":         {frame(typeData, 1, "12345678")[:16], true},
		"before data":     {frame(typeData, 1, "12345678")[:10], true},
		"in wrong data":   {cat(13+50, byte(typeData), 1, 8, 1), true},
		"in a status":     {frame(typeStatus, 1, okRaw)[:20], true},
		"in a long body":  {append(cat(maxReceive, byte(typeStatus), 1), make([]byte, readBuffer+1)...), true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := open(t, Options{})
				c := s.Read(t.Context(), "h", 0, make([]byte, 8))
				p.recv()
				p.raw(e.raw)
				p.Close()
				_, err := c.Wait(t.Context())
				if errors.Is(err, io.EOF) || !errors.Is(err, ErrClosed) {
					t.Errorf("Read: %v", err)
				}
				if got := errors.As(err, new(*ProtocolError)); got != e.protocol {
					t.Errorf("protocol error %t, want %t: %v", got, e.protocol, err)
				}
				if !e.protocol && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("Read: %v", err)
				}
				expectEnd(t, s)
			})
		})
	}
}

// A count in a packet is worth what the packet's length says.
func TestAllocationBacked(t *testing.T) {
	lies := map[string]func(){
		"names":     func() { _, _ = decodeNames(cat(uint32(0xffffffff), make([]byte, 64))) },
		"extended":  func() { _, _ = decodeAttrs(cat(uint32(attrExtended), uint32(0xffffffff))) },
		"handle":    func() { _, _ = decodeHandle(cat(uint32(0xffffffff))) },
		"ids":       func() { _, _ = decodeUsersGroups(cat("", ""), 1<<30, 0) },
		"extension": func() { _, _, _ = decodeVersion(cat(3, uint32(0x7fffffff), 1)) },
	}
	for name, decode := range lies {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decode()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

// The reader does not touch a buffer that was given back, not even in the
// middle of a reply.
func TestGivenUpInsideReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		ctx, cancel := contextWithCancel(t)
		buf := make([]byte, 8)
		c := s.Read(t.Context(), "h", 0, buf)
		reply := frame(typeData, p.recv().id, "12345678")
		p.raw(reply[:len(reply)-4])
		synctest.Wait()
		if string(buf[:4]) != "1234" {
			t.Fatalf("buffer %q: the reply is not on its way", buf)
		}
		cancel()
		if n, err := c.Wait(ctx); n != 0 || err != ctx.Err() {
			t.Errorf("Wait = %d, %v", n, err)
		}
		copy(buf, "mine now") // the race detector watches
		p.raw(reply[len(reply)-4:])
		synctest.Wait()
		if string(buf) != "mine now" {
			t.Errorf("buffer %q written to after Wait", buf)
		}
	})
}
