package integration

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"seamount/cache"
	"seamount/conn"
	"seamount/fs"
)

// mountOptions say what mount mounts; the zero value is an empty directory of
// OpenSSH's server with everything as the program has it by default.
type mountOptions struct {
	server     serverKind
	served     string      // the directory on the server; "": a new one
	dialer     conn.Dialer // in place of a server of the kind
	mountpoint string      // "": a new directory
	root       string      // what the dialer's server calls the directory, "": served

	cache      cache.Options
	symlinks   fs.SymlinkMode
	readOnly   bool
	allowOther bool
	// second says that the test has another mount, made before: its goroutines
	// come and go, and its own check covers what this one leaves.
	second bool
	// faulty says that the server may answer what is worth a line in the log.
	faulty bool
}

// A mounted is a mount in this process.
type mounted struct {
	opts   mountOptions
	dir    string // the mountpoint
	served string // the same directory as the server has it

	client *conn.Client
	tree   *cache.Tree
	server *fs.Server
	log    testLog
}

// mount mounts a directory of a server until the test ends, and checks then
// that nothing of it is left.
//
// The mount is answered by this process. So nothing here may touch it but by
// ordinary system calls: a page fault in shared memory, or a change of
// directory between fork and exec, holds what the Go scheduler needs to answer
// it. Programs are started by run, which takes care.
func mount(t testing.TB, o mountOptions) *mounted {
	t.Helper()
	if !o.second {
		checkLeaks(t)
	}
	if o.server == "" {
		o.server = openSSH
	}
	m := &mounted{opts: o, dir: o.mountpoint, served: o.served}
	if m.dir == "" {
		m.dir = emptyDir(t, "mnt")
	}
	if m.served == "" && o.dialer == nil {
		m.served = emptyDir(t, "served")
	}
	if m.opts.root == "" {
		m.opts.root = m.served
	}
	if m.opts.dialer == nil {
		m.opts.dialer = o.server.dialer(t)
	}
	m.log.faulty = o.faulty
	m.start(t)
	t.Cleanup(func() {
		m.stop(t)
		m.log.report(t)
	})
	return m
}

// start connects and mounts.
func (m *mounted) start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	log := slog.New(slog.NewTextHandler(&m.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	m.client, err = conn.New(ctx, m.opts.dialer, conn.Options{
		Root: m.opts.root, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	notifier := fs.NewNotifier()
	co := m.opts.cache
	co.Invalidate = notifier.Invalidate
	co.Follow = m.opts.symlinks == fs.SymlinksFollow
	co.Log = func(op, path string, err error) { log.Error("a change failed", "op", op, "path", path, "err", err) }
	m.tree = cache.New(m.client, co)
	m.server, err = fs.Mount(ctx, m.tree, m.dir, m.fsOptions(t, notifier, log))
	if err != nil {
		m.client.Close(ctx)
		t.Fatal(err)
	}
}

// fsOptions are those that the program uses.
func (m *mounted) fsOptions(t testing.TB, notifier *fs.Notifier, log *slog.Logger) fs.Options {
	t.Helper()
	info := m.client.Info()
	ids, err := fs.NewIDMap("user", fs.IDSources{
		RemoteUID: info.UID, RemoteGID: info.GID,
		LocalUID: uint32(os.Getuid()), LocalGID: uint32(os.Getgid()), Names: m.client.Names,
	})
	if err != nil {
		t.Fatal(err)
	}
	return fs.Options{
		AllowOther: m.opts.allowOther, ReadOnly: m.opts.readOnly,
		Symlinks: m.opts.symlinks, Root: info.Root, IDMap: ids,
		NewFilesToCaller: os.Geteuid() == 0 && info.OwnerKnown && info.UID == 0,
		FsName:           "test", Notifier: notifier, Log: log,
	}
}

// stop unmounts and ends the connection; no remote handle may be left.
func (m *mounted) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if d := eventually(func() string { return errorText(m.server.Unmount()) }); d != "" {
		t.Errorf("unmount: %s; held by %q", d, holders(m.dir))
		if err := m.server.Detach(); err != nil {
			t.Error(err)
		}
		if err := m.server.Abort(); err != nil {
			t.Fatal(err) // waiting would be for ever
		}
		m.server.Wait()
	}
	if err := m.tree.Close(ctx); err != nil && !m.opts.faulty {
		t.Errorf("close of the tree: %v", err)
	}
	if n := m.client.Info().Handles; n != 0 && !m.opts.faulty {
		t.Errorf("%d remote handles left", n)
	}
	if err := m.client.Close(ctx); err != nil && !m.opts.faulty {
		t.Errorf("close of the client: %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// remount mounts the same directory afresh: nothing is cached then.
func (m *mounted) remount(t testing.TB) {
	t.Helper()
	m.stop(t)
	m.start(t)
}

// sync returns when everything that was written is on the server.
func (m *mounted) sync() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	return m.tree.Sync(ctx)
}

// uncached are the options of a mount that believes nothing it has not just seen.
func uncached() cache.Options {
	return cache.Options{AttrTTLMin: 1, AttrTTLMax: 1, OpenTTL: -1}
}

// A testLog gathers what a mount logs. On a server without faults there is
// nothing to warn of, so a line is a failure.
type testLog struct {
	faulty bool

	mu   sync.Mutex
	text []byte
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

// report tells what was logged.
func (l *testLog) report(t testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 4000
	text := l.text[:min(len(l.text), most)]
	switch {
	case len(text) == 0:
	case l.faulty || t.Failed():
		t.Logf("log of the mount:\n%s", text)
	default:
		t.Errorf("log of the mount, where there is nothing to tell:\n%s", text)
	}
}

// TestMountItself shows that the checks at the end of a mount notice what is left.
func TestMountItself(t *testing.T) {
	for _, kind := range []serverKind{openSSH, pkgSFTP, sshd} {
		t.Run(string(kind), func(t *testing.T) {
			m := mount(t, mountOptions{server: kind})
			must(t, os.WriteFile(m.dir+"/file", []byte("x"), 0o600))
			must(t, m.sync())
			wantFile(t, m.served+"/file", "x", 0o600)
			if kind := mountType(t, m.dir); kind != "fuse.seamount" {
				t.Errorf("mounted as %q", kind)
			}
			if len(fuseMounts(t)) == 0 {
				t.Error("the mount is not seen")
			}
		})
	}
	t.Run("descriptors are seen", func(t *testing.T) {
		before := openFiles(t)
		f, err := os.Open(os.DevNull)
		must(t, err)
		defer f.Close()
		if fmt.Sprint(before) == fmt.Sprint(openFiles(t)) {
			t.Error("an open file is not seen")
		}
	})
}
