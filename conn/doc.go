// Package conn is the way to the server: the operations that the cache asks
// for (cache.Remote), made of SFTP requests.
//
// # Concept
//
// A Client has one connection, made by a Dialer, and on it one SFTP session for
// metadata and up to Options.DataSessions for data. A session is one
// single-threaded process on most servers, strictly in order; so a listing or
// a stat must not stand in line behind a large file, and the one session that
// names and attributes go through gives their changes an order. Data sessions
// are opened when the load asks for them. Where the server allows a single
// session, all share it.
//
// Requests that do not depend on an answer are sent together: OPEN and STAT,
// MKDIR and LSTAT, all the SETSTATs of one change and the LSTAT after them, a
// run of READDIRs, the READs of a large read. What SFTP cannot say in one
// packet, and what servers are known to do differently, is dealt with here and
// nowhere above: the server's umask (the mode is set again where it came out
// different), the target of symbolic links (lsetstat, or a look first), rename
// over an existing name (posix-rename, or in steps that can be undone), short
// replies (asked for again; only the EOF status ends a file), attributes that
// are missing or absurd, and errors.
//
// # Handles
//
// A handle belongs to one session, and each session that is opened has a
// generation of its own; a handle is only ever sent on the session it came
// from. A File keeps what is needed to open it again: path (renames are
// followed), flags without those that create, size and time as last seen. The
// handles of files open for reading that have no call under way are given up,
// least recently used first, when the limit is reached, and are opened again
// when needed; then a file that is not what it was, but for changes made by
// this Client, is ESTALE. Files open for writing keep their handles, and so do those
// whose name was taken away through this Client. The limit is four fifths of what the
// server says it holds, and comes down if the server fails earlier.
//
// A large file that is being read or written with many requests at a time, far
// away, gets a further handle on other data sessions (a stripe), if what the
// path leads to is still the same file.
//
// When a data session ends, readers open their files again on another one and
// writers get ErrDisconnected: what they had sent may or may not be there.
// When the metadata session ends, so does the Client.
//
// # Errors
//
// Every error is an *Error, with an errno. Version 3 folds most errnos into
// FAILURE; which it was is found out by asking the server again, on the error
// path only (explain.go). A call that is cancelled returns an error matching
// context.Canceled at once; its request may still be executed, and a handle
// that arrives late is closed. When the connection is lost every call fails
// with ErrDisconnected, as EIO.
//
// # Order
//
// StartSetattr returns with its requests in the metadata session's order. Those
// that cannot be sent yet (a server without lsetstat is asked for the type
// first), and names used on another session (OPEN), are kept in order by the
// order type: a later operation on a related path waits for them.
//
// # Concurrency and lock order
//
// All of Client and File is safe for concurrent use. Locks, each held for a
// few instructions and never across a request: pool.mu, handleTable.mu,
// order.mu, rtt.mu, Client.mu. No one of them is taken while another is held.
// Goroutines that outlive a call are started by Client.spawn only; each ends
// when its session does, and Close waits for all of them. A caller's context
// ends its waiting, not theirs.
//
// # Shutdown
//
// Close refuses new calls, closes every handle and waits for the replies, lets
// each session drain (a server drops what is queued when its channel closes),
// then closes channels and connection. If its context ends first, the
// connection is closed at once.
package conn
