package fs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// How long a request goes on after its caller caught a signal that asks it to
// end, and how often the caller's signals are looked at after an INTERRUPT.
const (
	graceRead   = 300 * time.Millisecond
	graceChange = 2 * time.Second
	pollSignals = 100 * time.Millisecond
	pollExiting = time.Second
)

// verdict is what the signals of a caller mean for its request.
type verdict int

const (
	waitOn   verdict = iota // nothing, or signals that are none of our business
	askToEnd                // a signal that asks the program to end, and it is told
	endNow                  // the caller is dying or gone: nobody waits
)

// signals are the sets of a thread as proc(5) shows them in
// /proc/TID/status: bit n-1 stands for signal n.
type signals struct {
	pending, blocked, ignored, caught uint64
}

func sigset(sigs ...syscall.Signal) (set uint64) {
	for _, s := range sigs {
		set |= 1 << (s - 1)
	}
	return set
}

// judge tells what the signals mean. A pending signal stays pending while
// its thread waits for a FUSE reply.
func (s signals) judge() verdict {
	pending := s.pending &^ s.blocked &^ s.ignored
	// Their default action is to stop or to do nothing.
	lenient := sigset(syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
		syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	ending := sigset(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	switch {
	case s.pending&sigset(syscall.SIGKILL) != 0, pending&^s.caught&^lenient != 0:
		return endNow
	case pending&s.caught&ending != 0:
		return askToEnd
	}
	return waitOn
}

// parseSignals reads the signal sets out of the content of a
// /proc/TID/status; ok is false when they are not all there.
func parseSignals(status []byte) (s signals, ok bool) {
	found := 0
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil {
			continue
		}
		found++
		switch string(key) {
		case "SigPnd", "ShdPnd":
			s.pending |= set
		case "SigBlk":
			s.blocked = set
		case "SigIgn":
			s.ignored = set
		case "SigCgt":
			s.caught = set
		default:
			found--
		}
	}
	return s, found == 5
}

// judgeCaller looks at the signals of thread tid. One that cannot be seen (of
// another PID namespace, or with hidepid) is taken to have caught a signal to
// end: after the grace its request is given up.
func judgeCaller(tid uint32) verdict {
	if tid == 0 {
		return askToEnd
	}
	status, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(tid), 10) + "/status")
	if errors.Is(err, os.ErrNotExist) {
		return endNow
	}
	if s, ok := parseSignals(status); err == nil && ok {
		return s.judge()
	}
	return askToEnd
}

// waitCtx is the context of one request: its values are those of the FUSE
// request, its end is the caller's, as the package comment tells. Most
// requests are answered from memory and never ask for Done, so its goroutine
// starts with the first who does.
type waitCtx struct {
	context.Context                // values; Done is the kernel's INTERRUPT
	judge           func() verdict // looks at the caller's signals
	// dying, if set, tells of a caller that was killed and waits for the answer
	// while it exits, when no INTERRUPT comes any more.
	dying func() bool
	grace time.Duration

	mu       sync.Mutex
	done     chan struct{} // nil until asked for
	err      error
	finished chan struct{} // closed by finish: the request is answered
}

func newWaitCtx(ctx context.Context, judge func() verdict, grace time.Duration) *waitCtx {
	return &waitCtx{Context: ctx, judge: judge, grace: grace, finished: make(chan struct{})}
}

// Deadline is never set: a request lasts until it is answered.
func (w *waitCtx) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is closed when nobody waits for the answer any more.
func (w *waitCtx) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == nil {
		w.done = make(chan struct{})
		go w.watch(w.done)
	}
	return w.done
}

// Err is context.Canceled once Done is closed.
func (w *waitCtx) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// finish ends the watch. The context is then ended too, as every context is
// whose work is over.
func (w *waitCtx) finish() { close(w.finished) }

func (w *waitCtx) watch(done chan struct{}) {
	w.wait()
	w.mu.Lock()
	w.err = context.Canceled
	w.mu.Unlock()
	close(done)
}

// wait returns when the request is answered or its caller's wait is to end.
func (w *waitCtx) wait() {
	if !w.interrupted() {
		return
	}
	ticker := time.NewTicker(pollSignals)
	defer ticker.Stop()
	var asked time.Duration
	for {
		switch w.judge() {
		case endNow:
			return
		case askToEnd:
			if asked >= w.grace {
				return
			}
			asked += pollSignals
		}
		select {
		case <-w.finished:
			return
		case <-ticker.C:
		}
	}
}

// interrupted waits for an INTERRUPT; false when there is nothing to wait for
// any more.
func (w *waitCtx) interrupted() bool {
	var tick <-chan time.Time
	if w.dying != nil {
		ticker := time.NewTicker(pollExiting)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-w.finished:
			return false
		case <-w.Context.Done():
			return true
		case <-tick:
			if w.dying() {
				return false
			}
		}
	}
}

// killedAndExiting tells from the content of a /proc/TID/stat whether the
// thread exits because of a signal. Where the kernel does not show us the exit
// code it looks like no signal.
func killedAndExiting(stat []byte) bool {
	const (
		exiting  = 0x4  // PF_EXITING, in the flags
		signalOf = 0x7f // of an exit code, as wait(2) has it
		flags    = 9 - 3
		exitCode = 52 - 3
	)
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from field 3 on
	if len(f) <= exitCode {
		return false
	}
	bits, err := strconv.ParseUint(string(f[flags]), 10, 64)
	code, errCode := strconv.ParseInt(string(f[exitCode]), 10, 64)
	return err == nil && errCode == nil && bits&exiting != 0 && code&signalOf != 0
}

// exitsKilled is killedAndExiting of thread tid.
func exitsKilled(tid uint32) bool {
	stat, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(tid), 10) + "/stat")
	return err == nil && killedAndExiting(stat)
}
