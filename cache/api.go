package cache

import (
	"context"
	"time"
)

// TEMPORARY skeleton: signatures only, being implemented.

type Durability int

const (
	DurabilityClose Durability = iota // default
	DurabilityCall
)

// Options of a Tree; the zero value of a field means its default.
type Options struct {
	Durability    Durability
	AttrTTLMin    time.Duration // 3 s
	AttrTTLMax    time.Duration // 60 s
	OpenTTL       time.Duration // 1 s; negative: always ask
	ContentBytes  int64         // content cache, 128 MiB
	DirtyBytes    int64         // written and not acknowledged, 64 MiB
	ReadAheadMax  int64         // per handle, bytes; negative: none
	Follow        bool          // symlinks=follow: names are what their links lead to
	// Invalidate tells the kernel side that the content of n changed on the
	// server (off 0, length 0 = all). Called from a worker, no lock held.
	Invalidate func(n *Node)
	// Logf tells of changes that failed with nobody waiting.
	Log func(op, path string, err error)
	Now func() time.Time
}

type Tree struct{}

func New(r Remote, o Options) *Tree                        { panic("todo") }
func (t *Tree) Root(ctx context.Context) (*Node, error)    { panic("todo") } // asks the server; error when missing
func (t *Tree) Sync(ctx context.Context) error             { panic("todo") } // everything written is on the server
func (t *Tree) Close(ctx context.Context) error            { panic("todo") } // Sync, close all remote files, stop workers
func (t *Tree) Remote() Remote                             { panic("todo") }

// Node is a file, directory or symlink. One Node has one inode number for life;
// a name whose type changes on the server gets a new Node.
type Node struct{}

func (n *Node) Ino() uint64   { panic("todo") } // stable over remounts, never 0 or 1 but for the root, which is 1
func (n *Node) Type() uint32  { panic("todo") } // S_IFMT bits, constant for life
func (n *Node) Path() string  { panic("todo") } // one of its paths, for logs
func (n *Node) Tree() *Tree   { panic("todo") }

// Stat is attributes plus how long the kernel may keep them.
type Stat struct {
	Attr          // Nlink filled in (0 once removed)
	Ctime int64   // seconds
	TTL   time.Duration
}

// Attr returns attributes; asks the server when they are out of date.
func (n *Node) Attr(ctx context.Context) (Stat, error) { panic("todo") }

// Lookup finds name in directory n. ENOENT's Stat.TTL is how long the kernel may
// keep the negative answer (0: not).
func (n *Node) Lookup(ctx context.Context, name string) (*Node, Stat, error) { panic("todo") }

// Forget: the kernel no longer knows n (balanced against nothing: called once when the go-fuse inode is forgotten).
func (n *Node) Forget() { panic("todo") }

// Held: the kernel knows n (fs calls it when it makes an inode for n).
func (n *Node) Held() { panic("todo") }

// Setattr changes attributes. h may be nil; else the open handle it came through.
// Waits as the durability says.
func (n *Node) Setattr(ctx context.Context, h *Handle, s SetAttr) (Stat, error) { panic("todo") }

func (n *Node) Readlink(ctx context.Context) (string, error)                          { panic("todo") }
func (n *Node) Mkdir(ctx context.Context, name string, mode uint32) (*Node, Stat, error) { panic("todo") }
func (n *Node) Symlink(ctx context.Context, name, target string) (*Node, Stat, error) { panic("todo") }
func (n *Node) Link(ctx context.Context, name string, target *Node) (Stat, error)     { panic("todo") }
func (n *Node) Remove(ctx context.Context, name string) error                         { panic("todo") } // unlink
func (n *Node) Rmdir(ctx context.Context, name string) error                          { panic("todo") }
func (n *Node) Rename(ctx context.Context, name string, to *Node, newName string, noReplace bool) error { panic("todo") }
func (n *Node) Statfs(ctx context.Context) (Statfs, error)                            { panic("todo") }

// Fsyncdir waits for all changes of names in n (all are answered already) and asks the server to make them durable where it can.
func (n *Node) Fsyncdir(ctx context.Context) error { panic("todo") }

// Open opens regular file n. keep tells whether the kernel may keep its pages.
// flag: OpenRead, OpenWrite, OpenTruncate, OpenAppend.
func (n *Node) Open(ctx context.Context, flag OpenFlag) (h *Handle, keep bool, err error) { panic("todo") }

// Create makes (or, without OpenExclusive, opens) name. mode: permission bits.
func (n *Node) Create(ctx context.Context, name string, flag OpenFlag, mode uint32) (*Node, *Handle, Stat, error) { panic("todo") }

// Handle is an open regular file.
type Handle struct{}

func (h *Handle) Node() *Node { panic("todo") }
func (h *Handle) Size() int64 { panic("todo") }

// Read returns up to length bytes at off as slices the caller must not write to;
// fewer only at end of file.
func (h *Handle) Read(ctx context.Context, off int64, length int) ([][]byte, error) { panic("todo") }

// Write takes p (copied) at off. All of it or an error.
func (h *Handle) Write(ctx context.Context, p []byte, off int64) error { panic("todo") }

// Flush (close(2)) and Fsync wait for what was written and return errors not yet told to this handle.
func (h *Handle) Flush(ctx context.Context) error { panic("todo") }
func (h *Handle) Fsync(ctx context.Context) error { panic("todo") }
func (h *Handle) Release()                        { panic("todo") } // never blocks

// Copy copies inside the mount on the server; ENOTSUP when the server cannot.
func (h *Handle) Copy(ctx context.Context, off int64, dst *Handle, dstOff, length int64) (int64, error) { panic("todo") }

// Allocate: mode 0 extends the size as posix_fallocate; keepSize is accepted without effect.
func (h *Handle) Allocate(ctx context.Context, off, length int64, keepSize bool) error { panic("todo") }

// OpenDir lists directory n (from the cache when valid).
func (n *Node) OpenDir(ctx context.Context) (*Dir, error) { panic("todo") }

// Dir is a snapshot of a directory, seekable by index: stable for the life of the Dir.
type Dir struct{}

func (d *Dir) Len() int { panic("todo") }

// Entry i: name, inode number and S_IFMT bits.
func (d *Dir) Entry(i int) (name string, ino uint64, typ uint32) { panic("todo") }

// Lookup makes the node of entry i with the attributes of the listing; ENOENT if it is gone since.
func (d *Dir) Lookup(i int) (*Node, Stat, error) { panic("todo") }

// Refresh lists again when older than the ttl; called at rewinddir (offset 0).
func (d *Dir) Refresh(ctx context.Context) error { panic("todo") }
