package cache

import (
	"context"
	"time"
)

// Remote is the server as the cache sees it: operations on slash-separated
// paths, each at most one round trip in the good case. conn.Client is the
// real one; tests use a Remote in memory.
//
// Paths are relative to the mounted directory: "" is the mounted directory
// itself, "a/b" a name below it. They are any bytes but NUL.
//
// Every method is safe for concurrent use, waits at most until ctx ends, and
// returns errors that match a syscall.Errno with errors.As. A cancelled call
// may or may not have been executed by the server.
type Remote interface {
	// Lstat returns the attributes of path, not following a final symbolic link.
	Lstat(ctx context.Context, path string) (Attr, error)
	// Stat returns the attributes of what path leads to.
	Stat(ctx context.Context, path string) (Attr, error)
	// List reads the directory path and hands its entries to each in batches,
	// without "." and "..", with invalid and repeated names left out. An error
	// from each ends the listing and is returned. Nil means: complete.
	List(ctx context.Context, path string, each func([]Entry) error) error
	// Readlink returns the target of the symbolic link path, as stored.
	Readlink(ctx context.Context, path string) (string, error)

	// Open opens a regular file and returns its attributes as of the open,
	// both in one round trip. mode (permission bits only) is for a file that
	// OpenCreate makes.
	Open(ctx context.Context, path string, flag OpenFlag, mode uint32) (File, Attr, error)
	// Mkdir makes a directory and returns its attributes.
	Mkdir(ctx context.Context, path string, mode uint32) (Attr, error)
	// Rmdir removes an empty directory.
	Rmdir(ctx context.Context, path string) error
	// Remove removes a name that is not a directory.
	Remove(ctx context.Context, path string) error
	// Rename moves oldPath to newPath, replacing what is there unless noReplace.
	Rename(ctx context.Context, oldPath, newPath string, noReplace bool) error
	// Symlink makes path a symbolic link to target and returns its attributes.
	Symlink(ctx context.Context, target, path string) (Attr, error)
	// Link makes newPath another name of the file oldPath and returns its attributes.
	Link(ctx context.Context, oldPath, newPath string) (Attr, error)

	// StartSetattr sends the change of path's attributes, not following a final
	// symbolic link, and returns without waiting for the answer: later name
	// operations of this Remote are executed after it. The attributes that
	// Pending.Wait returns are those after the change.
	StartSetattr(ctx context.Context, path string, s SetAttr) Pending

	// Statfs returns the state of the file system that holds path.
	Statfs(ctx context.Context, path string) (Statfs, error)
	// Names returns the server's names of user and group ids, "" where it
	// knows none; ENOTSUP where it cannot tell.
	Names(ctx context.Context, uids, gids []uint32) (users, groups []string, err error)
	// Features tells what the server can do.
	Features() Features
}

// Pending is a change that was sent and is not yet answered.
type Pending interface {
	// Wait returns the attributes after the change, or its error.
	Wait(ctx context.Context) (Attr, error)
}

// PendingWrite is a write that was sent and is not yet answered.
type PendingWrite interface {
	// Wait returns how many bytes were written before the first error.
	Wait(ctx context.Context) (int, error)
}

// File is an open regular file of a Remote. It survives the removal and the
// renaming of its name, as far as the server allows. Methods are safe for
// concurrent use, but for Close.
type File interface {
	// ReadAt fills p from offset off. It returns fewer bytes than len(p) only
	// at the end of the file, then with io.EOF.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// WriteAt writes all of p at offset off and waits for the answer. Writes
	// that are under way at the same time and overlap have no order.
	WriteAt(ctx context.Context, p []byte, off int64) (int, error)
	// StartWriteAt is WriteAt that returns when the write is sent. p may be used
	// again then.
	StartWriteAt(ctx context.Context, p []byte, off int64) PendingWrite
	// StartSetattr is Setattr that returns when the change is sent, and is executed
	// after every write sent by StartWriteAt before. Nil where that order is not
	// certain: then nothing is sent.
	StartSetattr(ctx context.Context, s SetAttr) Pending
	// Stat returns the attributes of the open file.
	Stat(ctx context.Context) (Attr, error)
	// Setattr changes attributes of the open file and returns them as they are then.
	Setattr(ctx context.Context, s SetAttr) (Attr, error)
	// Sync makes what was written durable on the server; ENOTSUP where the
	// server cannot.
	Sync(ctx context.Context) error
	// CopyTo copies length bytes at srcOff to dst at dstOff on the server
	// and returns how many were copied: fewer only at the end of the file.
	// ENOTSUP where the server cannot.
	CopyTo(ctx context.Context, dst File, srcOff, length, dstOff int64) (int64, error)
	// Close gives the file back and waits for the answer, whose error can be
	// that of an earlier write.
	Close(ctx context.Context) error
}

// OpenFlag says how to open a file, as POSIX open does.
type OpenFlag uint32

// The flags of Remote.Open.
const (
	OpenRead OpenFlag = 1 << iota
	OpenWrite
	OpenCreate
	OpenExclusive
	OpenTruncate
	// OpenAppend has the server choose the offset of every write.
	OpenAppend
)

// Attr is what the server tells of a name. Sizes are bytes, times are
// seconds since 1970 (SFTP version 3 carries no fractions).
type Attr struct {
	Size  uint64
	Mtime int64
	Atime int64
	Mode  uint32 // type and permission bits as in stat(2)
	UID   uint32
	GID   uint32
	Nlink uint32 // 0 where the server did not say
}

// Entry is a name in a directory with its attributes.
type Entry struct {
	Name string
	Attr Attr
}

// SetAttr is a change of attributes: the fields that Valid names.
type SetAttr struct {
	Valid        SetMask
	Mode         uint32 // permission bits, 07777
	UID, GID     uint32
	Size         uint64
	Atime, Mtime int64
}

// SetMask names fields of a SetAttr.
type SetMask uint8

// The fields of a SetAttr. SetTimes carries both times, as the protocol does.
const (
	SetMode SetMask = 1 << iota
	SetUID
	SetGID
	SetSize
	SetTimes
)

// Statfs is the state of a file system, as statvfs(3) tells it.
type Statfs struct {
	BlockSize, FragmentSize uint64
	Blocks, Free, Avail     uint64 // in units of FragmentSize
	Files, FilesFree        uint64
	NameMax                 uint64
	ReadOnly                bool
}

// Features are the abilities of a server that the layers above ask for.
type Features struct {
	// MaxRead and MaxWrite are the payloads of one request, in bytes.
	MaxRead, MaxWrite int
	// CopyData, Fsync, Hardlink, Lsetstat, Statvfs tell of extensions.
	CopyData, Fsync, Hardlink, Lsetstat, Statvfs bool
	// InOrder: requests on one file are executed in the order they are sent, and
	// by the file, not by a name it had.
	InOrder bool
	// LoginUID is the user id that the server executes requests as, where
	// LoginKnown.
	LoginUID   uint32
	LoginKnown bool
	// RTT is the measured round trip time, 0 if unknown.
	RTT time.Duration
}
