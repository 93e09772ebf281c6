package cache

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// Open opens regular file n. keep tells whether the pages that the kernel may
// have are still those of the file.
func (n *Node) Open(ctx context.Context, flag OpenFlag) (h *Handle, keep bool, err error) {
	if n.typ != syscall.S_IFREG {
		return nil, false, notRegular(n.typ)
	}
	t := n.tree
	r := n.roadOf()
	flag &^= OpenAppend // the kernel chooses the offsets
	if flag&OpenTruncate != 0 {
		if err := n.readyToTruncate(ctx); err != nil {
			return nil, false, err
		}
	}
	if flag&(OpenWrite|OpenTruncate) == 0 {
		t.mu.Lock()
		n.runOnLocked()
		t.mu.Unlock()
		if err := n.awaitFetch(ctx); err != nil {
			return nil, false, err
		}
	}
	if flag&(OpenWrite|OpenTruncate) == 0 && n.cachedWhole() {
		h = newHandle(n, r, flag, nil)
		t.mu.Lock()
		defer t.mu.Unlock()
		return h, n.keepLocked(), nil
	}
	f, err := n.openRemote(ctx, flag)
	if err != nil {
		return nil, false, err
	}
	h = newHandle(n, r, flag, f)
	t.mu.Lock()
	defer t.mu.Unlock()
	return h, n.keepLocked(), nil
}

// hasName reports whether l is a name of n, and not about to be another's.
func (n *Node) hasName(l link) bool {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	return n.namedLocked(l)
}

// openRenamed opens a file of which a name was changed while it was opened.
func (n *Node) openRenamed(ctx context.Context, flag OpenFlag) (File, error) {
	t := n.tree
	t.mu.Lock()
	renames, linked := t.renames, len(n.links) > 0
	t.mu.Unlock()
	t.movedSince(ctx, nil, renames) // let them be done
	if !linked || ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), errStale)
	}
	return n.openRemote(ctx, flag)
}

// readyToTruncate makes sure that the name leads to n, and that what was
// written before does not arrive after the truncation.
func (n *Node) readyToTruncate(ctx context.Context) error {
	if err := n.confirmName(ctx); err != nil {
		return err
	}
	if err := n.roadOf().flush(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// notRegular is why something that is not a regular file cannot be opened.
func notRegular(typ uint32) error {
	switch typ {
	case syscall.S_IFDIR:
		return syscall.EISDIR
	case syscall.S_IFLNK:
		return syscall.ELOOP
	}
	// The server would open its own device, and may hang on a FIFO.
	return syscall.ENXIO
}

// keepLocked tells whether the kernel may keep its pages, and notes that from
// now on it has those of this content.
func (n *Node) keepLocked() bool {
	keep := n.kernelGen == n.gen
	n.kernelGen = n.gen
	return keep
}

// cachedWhole reports whether a reader needs nothing from the server:
// attributes are young enough and all content is here.
func (n *Node) cachedWhole() bool {
	t := n.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	young := time.Since(n.validAt) <= t.opts.OpenTTL && time.Now().Before(n.expires)
	size := int64(n.attr.Size)
	return young && n.readableLocked() && len(n.links) > 0 && size > 0 && size <= t.opts.ContentBytes/4 && n.wholeLocked()
}

// readableLocked reports whether the server would surely let us read: else it
// must be asked, even for what is cached.
func (n *Node) readableLocked() bool {
	f := n.tree.remote.Features()
	if f.LoginKnown && f.LoginUID == 0 {
		return true
	}
	if f.LoginKnown && f.LoginUID == n.attr.UID {
		return n.attr.Mode&0400 != 0
	}
	return n.attr.Mode&0004 != 0
}

// openRemote opens the file on the server and takes its attributes.
func (n *Node) openRemote(ctx context.Context, flag OpenFlag) (File, error) {
	t := n.tree
	if err := n.awaitChanges(ctx); err != nil {
		return nil, err
	}
	t.mu.Lock()
	asked, l := t.seq, link{}
	if len(n.links) > 0 {
		l = n.links[0]
	}
	t.mu.Unlock()
	var f File
	var a Attr
	err := n.withPath(ctx, func(path string) (err error) {
		f, a, err = t.remote.Open(ctx, path, flag, 0)
		return err
	})
	if err == nil && !n.hasName(l) {
		// The name was given to another file meanwhile, which may be the one opened.
		if err := f.Close(t.ctx); err != nil {
			return nil, err
		}
		return n.openRenamed(ctx, flag)
	}
	switch {
	case isNoEntry(err):
		err = n.vanished(ctx, l, asked)
		if err == nil {
			err = errStale
		}
		return nil, err
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		// The name leads to something of another type by now; the refresh is to
		// let the tree know.
		if err := n.refresh(ctx); ctx.Err() != nil {
			return nil, err
		}
		return nil, errors.Join(errStale, err)
	}
	if err != nil {
		return nil, err
	}
	if err := n.takeOpened(ctx, l, a, asked, flag); err != nil {
		return nil, errors.Join(err, f.Close(t.ctx))
	}
	return f, nil
}

// awaitChanges waits for the changes of n before it is opened: they may be what
// permits it, the open may travel on another session than they do, and what it
// tells of a file with changes on their way could not be believed.
func (n *Node) awaitChanges(ctx context.Context) error {
	n.tree.mu.Lock()
	pending := n.pending > 0
	n.tree.mu.Unlock()
	if !pending {
		return nil
	}
	if err := n.roadOf().flush(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// takeOpened takes the attributes that came with an open.
func (n *Node) takeOpened(ctx context.Context, l link, a Attr, asked uint64, flag OpenFlag) error {
	t := n.tree
	if flag&OpenTruncate != 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		n.truncatedLocked(a)
		return nil
	}
	if err := n.take(ctx, l, a, asked); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.racy && n.pending == 0 {
		n.gen++
		n.racy = false
	}
	return nil
}

// truncatedLocked takes the attributes of a file that was just truncated.
func (n *Node) truncatedLocked(a Attr) {
	n.bumpLocked()
	n.gen++
	n.racy = false
	n.fillLocked(a, n.seq)
}
