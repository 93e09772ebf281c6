package fs

import (
	"context"
	"errors"
	"syscall"
)

// maxErrno is the first number that is no error number to the kernel: a reply
// with one of 512 or above is refused, and its request would wait for ever.
const maxErrno = 512

// toErrno returns the error number that the kernel is told for err, and
// whether err said it. An error that names none is EIO.
//
// ENOSYS never leaves here: to the kernel it means that this mount has no
// such request at all, and it would not ask again.
func toErrno(err error) (e syscall.Errno, known bool) {
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &e):
		return checkedErrno(e)
	case errors.Is(err, context.Canceled):
		return syscall.EINTR, true
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT, true
	}
	return syscall.EIO, false
}

func checkedErrno(e syscall.Errno) (syscall.Errno, bool) {
	switch {
	case e == syscall.ENOSYS:
		return syscall.EOPNOTSUPP, true
	case e == 0 || e >= maxErrno:
		return syscall.EIO, false
	}
	return e, true
}
