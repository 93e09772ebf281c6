// Package wire is an SFTP version 3 client: one [Session] over one byte stream
// (draft-ietf-secsh-filexfer-02, and the extensions of OpenSSH's PROTOCOL,
// section 4). It knows packets and nothing of what they are good for: no
// retries, no reconnecting, no errno.
//
// # Issuing and waiting
//
// Each request is a method that returns a [Call] as soon as the request is
// queued; [Call.Wait] waits for the answer. So any number of requests share a
// round trip: issue them all, then wait. Packets go out in the order in which
// the methods were called (calls made at the same time have no order), and
// OpenSSH's server executes them in that order, one by one.
//
// A context bounds what it is given to and nothing else: that of the method the
// wait for room, that of Wait the wait for the answer. Giving up never harms
// the session. The server may still execute the request; its late answer is
// dropped, and the handle that a late answer to OPEN or OPENDIR brings is
// closed by the session. A call that failed before it was sent (no room in
// time, [RequestError], [UnsupportedError], [ClosedError] with Issued false)
// is returned settled, with its error.
//
// Buffers: Write copies the data before it returns. Read fills the caller's
// buffer until the call is settled, by an answer or by giving up, and never
// touches it afterwards.
//
// # Room
//
// A server queues what it is sent, and whatever is sent later waits behind it.
// So the bytes under way are bounded (Options.MaxInFlight), first come, first
// served, and a call that was given up counts until its answer has come:
// only then is the server done with it. No more than that is queued in memory.
//
// # What the server may not do
//
// Every length and count is checked against the packet that holds it before
// it is used, packets are bounded, and no allocation is larger than what has
// really been received calls for. A reply that is not allowed is a
// [ProtocolError]. Where the packet's own length is not in doubt only its call
// fails: a wrong type of reply, a truncated field, a count that lies, DATA that
// is empty or longer than asked for. A packet that is too short or too long, a
// reply to a request that is not under way, and a stream that ends inside a packet
// end the session. Bytes left over in a packet count as a lie, but for STATUS
// and the replies to extensions, which may grow.
//
// io.EOF means the status EOF of READ and READDIR, and nothing else: the end of
// the stream is io.ErrUnexpectedEOF inside a [ClosedError].
//
// # Goroutines and locks
//
// A session runs two goroutines. The writer takes the queue of chunks, runs of
// whole packets, and writes each with one call; small requests that are issued
// while it writes share a chunk, and data is encoded into its chunk once. The
// reader decodes replies where they lie in its buffer and settles their calls;
// it never waits for anything but the stream. A third goroutine, at the end,
// closes the stream, since that of an SSH channel can block.
//
// There are two kinds of locks, and no goroutine ever holds both: Session.mu
// (state, table of calls, queue) and one in each Call (its outcome, and the
// right to fill its buffer). Neither is held while anything is waited for.
//
// The end has one road, Session.fail, and one order: the error is set, the
// queue and the table emptied and Done closed under mu; then the calls fail,
// then the stream is closed, which ends reader and writer.
package wire
