package wire

import (
	"context"
	"syscall"
)

// extended issues an extension's request: body follows the name. Without ok,
// that is where the server does not offer it, the call fails at once.
func extended[T any](ctx context.Context, s *Session, ok bool, c *Call[T], body []byte) *Call[T] {
	if !ok {
		c.fail(&UnsupportedError{c.op})
		return c
	}
	var room [headRoom]byte
	head := append(appendString(room[:0], c.op), body...)
	return start(ctx, s, request{typ: typeExtended, head: head}, c)
}

// extendedPaths is extended for a body of paths.
func extendedPaths[T any](ctx context.Context, s *Session, ok bool, c *Call[T], paths ...string) *Call[T] {
	if err := checkPaths(c.op, paths...); err != nil {
		c.fail(err)
		return c
	}
	var room [headRoom]byte
	body := room[:0]
	for _, p := range paths {
		body = appendString(body, p)
	}
	return extended(ctx, s, ok, c, body)
}

// PosixRename moves oldPath to newPath, replacing what is there, as rename(2) does.
func (s *Session) PosixRename(ctx context.Context, oldPath, newPath string) *Call[struct{}] {
	return extendedPaths(ctx, s, s.caps.PosixRename, statusCall(extPosixRename), oldPath, newPath)
}

// Statvfs returns the state of the file system that holds path.
func (s *Session) Statvfs(ctx context.Context, path string) *Call[StatVFS] {
	c := newCall(extStatvfs, typeExtendedReply, decodeStatVFS)
	return extendedPaths(ctx, s, s.caps.Statvfs, c, path)
}

// Fstatvfs returns the state of the file system that holds an open file.
func (s *Session) Fstatvfs(ctx context.Context, h Handle) *Call[StatVFS] {
	c := newCall(extFstatvfs, typeExtendedReply, decodeStatVFS)
	return extended(ctx, s, s.caps.Fstatvfs, c, appendString(nil, h))
}

// Hardlink makes newPath another name of the file oldPath, as link(2) does.
func (s *Session) Hardlink(ctx context.Context, oldPath, newPath string) *Call[struct{}] {
	return extendedPaths(ctx, s, s.caps.Hardlink, statusCall(extHardlink), oldPath, newPath)
}

// Fsync makes what was written to an open file durable on the server.
func (s *Session) Fsync(ctx context.Context, h Handle) *Call[struct{}] {
	return extended(ctx, s, s.caps.Fsync, statusCall(extFsync), appendString(nil, h))
}

// Lsetstat changes attributes of path, not following a final symbolic link.
// OpenSSH refuses AttrSize with StatusBadMessage.
func (s *Session) Lsetstat(ctx context.Context, path string, a Attrs) *Call[struct{}] {
	c := statusCall(extLsetstat)
	if err := checkPaths(c.op, path); err != nil {
		c.fail(err)
		return c
	}
	return extended(ctx, s, s.caps.Lsetstat, c, appendAttrs(appendString(nil, path), a))
}

// ExpandPath is Realpath that also expands a leading "~" or "~user".
func (s *Session) ExpandPath(ctx context.Context, path string) *Call[string] {
	c := newCall(extExpandPath, typeName, decodeName)
	return extendedPaths(ctx, s, s.caps.ExpandPath, c, path)
}

// CopyData copies length bytes (0: up to the end of the file) at off of one
// open file to toOff of another, on the server, which does nothing else on this
// session meanwhile. How much was copied is not told: where the file ends early,
// OpenSSH copies what there is and answers with StatusEOF (a *StatusError here)
// or, if no more than its buffer of 64 KiB was left to do, with OK.
func (s *Session) CopyData(ctx context.Context, from Handle, off, length uint64, to Handle, toOff uint64) *Call[struct{}] {
	b := appendUint64(appendUint64(appendString(nil, from), off), length)
	b = appendUint64(appendString(b, to), toOff)
	return extended(ctx, s, s.caps.CopyData, statusCall(extCopyData), b)
}

// HomeDirectory returns the home directory of a user; "" is the session's own,
// which OpenSSH knows since 9.8.
func (s *Session) HomeDirectory(ctx context.Context, user string) *Call[string] {
	c := newCall(extHomeDirectory, typeName, decodeName)
	return extendedPaths(ctx, s, s.caps.HomeDirectory, c, user)
}

// maxIDs is how many ids fit a packet of any server.
const maxIDs = 1000

// UsersGroups returns the names of user and group ids, at most 1000 in all;
// more are refused with EMSGSIZE.
func (s *Session) UsersGroups(ctx context.Context, uids, gids []uint32) *Call[UsersGroupsReply] {
	users, groups := len(uids), len(gids)
	c := newCall(extUsersGroups, typeExtendedReply, func(body []byte) (UsersGroupsReply, error) {
		return decodeUsersGroups(body, users, groups)
	})
	if users+groups > maxIDs {
		c.fail(&RequestError{c.op, syscall.EMSGSIZE})
		return c
	}
	return extended(ctx, s, s.caps.UsersGroups, c, appendIDs(appendIDs(nil, uids), gids))
}

// appendIDs appends a string that holds ids.
func appendIDs(b []byte, ids []uint32) []byte {
	b = appendUint32(b, uint32(4*len(ids)))
	for _, id := range ids {
		b = appendUint32(b, id)
	}
	return b
}
