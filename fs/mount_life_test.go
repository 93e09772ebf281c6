package fs

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"seamount/cache"
)

func TestMountReadOnly(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644))
	dir := mountServer(t, srv, Options{ReadOnly: true})
	wantErrno(t, "mkdir", os.Mkdir(filepath.Join(dir, "d"), 0o755), syscall.EROFS)
	_, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	wantErrno(t, "open", err, syscall.EROFS)
}

func TestMountRefusals(t *testing.T) {
	tree := cache.New(newMemServer(), cache.Options{})
	defer tree.Close(t.Context()) //nolint:errcheck // nothing was written
	full := t.TempDir()
	file := filepath.Join(full, "f")
	must(t, os.WriteFile(file, nil, 0o600))
	for dir, want := range map[string]syscall.Errno{
		full: syscall.ENOTEMPTY, file: syscall.ENOTDIR, filepath.Join(full, "missing"): syscall.ENOENT,
	} {
		_, err := Mount(t.Context(), tree, dir, Options{})
		wantErrno(t, dir, err, want)
	}
	down := newMemServer()
	down.hook = func(context.Context, string, string) error { return syscall.ENOENT }
	_, err := Mount(t.Context(), cache.New(down, cache.Options{}), t.TempDir(), Options{})
	wantErrno(t, "missing top directory", err, syscall.ENOENT)
	s, err := Mount(t.Context(), tree, full, Options{NonEmpty: true})
	must(t, err)
	must(t, s.Unmount())
}

// A mount that is in use is not unmounted; detached it lasts until it is not.
func TestDetach(t *testing.T) {
	srv := newMemServer()
	srv.put("f", newInode(syscall.S_IFREG|0o644).write("content"))
	s, tree := startMount(t, srv, Options{})
	f, err := os.Open(filepath.Join(s.Mountpoint(), "f"))
	must(t, err)
	if err := s.Unmount(); err == nil {
		t.Error("unmounted while a file is open")
	}
	must(t, s.Detach())
	buf := make([]byte, 7)
	if _, err := f.ReadAt(buf, 0); string(buf) != "content" || err != nil {
		t.Errorf("read after detach: %q, %v", buf, err)
	}
	must(t, f.Close())
	s.Wait()
	must(t, tree.Close(t.Context()))
}

// Abort frees who waits for a server that never answers.
func TestAbort(t *testing.T) {
	srv := newMemServer()
	open := gated(srv, "MKDIR")
	asked := make(chan struct{})
	gate := srv.hook
	srv.hook = func(ctx context.Context, op, p string) error {
		if op == "MKDIR" {
			close(asked)
		}
		return gate(ctx, op, p)
	}
	s, tree := startMount(t, srv, Options{})
	done := make(chan error, 1)
	go func() { done <- os.Mkdir(filepath.Join(s.Mountpoint(), "d"), 0o755) }()
	<-asked
	want := syscall.ECONNABORTED
	if err := s.Abort(); err != nil {
		// Where fusectl is not mounted, only root may.
		if os.Geteuid() == 0 || !errors.Is(err, syscall.EPERM) {
			t.Error(err)
		}
		open() // or this process would wait for itself, for ever
		want = 0
	}
	if err := <-done; want != 0 || err != nil {
		wantErrno(t, "mkdir", err, want)
	}
	if err := s.Detach(); err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	s.Wait()
	open()
	must(t, tree.Close(t.Context()))
}

// Whoever is killed ends at once, and what it began is completed.
func TestKilledCaller(t *testing.T) {
	srv := newMemServer()
	open := gated(srv, "MKDIR")
	defer open()
	asked := make(chan struct{})
	gate := srv.hook
	srv.hook = func(ctx context.Context, op, p string) error {
		if op == "MKDIR" {
			close(asked)
		}
		return gate(ctx, op, p)
	}
	s, tree := startMount(t, srv, Options{})
	dir := filepath.Join(s.Mountpoint(), "d")
	cmd := exec.CommandContext(t.Context(), "mkdir", dir)
	must(t, cmd.Start())
	<-asked
	must(t, cmd.Process.Signal(syscall.SIGINT))
	if err := cmd.Wait(); err == nil || err.Error() != "signal: interrupt" {
		t.Errorf("mkdir: %v", err)
	}
	if srv.attr("d").Mode != 0 {
		t.Error("made before the server answered")
	}
	open()
	// The change goes on by itself: nobody is left who would be told.
	deadline := time.Now().Add(10 * time.Second)
	for srv.attr("d").Mode == 0 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	must(t, s.Unmount())
	must(t, tree.Close(t.Context()))
}

// Whoever is killed with something written does not wait for the server while
// it exits; what was written arrives.
func TestKilledWriter(t *testing.T) {
	srv := newMemServer()
	open := gated(srv, "WRITE")
	defer open()
	s, tree := startMount(t, srv, Options{})
	path := filepath.Join(s.Mountpoint(), "f")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `exec >"$0"; echo written; kill -KILL $$`, path)
	if err := cmd.Run(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("sh: %v", err)
	}
	if got := srv.content("f"); got != "" {
		t.Errorf("arrived before the server took it: %q", got)
	}
	open()
	must(t, tree.Sync(t.Context()))
	if got := srv.content("f"); got != "written\n" {
		t.Errorf("f is %q", got)
	}
	must(t, s.Unmount())
	must(t, tree.Close(t.Context()))
}
