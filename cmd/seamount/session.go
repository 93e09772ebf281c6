package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"seamount/cache"
	"seamount/cmd/seamount/internal/daemon"
	"seamount/cmd/seamount/internal/mountpoint"
	"seamount/cmd/seamount/internal/options"
	"seamount/conn"
	"seamount/conn/dial"
	"seamount/fs"
)

// session is a mounted tree and all that is behind it.
type session struct {
	client *conn.Client
	tree   *cache.Tree
	server *fs.Server
	lock   *daemon.Lock // nil where it could not be taken
	log    *slog.Logger
	// failed counts the changes that the server did not take and that no call
	// waited for.
	failed atomic.Int64
}

// open connects and mounts. ctx bounds that, not the life of the session.
func (a *app) open(ctx context.Context, p *plan, log *slog.Logger) (*session, error) {
	cfg, err := dial.Resolve(ctx, p.target)
	if err != nil {
		return nil, err
	}
	cfg.Password = a.passwordReader(p.opts.PasswordFrom)
	// Debian's ssh_config asks for GSSAPI from everybody; without it SSH goes
	// on with the next method, and there is nothing to warn of.
	cfg.Notes = slices.DeleteFunc(cfg.Notes, func(note string) bool {
		return strings.Contains(note, "gssapiauthentication")
	})
	s := &session{log: log}
	s.client, err = conn.New(ctx, dial.NewDialer(cfg, dial.TTYPrompter{}, log), conn.Options{
		Root:         p.dir,
		DataSessions: p.opts.MaxConns,
		UID:          uint32(os.Getuid()),
		GID:          uint32(os.Getgid()),
		Log:          log,
	})
	if err != nil {
		return nil, err
	}
	notifier := fs.NewNotifier()
	s.tree = cache.New(s.client, s.treeOptions(p.opts, notifier))
	if err := s.mount(ctx, p, notifier); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// mount is the last step of open.
func (s *session) mount(ctx context.Context, p *plan, notifier *fs.Notifier) error {
	o, err := fsOptions(p, s.client, s.log)
	if err != nil {
		return err
	}
	o.Notifier = notifier
	if s.server, err = fs.Mount(ctx, s.tree, p.mountpoint, o); err != nil {
		return err
	}
	m, err := mountpoint.System{}.Mounted(p.mountpoint)
	if err == nil {
		s.lock, err = daemon.TakeLock(m.Device)
	}
	if err != nil {
		s.log.Info("seamount unmount will not be able to wait for this mount", "err", err)
	}
	return nil
}

func (s *session) treeOptions(o *options.Mount, n *fs.Notifier) cache.Options {
	c := cache.Options{
		AttrTTLMin:   o.AttrTTLMin,
		AttrTTLMax:   o.AttrTTLMax,
		ContentBytes: o.CacheSize,
		Follow:       o.Symlinks == options.SymlinksFollow,
		Invalidate:   n.Invalidate,
		Log: func(op, path string, err error) {
			if op != cache.OpClose { // by then all that was written had its answer
				s.failed.Add(1)
			}
			s.log.Error("a change did not reach the server", "op", op, "path", path, "err", err)
		},
	}
	if o.Durability == options.DurabilityCall {
		c.Durability = cache.DurabilityCall
	}
	if !o.Prefetch {
		c.NoPrefetch, c.ReadAheadMax = true, -1
	}
	if o.AttrTTL != nil {
		// 0 would be the default: the shortest time there is, is next to it.
		c.AttrTTLMin = max(*o.AttrTTL, time.Nanosecond)
		c.AttrTTLMax = c.AttrTTLMin
	}
	if o.OpenTTL != nil {
		if c.OpenTTL = *o.OpenTTL; c.OpenTTL == 0 {
			c.OpenTTL = -1
		}
	}
	return c
}

func fsOptions(p *plan, client *conn.Client, log *slog.Logger) (fs.Options, error) {
	info := client.Info()
	ids, err := idMap(p.opts, info, client)
	if err != nil {
		return fs.Options{}, err
	}
	o := fs.Options{
		AllowOther:         p.opts.AllowOther,
		AllowRoot:          p.opts.AllowRoot,
		ReadOnly:           p.opts.ReadOnly,
		DefaultPermissions: p.opts.DefaultPermissions,
		NonEmpty:           p.opts.NonEmpty,
		Symlinks:           symlinkMode(p.opts.Symlinks),
		Root:               info.Root,
		IDMap:              ids,
		UID:                p.opts.UID,
		GID:                p.opts.GID,
		Umask:              p.opts.Umask,
		NewFilesToCaller:   os.Geteuid() == 0 && info.OwnerKnown && info.UID == 0,
		FsName:             p.opts.FsName,
		ExtraOptions:       p.opts.Kernel,
		Log:                log,
	}
	if o.FsName == "" {
		o.FsName = p.source
	}
	if p.opts.Debug {
		o.Debug = log
	}
	return o, nil
}

func symlinkMode(s options.Symlinks) fs.SymlinkMode {
	switch s {
	case options.SymlinksRaw:
		return fs.SymlinksRaw
	case options.SymlinksFollow:
		return fs.SymlinksFollow
	}
	return fs.SymlinksContain
}

// idMap reads the files that idmap=file names.
func idMap(o *options.Mount, info conn.Info, client *conn.Client) (fs.IDMap, error) {
	src := fs.IDSources{
		RemoteUID: info.UID, RemoteGID: info.GID,
		LocalUID: uint32(os.Getuid()), LocalGID: uint32(os.Getgid()),
		Names: client.Names,
	}
	for file, r := range map[string]*io.Reader{o.UIDFile: &src.Users, o.GIDFile: &src.Groups} {
		if file == "" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return fs.IDMap{}, err
		}
		*r = strings.NewReader(string(text))
	}
	return fs.NewIDMap(string(o.IDMap), src)
}

