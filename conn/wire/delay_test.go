package wire

import (
	"io"
	"sync"
	"time"
)

// delayed is a stream with a distance and without a limit of its throughput:
// what goes in comes out after delay, in either direction.
type delayed struct {
	stream  io.ReadWriteCloser
	delay   time.Duration
	out, in chan parcel
	current parcel // the rest of what Read is giving out
	closed  chan struct{}
	once    sync.Once
}

type parcel struct {
	due  time.Time
	data []byte
}

func newDelayed(stream io.ReadWriteCloser, delay time.Duration) *delayed {
	const parcels = 1 << 12
	d := &delayed{
		stream: stream, delay: delay,
		out: make(chan parcel, parcels), in: make(chan parcel, parcels), closed: make(chan struct{}),
	}
	go d.carryOut()
	go d.carryIn()
	return d
}

func (d *delayed) carryOut() {
	for {
		select {
		case p := <-d.out:
			time.Sleep(time.Until(p.due))
			if _, err := d.stream.Write(p.data); err != nil {
				return
			}
		case <-d.closed:
			return
		}
	}
}

func (d *delayed) carryIn() {
	defer close(d.in)
	for {
		buf := make([]byte, 64<<10)
		n, err := d.stream.Read(buf)
		if err != nil {
			return
		}
		select {
		case d.in <- parcel{time.Now().Add(d.delay), buf[:n]}:
		case <-d.closed:
			return
		}
	}
}

func (d *delayed) Write(p []byte) (int, error) {
	select {
	case d.out <- parcel{time.Now().Add(d.delay), append([]byte(nil), p...)}:
		return len(p), nil
	case <-d.closed:
		return 0, io.ErrClosedPipe
	}
}

func (d *delayed) Read(p []byte) (int, error) {
	if len(d.current.data) == 0 {
		next, ok := <-d.in
		if !ok {
			return 0, io.EOF
		}
		d.current = next
		time.Sleep(time.Until(next.due))
	}
	n := copy(p, d.current.data)
	d.current.data = d.current.data[n:]
	return n, nil
}

func (d *delayed) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.stream.Close()
}
