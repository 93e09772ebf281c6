package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
)

// Tree is the mounted tree. Its methods and those of its nodes, handles and
// directories are safe for concurrent use.
type Tree struct {
	remote Remote
	opts   Options
	blocks *blockCache
	dirty  *semaphore.Weighted // bytes written and not acknowledged
	window *semaphore.Weighted // bytes of large files being read ahead

	// ctx ends when the tree is closed: changes and the closing of files use
	// it. reads ends when closing begins.
	ctx, reads        context.Context
	cancel, stopReads context.CancelFunc
	wg                sync.WaitGroup

	mu sync.Mutex
	// All fields below, and those of every Node that say so, are guarded by mu.
	root *Node
	// inos has the live nodes by inode number, which makes numbers unique.
	inos map[uint64]*Node
	// seq counts local changes; see the package comment on epochs.
	seq uint64
	// renames counts the name changes that move paths of other nodes.
	renames uint64
	// moves are the renames that are not answered.
	moves map[*move]struct{}
	// roads are the nodes with changes without an answer, for Sync.
	roads map[*road]struct{}
	// failed are the roads with an error that nobody has been told.
	failed map[*road]struct{}
	gate   gate
	// unsent are changes by path that are not sent yet: whoever changes one of
	// the names on that path must wait for them.
	unsent map[*change]*Node
	// skew is the server's clock minus ours, in seconds, as far as known.
	skew int64
	// handles are the open ones, for Close.
	handles map[*Handle]struct{}
	ahead   ahead
	// entries counts the dirents of all listings.
	entries int
}

// New makes the tree of r. Call Root before anything else, and Close at the end.
func New(r Remote, o Options) *Tree {
	o = o.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	reads, stopReads := context.WithCancel(ctx)
	return &Tree{
		remote:    r,
		opts:      o,
		blocks:    newBlockCache(o.ContentBytes),
		dirty:     semaphore.NewWeighted(o.DirtyBytes),
		window:    semaphore.NewWeighted(max(o.ReadAheadMax, min(farWindow, o.ContentBytes/2), BlockSize)),
		ahead:     ahead{files: semaphore.NewWeighted(aheadFiles)},
		ctx:       ctx,
		cancel:    cancel,
		reads:     reads,
		stopReads: stopReads,
		inos:      make(map[uint64]*Node),
		roads:     make(map[*road]struct{}),
		moves:     make(map[*move]struct{}),
		failed:    make(map[*road]struct{}),
		handles:   make(map[*Handle]struct{}),
		unsent:    make(map[*change]*Node),
	}
}

// Remote returns the server this tree is of.
func (t *Tree) Remote() Remote { return t.remote }

// Options returns the options in force, defaults filled in.
func (t *Tree) Options() Options { return t.opts }

// Root returns the mounted directory, asking the server for it the first time.
func (t *Tree) Root(ctx context.Context) (*Node, error) {
	t.mu.Lock()
	root := t.root
	t.mu.Unlock()
	if root != nil {
		return root, nil
	}
	a, err := t.remote.Stat(ctx, "")
	if err != nil {
		return nil, err
	}
	if a.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return nil, syscall.ENOTDIR
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root == nil {
		t.root = &Node{tree: t, ino: rootIno, typ: syscall.S_IFDIR, held: true}
		t.inos[rootIno] = t.root
		t.root.fillLocked(a, t.seq)
	}
	return t.root, nil
}

// Sync waits until the server has answered every change made before, and
// returns the errors that nobody has been told.
func (t *Tree) Sync(ctx context.Context) error {
	t.mu.Lock()
	roads := slices.AppendSeq(slices.Collect(maps.Keys(t.roads)), maps.Keys(t.failed))
	t.mu.Unlock()
	var errs []error
	for _, r := range roads {
		err := r.flush(ctx)
		if ctx.Err() == nil {
			err = r.unheard()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close waits for all changes as Sync does, then ends what runs in the
// background and closes what is open on the server. The tree must not be
// used afterwards.
func (t *Tree) Close(ctx context.Context) error {
	err := t.Sync(ctx)
	t.stopReads()
	t.mu.Lock()
	open := slices.Collect(maps.Keys(t.handles))
	t.mu.Unlock()
	for _, h := range open {
		h.Release()
	}
	done := make(chan struct{})
	go func() { t.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	t.cancel()
	<-done
	return err
}

// background runs f until it is done; Close waits for it.
func (t *Tree) background(f func()) {
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		f()
	}()
}

// ttlLocked is how long attributes with this mtime are believed.
func (t *Tree) ttlLocked(mtime int64, now time.Time) time.Duration {
	age := time.Duration(now.Unix()+t.skew-mtime) * time.Second
	return min(max(age/10, t.opts.AttrTTLMin), t.opts.AttrTTLMax)
}

// recentLocked reports whether a file of this mtime may change again without
// its mtime showing it. The margin is SFTP's resolution of one second on both
// sides.
func (t *Tree) recentLocked(mtime int64, now time.Time) bool {
	return now.Unix()+t.skew-mtime < 2
}

// errStale is the answer for a node that no name leads to any more.
var errStale error = syscall.ESTALE

// isNoEntry reports whether err says that a path does not exist.
func isNoEntry(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR)
}

// lookAt asks the server for the attributes of a path.
func (t *Tree) lookAt(ctx context.Context, path string) (Attr, error) {
	if path == "" {
		return t.remote.Stat(ctx, path)
	}
	if !t.opts.Follow {
		return t.remote.Lstat(ctx, path)
	}
	a, err := t.remote.Stat(ctx, path)
	if isNoEntry(err) || errors.Is(err, syscall.ELOOP) {
		// A link that leads nowhere is shown as the link it is.
		return t.remote.Lstat(ctx, path)
	}
	return a, err
}
