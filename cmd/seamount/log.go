package main

import (
	"io"
	"log/slog"
	"os"
	"sync"

	"seamount/cmd/seamount/internal/daemon"
)

// mountLog is the log of a mount: standard error while there is a terminal to
// read it, a file afterwards.
type mountLog struct {
	*slog.Logger
	level slog.LevelVar

	mu   sync.Mutex
	w    io.Writer
	file *daemon.LogFile // nil in the foreground
}

// newLog returns a log on standard error. A mount that is about to go into
// the background says only there what must be seen.
func (a *app) newLog(p *plan, child *daemon.Child) *mountLog {
	l := &mountLog{w: a.stderr}
	switch {
	case p.opts.Debug:
		l.level.Set(slog.LevelDebug)
	case child != nil:
		l.level.Set(slog.LevelWarn)
	}
	l.Logger = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: &l.level}))
	return l
}

// toFile moves the log to the file at path.
func (l *mountLog) toFile(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file = daemon.NewLogFile(path)
	l.w = l.file
	l.level.Set(min(l.level.Level(), slog.LevelInfo))
}

// Write implements io.Writer for the handler.
func (l *mountLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Close closes the file, if there is one.
func (l *mountLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// isSet tells whether the environment has a value of name.
func isSet(name string) bool { return os.Getenv(name) != "" }
