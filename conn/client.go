package conn

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"seamount/cache"
	"seamount/conn/wire"
)

// Options of a Client. The zero value of a field means its default.
type Options struct {
	// Root is the remote directory as a user types it: "" for the login
	// directory, "~", "~/x", "~user/x", a path relative to the login directory
	// or an absolute one. It must be a directory (*RootError otherwise).
	Root string
	// DataSessions is how many sessions for data there may be; default 3, and 7
	// where the round trip is 20 ms or more: each moves 2 MiB in one. sshd allows
	// 10 sessions in all.
	DataSessions int
	// MaxHandles bounds the handles open at a time; default four fifths of
	// what the server says it can hold, or 900.
	MaxHandles int
	// Wire are the options of each session.
	Wire wire.Options
	// UID and GID own what the server tells no owner of, when it does not
	// tell that of the login directory either.
	UID, GID uint32
	// Log is told of oddities of the server; default none.
	Log *slog.Logger
}

const (
	defaultDataSessions = 3
	farDataSessions     = 7
	farRTT              = 20 * time.Millisecond
	// farReady is how many of them are opened before they are needed.
	farReady          = 4
	defaultMaxHandles = 900
	maxListing        = 10_000_000 // entries
)

// Info is what a Client knows of its server and of itself.
type Info struct {
	ServerVersion string // of SSH, "" if unknown
	Caps          wire.Caps
	Root          string // absolute path on the server
	// UID and GID own the login directory; OwnerKnown says that the server told so.
	UID, GID   uint32
	OwnerKnown bool
	// Sessions are the SFTP sessions open.
	Sessions int
	// Handles are those that the client has open on the server.
	Handles    int
	MaxHandles int
}

// Client is a cache.Remote on an SFTP server; see the package comment.
type Client struct {
	opts       Options
	log        *slog.Logger
	conn       Connection
	pool       *pool
	handles    *handleTable
	order      order
	rtt        rtt
	attrs      attrReader
	root       string // absolute
	ownerKnown bool
	// openSSH says that the server is OpenSSH's, whose ways are known beyond
	// what the protocol says.
	openSSH    bool
	maxEntries int // of a listing

	mu sync.Mutex
	// closing refuses new calls.
	closing bool
	// ended refuses new goroutines.
	ended bool
	// noLsetstatMode says that lsetstat was seen to fail at modes, as it does
	// where the server's C library has no fchmodat with AT_SYMLINK_NOFOLLOW.
	noLsetstatMode bool
	wg             sync.WaitGroup // added to while !ended
}

var _ cache.Remote = (*Client)(nil)

// New connects to the server of d and finds the directory o.Root. ctx bounds
// that, not the life of the Client. The error can be a *RootError.
func New(ctx context.Context, d Dialer, o Options) (*Client, error) {
	conn, err := d.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := newClient(conn, o)
	if err := c.start(ctx); err != nil {
		c.abort()
		return nil, err
	}
	return c, nil
}

func newClient(conn Connection, o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{opts: o, log: o.Log, conn: conn, maxEntries: maxListing}
	c.attrs = attrReader{start: time.Now(), uid: o.UID, gid: o.GID}
	c.pool = newPool(c, o.DataSessions)
	c.order.init()
	return c
}

func (c *Client) start(ctx context.Context) error {
	meta, err := c.pool.openSession(ctx)
	if err != nil {
		return err
	}
	c.pool.setMeta(meta)
	caps := meta.Caps()
	c.openSSH = isOpenSSH(c.conn.ServerVersion(), caps)
	c.attrs.links = c.openSSH
	c.handles = newHandleTable(c, handleLimit(c.opts.MaxHandles, caps.MaxHandles))
	if err := c.resolveRoot(ctx, meta); err != nil {
		return err
	}
	c.spawn(c.watch)
	c.pool.grow()
	return nil
}

// isOpenSSH goes by the SSH version, or where there is none by an extension
// that no other server has.
func isOpenSSH(version string, caps wire.Caps) bool {
	if version != "" {
		return strings.Contains(version, "OpenSSH")
	}
	return caps.Lsetstat && caps.PosixRename
}

func handleLimit(option, server int) int {
	switch {
	case option > 0:
		return option
	case server > 0:
		return max(server*4/5, 1)
	}
	return defaultMaxHandles
}

// watch ends the sessions when the connection is lost.
func (c *Client) watch() {
	select {
	case <-c.conn.Done():
	case <-c.pool.metaSession().Done():
		// Nothing works without it.
		_ = c.conn.Close()
	}
	c.pool.abort(ErrDisconnected)
}

// Done is closed when the metadata session has ended: the connection is lost,
// or the Client closed.
func (c *Client) Done() <-chan struct{} { return c.pool.metaSession().Done() }

// Info returns what is known of the server.
func (c *Client) Info() Info {
	return Info{
		ServerVersion: c.conn.ServerVersion(),
		Caps:          c.pool.metaSession().Caps(),
		Root:          c.root,
		UID:           c.attrs.uid,
		GID:           c.attrs.gid,
		OwnerKnown:    c.ownerKnown,
		Sessions:      c.pool.count(),
		Handles:       c.handles.count(),
		MaxHandles:    c.handles.max(),
	}
}

// Features implements cache.Remote.
func (c *Client) Features() cache.Features {
	caps := c.pool.metaSession().Caps()
	return cache.Features{
		MaxRead:  caps.MaxRead,
		MaxWrite: caps.MaxWrite,
		CopyData: caps.CopyData,
		Fsync:    caps.Fsync,
		Hardlink: caps.Hardlink,
		Lsetstat: caps.Lsetstat,
		Statvfs:  caps.Statvfs,
		RTT:      c.rtt.get(),
		InOrder:  c.openSSH,
		// Who owns the login directory is who logs in.
		LoginUID:   c.attrs.uid,
		LoginKnown: c.ownerKnown,
	}
}

// Ping asks the server for a sign of life.
func (c *Client) Ping(ctx context.Context) error {
	return newError("ping", "", c.conn.Ping(ctx))
}

// meta returns the metadata session.
func (c *Client) meta() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil, ErrClosed
	}
	return c.pool.metaSession(), nil
}

// spawn runs f in a goroutine that Close waits for. False: too late, the
// sessions are closed and with them all that f could tidy up.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.wg.Go(f)
	return true
}

// Close ends the Client, all on the server done and given back; see the
// package comment. It returns the first error of closing a file that was left
// open, or of ctx. Later calls do nothing.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	again := c.closing
	c.closing = true
	c.mu.Unlock()
	if again {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	err := c.handles.closeAll(ctx)
	c.pool.stop()
	if e := c.pool.drain(ctx); err == nil {
		err = e
	}
	c.abort()
	return err
}

// abort ends the connection and waits for the goroutines.
func (c *Client) abort() {
	_ = c.conn.Close()
	c.pool.abort(ErrClosed)
	c.mu.Lock()
	c.closing, c.ended = true, true
	c.mu.Unlock()
	c.wg.Wait()
}
