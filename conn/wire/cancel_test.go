package wire

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// Giving up ends the wait for good; the late reply is dropped and the session lives.
func TestGiveUp(t *testing.T) {
	for _, e := range allExchanges() {
		t.Run(e.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := open(t, Options{})
				defer hangUp(t, s)
				wait := e.issue(t.Context(), s)
				id := p.recv().id
				ctx, cancel := contextWithCancel(t)
				cancel()
				for range 2 {
					if _, err := wait(ctx); err != context.Canceled {
						t.Errorf("Wait: %v", err)
					}
				}
				if n, _, _ := s.InFlight(); n != 1 {
					t.Errorf("%d requests in flight, want the one given up", n)
				}
				p.send(e.reply, id, e.with)
				if e.reply == typeHandle {
					expectClosed(t, p, e.value.(Handle))
				}
				synctest.Wait()
				p.idle()
				if _, err := wait(t.Context()); err != context.Canceled {
					t.Errorf("Wait after the reply: %v", err)
				}
			})
		})
	}
}

// expectClosed has the peer see and answer the CLOSE of an orphaned handle.
func expectClosed(t *testing.T, p *peer, h Handle) {
	t.Helper()
	got := p.recv()
	if got.typ != typeClose || string(got.body) != string(cat(string(h))) {
		t.Errorf("request %d %q, want the CLOSE of %q", got.typ, got.body, h)
	}
	p.ok(got.id)
}

// An answer that has come is given out even to a caller whose time is up:
// otherwise a handle would be lost.
func TestAnswerBeforeContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		c := s.Open(t.Context(), "a", OpenRead, Attrs{})
		p.send(typeHandle, p.recv().id, "h")
		<-c.Done()
		ctx, cancel := contextWithCancel(t)
		cancel()
		if h, err := c.Wait(ctx); h != "h" || err != nil {
			t.Errorf("Wait = %q, %v", h, err)
		}
	})
}

// An OPEN that fails late leaves nothing to close.
func TestGiveUpFailedOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := s.Open(t.Context(), "a", OpenRead, Attrs{})
		id := p.recv().id
		if _, err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		p.send(typeStatus, id, StatusNoSuchFile, "", "")
		p.idle()
	})
}

// Room is given in the order in which it was asked for, and only when replies
// have come, also those of calls that were given up.
func TestRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{MaxInFlight: 1000})
		defer hangUp(t, s)
		first := s.Read(t.Context(), "h", 0, make([]byte, 900))
		id := p.recv().id
		go s.Write(t.Context(), "large", 0, make([]byte, 1000))
		synctest.Wait()
		go s.Lstat(t.Context(), "small")
		p.idle() // the small one would have room, but came later

		ctx, cancel := contextWithCancel(t)
		cancel()
		if _, err := first.Wait(ctx); err != context.Canceled {
			t.Errorf("Wait: %v", err)
		}
		p.idle() // the server is still busy with the one given up
		if n, bytes, _ := s.InFlight(); n != 1 || bytes != 900 {
			t.Errorf("InFlight() = %d, %d", n, bytes)
		}
		p.send(typeData, id, "x")
		large := p.recv()
		p.idle()
		p.ok(large.id)
		small := p.recv()
		if large.typ != typeWrite || small.typ != typeLstat {
			t.Errorf("requests %d, %d", large.typ, small.typ)
		}
		p.send(typeAttrs, small.id, 0)
		synctest.Wait()
	})
}

// Waiting for room ends with the context, and takes no room.
func TestRoomContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{MaxInFlight: 1000})
		defer hangUp(t, s)
		c := s.Read(t.Context(), "h", 0, make([]byte, 5000)) // more than all: sent alone
		id := p.recv().id
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := s.Remove(ctx, "a").Wait(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		p.send(typeData, id, "x")
		if _, err := c.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		p.idle()
	})
}

func TestInFlightOldest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		var ids []uint32
		began := time.Now()
		for range 3 {
			s.Write(t.Context(), "h", 0, make([]byte, 10))
			ids = append(ids, p.recv().id)
			time.Sleep(time.Second) // of the bubble
		}
		check := func(n int, age time.Duration) {
			t.Helper()
			synctest.Wait()
			if gn, gb, oldest := s.InFlight(); gn != n || gb != int64(10*n) || oldest.Sub(began) != age {
				t.Errorf("InFlight() = %d, %d, %v; want %d, %v", gn, gb, oldest.Sub(began), n, age)
			}
		}
		check(3, 0)
		p.ok(ids[1])
		check(2, 0)
		p.ok(ids[0])
		check(1, 2*time.Second)
		p.ok(ids[2])
		synctest.Wait()
	})
}

// Ids of requests under way are not given out again after a wrap.
func TestIDsWrap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		old := s.Lstat(t.Context(), "old")
		oldID := p.recv().id
		s.mu.Lock()
		s.nextID = oldID - 2
		s.mu.Unlock()
		for _, want := range []uint32{oldID - 1, oldID + 1} {
			s.Remove(t.Context(), "new")
			if id := p.recv().id; id != want {
				t.Errorf("id %d, want %d", id, want)
			}
			p.ok(want)
		}
		p.send(typeAttrs, oldID, modeOnlyRaw)
		if a, err := old.Wait(t.Context()); a != modeOnly || err != nil {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
