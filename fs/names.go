package fs

import (
	"context"
	"errors"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

var (
	_ gofs.NodeMkdirer   = (*node)(nil)
	_ gofs.NodeMknoder   = (*node)(nil)
	_ gofs.NodeSymlinker = (*node)(nil)
	_ gofs.NodeLinker    = (*node)(nil)
	_ gofs.NodeUnlinker  = (*node)(nil)
	_ gofs.NodeRmdirer   = (*node)(nil)
	_ gofs.NodeRenamer   = (*node)(nil)
)

// The flags of renameat2(2).
const (
	renameNoReplace = 1 << iota
	renameExchange
	renameWhiteout
)

// made is a new name with its node.
type made struct {
	cn *cache.Node
	h  *cache.Handle // of CREATE and MKNOD
	st cache.Stat
}

// make runs f, which makes name in n, and shows the result in out.
func (n *node) make(ctx context.Context, op, name string, out *fuse.EntryOut,
	f func(ctx context.Context) (made, error)) (*gofs.Inode, made, syscall.Errno) {
	if e := checkName(name); e != 0 {
		return nil, made{}, e
	}
	res, e := change(ctx, n.m, request{op: op, node: n, name: name}, f, func(res made, _ syscall.Errno) {
		if res.h != nil {
			res.h.Release()
		}
		n.m.notify.entry(n.cn.Ino(), name)
	})
	if e != 0 {
		return nil, made{}, e
	}
	return n.entry(ctx, name, res.cn, res.st, out), res, 0
}

// Mkdir makes a directory.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	inode, _, e := n.make(ctx, "MKDIR", name, out, func(ctx context.Context) (made, error) {
		cn, st, err := n.cn.Mkdir(ctx, name, mode&permissions)
		if err == nil {
			st, err = n.adopt(ctx, cn, nil, st, mode)
		}
		return made{cn: cn, st: st}, err
	})
	return inode, e
}

// Mknod makes regular files; SFTP can make no other kind.
func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if t := mode & syscall.S_IFMT; t != syscall.S_IFREG && t != 0 {
		return nil, syscall.EPERM
	}
	inode, res, e := n.make(ctx, "MKNOD", name, out, func(ctx context.Context) (made, error) {
		return n.createNew(ctx, name, cache.OpenWrite, mode)
	})
	if e == 0 {
		res.h.Release()
	}
	return inode, e
}

// Symlink makes name a symbolic link. Any target may be stored; Readlink
// shows those that Options.Symlinks allows.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	inode, _, e := n.make(ctx, "SYMLINK", name, out, func(ctx context.Context) (made, error) {
		cn, st, err := n.cn.Symlink(ctx, name, target)
		if err == nil {
			st, err = n.adopt(ctx, cn, nil, st, st.Mode)
		}
		return made{cn: cn, st: st}, err
	})
	return inode, e
}

// Link makes name another name of target.
func (n *node) Link(ctx context.Context, target gofs.InodeEmbedder, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	t, ok := target.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	_, res, e := n.make(ctx, "LINK", name, out, func(ctx context.Context) (made, error) {
		st, err := n.cn.Link(ctx, name, t.cn)
		return made{cn: t.cn, st: st}, err
	})
	if e != 0 {
		return nil, e
	}
	n.m.fillAttr(ctx, &out.Attr, t.cn.Ino(), res.st)
	return t.EmbeddedInode(), 0
}

// Unlink removes a name that is no directory. Handles that are open on it go on.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.remove(ctx, "UNLINK", name, n.cn.Remove)
}

// Rmdir removes an empty directory.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.remove(ctx, "RMDIR", name, n.cn.Rmdir)
}

func (n *node) remove(ctx context.Context, op, name string, f func(context.Context, string) error) syscall.Errno {
	if e := checkName(name); e != 0 {
		return e
	}
	_, e := change(ctx, n.m, request{op: op, node: n, name: name}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, f(ctx, name)
	}, func(struct{}, syscall.Errno) { n.m.notify.entry(n.cn.Ino(), name) })
	return e
}

// Rename moves name in n to newName in newParent. SFTP can neither exchange
// two names nor leave a whiteout.
func (n *node) Rename(ctx context.Context, name string, newParent gofs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	switch {
	case !ok:
		return syscall.EXDEV
	case flags&^renameNoReplace != 0:
		return syscall.EINVAL
	case checkName(name) != 0 || checkName(newName) != 0:
		return syscall.ENAMETOOLONG
	}
	_, e := change(ctx, n.m, request{op: "RENAME", node: n, name: name}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, n.cn.Rename(ctx, name, to.cn, newName, flags&renameNoReplace != 0)
	}, func(struct{}, syscall.Errno) {
		n.m.notify.entry(n.cn.Ino(), name)
		to.m.notify.entry(to.cn.Ino(), newName)
		n.m.moved()
	})
	if e == 0 {
		n.m.moved()
	}
	return e
}

// moved has the kernel ask again for the targets that depend on how deep
// their links are.
func (m *mount) moved() {
	for _, ino := range m.links.all() {
		m.notify.content(ino)
	}
}

// createNew makes regular file name in n, which must not exist, and opens it.
func (n *node) createNew(ctx context.Context, name string, flag cache.OpenFlag, mode uint32) (made, error) {
	cn, h, st, err := n.cn.Create(ctx, name, flag|cache.OpenCreate|cache.OpenExclusive, mode&permissions)
	if err != nil {
		return made{}, err
	}
	st, err = n.adopt(ctx, cn, h, st, mode)
	if err != nil {
		h.Release()
		return made{}, err
	}
	return made{cn, h, st}, nil
}

// createOrOpen makes or opens regular file name in n. It tries to make it
// first: only a file that is certainly new is given to its caller.
func (n *node) createOrOpen(ctx context.Context, name string, flag cache.OpenFlag, mode uint32) (made, error) {
	res, err := n.createNew(ctx, name, flag, mode)
	if flag&cache.OpenExclusive != 0 || !errors.Is(err, syscall.EEXIST) {
		return res, err
	}
	cn, h, st, err := n.cn.Create(ctx, name, flag|cache.OpenCreate, mode&permissions)
	return made{cn, h, st}, err
}
