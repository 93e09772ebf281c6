package cache

import (
	"context"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"
)

const (
	// smallFile is the size up to which a file is fetched whole ahead.
	smallFile = 2 * BlockSize
	// maxRun bounds how many files are fetched ahead of a reader.
	maxRun = 256
)

// run is a program reading the files of a directory in turn: by name, as most
// do, or by inode number, as cp does. Guarded by Tree.mu.
type run struct {
	at           time.Time
	last         dirEntry
	files        int
	byName, byNo bool
	// window is how many files are fetched ahead.
	window int
}

// runOnLocked notes that a program opens n to read it. From the second file in
// turn on, those that come next are fetched ahead: twice as many with every
// open, so that a wrong guess costs little.
func (n *Node) runOnLocked() {
	t := n.tree
	p := n.parentLocked()
	if t.opts.NoPrefetch || p == nil || p.dir == nil {
		return
	}
	now := time.Now()
	t.sweepLocked(now)
	n.usedLocked()
	d, r := p.dir, &p.dir.run
	e := dirEntry{n.links[0].name, n.ino, n.typ}
	if now.Sub(r.at) > t.together() {
		*r = run{}
	}
	if r.files > 0 && e.name == r.last.name {
		return
	}
	r.byName = r.files == 0 || r.byName && e.name > r.last.name
	r.byNo = r.files == 0 || r.byNo && e.ino > r.last.ino
	r.at, r.last = now, e
	r.files++
	if !r.byName && !r.byNo {
		*r = run{at: now, last: e, files: 1, byName: true, byNo: true, window: r.window / 2}
		return
	}
	if r.files < 2 || len(d.names) > aheadEntries {
		return
	}
	t.ahead.reading = now
	if !d.validLocked() || now.Sub(d.listedAt) > t.opts.OpenTTL/2 {
		// One listing tells of all the files to come whether they changed.
		d.startListingLocked()
	}
	r.window = min(max(4, 2*r.window), maxRun)
	t.readAheadLocked(d, d.nextLocked(e, r.byName, r.window))
}

// nextLocked returns up to count entries that come after e.
func (d *directory) nextLocked(e dirEntry, byName bool, count int) []dirEntry {
	all := d.sortedLocked()
	if byName {
		i := sort.Search(len(all), func(i int) bool { return strings.Compare(all[i].name, e.name) > 0 })
		return all[i:min(i+count, len(all))]
	}
	if d.numbered == nil {
		d.numbered = slices.SortedFunc(slices.Values(all), func(a, b dirEntry) int {
			if a.ino < b.ino {
				return -1
			}
			return 1
		})
	}
	all = d.numbered
	i := sort.Search(len(all), func(i int) bool { return all[i].ino > e.ino })
	return all[i:min(i+count, len(all))]
}

// readAllAheadLocked fetches the files of a directory that a reader of files
// will come to.
func (t *Tree) readAllAheadLocked(d *directory) {
	if len(d.names) <= aheadEntries {
		all := d.sortedLocked()
		t.readAheadLocked(d, all[:min(len(all), maxRun)])
	}
}

// readAheadLocked fetches the small ones of these files.
func (t *Tree) readAheadLocked(d *directory, entries []dirEntry) {
	for _, e := range entries {
		ent := d.names[e.name]
		if e.typ != syscall.S_IFREG || ent == nil {
			continue
		}
		n := d.nodeLocked(e.name, ent)
		size := int64(n.attr.Size)
		if size == 0 || size > smallFile || n.ahead || n.fetching != nil || n.pending > 0 ||
			len(n.handles) > 0 || n.wholeLocked() {
			n.dropLocked()
			continue
		}
		if t.ahead.bytes+size > aheadBytes || !t.ahead.files.TryAcquire(1) {
			n.dropLocked()
			return
		}
		t.fetchedLocked(n, size)
		n.fetching = t.start(func(ctx context.Context) error {
			defer t.ahead.files.Release(1)
			err := n.fetchWhole(ctx)
			t.mu.Lock()
			defer t.mu.Unlock()
			n.fetching = nil
			n.dropLocked()
			return err
		})
	}
}

// wholeLocked reports whether all content of n is cached.
func (n *Node) wholeLocked() bool {
	size := int64(n.attr.Size)
	for idx := range (size + BlockSize - 1) / BlockSize {
		if !n.tree.blocks.contains(blockKey{n, n.gen, idx}) {
			return false
		}
	}
	return true
}

// fetchWhole opens n, reads it into the cache and closes it.
func (n *Node) fetchWhole(ctx context.Context) error {
	f, err := n.openRemote(ctx, OpenRead)
	if err != nil {
		return err
	}
	h := newHandle(n, n.roadOf(), OpenRead, f)
	defer h.Release()
	if h.Size() == 0 {
		return nil
	}
	last := (h.Size() - 1) / BlockSize
	h.prefetch(0, last)
	for idx := int64(0); idx <= last; idx++ {
		if _, err := h.block(ctx, idx); err != nil {
			return err
		}
	}
	return nil
}

// awaitFetch waits for n being fetched ahead, or for a listing of a run that
// is about to confirm what is cached of it.
func (n *Node) awaitFetch(ctx context.Context) error {
	t := n.tree
	t.mu.Lock()
	f := n.fetching
	if p := n.parentLocked(); f == nil && p != nil && p.dir != nil && p.dir.run.files > 2 &&
		p.dir.listing != nil && n.wholeLocked() && time.Since(n.validAt) > t.opts.OpenTTL {
		f = p.dir.listing.flight
	}
	t.mu.Unlock()
	if f == nil {
		return nil
	}
	if err := f.wait(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}
