package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"seamount/cache"
)

func TestRoot(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.Symlink("sub", filepath.Join(dir, "link")))
	writeFile(t, dir, "file", "")
	inDir := CommandDialer(sftpServer, "-d", dir)
	for _, test := range []struct {
		root, want string
		errno      syscall.Errno
	}{
		{"", dir, 0},
		{".", dir, 0},
		{"sub", dir + "/sub", 0},
		{"sub/", dir + "/sub", 0},
		{"link", dir + "/sub", 0},
		{dir + "/sub/..", dir, 0},
		{"/", "/", 0},
		{"~", dir, 0},
		{"~/sub", dir + "/sub", 0},
		{"missing", "", syscall.ENOENT},
		{"file", "", syscall.ENOTDIR},
		{"file/below", "", syscall.ENOTDIR},
		{"missing/below", "", syscall.ENOENT},
	} {
		c, err := New(t.Context(), inDir, Options{Root: test.root})
		if test.errno != 0 {
			var rootErr *RootError
			if !errors.As(err, &rootErr) || !errors.Is(err, test.errno) {
				t.Errorf("root %q: %v, want a *RootError with %v", test.root, err, test.errno)
			}
			continue
		}
		if err != nil {
			t.Errorf("root %q: %v", test.root, err)
			continue
		}
		if got := c.Info().Root; got != test.want {
			t.Errorf("root %q is %q, want %q", test.root, got, test.want)
		}
		if info := c.Info(); !info.OwnerKnown || info.UID != uint32(os.Getuid()) {
			t.Errorf("owner of the login directory: %+v", info)
		}
		if _, err := c.Lstat(t.Context(), ""); err != nil {
			t.Error(err)
		}
		closeClient(t, c)
	}
}

func TestRootOfOtherUser(t *testing.T) {
	c := newTestClient(t, opensshDialer(t), Options{Root: "~root"})
	if got := c.Info().Root; got != "/root" {
		t.Errorf("%q", got)
	}
	_, err := New(t.Context(), pkgDialer(nil), Options{Root: "~root"})
	if !errors.Is(err, syscall.ENOTSUP) {
		t.Errorf("without expand-path: %v", err)
	}
}

// fewSessions is a Dialer whose server allows n sessions.
func fewSessions(n int, d Dialer) Dialer {
	var open atomic.Int64
	return PipeDialer(func(ctx context.Context) (io.ReadWriteCloser, error) {
		if open.Add(1) > int64(n) {
			return nil, fmt.Errorf("channel refused: %w", ErrNoMoreSessions)
		}
		conn, err := d.Dial(ctx)
		if err != nil {
			return nil, err
		}
		return conn.OpenSFTP(ctx)
	})
}

func TestOneSession(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, fewSessions(1, opensshDialer(t)), Options{Root: dir})
	f := openFile(t, c, "f", create|cache.OpenRead)
	_, err := f.WriteAt(t.Context(), []byte("one for all"), 0)
	must(t, err)
	if got, err := readString(t, f, 11); got != "one for all" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n := c.Info().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
	closeFile(t, f)
}

// Close gives back what is open, has everything answered and leaves nothing.
func TestCloseWithOpenFiles(t *testing.T) {
	dir := t.TempDir()
	c, err := New(t.Context(), opensshDialer(t), Options{Root: dir})
	must(t, err)
	var files []cache.File
	for i := range 5 {
		f, _, err := c.Open(t.Context(), fmt.Sprint(i), create, 0o644)
		must(t, err)
		files = append(files, f)
	}
	p := c.StartSetattr(t.Context(), "0", cache.SetAttr{Valid: cache.SetMode, Mode: 0o600})
	must(t, c.Close(t.Context()))
	if a, err := p.Wait(t.Context()); err != nil || a.Mode&permBits != 0o600 {
		t.Errorf("a change under way at Close: %+v, %v", a, err)
	}
	if n := c.Info().Handles; n != 0 {
		t.Errorf("%d handles", n)
	}
	select {
	case <-c.Done():
	default:
		t.Error("Done is not closed")
	}
	_, err = c.Lstat(t.Context(), "0")
	wantErrno(t, "Lstat after Close", err, syscall.ENOTCONN)
	_, err = files[0].WriteAt(t.Context(), []byte("x"), 0)
	wantErrno(t, "WriteAt after Close", err, syscall.EBADF)
	must(t, c.Close(t.Context()))
}

// What is under way when the connection is lost fails, and so does all after it.
func TestDisconnect(t *testing.T) {
	reached := make(chan struct{})
	var once sync.Once
	f := &filter{reply: func(req, rep *packet) *packet {
		if req.typ == reqLstat {
			once.Do(func() { close(reached) })
			return nil // never answered
		}
		return rep
	}}
	c, err := New(t.Context(), pkgDialer(f), Options{Root: t.TempDir()})
	must(t, err)
	answer := make(chan error, 1)
	go func() {
		_, err := c.Lstat(context.Background(), "f")
		answer <- err
	}()
	<-reached
	must(t, c.conn.Close())
	for _, err := range []error{<-answer, opMkdir("d")(t.Context(), c), opOpen("f", create)(t.Context(), c)} {
		if !errors.Is(err, ErrDisconnected) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%v, want ErrDisconnected and EIO", err)
		}
	}
	<-c.Done()
	must(t, c.Close(t.Context()))
}

// A server that does not answer holds up neither a caller who gives up nor Close.
func TestSilentServer(t *testing.T) {
	var silent atomic.Bool
	reached := make(chan struct{}, 10)
	f := &filter{request: func(req *packet) *packet {
		if silent.Load() {
			reached <- struct{}{}
			req.typ, req.body = reqExtended, cat(str("no such extension"))
		}
		return nil
	}, reply: func(_, rep *packet) *packet {
		if silent.Load() {
			return nil
		}
		return rep
	}}
	c, err := New(t.Context(), pkgDialer(f), Options{Root: t.TempDir()})
	must(t, err)
	silent.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	_, err = c.Lstat(ctx, "f")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, syscall.EINTR) {
		t.Errorf("a cancelled call: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v, want its context's error", err)
	}
}

// The handle of an OPEN that its caller gave up is given back.
func TestCancelledOpen(t *testing.T) {
	hold, reached := make(chan struct{}), make(chan struct{})
	closed := make(chan struct{})
	f := &filter{reply: func(req, rep *packet) *packet {
		if req.typ == reqOpen {
			close(reached)
			<-hold
		}
		if req.typ == reqClose {
			close(closed)
		}
		return rep
	}}
	dir := t.TempDir()
	c := newTestClient(t, pkgDialer(f), Options{Root: dir})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	_, _, err := c.Open(ctx, "f", create, 0o644)
	wantErrno(t, "Open", err, syscall.EINTR)
	close(hold)
	<-closed
}

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir})
	var mu sync.Mutex
	var told []string
	ctx := cache.WithTrace(t.Context(), func(op, path string, d time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf("%s %s %t %t", op, path, d > 0, err == nil))
	})
	_, err := c.Mkdir(ctx, "d", 0o755)
	must(t, err)
	_, err = c.Lstat(ctx, "missing")
	wantErrno(t, "Lstat", err, syscall.ENOENT)
	f, _, err := c.Open(ctx, "f", create, 0o644)
	must(t, err)
	must(t, f.Close(ctx))
	mu.Lock()
	defer mu.Unlock()
	want := fmt.Sprint([]string{"MKDIR d true true", "LSTAT d true true", "LSTAT missing true false",
		"STAT f true false", "OPEN f true true", "STAT f true true", "CLOSE f true true"})
	if got := fmt.Sprint(told); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}
