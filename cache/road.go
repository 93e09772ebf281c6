package cache

import (
	"context"
	"slices"
	"sync"
	"time"
)

// road is the way of a node's changes to the server, and what is known of
// its content where it is a file. See the package comment.
type road struct {
	node *Node
	tree *Tree

	mu sync.Mutex
	// All fields below are guarded by mu.

	// queue has the changes that are not started, in order; active those that
	// have no answer yet.
	queue  []*change
	active []*change
	// flushing counts who waits: then nothing is held back to grow.
	flushing int
	// errSeq counts the errors that nobody waited for; err is the latest.
	errSeq uint64
	err    error
	// syncSeq is the errSeq that Sync has told, or a handle.
	syncSeq uint64
	// answer is the latest change if its answer told the attributes after it.
	answer *change
	// fetching are the blocks being read from the server.
	fetching map[int64]*fetch
}

// change is one change of a node on its way.
type change struct {
	op  string // for the log
	seq uint64 // Tree.seq after it
	gen uint64 // content that it belongs to

	// A write of data at off through handle.
	handle *Handle
	off    int64
	data   []byte

	// Any other change: by an open file or another call that returns with the
	// answer (run), or by path (send), which is sent when sent is closed; or by
	// the handle of the writes before it (after), which like send need not wait
	// for their answers.
	run   func(ctx context.Context) (Attr, error)
	send  func(ctx context.Context) Pending
	sent  chan struct{}
	after func(ctx context.Context) Pending
	// underWay: a write, send or after has been sent.
	underWay bool

	// beside: writes need not wait for its answer, nor it be before or after them.
	beside bool
	// waited: the caller waits for done and hears err, so nobody else must.
	waited bool
	done   chan struct{}
	err    error
	attr   Attr // after the change, unless it is a write
}

func (c *change) isWrite() bool { return c.data != nil }
func (c *change) end() int64    { return c.off + int64(len(c.data)) }

func (c *change) overlaps(off, end int64) bool { return c.off < end && off < c.end() }

// roadOf returns the node's road, made when missing.
func (n *Node) roadOf() *road {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	if n.road == nil {
		n.road = &road{node: n, tree: n.tree, fetching: make(map[int64]*fetch)}
	}
	return n.road
}

// addLocked puts a change on the road. apply does it to the tree.
func (r *road) addLocked(c *change, apply func()) {
	c.done = make(chan struct{})
	if c.send != nil {
		c.sent = make(chan struct{})
	}
	t, n := r.tree, r.node
	t.mu.Lock()
	n.bumpLocked()
	c.seq, c.gen = n.seq, n.gen
	n.pending++
	t.roads[r] = struct{}{}
	if c.send != nil {
		t.unsent[c] = n
	}
	apply()
	t.mu.Unlock()
	r.queue = append(r.queue, c)
}

// pumpLocked starts what can be started.
func (r *road) pumpLocked() {
	for len(r.queue) > 0 && r.readyLocked(r.queue[0]) {
		c := r.queue[0]
		r.queue[0] = nil
		r.queue = r.queue[1:]
		r.active = append(r.active, c)
		r.tree.background(func() { r.execute(c) })
	}
}

// readyLocked reports whether c, the first of the queue, can be sent. A write
// waits for what it overlaps, and while others are on their way also for
// more to go with it. A change by path only waits until those by path before
// it are sent: the server executes them in that order, so that the answer of
// the last tells what all of them left.
func (r *road) readyLocked(c *change) bool {
	if !c.isWrite() {
		for _, a := range r.active {
			byPath := c.send != nil && a.send != nil
			byHandle := c.after != nil && a.handle == c.handle
			if !a.underWay || !byPath && !byHandle {
				return false
			}
		}
		return true
	}
	for _, a := range r.active {
		if !a.isWrite() && !a.beside || a.isWrite() && a.overlaps(c.off, c.end()) {
			return false
		}
	}
	full := c.end()%BlockSize == 0
	return full || r.flushing > 0 || len(r.queue) > 1 || len(r.active) == 0 || c.waited
}

// execute sends a change and takes its answer.
func (r *road) execute(c *change) {
	ctx := r.tree.ctx
	switch {
	case c.isWrite():
		c.err = r.write(ctx, c)
	case c.send != nil:
		c.attr, c.err = r.sendByPath(ctx, c)
	case c.after != nil:
		c.attr, c.err = r.setAfter(ctx, c)
	default:
		c.attr, c.err = c.run(ctx)
	}
	r.finish(c)
}

// write sends a write, and lets what need not wait for its answer go.
func (r *road) write(ctx context.Context, c *change) error {
	f, err := c.handle.lazyOpen(ctx)
	if err != nil {
		return err
	}
	p := f.StartWriteAt(ctx, c.data, c.off)
	r.goneAhead(c)
	_, err = p.Wait(ctx)
	return err
}

// goneAhead notes that a change has been sent.
func (r *road) goneAhead(c *change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.underWay = true
	r.pumpLocked()
}

