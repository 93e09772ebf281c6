package serve

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// linkChunk is the most a Link carries as one piece, in bytes.
	linkChunk = 32 << 10
	// linkQueue is how many pieces one direction holds; it bounds the memory
	// of a Link and is far more than the windows of SSH leave unread.
	linkQueue = 1024
)

// Link is a stretch of network between two ends: it carries bytes unchanged
// and in order, later and no faster than a real line would. It uses package
// time only, so it runs in virtual time under testing/synctest when its ends
// do (net.Pipe).
type Link struct {
	// Delay is how long a byte is under way, in each direction; a round trip
	// takes twice as long.
	Delay time.Duration
	// Rate is what each direction carries, in bytes per second; 0 means no limit.
	Rate int64
}

// Join carries bytes between a and b until both directions have ended or one
// has failed, closes both, and returns when none of its goroutines is left.
// The end of a direction travels as the bytes do, and reaches the other side
// as CloseWrite if it has that method, else as Close.
func (l Link) Join(a, b io.ReadWriteCloser) {
	var wg sync.WaitGroup
	closeBoth := sync.OnceFunc(func() { a.Close(); b.Close() })
	carry := func(dst, src io.ReadWriteCloser) {
		if err := l.carry(dst, src); err != nil {
			closeBoth()
		}
	}
	wg.Go(func() { carry(a, b) })
	wg.Go(func() { carry(b, a) })
	wg.Wait()
	closeBoth()
}

// piece is what arrives at due; nil data is the end.
type piece struct {
	data []byte
	due  time.Time
}

// carry is one direction of Join.
func (l Link) carry(dst, src io.ReadWriteCloser) error {
	queue := make(chan piece, linkQueue)
	gone := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.depart(queue, src, gone) })

	defer close(gone)
	for p := range queue {
		time.Sleep(time.Until(p.due))
		if p.data == nil {
			return closeWrite(dst)
		}
		if _, err := dst.Write(p.data); err != nil {
			src.Close() // wakes depart
			return err
		}
	}
	return io.ErrUnexpectedEOF // not reached: the queue ends with an empty piece
}

// depart reads src and queues what it reads with the time of its arrival.
func (l Link) depart(queue chan<- piece, src io.Reader, gone <-chan struct{}) {
	var free time.Time // when the line is free for the next byte
	buf := make([]byte, linkChunk)
	for {
		n, err := src.Read(buf)
		if now := time.Now(); free.Before(now) {
			free = now
		}
		if l.Rate > 0 {
			free = free.Add(time.Duration(int64(n) * int64(time.Second) / l.Rate))
		}
		if n > 0 && !send(queue, piece{bytes.Clone(buf[:n]), free.Add(l.Delay)}, gone) {
			return
		}
		if err != nil {
			send(queue, piece{nil, free.Add(l.Delay)}, gone)
			return
		}
	}
}

func send(queue chan<- piece, p piece, gone <-chan struct{}) bool {
	select {
	case queue <- p:
		return true
	case <-gone:
		return false
	}
}

func closeWrite(c io.Closer) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}

// Proxy accepts connections and joins each over a Link with a new one to
// Target. It is safe for concurrent use.
type Proxy struct {
	link    Link
	target  string
	tracker tracker // listeners and connections
}

// NewProxy makes a Proxy to the TCP address target that waits for Serve.
func NewProxy(target string, l Link) *Proxy {
	return &Proxy{link: l, target: target}
}

// Serve accepts connections on l until l fails, or with ErrClosed until the
// Proxy is closed. It closes l.
func (p *Proxy) Serve(l net.Listener) error {
	return serveListener(&p.tracker, l, p.carry)
}

func (p *Proxy) carry(c net.Conn) {
	t, err := net.Dial("tcp", p.target)
	if err != nil {
		return // the client sees its connection close, as with a dead server
	}
	if !p.tracker.add(t) {
		return
	}
	defer p.tracker.remove(t)
	p.link.Join(c, t)
}

// Close ends all connections and returns when nothing of the Proxy runs any more.
func (p *Proxy) Close() error {
	p.tracker.close()
	return nil
}
