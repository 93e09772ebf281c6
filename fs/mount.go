package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// Server is a mount. Its methods are safe for concurrent use.
type Server struct {
	mount      *mount
	server     *fuse.Server
	mountpoint string
	conn       connection    // set once, before Mount returns
	done       chan struct{} // closed when the last request is answered
}

// Mount mounts tree on directory mountpoint. It asks the server for the top
// directory first, and returns when the kernel has the mount and requests are
// answered. The mount lasts until it is unmounted, by this Server or from
// outside; what was written is then still the tree's to bring to the server.
//
// Errors: those of the top directory; ENOTDIR and ENOTEMPTY of the mountpoint;
// those of mount(2) or the text of fusermount3.
func Mount(ctx context.Context, tree *cache.Tree, mountpoint string, o Options) (*Server, error) {
	m := newMount(o)
	root, err := tree.Root(ctx)
	if err != nil {
		return nil, fmt.Errorf("mount: top directory: %w", err)
	}
	if root.Type() != syscall.S_IFDIR {
		return nil, fmt.Errorf("mount: top directory: %w", syscall.ENOTDIR)
	}
	mountpoint, err = checkMountpoint(mountpoint, o.NonEmpty)
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	return m.start(root, mountpoint)
}

func newMount(o Options) *mount {
	o = o.withDefaults()
	return &mount{opts: o, owner: uint32(os.Geteuid()), notify: o.Notifier}
}

// checkMountpoint returns the absolute path of a directory fit to mount on.
func checkMountpoint(dir string, nonEmpty bool) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer d.Close() //nolint:errcheck // only read
	switch _, err = d.Readdirnames(1); {
	case errors.Is(err, io.EOF) || (err == nil && nonEmpty):
		return dir, nil
	case err == nil:
		err = syscall.ENOTEMPTY
	}
	return "", fmt.Errorf("mountpoint %s: %w", dir, err)
}

func (m *mount) start(root *cache.Node, mountpoint string) (*Server, error) {
	opts := m.opts.fuseOptions(m)
	top := &node{m: m, cn: root}
	root.Held()
	raw := negatives{gofs.NewNodeFS(top, opts)}
	server, err := fuse.NewServer(raw, mountpoint, &opts.MountOptions)
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", mountpoint, err)
	}
	s := &Server{mount: m, server: server, mountpoint: mountpoint, done: make(chan struct{})}
	go func() {
		server.Serve()
		close(s.done)
	}()
	m.notify.attach(server)
	go m.notify.run(server, s.done)
	if err := server.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("mount on %s: %w", mountpoint, err), s.Detach())
	}
	s.conn = findConnection(mountpoint)
	m.conn.Store(&s.conn)
	s.conn.raiseReadAhead(m.opts.Log)
	return s, nil
}

// Mountpoint returns the absolute path of the mountpoint.
func (s *Server) Mountpoint() string { return s.mountpoint }

// Wait returns when the mount is gone and its last request is answered.
func (s *Server) Wait() { <-s.done }

// Unmount unmounts, as umount(8): EBUSY (or fusermount3's text) while
// something is open. It returns when the last request is answered. What was
// written may not be on the server yet; that is tree.Sync's and tree.Close's.
func (s *Server) Unmount() error {
	if err := s.server.Unmount(); err != nil {
		return fmt.Errorf("unmount %s: %w", s.mountpoint, err)
	}
	s.Wait()
	return nil
}

// Detach takes the mount out of the name space at once and returns. Programs
// that have files open keep them; Wait returns when they are done.
func (s *Server) Detach() error {
	var err error
	if os.Geteuid() == 0 {
		err = syscall.Unmount(s.mountpoint, syscall.MNT_DETACH)
	} else {
		err = fusermountDetach(s.mountpoint)
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", s.mountpoint, err)
	}
	return nil
}

func fusermountDetach(mountpoint string) error {
	out, err := exec.Command("fusermount3", "-u", "-z", "--", mountpoint).CombinedOutput() //nolint:noctx // is to run whatever happens
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Abort ends every request with ECONNABORTED and the mount with them, as the
// last resort against programs that wait for a dead server. Detach afterwards
// takes it out of the name space, unless Abort did. EPERM: an ordinary user
// needs /sys/fs/fuse/connections for it, which is not mounted.
func (s *Server) Abort() error {
	s.mount.aborted.Store(true)
	return s.conn.abort(s.mountpoint)
}

// negatives adds what go-fuse has only for the whole mount: "no such name"
// with a time to live of its own.
type negatives struct {
	fuse.RawFileSystem
}

// Lookup returns an ENOENT that the kernel may keep as the protocol has it:
// success, of node 0.
func (n negatives) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	status := n.RawFileSystem.Lookup(cancel, header, name, out)
	if status == fuse.ENOENT && out.EntryTimeout() > 0 {
		out.NodeId = 0
		return fuse.OK
	}
	return status
}
