package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"syscall"
	"testing"
)

func TestToErrno(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("stat a/b: %w", err) }
	tests := []struct {
		name  string
		err   error
		want  syscall.Errno
		known bool
	}{
		{"nil", nil, 0, true},
		{"plain", syscall.ENOENT, syscall.ENOENT, true},
		{"wrapped", wrapped(wrapped(syscall.ENOTEMPTY)), syscall.ENOTEMPTY, true},
		{"path error", &os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, syscall.EACCES, true},
		{"joined", errors.Join(errors.New("first"), syscall.ENOSPC), syscall.ENOSPC, true},
		{"cancelled", wrapped(context.Canceled), syscall.EINTR, true},
		{"deadline", wrapped(context.DeadlineExceeded), syscall.ETIMEDOUT, true},
		{"errno before context", errors.Join(context.Canceled, syscall.ESTALE), syscall.ESTALE, true},
		{"ENOSYS", syscall.ENOSYS, syscall.EOPNOTSUPP, true},
		{"unsupported", wrapped(errors.ErrUnsupported), syscall.EIO, false},
		{"zero errno", wrapped(syscall.Errno(0)), syscall.EIO, false},
		{"ERESTARTSYS", syscall.Errno(512), syscall.EIO, false},
		{"no errno", errors.New("short packet"), syscall.EIO, false},
		{"io/fs", iofs.ErrNotExist, syscall.EIO, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, known := toErrno(tt.err)
			if got != tt.want || known != tt.known {
				t.Errorf("toErrno(%v) = %v, %v; want %v, %v", tt.err, got, known, tt.want, tt.known)
			}
		})
	}
}
