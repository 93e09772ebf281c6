// Package fs is the kernel's side of a mount: it turns FUSE requests into
// calls of package cache and their results into replies.
//
// # Concept
//
// The layer is thin. A node is a go-fuse inode around a *cache.Node, a
// fileHandle one around a *cache.Handle, a dirHandle one around a *cache.Dir.
// None of them keeps state about the remote tree: names, attributes, content
// and everything that is still on its way live in package cache. What this
// package owns is the translation: attributes and owners both ways (attr.go,
// idmap.go, owner.go), open flags (file.go), symbolic links that must not lead
// out of the mount (symlink.go), errors (errno.go), and the kernel's caches:
// every reply carries the time to live that the cache gave, and what changed
// on the server is told to the kernel by a Notifier.
//
// A node's number in the FUSE protocol is the inode number of its cache.Node
// (go-fuse's ExternalNodeID), so a notification needs no table of nodes, and a
// name whose type changed on the server is another node with another number.
// The kernel's interest in a node is told to the cache by Held and Forget.
// Both only set a state: Held may be called again for a node that is held.
// go-fuse may report a node forgotten that a lookup running at the same time
// brings back; the next request for that node says Held again.
//
// # Every request goes one way
//
// Each handler runs its work through read or change (call.go), which trace it
// (Options.Debug), turn a panic into EIO and a logged stack, map the error and
// decide what an interrupt does.
//
// # Interrupts
//
// The kernel sends INTERRUPT for every signal that its caller does not block
// or ignore, once per request, and does not say which signal it was. EINTR
// as the answer reaches the program, even where its handler was installed with
// SA_RESTART: open(2) and stat(2) of a program that only uses timers, or of any
// Go program (the runtime preempts with SIGURG), would fail at random. So an
// INTERRUPT is only the occasion to look at the caller's pending signals in
// /proc, and as none comes for a later signal, to look again while the request
// lasts (interrupt.go):
//
//   - A signal that kills the caller ends its wait at once.
//   - SIGINT, SIGTERM, SIGHUP or SIGQUIT that the caller catches ends its wait
//     after a grace in which a living server will have answered: short for
//     questions, longer for changes.
//   - All other signals end nothing, as on a local disk.
//
// A process that was killed closes its files while it exits, when no INTERRUPT
// comes any more; FLUSH looks for that by itself. What was written goes on.
//
// What ends is the wait. A question (lookup, read, listing) is cancelled with
// it. So are write, flush and fsync: a write that is interrupted has not been
// accepted, and the other two only wait for what goes on without them. A
// change of names or attributes is not cancelled: it runs in its own goroutine
// on a context without the interrupt and is completed or fails there; the
// caller gets EINTR, and when the change is done its handle is released and
// the kernel is told to look the names up again.
//
// # Promises to the cache
//
// Handlers call package cache with no lock held, from many goroutines at once.
// The kernel serialises changes of names in one directory; nothing here relies
// on that.
//
// # Concurrency
//
// A node is immutable but for one atomic. A dirHandle is used by one request
// at a time (go-fuse locks the directory handle). Locks, each a leaf that is
// never held across a call of the cache or the kernel: Notifier.mu, links.mu,
// nameMap.mu, waitCtx.mu, requestLog.mu.
//
// Notifications to the kernel can wait for the kernel's own locks, which a
// request in progress may hold. They are sent by the Notifier's goroutine only.
package fs
