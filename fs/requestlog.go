package fs

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// maxLogged bounds the requests that one line of the log names.
const maxLogged = 16

// requestLog gathers the SFTP requests that one FUSE request caused. Those
// that are answered after it (read-ahead, write-behind) may be missing.
type requestLog struct {
	mu    sync.Mutex
	lines []string
	more  int
}

// add is a cache.TraceFunc.
func (l *requestLog) add(op, path string, d time.Duration, err error) {
	line := fmt.Sprintf("%s %q %v", op, path, d.Round(time.Microsecond))
	if err != nil {
		line += " " + err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == maxLogged {
		l.more++
		return
	}
	l.lines = append(l.lines, line)
}

// String lists the requests in the order of their answers.
func (l *requestLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.Join(l.lines, "; ")
	if l.more > 0 {
		s += fmt.Sprintf("; and %d more", l.more)
	}
	return s
}
