package fs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// maxNotices bounds the notices that wait for the kernel. Notices are
// coalesced, so it takes as many different files or names. What does not fit
// is dropped: the kernel then learns of it when its time to live is over or,
// of content, at the next open.
const maxNotices = 1 << 16

// Notifier tells the kernel what changed behind its back. It is made before
// the tree whose cache.Options.Invalidate it serves, and Mount attaches the
// mount; what it is told before that is dropped, as the kernel has nothing
// cached then.
//
// Its goroutine lives as long as the mount.
type Notifier struct {
	mu      sync.Mutex
	kernel  kernel // nil while detached
	queue   []notice
	queued  map[notice]struct{} // what is in queue
	pending chan struct{}       // holds a token while queue is not empty
}

// notice is one thing to tell: of inode ino all content and its attributes,
// or of directory ino the name, are to be asked for again.
type notice struct {
	ino  uint64
	name string
}

// kernel is the part of fuse.Server that a Notifier needs.
type kernel interface {
	InodeNotify(node uint64, off, length int64) fuse.Status
	EntryNotify(parent uint64, name string) fuse.Status
}

// NewNotifier returns a Notifier that is attached to no mount.
func NewNotifier() *Notifier {
	return &Notifier{queued: make(map[notice]struct{}), pending: make(chan struct{}, 1)}
}

// Invalidate has the kernel drop the content and the attributes of n. It does
// not block. It is meant for cache.Options.Invalidate.
func (n *Notifier) Invalidate(node *cache.Node) { n.content(node.Ino()) }

// content and entry enqueue a notice; entry's directory is parent.
func (n *Notifier) content(ino uint64)               { n.add(notice{ino: ino}) }
func (n *Notifier) entry(parent uint64, name string) { n.add(notice{parent, name}) }

func (n *Notifier) add(what notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kernel == nil || len(n.queue) >= maxNotices {
		return
	}
	if _, ok := n.queued[what]; ok {
		return
	}
	n.queued[what] = struct{}{}
	n.queue = append(n.queue, what)
	select {
	case n.pending <- struct{}{}:
	default:
	}
}

// attach makes k the one to tell.
func (n *Notifier) attach(k kernel) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kernel = k
}

// run tells k until done is closed, and detaches it then.
func (n *Notifier) run(k kernel, done <-chan struct{}) {
	for {
		select {
		case <-done:
			n.detach()
			return
		case <-n.pending:
		}
		for _, what := range n.take() {
			tell(k, what)
		}
	}
}

// take returns what is queued. From then on the same notice is a new one.
func (n *Notifier) take() []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	queue := n.queue
	n.queue = nil
	clear(n.queued)
	return queue
}

func (n *Notifier) detach() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kernel, n.queue = nil, nil
	clear(n.queued)
}

// tell sends one notice. ENOENT means that the kernel does not know the
// inode or name, every other error that the mount is gone: nothing to do.
func tell(k kernel, what notice) {
	if what.name != "" {
		k.EntryNotify(what.ino, what.name)
		return
	}
	k.InodeNotify(what.ino, 0, 0)
}
