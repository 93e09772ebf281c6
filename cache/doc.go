// Package cache is the mounted tree as this mount knows it: names,
// attributes, listings, content, and the changes that are still on their way
// to the server. It does no I/O of its own; it calls the Remote it was given.
//
// # Concept
//
// A Tree holds Nodes. A Node is one file, directory or symbolic link; the
// names that lead to it are its links (parent and name), so a rename is O(1)
// and a path is built when a request needs one. Inode numbers are a hash of
// the path at first sight, hence stable over remounts. A name in a listed
// directory is a dirent, which becomes a Node only when somebody asks for it:
// a directory of 100,000 names costs no 100,000 nodes.
//
// What the server told has a time to live that grows with the age of the file
// (a tenth of it, between AttrTTLMin and AttrTTLMax), as in NFS. "No such
// name" is answered only by a complete, valid listing or by the server.
//
// # Fills and epochs
//
// Tree.seq counts the changes made through this mount. A request that will
// fill the cache notes the count when it is asked; its answer is dropped for
// every node that was changed, or had a change answered, since, or that has
// changes without an answer.
// So a slow answer never undoes a newer change. A listing keeps the names that
// were changed while it was read.
//
// # Content
//
// Content is cached in blocks of BlockSize in one LRU bounded by bytes. A
// block is never modified where a reader may look: bytes are appended past its
// end or the block is replaced. Content belongs to a tag (size and mtime); an
// attribute fill that differs drops it at the next use. Because SFTP carries
// whole seconds, content obtained within two seconds of the file's mtime is
// racy: it is used until the next open that asks the server, and then dropped.
//
// # The road of changes
//
// Every change of a node is a change on its road: applied to the tree at
// once, sent in order, and finished by the server's answer. Writes that do not
// overlap travel together; a change of attributes waits for the writes before
// it. The Durability only decides who waits. An error that nobody waited for
// is kept, told by the next write, fsync or close of every handle that was open
// when it happened, and logged. Changes of names wait for their answer and
// are applied with it; they are sent after the changes by path of the same
// node.
//
// # Concurrency
//
// Lock order: road.mu (one per node: its changes and content), then Tree.mu
// (names, attributes and identity of all nodes), then blockCache.mu. In other
// words: whoever holds the tree may look at no road. Two roads are never held
// at once. No lock is held across a request to the server.
package cache
