package cache

import (
	"context"
	"errors"
	"syscall"
)

// made adds the node of a name that was just made on the server.
func (n *Node) made(name string, a Attr) (*Node, Stat) {
	t := n.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	child := n.directoryLocked().addLocked(name, a)
	if child.typ == syscall.S_IFDIR {
		// It is new, so it is empty: nothing need be asked about it.
		d := child.directoryLocked()
		d.complete, d.listedAt, d.expires = true, child.validAt, child.expires
	}
	return child, child.statLocked()
}

// make asks the server to make a name and adds it.
func (n *Node) make(ctx context.Context, name string, ask func(path string) (Attr, error)) (*Node, Stat, error) {
	if len(name) > nameMax {
		return nil, Stat{}, syscall.ENAMETOOLONG
	}
	var a Attr
	err := n.withChild(ctx, name, func(path string) (err error) {
		a, err = ask(path)
		return err
	})
	if err != nil {
		n.doubt(name, err)
		return nil, Stat{}, err
	}
	child, s := n.made(name, a)
	return child, s, nil
}

// doubt forgets what is known of a name when the server's error contradicts it
// or its state is unknown.
func (n *Node) doubt(name string, err error) {
	t := n.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	d := n.directoryLocked()
	e := d.names[name]
	if e == nil {
		// It may be there after all: the listing is not complete.
		d.complete = false
		return
	}
	if isNoEntry(err) || errors.Is(err, syscall.EEXIST) || unanswered(err) {
		d.complete = false
		e.validAt = e.validAt.Add(-t.opts.AttrTTLMax)
		if e.node != nil {
			e.node.expireLocked()
		}
	}
}

// unanswered reports whether err leaves open what the server did.
func unanswered(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOTCONN)
}

// Mkdir makes a directory with the permission bits of mode.
func (n *Node) Mkdir(ctx context.Context, name string, mode uint32) (*Node, Stat, error) {
	return n.make(ctx, name, func(path string) (Attr, error) { return n.tree.remote.Mkdir(ctx, path, mode) })
}

// Symlink makes a symbolic link to target.
func (n *Node) Symlink(ctx context.Context, name, target string) (*Node, Stat, error) {
	return n.make(ctx, name, func(path string) (Attr, error) { return n.tree.remote.Symlink(ctx, target, path) })
}

