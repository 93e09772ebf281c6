package wire

import (
	"context"
	"syscall"
)

// headRoom is what a request's head may take without an allocation.
const headRoom = 256

// named issues a request whose body is paths.
func named[T any](ctx context.Context, s *Session, typ byte, c *Call[T], paths ...string) *Call[T] {
	if err := checkPaths(c.op, paths...); err != nil {
		c.fail(err)
		return c
	}
	var room [headRoom]byte
	head := room[:0]
	for _, p := range paths {
		head = appendString(head, p)
	}
	return start(ctx, s, request{typ: typ, head: head}, c)
}

// withAttrs issues a request whose body is a path and attributes.
func withAttrs(ctx context.Context, s *Session, typ byte, c *Call[struct{}], path string, a Attrs) *Call[struct{}] {
	if err := checkPaths(c.op, path); err != nil {
		c.fail(err)
		return c
	}
	var room [headRoom]byte
	head := appendAttrs(appendString(room[:0], path), a)
	return start(ctx, s, request{typ: typ, head: head}, c)
}

// onHandle issues a request whose body is a handle.
func onHandle[T any](ctx context.Context, s *Session, typ byte, c *Call[T], h Handle) *Call[T] {
	var room [headRoom]byte
	return start(ctx, s, request{typ: typ, head: appendString(room[:0], h)}, c)
}

func statusCall(op string) *Call[struct{}] { return newCall[struct{}](op, typeStatus, nil) }

// handleCall is a call that brings a handle, which is closed if nobody waits for it.
func handleCall(op string) *Call[Handle] {
	c := newCall(op, typeHandle, decodeHandle)
	c.orphan = (*Session).closeOrphan
	return c
}

// closeOrphan closes a handle that came too late. It waits for nothing, not
// even for room: it runs on the reader.
func (s *Session) closeOrphan(h Handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		r := request{typ: typeClose, head: appendString(nil, h)}
		s.enqueueLocked(&r, statusCall("CLOSE"))
	}
}

// Lstat returns the attributes of path, not following a final symbolic link.
func (s *Session) Lstat(ctx context.Context, path string) *Call[Attrs] {
	return named(ctx, s, typeLstat, newCall("LSTAT", typeAttrs, decodeAttrs), path)
}

// Stat returns the attributes of what path leads to.
func (s *Session) Stat(ctx context.Context, path string) *Call[Attrs] {
	return named(ctx, s, typeStat, newCall("STAT", typeAttrs, decodeAttrs), path)
}

// Fstat returns the attributes of an open file.
func (s *Session) Fstat(ctx context.Context, h Handle) *Call[Attrs] {
	return onHandle(ctx, s, typeFstat, newCall("FSTAT", typeAttrs, decodeAttrs), h)
}

// Setstat changes the attributes of what path leads to. Where more than one
// field is set, OpenSSH applies all it can and reports the last error.
func (s *Session) Setstat(ctx context.Context, path string, a Attrs) *Call[struct{}] {
	return withAttrs(ctx, s, typeSetstat, statusCall("SETSTAT"), path, a)
}

// Fsetstat changes the attributes of an open file.
func (s *Session) Fsetstat(ctx context.Context, h Handle, a Attrs) *Call[struct{}] {
	var room [headRoom]byte
	head := appendAttrs(appendString(room[:0], h), a)
	return start(ctx, s, request{typ: typeFsetstat, head: head}, statusCall("FSETSTAT"))
}

// Open opens a file; pflags are the Open constants, a the attributes of a file
// that OpenCreat makes. The handle of a call that was given up is closed by
// the session. OPEN of a FIFO blocks OpenSSH's server.
func (s *Session) Open(ctx context.Context, path string, pflags uint32, a Attrs) *Call[Handle] {
	c := handleCall("OPEN")
	if err := checkPaths(c.op, path); err != nil {
		c.fail(err)
		return c
	}
	var room [headRoom]byte
	head := appendAttrs(appendUint32(appendString(room[:0], path), pflags), a)
	return start(ctx, s, request{typ: typeOpen, head: head}, c)
}

// Opendir opens a directory for Readdir; as with Open, an unclaimed handle is closed.
func (s *Session) Opendir(ctx context.Context, path string) *Call[Handle] {
	return named(ctx, s, typeOpendir, handleCall("OPENDIR"), path)
}

