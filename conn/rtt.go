package conn

import (
	"sync"
	"time"
)

// rttWindow is how long a measurement counts, at most twice as long.
const rttWindow = 30 * time.Second

// rtt is the shortest answer to a small request seen lately, which is close
// to the round trip time whatever else is under way.
type rtt struct {
	mu        sync.Mutex
	begun     time.Time
	now, last time.Duration // shortest in this window and the one before; 0: none
}

func (r *rtt) observe(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.begun) > rttWindow {
		r.begun, r.last, r.now = now, r.now, 0
	}
	if r.now == 0 || d < r.now {
		r.now = d
	}
}

func (r *rtt) get() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == 0 || r.last != 0 && r.last < r.now {
		return r.last
	}
	return r.now
}
