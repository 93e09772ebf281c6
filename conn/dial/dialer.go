package dial

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"seamount/conn"
)

// retryPause is between connection attempts, as in ssh.
const retryPause = time.Second

// Dialer makes connections to the server of one Config. It is safe for
// concurrent use.
type Dialer struct {
	hops []*hop // the jump hosts in the order of the way, then the target
	log  *slog.Logger
	note sync.Once

	mu  sync.Mutex
	way sftpWay // how an SFTP server was started last, for the next channel
}

var _ conn.Dialer = (*Dialer)(nil)

// NewDialer returns a Dialer that asks p what it must and tells log what cannot
// be honoured. A nil p asks nothing, a nil log drops everything.
func NewDialer(cfg *Config, p Prompter, log *slog.Logger) *Dialer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Dialer{log: log}
	ask := newAsker(p)
	for c := cfg; c != nil; c = c.Via {
		h := &hop{cfg: c, prompt: ask, log: log.With("host", c.Alias)}
		d.hops = append([]*hop{h}, d.hops...)
	}
	return d
}

// Dial returns one authenticated connection. Each step is bounded by its host's
// ConnectTimeout, and all by ctx. The errors are the types of this package,
// each with a Hint, and ctx.Err.
func (d *Dialer) Dial(ctx context.Context) (conn.Connection, error) {
	d.note.Do(d.tellNotes)
	target := d.hops[len(d.hops)-1].cfg
	for attempt := 1; ; attempt++ {
		c, err := d.dialOnce(ctx)
		if err == nil {
			return c, nil
		}
		if attempt >= target.ConnectionAttempts || !worthRetry(err) {
			return nil, err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func worthRetry(err error) bool {
	var c *ConnectError
	var t *TimeoutError
	return errors.As(err, &c) || errors.As(err, &t)
}

func (d *Dialer) tellNotes() {
	for _, h := range d.hops {
		for _, n := range h.cfg.Notes {
			h.log.Warn(n)
		}
	}
}

// dialOnce goes from hop to hop.
func (d *Dialer) dialOnce(ctx context.Context) (conn.Connection, error) {
	c := &connection{dialer: d, done: make(chan struct{})}
	for _, h := range d.hops {
		if err := c.extend(ctx, h); err != nil {
			c.abort()
			return nil, err
		}
	}
	c.serve()
	return c, nil
}

// extend makes the connection reach one host further.
func (c *connection) extend(ctx context.Context, h *hop) error {
	nc, err := c.transport(ctx, h.cfg)
	if err != nil {
		return err
	}
	client, err := h.handshake(ctx, nc, c.closeBelow)
	if err != nil {
		nc.Close()
		return c.blame(ctx, err)
	}
	c.clients = append(c.clients, client)
	return nil
}

// blame returns err, or what a ProxyCommand said if that is behind it.
func (c *connection) blame(ctx context.Context, err error) error {
	var handshake *HandshakeError
	if p, ok := c.below.(*command); ok && ctx.Err() == nil && errors.As(err, &handshake) {
		p.Close()
		if why := p.failure(); why != nil {
			return why
		}
	}
	return err
}

// transport returns the byte stream to the server of cfg: through the host
// reached so far, a ProxyCommand, or TCP.
func (c *connection) transport(ctx context.Context, cfg *Config) (net.Conn, error) {
	if n := len(c.clients); n > 0 {
		return dialThrough(ctx, c.clients[n-1], cfg)
	}
	if cfg.ProxyCommand != "" {
		p, err := startCommand(cfg.ProxyCommand)
		if err != nil {
			return nil, err
		}
		c.below = p
		return p, nil
	}
	nc, err := dialTCP(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c.below = nc
	return newBufferedConn(nc), nil
}

// handshake speaks SSH over nc and logs in. closeBelow closes what carries nc.
func (h *hop) handshake(ctx context.Context, nc net.Conn, closeBelow func()) (*ssh.Client, error) {
	g := newGuard(ctx, h.cfg.Alias, h.cfg.ConnectTimeout, closeBelow)
	a := &attempt{ctx: ctx, hop: h, guard: g}
	defer a.close()
	keys, err := h.newHostKeys(ctx, a.confirm)
	if err != nil {
		return nil, errors.Join(g.end(), err)
	}
	a.keys = keys
	g.begin("the SSH handshake")
	c, channels, requests, err := ssh.NewClientConn(nc, h.cfg.address(), a.clientConfig())
	if over := g.end(); over != nil {
		if err == nil {
			c.Close()
		}
		return nil, over
	}
	if err != nil {
		return nil, a.explain(err)
	}
	if a.sent != "" {
		h.remember(a.sent)
	}
	return ssh.NewClient(c, channels, requests), nil
}

func (a *attempt) clientConfig() *ssh.ClientConfig {
	cfg := a.hop.cfg
	cc := &ssh.ClientConfig{
		User:              cfg.User,
		Auth:              a.methods(),
		AuthCallback:      a.observe,
		HostKeyCallback:   a.keys.check,
		HostKeyAlgorithms: a.keys.algorithms(),
		BannerCallback:    a.banner,
		ClientVersion:     "SSH-2.0-seamount",
	}
	cc.KeyExchanges, cc.MACs, cc.Ciphers = cfg.KexAlgorithms, cfg.MACs, cfg.Ciphers
	if cc.Ciphers == nil {
		cc.Ciphers = algorithmKinds()[0].preferred
	}
	return cc
}

func (a *attempt) banner(text string) error {
	a.hop.log.Info("the server says", "text", oneLine(text))
	return nil
}

// explain gives an error of x/crypto/ssh its type.
func (a *attempt) explain(err error) error {
	var hostKey *HostKeyError
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &hostKey):
		return hostKey
	case errors.As(err, &negotiation):
		return newAlgorithmError(a.hop.cfg.Alias, negotiation)
	case a.reached:
		return a.failure(err)
	}
	return &HandshakeError{Host: a.hop.cfg.address(), Err: err}
}

// closeBelow closes what carries everything: the TCP connection or the process
// of a ProxyCommand. It never blocks on the peer.
func (c *connection) closeBelow() {
	if c.below != nil {
		c.below.Close()
	}
}

// abort ends a connection that was not finished.
func (c *connection) abort() {
	c.closeBelow()
	for _, client := range c.clients {
		client.Close()
		client.Wait()
	}
}

var _ io.Closer = (*connection)(nil)