// Readdir returns the next entries of a directory, io.EOF at its end. Names
// are as the server sent them, and may be anything. An empty reply is legal
// and is not the end.
func (s *Session) Readdir(ctx context.Context, h Handle) *Call[[]Name] {
	c := newCall("READDIR", typeName, decodeNames)
	c.ends = true
	return onHandle(ctx, s, typeReaddir, c, h)
}

// CloseHandle gives a handle back. It must not be used afterwards, whatever
// the answer: OpenSSH gives the same handle to the next file at once.
func (s *Session) CloseHandle(ctx context.Context, h Handle) *Call[struct{}] {
	return onHandle(ctx, s, typeClose, statusCall("CLOSE"), h)
}

// Remove removes a name that is not a directory.
func (s *Session) Remove(ctx context.Context, path string) *Call[struct{}] {
	return named(ctx, s, typeRemove, statusCall("REMOVE"), path)
}

// Mkdir makes a directory. Of a, servers use the permissions.
func (s *Session) Mkdir(ctx context.Context, path string, a Attrs) *Call[struct{}] {
	return withAttrs(ctx, s, typeMkdir, statusCall("MKDIR"), path, a)
}

// Rmdir removes an empty directory.
func (s *Session) Rmdir(ctx context.Context, path string) *Call[struct{}] {
	return named(ctx, s, typeRmdir, statusCall("RMDIR"), path)
}

// Rename moves oldPath to newPath. Most servers refuse to replace a file.
func (s *Session) Rename(ctx context.Context, oldPath, newPath string) *Call[struct{}] {
	return named(ctx, s, typeRename, statusCall("RENAME"), oldPath, newPath)
}

// Readlink returns the target of a symbolic link.
func (s *Session) Readlink(ctx context.Context, path string) *Call[string] {
	return named(ctx, s, typeReadlink, newCall("READLINK", typeName, decodeName), path)
}

// Symlink makes link a symbolic link to target. The arguments go out in the
// order of OpenSSH and nearly all others, which is not that of the draft.
func (s *Session) Symlink(ctx context.Context, target, link string) *Call[struct{}] {
	return named(ctx, s, typeSymlink, statusCall("SYMLINK"), target, link)
}

// Realpath returns path as an absolute one, without symbolic links, "." and "..".
func (s *Session) Realpath(ctx context.Context, path string) *Call[string] {
	return named(ctx, s, typeRealpath, newCall("REALPATH", typeName, decodeName), path)
}

// Write writes p at offset off, at most Caps.MaxWrite bytes. p is copied
// before Write returns.
func (s *Session) Write(ctx context.Context, h Handle, off uint64, p []byte) *Call[struct{}] {
	var room [headRoom]byte
	head := appendUint64(appendString(room[:0], h), off)
	head = appendUint32(head, uint32(len(p)))
	c := statusCall("WRITE")
	if len(p) > s.caps.MaxWrite {
		c.fail(&RequestError{c.op, syscall.EMSGSIZE})
		return c
	}
	return start(ctx, s, request{typ: typeWrite, head: head, payload: p}, c)
}

// readCall is a READ and the buffer for its data.
type readCall struct {
	Call[int]
	p []byte // guarded by mu: written to only while the call is not settled
}

// Read reads at offset off into p and returns the number of bytes: at least
// one, and fewer than len(p) whenever the server likes, which does not mean the
// end of the file. io.EOF means that, and nothing else does. At most
// Caps.MaxRead bytes are asked for. p belongs to the session until Wait has
// returned or Done is closed.
func (s *Session) Read(ctx context.Context, h Handle, off uint64, p []byte) *Call[int] {
	p = p[:min(len(p), s.caps.MaxRead)]
	c := &readCall{p: p}
	c.init("READ", typeData)
	c.ends = true
	if len(p) == 0 {
		c.settle(0, nil) // servers answer this with the end of the file
		return &c.Call
	}
	var room [headRoom]byte
	head := appendUint64(appendString(room[:0], h), off)
	head = appendUint32(head, uint32(len(p)))
	r := request{typ: typeRead, head: head, answer: len(p)}
	if err := s.submit(ctx, &r, c); err != nil {
		c.fail(err)
	}
	return &c.Call
}

// fill copies a part of the data, unless the caller has given up and has its
// buffer back.
func (c *readCall) fill(off int, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.settled {
		copy(c.p[off:], b)
	}
}
