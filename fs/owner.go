package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// permissions are the bits of a mode that chmod(2) sets, setID those of them
// that lend the file's owner or group.
const (
	permissions = 0o7777
	setID       = syscall.S_ISUID | syscall.S_ISGID
)

// adopt makes new file cn, just made in n with attributes st, what it would be
// on a local disk: of the mode asked for, which the server's umask may have
// cut, and with Options.NewFilesToCaller the caller's. h is its handle or nil.
//
// A mode that the server does not give is left as it is: the file is there,
// and servers refuse some modes as local disks do. An owner that it does not
// give is an error, as the file would be of no use to its caller.
func (n *node) adopt(ctx context.Context, cn *cache.Node, h *cache.Handle, st cache.Stat, mode uint32) (cache.Stat, error) {
	owner := n.newOwner(ctx, st)
	if owner.Valid != 0 {
		owned, err := cn.Setattr(ctx, h, owner)
		if err != nil {
			return st, err
		}
		st = owned
	}
	missing := mode &^ st.Mode & permissions
	if owner.Valid != 0 && cn.Type() == syscall.S_IFREG {
		missing |= mode & setID // a change of owner takes them away
	}
	if missing == 0 || cn.Type() == syscall.S_IFLNK {
		return st, nil
	}
	set := cache.SetAttr{Valid: cache.SetMode, Mode: (st.Mode | missing) & permissions}
	full, err := cn.Setattr(ctx, h, set)
	if err != nil {
		n.m.opts.Log.Debug("the server does not give a new file its mode", "path", cn.Path(), "error", err)
		return st, nil
	}
	return full, nil
}

// newOwner returns the change of owner for a file that ctx's caller has made
// in n. In a directory with the set-group-ID bit the server has inherited the
// group already.
func (n *node) newOwner(ctx context.Context, st cache.Stat) (s cache.SetAttr) {
	caller, ok := fuse.FromContext(ctx)
	if !n.m.opts.NewFilesToCaller || !ok {
		return s
	}
	ids := n.m.opts.IDMap
	if uid := ids.remoteUID(caller.Uid); uid != st.UID {
		s.Valid |= cache.SetUID
		s.UID = uid
	}
	if gid := ids.remoteGID(caller.Gid); gid != st.GID && !n.inheritsGroup(ctx) {
		s.Valid |= cache.SetGID
		s.GID = gid
	}
	return s
}

func (n *node) inheritsGroup(ctx context.Context) bool {
	dir, err := n.cn.Attr(ctx)
	return err == nil && dir.Mode&syscall.S_ISGID != 0
}