// setAfter sends a change of attributes behind the writes before it; where
// their order is not certain, it waits for them.
func (r *road) setAfter(ctx context.Context, c *change) (Attr, error) {
	if p := c.after(ctx); p != nil {
		r.goneAhead(c)
		return p.Wait(ctx)
	}
	r.mu.Lock()
	var before []*change
	for _, a := range r.active {
		if a == c {
			break
		}
		before = append(before, a)
	}
	err := r.awaitLocked(ctx, before)
	r.mu.Unlock()
	if err != nil {
		return Attr{}, err
	}
	return c.run(ctx)
}

// sendByPath sends a change by path, and again by another when a directory on
// the way was renamed meanwhile.
func (r *road) sendByPath(ctx context.Context, c *change) (Attr, error) {
	t := r.tree
	for first := true; ; first = false {
		if err := t.enter(ctx); err != nil {
			if first {
				r.sent(c)
			}
			return Attr{}, err
		}
		t.mu.Lock()
		renames := t.renames
		t.mu.Unlock()
		p := c.send(ctx)
		t.leave()
		if first {
			r.sent(c)
		}
		a, err := p.Wait(ctx)
		if !isNoEntry(err) || !t.movedSince(ctx, nil, renames) {
			return a, err
		}
	}
}

// sent notes that a change by path has been sent, and lets the next one go.
func (r *road) sent(c *change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tree.mu.Lock()
	delete(r.tree.unsent, c)
	r.tree.mu.Unlock()
	close(c.sent)
	c.underWay = true
	r.pumpLocked()
}

// finish takes the answer of a change into the tree.
func (r *road) finish(c *change) {
	t, n := r.tree, r.node
	r.mu.Lock()
	r.active = slices.DeleteFunc(r.active, func(a *change) bool { return a == c })
	if c.err != nil && !c.waited {
		r.errSeq++
		r.err = c.err
	}
	t.mu.Lock()
	if c.err != nil && !c.waited {
		n.failed = true
		t.failed[r] = struct{}{}
	}
	n.pending--
	n.answeredAt = time.Now()
	if c.err == nil && c.attr.Mode != 0 && c.seq == n.changed {
		r.answer = c
	}
	if n.pending == 0 {
		delete(t.roads, r)
		n.settleLocked(r.answer)
		r.answer = nil
	}
	// What was asked before this answer may have been told before the change.
	t.seq++
	n.seq = t.seq
	if c.isWrite() || c.op == opTruncate {
		n.sizeSeq = n.seq
	}
	if c.err != nil {
		// What the tree shows is not what the server has.
		n.expireLocked()
		n.gen++
		n.guess = false
		t.invalidateLocked(n)
	}
	path, _ := n.pathLocked()
	n.dropLocked()
	t.mu.Unlock()
	if c.isWrite() {
		t.dirty.Release(int64(len(c.data)))
	}
	if c.after != nil {
		c.handle.settling.Done()
	}
	close(c.done)
	r.pumpLocked()
	r.mu.Unlock()
	if c.err != nil && !c.waited {
		t.opts.Log(c.op, path, c.err)
	}
}

// settleLocked is called when all changes have their answers: what is shown
// from now on must be the server's. c is the change whose answer tells it, or
// nil.
func (n *Node) settleLocked(c *change) {
	if c == nil || c.seq != n.changed {
		n.expireLocked()
		return
	}
	if c.op == opStat {
		n.takeOwnLocked(c.attr, n.seq)
		return
	}
	n.fillOwnLocked(c.attr, n.seq, true)
}

// pendingLocked returns the changes that have no answer.
func (r *road) pendingLocked() []*change {
	all := make([]*change, 0, len(r.active)+len(r.queue))
	return append(append(all, r.active...), r.queue...)
}

// unheard returns an error that was told neither to a handle nor by Sync.
// The next handle of the file hears it all the same.
func (r *road) unheard() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.syncSeq == r.errSeq {
		return nil
	}
	r.syncSeq = r.errSeq
	return r.err
}

// toldLocked notes that a handle is told the road's error.
func (r *road) toldLocked() {
	r.syncSeq = r.errSeq
	t, n := r.tree, r.node
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, r)
	if n.failed {
		n.failed = false
		n.dropLocked()
	}
}

// flush waits until every change made so far has its answer.
func (r *road) flush(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.errSeq
	if err := r.awaitLocked(ctx, r.pendingLocked()); err != nil {
		return err
	}
	if r.errSeq != before {
		return r.err
	}
	return nil
}

// awaitLocked waits for changes. It releases the lock while it waits.
func (r *road) awaitLocked(ctx context.Context, changes []*change) error {
	if len(changes) == 0 {
		return nil
	}
	r.flushing++
	r.pumpLocked()
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.flushing--
	}()
	for _, c := range changes {
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// awaitSent waits until the changes by path that concern n, or what lies
// below it, are sent: the path is about to change its meaning.
func (t *Tree) awaitSent(ctx context.Context, nodes ...*Node) error {
	for {
		t.mu.Lock()
		var r *road
		var c *change
		for u, m := range t.unsent {
			for _, n := range nodes {
				if n != nil && m.belowLocked(n) {
					r, c = m.road, u
				}
			}
		}
		t.mu.Unlock()
		if c == nil {
			return nil
		}
		r.mu.Lock()
		r.flushing++
		r.pumpLocked()
		r.mu.Unlock()
		var err error
		select {
		case <-c.sent:
		case <-ctx.Done():
			err = ctx.Err()
		}
		r.mu.Lock()
		r.flushing--
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
}
