package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals are those that ask a mount to end. The first one asks for a clean
// end, the next ones to stop waiting.
type signals struct {
	c chan os.Signal
}

func newSignals() *signals {
	s := &signals{make(chan os.Signal, 4)}
	signal.Notify(s.c, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	return s
}

func (s *signals) stop() { signal.Stop(s.c) }

// until returns a context that ends with the next signal. cancel ends it too,
// and tells whether there was one: it is not to be heard of again.
func (s *signals) until(parent context.Context) (ctx context.Context, cancel func() (signalled bool)) {
	ctx, cancelContext := context.WithCancel(parent)
	done := make(chan struct{})
	signalled := false
	go func() {
		defer close(done)
		select {
		case <-s.c:
			signalled = true
			cancelContext()
		case <-ctx.Done():
		}
	}()
	return ctx, func() bool {
		cancelContext()
		<-done
		return signalled
	}
}