// Link makes name in n another name of target, which stays the same node.
func (n *Node) Link(ctx context.Context, name string, target *Node) (Stat, error) {
	if len(name) > nameMax {
		return Stat{}, syscall.ENAMETOOLONG
	}
	t := n.tree
	if err := t.awaitSent(ctx, target); err != nil {
		return Stat{}, err
	}
	t.mu.Lock()
	before := max(target.attr.Nlink, uint32(len(target.links)))
	t.mu.Unlock()
	var a Attr
	err := t.request(ctx, nil, func(p []string) (err error) {
		a, err = t.remote.Link(ctx, p[0], p[1])
		return err
	}, place{target, ""}, place{n, name})
	if err != nil {
		n.doubt(name, err)
		return Stat{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d, l := n.directoryLocked(), link{n, name}
	d.removeLocked(l)
	target.attr.Nlink = before + 1
	if a.Nlink > 0 {
		target.attr.Nlink = a.Nlink
	}
	target.links = append(target.links, l)
	d.linkLocked(l, target)
	d.changedLocked(name)
	target.bumpLocked() // an older answer has an older link count
	return target.statLocked(), nil
}

// child returns the node of a name as far as it is known, or nil.
func (n *Node) child(name string) *Node {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	if n.dir != nil {
		if e := n.dir.names[name]; e != nil {
			return e.node
		}
	}
	return nil
}

// Remove removes a name that is not a directory. Who has the file open keeps it.
func (n *Node) Remove(ctx context.Context, name string) error {
	return n.remove(ctx, name, n.tree.remote.Remove)
}

// Rmdir removes an empty directory.
func (n *Node) Rmdir(ctx context.Context, name string) error {
	return n.remove(ctx, name, n.tree.remote.Rmdir)
}

func (n *Node) remove(ctx context.Context, name string, ask func(ctx context.Context, path string) error) error {
	t := n.tree
	child := n.child(name)
	if err := child.openBeforeRemoval(ctx); err != nil {
		return err
	}
	if err := t.awaitSent(ctx, child); err != nil {
		return err
	}
	err := n.withChild(ctx, name, func(path string) error { return ask(ctx, path) })
	if err != nil {
		n.doubt(name, err)
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	d := n.directoryLocked()
	d.removeLocked(link{n, name})
	d.changedLocked(name)
	d.goneLocked(name)
	return nil
}

// Rename moves a name of n to newName in the directory to, replacing what is
// there unless noReplace.
func (n *Node) Rename(ctx context.Context, name string, to *Node, newName string, noReplace bool) error {
	if len(newName) > nameMax {
		return syscall.ENAMETOOLONG
	}
	t := n.tree
	moved, replaced := n.child(name), to.child(newName)
	if replaced != moved {
		if err := replaced.openBeforeRemoval(ctx); err != nil {
			return err
		}
	}
	if err := t.awaitSent(ctx, moved, replaced); err != nil {
		return err
	}
	m := t.beginMove(link{n, name}, link{to, newName}, moved)
	defer t.endMove(m)
	err := t.request(ctx, m, func(p []string) error {
		if err := t.remote.Rename(ctx, p[0], p[1], noReplace); err != nil {
			return err
		}
		if t.mayBeLinks(moved, replaced) {
			if _, err := t.remote.Lstat(ctx, p[0]); err == nil {
				return nil // it is there still
			}
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.renames++
		t.moveLocked(m.from, m.to)
		return nil
	}, place{n, name}, place{to, newName})
	if err != nil {
		n.doubt(name, err)
		to.doubt(newName, err)
	}
	return err
}

// mayBeLinks reports whether two nodes may be one file on the server: then a
// rename of one over the other did nothing, as POSIX has it.
func (t *Tree) mayBeLinks(a, b *Node) bool {
	if a == nil || b == nil || a == b || a.typ != syscall.S_IFREG || b.typ != syscall.S_IFREG {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return a.pending > 0 || b.pending > 0 || a.guess || b.guess || sameContent(a.attr, b.attr)
}

// moveLocked has the node of one name go by another.
func (t *Tree) moveLocked(from, to link) {
	src, dst := from.parent.directoryLocked(), to.parent.directoryLocked()
	e := src.names[from.name]
	if e != nil && from != to && (e.node != nil || e.attr.Mode != 0) {
		child := src.nodeLocked(from.name, e)
		dst.removeLocked(to)
		delete(src.names, from.name)
		t.entries--
		src.nodes--
		for i, l := range child.links {
			if l == from {
				child.links[i] = to
			}
		}
		dst.linkLocked(to, child)
	} else if from != to {
		src.removeLocked(from)
		dst.removeLocked(to)
		dst.complete = false
	}
	src.changedLocked(from.name)
	src.goneLocked(from.name)
	dst.changedLocked(to.name)
}

// Readlink returns the target of a symbolic link as it is stored.
func (n *Node) Readlink(ctx context.Context) (string, error) {
	if n.typ != syscall.S_IFLNK {
		return "", syscall.EINVAL
	}
	t := n.tree
	t.mu.Lock()
	if n.target != "" && n.targetMtime == n.attr.Mtime && n.freshLocked() {
		defer t.mu.Unlock()
		return n.target, nil
	}
	mtime := n.attr.Mtime
	t.mu.Unlock()
	var target string
	err := n.withPath(ctx, func(path string) (err error) {
		target, err = t.remote.Readlink(ctx, path)
		return err
	})
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n.target, n.targetMtime = target, mtime
	return target, nil
}

// Fsyncdir makes the names of directory n durable where the server can: an
// OpenSSH server opens a directory for reading and fsyncs it.
func (n *Node) Fsyncdir(ctx context.Context) error {
	if n.typ != syscall.S_IFDIR {
		return syscall.ENOTDIR
	}
	if err := n.roadOf().flush(ctx); err != nil {
		return err
	}
	t := n.tree
	if !t.remote.Features().Fsync {
		return nil
	}
	var f File
	err := n.withPath(ctx, func(path string) (err error) {
		f, _, err = t.remote.Open(ctx, path, OpenRead, 0)
		return err
	})
	switch {
	case errors.Is(err, errStale):
		return nil // it was removed: there is nothing to make durable
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EACCES):
		return nil // it cannot open directories, or not this one
	case err != nil:
		return err
	}
	err = f.Sync(ctx)
	if errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close(t.ctx))
}

// Create makes a regular file and opens it. Without OpenExclusive a file that
// is there is opened. mode has the permission bits of a new file.
func (n *Node) Create(ctx context.Context, name string, flag OpenFlag, mode uint32) (*Node, *Handle, Stat, error) {
	t := n.tree
	if len(name) > nameMax {
		return nil, nil, Stat{}, syscall.ENAMETOOLONG
	}
	if child := n.child(name); child != nil && flag&OpenTruncate != 0 {
		if err := child.readyToTruncate(ctx); err != nil && err != errStale {
			return nil, nil, Stat{}, err
		}
	}
	var f File
	var a Attr
	err := n.withChild(ctx, name, func(path string) (err error) {
		f, a, err = t.remote.Open(ctx, path, flag&^OpenAppend|OpenCreate, mode)
		return err
	})
	if err != nil {
		n.doubt(name, err)
		return nil, nil, Stat{}, err
	}
	if a.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, nil, Stat{}, errors.Join(notRegular(a.Mode&syscall.S_IFMT), f.Close(t.ctx))
	}
	child, s := n.created(name, a, flag)
	h := newHandle(child, child.roadOf(), flag, f)
	t.mu.Lock()
	child.kernelGen = child.gen
	t.mu.Unlock()
	return child, h, s, nil
}

// created adds a file that was created, or opened because it was there.
func (n *Node) created(name string, a Attr, flag OpenFlag) (*Node, Stat) {
	t := n.tree
	if child := n.child(name); child != nil && flag&OpenExclusive == 0 && child.typ == syscall.S_IFREG {
		t.mu.Lock()
		defer t.mu.Unlock()
		child.truncatedLocked(a)
		n.directoryLocked().touchLocked(name)
		return child, child.statLocked()
	}
	child, s := n.made(name, a)
	t.mu.Lock()
	defer t.mu.Unlock()
	child.racy = true
	return child, s
}
