package fs

import (
	"context"
	"sync/atomic"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// node is what the kernel knows as an inode: a file, directory, symbolic
// link or special file of the server.
type node struct {
	gofs.Inode
	m  *mount
	cn *cache.Node

	forgotten atomic.Bool // OnForget was called and no request came since
}

var (
	_ gofs.NodeOnForgetter = (*node)(nil)
	_ gofs.NodeLookuper    = (*node)(nil)
	_ gofs.NodeGetattrer   = (*node)(nil)
	_ gofs.NodeSetattrer   = (*node)(nil)
	_ gofs.NodeAccesser    = (*node)(nil)
	_ gofs.NodeStatfser    = (*node)(nil)
	_ gofs.NodeReadlinker  = (*node)(nil)
)

// child returns the inode for cn, found as name in n: the one that the
// kernel knows by that name if it is the same, else a new one. go-fuse drops
// the new one for another that it knows of the same number.
func (n *node) child(ctx context.Context, name string, cn *cache.Node) *gofs.Inode {
	cn = cn.Held()
	if known := n.GetChild(name); known != nil {
		if c, ok := known.Operations().(*node); ok && c.cn == cn {
			return known
		}
	}
	return n.NewInode(ctx, &node{m: n.m, cn: cn}, gofs.StableAttr{Mode: cn.Type(), Ino: cn.Ino()})
}

// entry fills in out for cn and returns its inode.
func (n *node) entry(ctx context.Context, name string, cn *cache.Node, st cache.Stat, out *fuse.EntryOut) *gofs.Inode {
	n.m.fillAttr(ctx, &out.Attr, cn.Ino(), st)
	out.SetEntryTimeout(st.TTL)
	out.SetAttrTimeout(st.TTL)
	return n.child(ctx, name, cn)
}

// OnForget is called when the kernel no longer knows the node.
func (n *node) OnForget() {
	n.forgotten.Store(true)
	if n.cn.Type() == syscall.S_IFLNK {
		n.m.links.forget(n.cn.Ino())
	}
	n.cn.Forget()
}

// revive takes back a Forget that a lookup overtook: a request for the node
// has come, so the kernel knows it.
func (n *node) revive() {
	if n.forgotten.Load() && n.forgotten.CompareAndSwap(true, false) {
		n.cn.Held()
	}
}

// Lookup finds name in directory n. A negative answer carries its time to
// live, which the wrapper around go-fuse (negatives) passes on.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if e := checkName(name); e != 0 {
		return nil, e
	}
	var inode *gofs.Inode
	e := n.m.read(ctx, request{op: "LOOKUP", node: n, name: name}, func(ctx context.Context) error {
		cn, st, err := n.cn.Lookup(ctx, name)
		if err != nil {
			out.SetEntryTimeout(st.TTL)
			return err
		}
		inode = n.entry(ctx, name, cn, st, out)
		return nil
	})
	return inode, e
}

// Getattr returns the attributes of n, whichever handle it is asked through.
func (n *node) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.m.read(ctx, request{op: "GETATTR", node: n}, func(ctx context.Context) error {
		st, err := n.cn.Attr(ctx)
		if err != nil {
			return err
		}
		n.m.fillAttrOut(ctx, out, n.cn.Ino(), st)
		return nil
	})
}

// Setattr changes attributes.
func (n *node) Setattr(ctx context.Context, f gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	req := *in // go-fuse's to reuse once we return
	var h *cache.Handle
	if fh, ok := f.(*fileHandle); ok {
		h = fh.h
	}
	st, e := change(ctx, n.m, request{op: "SETATTR", node: n}, func(ctx context.Context) (cache.Stat, error) {
		set, err := n.setAttr(ctx, &req)
		if err != nil {
			return cache.Stat{}, err
		}
		if set.Valid == 0 {
			return n.cn.Attr(ctx)
		}
		return n.cn.Setattr(ctx, h, set)
	}, func(cache.Stat, syscall.Errno) { n.m.notify.content(n.cn.Ino()) })
	if e == 0 {
		n.m.fillAttrOut(ctx, out, n.cn.Ino(), st)
	}
	return e
}

// Access answers access(2) and chdir(2) where the kernel does not check
// permissions itself (default_permissions). What the remote user may do is the
// server's to say when it is done; only what no one may do is known before.
func (n *node) Access(ctx context.Context, mask uint32) syscall.Errno {
	return n.m.read(ctx, request{op: "ACCESS", node: n}, func(ctx context.Context) error {
		st, err := n.cn.Attr(ctx)
		if err != nil {
			return err
		}
		if mask&fuse.X_OK != 0 && n.cn.Type() == syscall.S_IFREG && st.Mode&0o111 == 0 {
			return syscall.EACCES
		}
		return nil
	})
}

// Statfs returns the state of the server's file system. A server that cannot
// tell has all zeros, as a file system without blocks.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	return n.m.read(ctx, request{op: "STATFS", node: n}, func(ctx context.Context) error {
		st, err := n.cn.Statfs(ctx)
		if e, _ := toErrno(err); err != nil && e != syscall.EOPNOTSUPP {
			return err
		}
		fillStatfs(out, st)
		return nil
	})
}

// Readlink returns the target of symbolic link n, as Options.Symlinks shows it.
func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	var target string
	e := n.m.read(ctx, request{op: "READLINK", node: n}, func(ctx context.Context) error {
		t, err := n.cn.Readlink(ctx)
		if err != nil {
			return err
		}
		target, err = n.shownTarget(t)
		return err
	})
	return []byte(target), e
}

func (n *node) shownTarget(target string) (string, error) {
	if n.m.opts.Symlinks == SymlinksRaw {
		return target, nil
	}
	shown, err := contain(n.cn.Path(), target, n.m.opts.Root)
	if err == nil {
		n.m.links.shown(n.cn.Ino(), shown)
	}
	return shown, err
}
