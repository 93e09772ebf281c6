package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// MaxLog bounds a log file, in bytes. A full one becomes NAME.1, whose
// contents are lost.
const MaxLog = 1 << 20

// LogFile is a file that appears with the first line written to it and never
// grows beyond MaxLog, and where nothing that goes wrong matters: a full disk
// must not stop a mount. It is safe for concurrent use; each Write is one line.
type LogFile struct {
	path string

	mu   sync.Mutex
	file *os.File // nil until the first line
	size int64
}

// NewLogFile returns the LogFile at path, whose directory need not exist.
func NewLogFile(path string) *LogFile { return &LogFile{path: path} }

// LogPath is where the log of the mount at mountpoint is kept:
// $XDG_STATE_HOME/seamount, which is ~/.local/state/seamount if that is not
// set. It is "" where there is no home either.
func LogPath(mountpoint string) string {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) { // as the XDG Base Directory Specification has it
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "seamount", fileName(mountpoint)+".log")
}

// fileName makes a file name of an absolute path, as systemd-escape(1) does
// with its first step. Names too long for a file keep their end.
func fileName(mountpoint string) string {
	name := strings.ReplaceAll(strings.Trim(mountpoint, "/"), "/", "-")
	const most = 200
	if len(name) > most {
		name = name[len(name)-most:]
	}
	if name == "" {
		return "root"
	}
	return name
}

// Write appends p, or drops it when it cannot.
func (l *LogFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		return len(p), nil
	}
	if l.file != nil && l.size+int64(len(p)) > MaxLog {
		l.file.Close()
		l.file = nil
		_ = os.Rename(l.path, l.path+".1")
	}
	if l.file == nil && l.openLocked() != nil {
		return len(p), nil
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	return len(p), nil
}

func (l *LogFile) openLocked() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fs.FileMode(0o600))
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, st.Size()
	return nil
}

// Close closes the file; the next Write opens it again.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}
