package conn

import (
	"context"
	"errors"
	"sync"
	"time"

	"seamount/conn/wire"
)

const (
	// busyBytes is the load of a session at which another one is wanted.
	busyBytes = 1 << 20
	// openTimeout bounds the opening of a session in the background, and
	// retryAfter is how long to leave the server alone when that failed.
	openTimeout = 30 * time.Second
	retryAfter  = 10 * time.Second
)

// pool is the sessions of a Client.
type pool struct {
	client *Client
	max    int // data sessions; 0: as the distance needs
	// life ends the opening of sessions.
	life context.Context
	stop context.CancelFunc

	mu         sync.Mutex
	generation uint64
	meta       *session
	data       []*session
	// opening is not nil while a data session is being opened, and closed
	// when that has ended.
	opening chan struct{}
	refused bool      // the server allows no more sessions
	notTill time.Time // when to try again after a failure
}

func newPool(c *Client, limit int) *pool {
	p := &pool{client: c, max: limit}
	p.life, p.stop = context.WithCancel(context.Background())
	return p
}

// limit is how many data sessions there may be.
func (p *pool) limit() int {
	switch {
	case p.max > 0:
		return p.max
	case p.client.rtt.get() >= farRTT:
		return farDataSessions
	}
	return defaultDataSessions
}

// openSession opens a session that the pool does not know yet.
func (p *pool) openSession(ctx context.Context) (*session, error) {
	rwc, err := p.client.conn.OpenSFTP(ctx)
	if err != nil {
		return nil, err
	}
	w, err := wire.New(ctx, rwc, p.client.opts.Wire)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.generation++
	s := &session{Session: w, client: p.client, generation: p.generation}
	p.mu.Unlock()
	s.readCap.Store(int64(w.Caps().MaxRead))
	return s, nil
}

func (p *pool) setMeta(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meta = s
}

func (p *pool) metaSession() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.meta
}

// pick returns the data session with the least under way, the metadata session
// if the server allows no other. It has another session opened in the
// background when that load is high, and waits only for the first one.
func (p *pool) pick(ctx context.Context) (*session, error) {
	for {
		best, load := p.leastLoaded()
		if best != nil && load < busyBytes {
			return best, nil
		}
		opening := p.grow()
		if best != nil {
			return best, nil
		}
		if opening == nil {
			return p.metaSession(), nil
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// leastLoaded returns the live data session with the least bytes under way.
func (p *pool) leastLoaded() (best *session, load int64) {
	for _, s := range p.dataSessions() {
		if l := s.load(); best == nil || l < load {
			best, load = s, l
		}
	}
	return best, load
}

// dataSessions returns those that are alive and forgets the others.
func (p *pool) dataSessions() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	alive := make([]*session, 0, len(p.data))
	for _, s := range p.data {
		if s.alive() {
			alive = append(alive, s)
		}
	}
	p.data = alive
	return alive[:len(alive):len(alive)]
}

// grow has a data session opened unless there are enough. The result is closed
// when the opening that is under way has ended; nil if none is.
func (p *pool) grow() <-chan struct{} {
	p.mu.Lock()
	if p.opening != nil {
		defer p.mu.Unlock()
		return p.opening
	}
	if p.refused || len(p.data) >= p.limit() || time.Now().Before(p.notTill) || p.life.Err() != nil {
		p.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	p.opening = done
	p.mu.Unlock()
	if !p.client.spawn(func() { p.open(done) }) {
		p.opened(nil, ErrClosed, done)
	}
	return done
}

func (p *pool) open(done chan struct{}) {
	ctx, cancel := context.WithTimeout(p.life, openTimeout)
	defer cancel()
	s, err := p.openSession(ctx)
	if !p.opened(s, err, done) && s != nil {
		s.Abort(ErrClosed)
	}
}

// opened takes the outcome of opening a session. False: the session is not wanted any more.
func (p *pool) opened(s *session, err error, done chan struct{}) bool {
	p.mu.Lock()
	wanted := p.life.Err() == nil
	refused := errors.Is(err, ErrNoMoreSessions)
	p.opening = nil
	switch {
	case !wanted:
	case err == nil:
		p.data = append(p.data, s)
	case refused:
		p.refused = true
	default:
		p.notTill = time.Now().Add(retryAfter)
	}
	n := len(p.data)
	close(done)
	p.mu.Unlock()
	if wanted && err == nil && p.max == 0 && p.client.rtt.get() >= farRTT && n < farReady {
		p.grow() // opening one takes several round trips: not when it is needed
	}
	if wanted && err != nil {
		p.client.log.Warn("no further session", "data sessions", n, "refused by the server", refused, "err", err)
	}
	return wanted
}

// count returns the number of live sessions.
func (p *pool) count() int {
	n := len(p.dataSessions())
	if p.metaSession().alive() {
		n++
	}
	return n
}

func (p *pool) all() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := append([]*session(nil), p.data...)
	if p.meta != nil {
		all = append(all, p.meta)
	}
	return all
}

// drain has every session answer what is under way and closes it. No session
// may be opened any more.
func (p *pool) drain(ctx context.Context) error {
	sessions := p.all()
	errs := make(chan error, len(sessions))
	for _, s := range sessions {
		go func() { errs <- s.Close(ctx) }()
	}
	var first error
	for range sessions {
		if err := <-errs; err != nil && first == nil && !errors.Is(err, wire.ErrClosed) {
			first = newError("close", "", err)
		}
	}
	return first
}

// abort ends every session at once.
func (p *pool) abort(cause error) {
	p.stop()
	for _, s := range p.all() {
		s.Abort(cause)
	}
}
