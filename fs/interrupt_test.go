package fs

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestJudge(t *testing.T) {
	tests := []struct {
		name string
		s    signals
		want verdict
	}{
		{"none", signals{}, waitOn},
		{"killed", signals{pending: sigset(syscall.SIGKILL)}, endNow},
		{"killed, all blocked", signals{pending: sigset(syscall.SIGKILL), blocked: ^uint64(0)}, endNow},
		{"int, default action", signals{pending: sigset(syscall.SIGINT)}, endNow},
		{"int, caught", signals{pending: sigset(syscall.SIGINT), caught: sigset(syscall.SIGINT)}, askToEnd},
		{"int, blocked", signals{pending: sigset(syscall.SIGINT), blocked: sigset(syscall.SIGINT)}, waitOn},
		{"int, ignored", signals{pending: sigset(syscall.SIGINT), ignored: sigset(syscall.SIGINT)}, waitOn},
		{"preemption of Go", signals{pending: sigset(syscall.SIGURG), caught: ^uint64(0)}, waitOn},
		{"timer, caught", signals{pending: sigset(syscall.SIGALRM), caught: sigset(syscall.SIGALRM)}, waitOn},
		{"timer, default action", signals{pending: sigset(syscall.SIGALRM)}, endNow},
		{"child, default action", signals{pending: sigset(syscall.SIGCHLD)}, waitOn},
		{"stop", signals{pending: sigset(syscall.SIGTSTP)}, waitOn},
		{"window and term, caught", signals{
			pending: sigset(syscall.SIGWINCH, syscall.SIGTERM), caught: sigset(syscall.SIGTERM)}, askToEnd},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.judge(); got != tt.want {
				t.Errorf("judge(%+v) = %v, want %v", tt.s, got, tt.want)
			}
		})
	}
}

func TestParseSignals(t *testing.T) {
	status := "Name:\tcp\nPid:\t12\nSigQ:\t0/100\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000002\n" +
		"SigBlk:\t0000000000010000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180004002\n"
	s, ok := parseSignals([]byte(status))
	want := signals{pending: 0x102, blocked: 0x10000, ignored: 0x1000, caught: 0x180004002}
	if !ok || s != want {
		t.Errorf("got %+v, %v; want %+v", s, ok, want)
	}
	if _, ok := parseSignals([]byte(strings.Replace(status, "SigIgn", "Sig", 1))); ok {
		t.Error("incomplete status accepted")
	}
}

func TestJudgeCaller(t *testing.T) {
	if got := judgeCaller(uint32(os.Getpid())); got != waitOn {
		t.Errorf("of this process: %v", got)
	}
	if got := judgeCaller(0); got != askToEnd {
		t.Errorf("of an unknown process: %v", got)
	}
	if got := judgeCaller(1 << 30); got != endNow {
		t.Errorf("of a process that is gone: %v", got)
	}
}

// interrupted returns how long after an INTERRUPT the wait ended, up to a
// minute, with a caller whose signals are judged as v.
func interrupted(t *testing.T, v verdict, grace time.Duration) time.Duration {
	t.Helper()
	parent, interrupt := context.WithCancel(t.Context())
	w := newWaitCtx(parent, func() verdict { return v }, grace)
	start := time.Now()
	interrupt()
	select {
	case <-w.Done():
		if w.Err() != context.Canceled {
			t.Errorf("Err = %v", w.Err())
		}
	case <-time.After(time.Minute):
		if w.Err() != nil {
			t.Errorf("Err = %v while waiting", w.Err())
		}
	}
	took := time.Since(start)
	w.finish()
	return took
}

func TestWaitCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if d := interrupted(t, endNow, time.Second); d != 0 {
			t.Errorf("a dying caller waited %v", d)
		}
		if d := interrupted(t, askToEnd, time.Second); d != time.Second {
			t.Errorf("a caller asked to end waited %v", d)
		}
		if d := interrupted(t, waitOn, time.Second); d != time.Minute {
			t.Errorf("a harmless signal ended the wait after %v", d)
		}
	})
}

// A signal that comes after the first INTERRUPT has no INTERRUPT of its own.
func TestWaitCtxSeesLaterSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, interrupt := context.WithCancel(t.Context())
		killed := time.Now().Add(10 * time.Second)
		w := newWaitCtx(parent, func() verdict {
			if time.Now().Before(killed) {
				return waitOn
			}
			return endNow
		}, time.Second)
		defer w.finish()
		interrupt()
		<-w.Done()
		if late := time.Since(killed); late < 0 || late > pollSignals {
			t.Errorf("ended %v after the signal", late)
		}
	})
}

func TestKilledAndExiting(t *testing.T) {
	stat := func(flags, code int) string {
		return fmt.Sprintf("12 (a) b) S 1 1 1 0 -1 %d%s %d\n", flags, strings.Repeat(" 0", 42), code)
	}
	tests := []struct {
		stat string
		want bool
	}{
		{stat(0x400004, 9), true},
		{stat(0x400004, 2), true},
		{stat(0x400004, 1<<8), false}, // exit(1)
		{stat(0x400004, 0), false},    // exit(0), or not shown
		{stat(0x400000, 9), false},    // not exiting
		{"12 (a) S 1", false},
		{"", false},
	}
	for _, tt := range tests {
		if got := killedAndExiting([]byte(tt.stat)); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.stat, got, tt.want)
		}
	}
}
