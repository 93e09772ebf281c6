package conn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r room
		enter := func(ctx context.Context, n int64) chan error {
			done := make(chan error, 1)
			go func() { done <- r.enter(ctx, n) }()
			synctest.Wait()
			return done
		}
		in := func(c chan error) bool { synctest.Wait(); return len(c) == 1 }
		const n = roomPerHandle / 2
		a, b := enter(t.Context(), n), enter(t.Context(), n)
		c := enter(t.Context(), n)
		small := enter(t.Context(), 1)
		if !in(a) || !in(b) || in(c) || in(small) {
			t.Fatal("two have room, the third and who comes after it wait")
		}
		r.resize(2)
		if !in(c) || !in(small) {
			t.Error("a further handle makes room")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone, next := enter(ctx, 2*n), enter(t.Context(), n/2)
		if in(gone) || in(next) {
			t.Error("there is no room")
		}
		if err := <-gone; !errors.Is(err, context.DeadlineExceeded) || !in(next) {
			t.Errorf("who gives up makes way: %v", err)
		}
		for _, n := range []int64{n, n, n, 1, n / 2} {
			r.leave(n)
		}
		if huge := enter(t.Context(), 100*n); !in(huge) || r.used != 100*n {
			t.Errorf("alone, anything has room; %d used", r.used)
		}
	})
}
