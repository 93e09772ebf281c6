package conn

import (
	"context"
	"io"
	"math"
	"syscall"

	"seamount/cache"
)

// leastShort is the least a server may cut READs down to and be taken at its
// word, in bytes.
const leastShort = 4 << 10

// span is a part of a buffer, from included, to excluded.
type span struct {
	from, to int
	// short is what the READ brought of which this is the rest; 0: none.
	short int
}

// reading is one ReadAt.
type reading struct {
	file    *file
	handles []*handle
	p       []byte
	off     int64
	// end is where in p the file ends, as far as is known.
	end int
	// failedAt is where the first error came from; len(p) if none did.
	failedAt int
	err      error
}

// ReadAt implements cache.File. With an error, the bytes before it count.
func (f *file) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, errnoError("read", f.name(), syscall.EINVAL)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.room.enter(ctx, int64(len(p))); err != nil {
		return 0, f.error("read", err)
	}
	defer f.room.leave(int64(len(p)))
	handles, err := f.client.handles.acquire(ctx, f)
	if err != nil {
		return 0, f.error("read", err)
	}
	defer f.client.handles.release(f)
	f.considerStripe(handles, len(p))
	r := &reading{file: f, handles: handles, p: p, off: off, end: len(p), failedAt: len(p)}
	r.run(ctx)
	switch n := min(r.end, r.failedAt); {
	case r.err != nil && r.failedAt < r.end:
		return n, f.explain(ctx, handles[0], ioOp{name: "read", reads: true}, r.err)
	case n < len(p):
		return n, io.EOF
	}
	return len(p), nil
}

// run asks for all of p, then for what short replies left out, until it is
// there, the file has ended or a READ has failed.
func (r *reading) run(ctx context.Context) {
	for todo := r.split(); len(todo) > 0; {
		todo = r.round(ctx, todo)
	}
}

// split parts p where the file is thought to end: so the READ that brings the
// last bytes and the one that brings the EOF after them share a round trip.
func (r *reading) split() []span {
	size := r.file.client.handles.knownSize(r.file)
	if r.off < math.MaxInt64 && size > uint64(r.off) && size-uint64(r.off) < uint64(len(r.p)) {
		at := int(size - uint64(r.off))
		return []span{{to: at}, {from: at, to: len(r.p)}}
	}
	return []span{{to: len(r.p)}}
}

// readPiece is a READ under way.
type readPiece struct {
	pending[int]
	span
}

// round issues READs for spans, waits for all, and returns what is left to do.
func (r *reading) round(ctx context.Context, spans []span) []span {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pieces []readPiece
	for _, s := range spans {
		pieces = r.issue(ctx, pieces, s)
	}
	var rest []span
	for _, piece := range pieces {
		n, err := piece.wait(ctx)
		switch {
		case err == io.EOF:
			r.end = min(r.end, piece.from)
		case err != nil:
			// What is still under way must let go of p.
			cancel()
			if r.err == nil || piece.from < r.failedAt {
				r.err, r.failedAt = err, piece.from
			}
		case piece.from+n < piece.to:
			rest = append(rest, span{piece.from + n, piece.to, n})
		}
		if err == nil && piece.short >= leastShort {
			piece.session.sawShort(int64(piece.short))
		}
	}
	return r.before(rest)
}

// issue splits a span into READs.
func (r *reading) issue(ctx context.Context, pieces []readPiece, s span) []readPiece {
	for s.from < s.to {
		h := leastLoaded(r.handles)
		to := min(s.to, s.from+int(h.session.readCap.Load()))
		call := h.session.Read(ctx, h.id, uint64(r.off)+uint64(s.from), r.p[s.from:to])
		pieces = append(pieces, readPiece{
			pending: track(ctx, h.session, "READ", r.file.tracedName(ctx), call),
			span:    span{s.from, to, s.short},
		})
		s.from = to
	}
	return pieces
}

// before leaves out the spans behind the end of the file or an error.
func (r *reading) before(spans []span) []span {
	var keep []span
	for _, s := range spans {
		if s.from < r.end && s.from < r.failedAt {
			keep = append(keep, s)
		}
	}
	return keep
}

// WriteAt implements cache.File. With an error, n counts the bytes before the
// first WRITE that failed; later ones may have been written.
func (f *file) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	return f.StartWriteAt(ctx, p, off).Wait(ctx)
}

// writing is a WriteAt under way: a cache.PendingWrite. Its file is in use
// until Wait.
type writing struct {
	file    *file
	handles []*handle // nil: nothing was sent, for err
	pieces  []writePiece
	off     int64
	size    int
	err     error
}

// writePiece is a WRITE under way and where it begins in the buffer.
type writePiece struct {
	pending[struct{}]
	from int
}

// StartWriteAt implements cache.File.
func (f *file) StartWriteAt(ctx context.Context, p []byte, off int64) cache.PendingWrite {
	w := &writing{file: f, off: off, size: len(p)}
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		w.err = errnoError("write", f.name(), syscall.EINVAL)
		return w
	}
	if err := f.room.enter(ctx, int64(len(p))); err != nil {
		w.err = f.error("write", err)
		return w
	}
	handles, err := f.client.handles.acquire(ctx, f)
	if err != nil {
		f.room.leave(int64(len(p)))
		w.err = f.error("write", err)
		return w
	}
	w.handles = handles
	f.client.handles.changing(f.name())
	f.considerStripe(handles, len(p))
	for from := 0; from < len(p); {
		h := leastLoaded(handles)
		to := min(len(p), from+h.session.Caps().MaxWrite)
		call := h.session.Write(ctx, h.id, uint64(off)+uint64(from), p[from:to])
		w.pieces = append(w.pieces, writePiece{track(ctx, h.session, "WRITE", f.tracedName(ctx), call), from})
		from = to
	}
	return w
}

// Wait implements cache.PendingWrite: after an error, too, no WRITE is under
// way any more unless ctx has ended. It is called once.
func (w *writing) Wait(ctx context.Context) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	f := w.file
	defer f.room.leave(int64(w.size))
	defer f.client.handles.release(f)
	n, err := w.size, error(nil)
	for _, piece := range w.pieces {
		if _, e := piece.wait(ctx); e != nil && err == nil {
			n, err = piece.from, e
		}
	}
	f.client.handles.grown(f, uint64(w.off)+uint64(n))
	if err != nil {
		op := ioOp{name: "write", size: uint64(w.size), end: uint64(w.off) + uint64(w.size)}
		return n, f.explain(ctx, w.handles[0], op, err)
	}
	return n, nil
}

// leastLoaded returns the handle whose session has the least under way.
func leastLoaded(handles []*handle) *handle {
	best := handles[0]
	if len(handles) == 1 {
		return best
	}
	least := best.session.load()
	for _, h := range handles[1:] {
		if l := h.session.load(); l < least {
			best, least = h, l
		}
	}
	return best
}

// tracedName is the path if anybody wants to know it.
func (f *file) tracedName(ctx context.Context) string {
	if cache.TraceFrom(ctx) == nil {
		return ""
	}
	return f.name()
}