// wait returns when the mount has ended, from outside or by a signal, and
// what was written is on the server; a *codeError tells that it is not.
func (s *session) wait(sig *signals) error {
	gone := make(chan struct{})
	go func() {
		s.server.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-s.client.Done():
		s.log.Error("the connection to the server is lost: unmount, and mount again")
		select {
		case <-gone:
		case <-sig.c:
			s.leave(sig, gone)
		}
	case <-sig.c:
		s.leave(sig, gone)
	}
	ctx, cancel := sig.until(context.Background())
	defer cancel()
	if err := s.close(ctx); err != nil {
		return &codeError{exitUnsafe, fmt.Errorf("not everything that was written is on the server: %w", err)}
	}
	if n := s.failed.Load(); n > 0 {
		return &codeError{exitUnsafe, fmt.Errorf("%d changes did not reach the server: the log names them", n)}
	}
	s.log.Info("ended, all data is on the server")
	return nil
}

// leave unmounts because of a signal. A mount that is in use is taken out of
// sight and stays until its last user is done, or until another signal.
func (s *session) leave(sig *signals, gone <-chan struct{}) {
	ctx, cancel := sig.until(context.Background())
	if err := s.tree.Sync(ctx); err != nil {
		s.log.Error("flush", "err", err)
	}
	cancel()
	if s.server.Unmount() == nil {
		return
	}
	s.log.Warn("the mount is in use: it is detached, and ends with its last user or with another signal")
	if err := s.server.Detach(); err != nil {
		s.log.Error("detach", "err", err)
	}
	select {
	case <-gone:
	case <-sig.c:
		if err := s.server.Abort(); err != nil {
			s.log.Error("abort", "err", err)
		}
	}
}

// abandon ends a mount that nobody has seen yet.
func (s *session) abandon() error {
	err := mountpoint.Unmount(context.Background(), s.server.Mountpoint(), true)
	s.server.Wait()
	return errors.Join(err, s.close(context.Background()))
}

// close brings what was written to the server and ends the connection.
func (s *session) close(ctx context.Context) error {
	err := errors.Join(s.tree.Close(ctx), s.client.Close(ctx))
	if s.lock != nil {
		err = errors.Join(err, s.lock.Release())
	}
	return err
}

// maxPassword bounds a password on standard input, in bytes.
const maxPassword = 1024

// readPassword reads a line, byte by byte: what follows it is not ours.
func readPassword(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxPassword; {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' {
			break
		}
		line = append(line, b[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}
