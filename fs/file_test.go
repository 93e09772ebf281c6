package fs

import (
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

func TestReplyFlags(t *testing.T) {
	tests := []struct {
		flag cache.OpenFlag
		keep bool
		want uint32
	}{
		{cache.OpenRead, true, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH},
		{cache.OpenRead, false, fuse.FOPEN_NOFLUSH},
		{cache.OpenWrite, false, 0},
		{cache.OpenRead | cache.OpenWrite, true, fuse.FOPEN_KEEP_CACHE},
	}
	for _, tt := range tests {
		if got := replyFlags(tt.flag, tt.keep); got != tt.want {
			t.Errorf("replyFlags(%b, %v) = %b, want %b", tt.flag, tt.keep, got, tt.want)
		}
	}
}

func TestOpenFlags(t *testing.T) {
	rw := cache.OpenRead | cache.OpenWrite
	tests := map[uint32]cache.OpenFlag{
		syscall.O_RDONLY: cache.OpenRead, syscall.O_WRONLY: cache.OpenWrite, syscall.O_RDWR: rw, syscall.O_ACCMODE: rw,
		syscall.O_RDWR | syscall.O_TRUNC:                                         rw | cache.OpenTruncate,
		syscall.O_WRONLY | syscall.O_APPEND | syscall.O_DIRECT:                   cache.OpenWrite | cache.OpenAppend,
		syscall.O_RDONLY | syscall.O_APPEND:                                      cache.OpenRead,
		syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW: cache.OpenWrite | cache.OpenExclusive,
	}
	for flags, want := range tests {
		if got := openFlags(flags); got != want {
			t.Errorf("openFlags(%#x) = %b, want %b", flags, got, want)
		}
	}
}

func TestSeek(t *testing.T) {
	tests := []struct {
		off, size uint64
		whence    uint32
		want      uint64
		err       error
	}{
		{0, 10, seekData, 0, nil}, {9, 10, seekData, 9, nil}, {10, 10, seekData, 0, syscall.ENXIO},
		{0, 10, seekHole, 10, nil}, {10, 10, seekHole, 0, syscall.ENXIO}, {0, 0, seekHole, 0, syscall.ENXIO},
		{0, 10, 0, 0, syscall.EINVAL}, {1 << 63, 10, seekData, 0, syscall.ENXIO},
	}
	for _, tt := range tests {
		if got, err := seek(tt.off, tt.size, tt.whence); got != tt.want || err != tt.err {
			t.Errorf("seek(%d, %d, %d) = %d, %v", tt.off, tt.size, tt.whence, got, err)
		}
	}
}

func TestCopyRange(t *testing.T) {
	tests := []struct {
		r    copyRange
		same bool
		want bool
	}{
		{copyRange{0, 10, 10}, true, true}, {copyRange{10, 0, 10}, true, true},
		{copyRange{0, 9, 10}, true, false}, {copyRange{9, 0, 10}, true, false}, {copyRange{5, 5, 1}, true, false},
		{copyRange{0, 9, 10}, false, true}, {copyRange{1 << 63, 0, 10}, false, false}, {copyRange{0, 1<<63 - 5, 10}, false, false},
	}
	for _, tt := range tests {
		if got := tt.r.valid(tt.same); got != tt.want {
			t.Errorf("%+v in one file %v: %v", tt.r, tt.same, got)
		}
	}
}
