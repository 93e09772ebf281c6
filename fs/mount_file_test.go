package fs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seamount/cache"
)

func TestMountTimes(t *testing.T) {
	srv := newMemServer()
	f := srv.put("f", newInode(syscall.S_IFREG|0o644))
	f.attr.Atime, f.attr.Mtime = 1000, 2000
	s, tree := startMount(t, srv, Options{})
	set := func(a, m unix.Timespec) {
		t.Helper()
		err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(s.Mountpoint(), "f"), []unix.Timespec{a, m}, 0)
		if err := errors.Join(err, tree.Sync(t.Context())); err != nil {
			t.Error(err)
		}
	}
	omit, now := unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_NOW}
	set(omit, omit)
	if a := srv.attr("f"); a.Atime != 1000 || a.Mtime != 2000 {
		t.Errorf("nothing set: %+v", a)
	}
	set(unix.Timespec{Sec: 5, Nsec: 6}, omit)
	if a := srv.attr("f"); a.Atime != 5 || a.Mtime != 2000 {
		t.Errorf("atime set: %+v", a)
	}
	set(omit, now)
	if a := srv.attr("f"); a.Atime != 5 || time.Since(time.Unix(a.Mtime, 0)) > time.Minute {
		t.Errorf("mtime now: %+v", a)
	}
	must(t, s.Unmount())
	must(t, tree.Close(t.Context()))
}

func TestMountSeekHole(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("0123456789"))
	f, err := os.Open(filepath.Join(mountServer(t, srv, Options{}), "f"))
	must(t, err)
	defer f.Close() //nolint:errcheck // only read
	for _, tt := range []struct {
		off    int64
		whence int
		want   int64
	}{{3, unix.SEEK_DATA, 3}, {3, unix.SEEK_HOLE, 10}} {
		if got, err := f.Seek(tt.off, tt.whence); got != tt.want || err != nil {
			t.Errorf("seek(%d, %d) = %d, %v; want %d", tt.off, tt.whence, got, err, tt.want)
		}
	}
	wantErrno(t, "data at the end", errOf(f.Seek(10, unix.SEEK_DATA)), syscall.ENXIO)
}

func TestMountAllocate(t *testing.T) {
	srv := newMemServer()
	f, err := os.Create(filepath.Join(mountServer(t, srv, Options{}), "f"))
	must(t, err)
	defer f.Close() //nolint:errcheck // checked by Sync
	fd := int(f.Fd())
	must(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 100))
	must(t, unix.Fallocate(fd, 0, 10, 20))
	wantErrno(t, "punch", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 10), syscall.EOPNOTSUPP)
	must(t, f.Sync())
	if a := srv.attr("f"); a.Size != 30 {
		t.Errorf("size %d, want 30", a.Size)
	}
}

func TestMountCopyFileRange(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("0123456789"))
	dir := mountServer(t, srv, Options{})
	in, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	must(t, err)
	defer in.Close() //nolint:errcheck // not written
	out, err := os.Create(filepath.Join(dir, "g"))
	must(t, err)
	from, to := int64(2), int64(1)
	n, err := unix.CopyFileRange(int(in.Fd()), &from, int(out.Fd()), &to, 5, 0)
	if n != 5 || err != nil {
		t.Errorf("copied %d, %v", n, err)
	}
	from, to = 0, 3
	_, err = unix.CopyFileRange(int(in.Fd()), &from, int(in.Fd()), &to, 5, 0)
	wantErrno(t, "overlap", err, syscall.EINVAL)
	must(t, out.Close())
	if got, want := srv.content("g"), "\x0023456"; got != want {
		t.Errorf("g is %q, want %q", got, want)
	}
	if c := srv.count(); c["COPY"] == 0 {
		t.Errorf("not copied on the server: %v", c)
	}
}

func TestMountDirectIO(t *testing.T) {
	srv := newMemServer()
	path := filepath.Join(mountServer(t, srv, Options{}), "f")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_DIRECT, 0o644)
	must(t, err)
	data := bytes.Repeat([]byte("x"), 3*maxTransfer+5)
	_, err = f.WriteAt(data, 7)
	must(t, err)
	got := make([]byte, len(data))
	if n, err := f.ReadAt(got, 7); n != len(data) || !bytes.Equal(got, data) {
		t.Errorf("read %d, %v", n, err)
	}
	must(t, f.Close())
	if got, err := os.ReadFile(path); err != nil || len(got) != len(data)+7 {
		t.Errorf("buffered read after: %d, %v", len(got), err)
	}
}

func TestMountAppend(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("a"))
	f, err := os.OpenFile(filepath.Join(mountServer(t, srv, Options{}), "f"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	for _, s := range []string{"b", "c", "d"} {
		_, err := f.WriteString(s)
		must(t, err)
	}
	must(t, f.Close())
	if got := srv.content("f"); got != "abcd" {
		t.Errorf("f is %q", got)
	}
}

// Content that another client changed is not the kernel's old one.
func TestMountInvalidates(t *testing.T) {
	srv := newMemServer()
	f := srv.put("f", newInode(syscall.S_IFREG|0o644).write("old content"))
	o := Options{Notifier: NewNotifier()}
	tree := cache.New(srv, cache.Options{OpenTTL: -1, Invalidate: o.Notifier.Invalidate})
	s, err := Mount(t.Context(), tree, t.TempDir(), o)
	must(t, err)
	path := filepath.Join(s.Mountpoint(), "f")
	for _, want := range []string{"old content", "new content"} {
		got, err := os.ReadFile(path)
		if string(got) != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		srv.mu.Lock()
		f.write("new content")
		f.attr.Mtime++
		srv.mu.Unlock()
	}
	must(t, s.Unmount())
	must(t, tree.Close(t.Context()))
}

// An open file keeps what it is when its name is given to another.
func TestMountReplacedWhileOpen(t *testing.T) {
	srv := newMemServer()
	dir := mountServer(t, srv, Options{})
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("first"), 0o644))
	f, err := os.Open(path)
	must(t, err)
	defer f.Close() //nolint:errcheck // only read
	must(t, os.WriteFile(path+".new", []byte("second"), 0o644))
	must(t, os.Rename(path+".new", path))
	old := make([]byte, 5)
	if _, err := f.ReadAt(old, 0); string(old) != "first" || err != nil {
		t.Errorf("open file: %q, %v", old, err)
	}
	if got, err := os.ReadFile(path); string(got) != "second" || err != nil {
		t.Errorf("by name: %q, %v", got, err)
	}
	var a, b unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &a))
	must(t, unix.Stat(path, &b))
	if a.Ino == b.Ino || a.Nlink != 0 {
		t.Errorf("inodes %d (nlink %d) and %d", a.Ino, a.Nlink, b.Ino)
	}
}
