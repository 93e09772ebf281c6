package fs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"seamount/cache"
)

// The tests of this file send FUSE requests without a kernel.

// raw is a file system that nobody mounted.
type raw struct {
	fuse.RawFileSystem
	t      *testing.T
	srv    *memServer
	m      *mount
	tree   *cache.Tree
	caller fuse.Caller
	cancel chan struct{}
}

func newRaw(t *testing.T, srv *memServer, o Options) *raw {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	tree := cache.New(srv, cache.Options{DirtyBytes: 2 * maxTransfer})
	t.Cleanup(func() {
		if err := tree.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	root, err := tree.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := newMount(o)
	m.owner = 1000
	m.notify.attach(&toldKernel{}) // nobody runs it: notices stay queued
	return &raw{
		RawFileSystem: negatives{gofs.NewNodeFS(&node{m: m, cn: root}, m.opts.fuseOptions(m))},
		t:             t, srv: srv, m: m, tree: tree,
		caller: fuse.Caller{Owner: fuse.Owner{Uid: 1000, Gid: 100}, Pid: 1 << 30},
		cancel: make(chan struct{}),
	}
}

func (r *raw) header(node uint64) fuse.InHeader { return fuse.InHeader{NodeId: node, Caller: r.caller} }

func (r *raw) lookup(parent uint64, name string) fuse.EntryOut {
	r.t.Helper()
	var out fuse.EntryOut
	h := r.header(parent)
	if st := r.Lookup(r.cancel, &h, name, &out); !st.Ok() {
		r.t.Fatalf("lookup %q: %v", name, st)
	}
	return out
}

func (r *raw) mkdir(parent uint64, name string, mode uint32) (fuse.EntryOut, fuse.Status) {
	var out fuse.EntryOut
	st := r.Mkdir(r.cancel, &fuse.MkdirIn{InHeader: r.header(parent), Mode: mode}, name, &out)
	return out, st
}

func (r *raw) create(parent uint64, name string, flags, mode uint32) (fuse.CreateOut, fuse.Status) {
	var out fuse.CreateOut
	st := r.Create(r.cancel, &fuse.CreateIn{InHeader: r.header(parent), Flags: flags, Mode: mode}, name, &out)
	if st.Ok() {
		r.Release(nil, &fuse.ReleaseIn{InHeader: r.header(out.NodeId), Fh: out.Fh})
	}
	return out, st
}

func (r *raw) setattr(ino uint64, in fuse.SetAttrIn) fuse.Status {
	var out fuse.AttrOut
	in.InHeader = r.header(ino)
	return r.SetAttr(r.cancel, &in, &out)
}

func TestLookupNegative(t *testing.T) {
	srv := newMemServer()
	srv.put("there", newInode(syscall.S_IFREG|0o644))
	r := newRaw(t, srv, Options{})
	h := r.header(1)
	var out fuse.EntryOut
	// Nothing is listed yet: the server says no, which holds for nobody else.
	if st := r.Lookup(r.cancel, &h, "missing", &out); st != fuse.ENOENT {
		t.Errorf("unlisted: %v, want ENOENT", st)
	}
	r.readdir(1)
	out = fuse.EntryOut{}
	st := r.Lookup(r.cancel, &h, "missing", &out)
	if !st.Ok() || out.NodeId != 0 || out.EntryTimeout() <= 0 {
		t.Errorf("listed: %v, node %d, kept %v; want success of node 0 with a timeout", st, out.NodeId, out.EntryTimeout())
	}
	if st := r.Lookup(r.cancel, &h, strings.Repeat("n", nameMax+1), &out); st != fuse.Status(syscall.ENAMETOOLONG) {
		t.Errorf("long name: %v", st)
	}
}

// readdir lists ino with READDIRPLUS, in replies of 4 KiB.
func (r *raw) readdir(ino uint64) (entries []fuse.DirEntry, outs []fuse.EntryOut) {
	r.t.Helper()
	var open fuse.OpenOut
	if st := r.OpenDir(r.cancel, &fuse.OpenIn{InHeader: r.header(ino)}, &open); !st.Ok() {
		r.t.Fatalf("opendir: %v", st)
	}
	defer r.ReleaseDir(&fuse.ReleaseIn{InHeader: r.header(ino), Fh: open.Fh})
	for off := uint64(0); ; {
		es, eos := r.readdirAt(ino, open.Fh, off)
		if len(es) == 0 {
			return entries, outs
		}
		entries, outs = append(entries, es...), append(outs, eos...)
		off = es[len(es)-1].Off
	}
}

func (r *raw) readdirAt(ino, fh, off uint64) ([]fuse.DirEntry, []fuse.EntryOut) {
	r.t.Helper()
	list := fuse.NewDirEntryList(make([]byte, 4096), off)
	in := &fuse.ReadIn{InHeader: r.header(ino), Fh: fh, Offset: off, Size: 4096}
	if st := r.ReadDirPlus(r.cancel, in, list); !st.Ok() {
		r.t.Fatalf("readdirplus at %d: %v", off, st)
	}
	es, outs, err := fuse.ParseDirLookupEntries(list.Bytes())
	if err != nil {
		r.t.Fatal(err)
	}
	return es, outs
}

func names(entries []fuse.DirEntry) (s []string) {
	for _, e := range entries {
		s = append(s, e.Name)
	}
	return s
}

func TestReaddir(t *testing.T) {
	srv := newMemServer()
	want := []string{".", ".."}
	for i := range 300 {
		name := fmt.Sprintf("file%03d", i)
		srv.put(name, newInode(syscall.S_IFREG|0o640).write("x"))
		want = append(want, name)
	}
	r := newRaw(t, srv, Options{})
	entries, outs := r.readdir(1)
	if d := cmp.Diff(want, names(entries)); d != "" {
		t.Error(d)
	}
	for i, out := range outs[dots:] {
		e := entries[i+dots]
		if out.NodeId != e.Ino || out.Attr.Size != 1 || out.Attr.Mode != syscall.S_IFREG|0o640 || out.EntryTimeout() <= 0 {
			t.Fatalf("%s: %+v", e.Name, out)
		}
	}
	if c := srv.count(); c["READDIR"] != 1 || c["LSTAT"] > 1 {
		t.Errorf("requests: %v", c)
	}
}

func TestReaddirSeek(t *testing.T) {
	srv := newMemServer()
	for i := range 300 {
		srv.put(fmt.Sprintf("file%03d", i), newInode(syscall.S_IFREG|0o644))
	}
	r := newRaw(t, srv, Options{})
	var open fuse.OpenOut
	r.OpenDir(r.cancel, &fuse.OpenIn{InHeader: r.header(1)}, &open)
	defer r.ReleaseDir(&fuse.ReleaseIn{InHeader: r.header(1), Fh: open.Fh})
	first, _ := r.readdirAt(1, open.Fh, 0)
	// The kernel took the first entry of the reply only, and asks for the rest.
	again, outs := r.readdirAt(1, open.Fh, first[0].Off)
	if d := cmp.Diff(names(first)[1:], names(again)[:len(first)-1]); d != "" {
		t.Error(d)
	}
	if outs[len(outs)-1].NodeId == 0 {
		t.Error("a repeated entry came without its node")
	}
	for _, off := range []uint64{250, 3, 299} {
		es, outs := r.readdirAt(1, open.Fh, off)
		if want := fmt.Sprintf("file%03d", off-dots); es[0].Name != want || outs[0].NodeId != es[0].Ino {
			t.Errorf("at %d: %q, node %d; want %q with its node", off, es[0].Name, outs[0].NodeId, want)
		}
	}
	if es, _ := r.readdirAt(1, open.Fh, 1000); len(es) != 0 {
		t.Errorf("beyond the end: %v", names(es))
	}
	srv.put("a new file", newInode(syscall.S_IFREG|0o644))
	r.mkdir(1, "b", 0o755)
	if es, _ := r.readdirAt(1, open.Fh, 0); !slices.Contains(names(es), "b") {
		t.Error("rewinddir shows the old listing")
	}
}

func TestReaddirHuge(t *testing.T) {
	srv := newMemServer()
	for i := range maxPlus + 100 {
		srv.put(fmt.Sprintf("file%06d", i), newInode(syscall.S_IFREG|0o644))
	}
	r := newRaw(t, srv, Options{})
	entries, outs := r.readdir(1)
	if len(entries) != maxPlus+100+dots {
		t.Fatalf("%d entries", len(entries))
	}
	for i, out := range outs[dots:] {
		if known := out.NodeId != 0; known != (i < maxPlus) {
			t.Fatalf("entry %d: node %d", i, out.NodeId)
		}
		if out.NodeId == 0 && out != (fuse.EntryOut{}) {
			t.Fatalf("entry %d has attributes but no node: %+v", i, out)
		}
	}
}

func TestSetattr(t *testing.T) {
	const old = 1000
	now := func(v int64) bool { return time.Since(time.Unix(v, 0)).Abs() < time.Minute }
	is := func(want int64) func(int64) bool { return func(v int64) bool { return v == want } }
	tests := []struct {
		name         string
		in           fuse.SetAttrInCommon
		atime, mtime func(int64) bool
		mode, uid    uint32
		size         uint64
	}{
		{"mode", fuse.SetAttrInCommon{Valid: fuse.FATTR_MODE, Mode: syscall.S_IFREG | 0o4711}, is(old), is(old), 0o4711, 5, 3},
		{"owner", fuse.SetAttrInCommon{Valid: fuse.FATTR_UID, Owner: fuse.Owner{Uid: 7}}, is(old), is(old), 0o644, 7, 3},
		{"mapped owner", fuse.SetAttrInCommon{Valid: fuse.FATTR_UID, Owner: fuse.Owner{Uid: 1000}}, is(old), is(old), 0o644, 501, 3},
		{"both times", fuse.SetAttrInCommon{Valid: fuse.FATTR_ATIME | fuse.FATTR_MTIME, Atime: 7, Mtime: 8, Mtimensec: 9}, is(7), is(8), 0o644, 5, 3},
		{"atime", fuse.SetAttrInCommon{Valid: fuse.FATTR_ATIME, Atime: 7}, is(7), is(old), 0o644, 5, 3},
		{"mtime", fuse.SetAttrInCommon{Valid: fuse.FATTR_MTIME, Mtime: 7}, is(old), is(7), 0o644, 5, 3},
		{"atime now", fuse.SetAttrInCommon{Valid: fuse.FATTR_ATIME | fuse.FATTR_ATIME_NOW}, now, is(old), 0o644, 5, 3},
		{"mtime now", fuse.SetAttrInCommon{Valid: fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW}, is(old), now, 0o644, 5, 3},
		{"zero", fuse.SetAttrInCommon{Valid: fuse.FATTR_ATIME | fuse.FATTR_MTIME}, is(0), is(0), 0o644, 5, 3},
		{"before 1970", fuse.SetAttrInCommon{Valid: fuse.FATTR_MTIME, Mtime: ^uint64(0)}, is(old), is(0), 0o644, 5, 3},
		{"after 2106", fuse.SetAttrInCommon{Valid: fuse.FATTR_MTIME, Mtime: 1 << 33}, is(old), is(1<<32 - 1), 0o644, 5, 3},
		{"ctime", fuse.SetAttrInCommon{Valid: fuse.FATTR_CTIME, Ctime: 7}, is(old), is(old), 0o644, 5, 3},
		{"size", fuse.SetAttrInCommon{Valid: fuse.FATTR_SIZE, Size: 10}, is(old), now, 0o644, 5, 10},
		{"truncate", fuse.SetAttrInCommon{Valid: fuse.FATTR_SIZE | fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW, Size: 1}, is(old), now, 0o644, 5, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := newMemServer()
			f := srv.put("f", newInode(syscall.S_IFREG|0o644).write("abc"))
			f.attr.Atime, f.attr.Mtime, f.attr.UID = old, old, 5
			ids, err := NewIDMap("user", IDSources{RemoteUID: 501, LocalUID: 1000})
			if err != nil {
				t.Fatal(err)
			}
			r := newRaw(t, srv, Options{IDMap: ids})
			ino := r.lookup(1, "f").NodeId
			srv.count()
			if st := r.setattr(ino, fuse.SetAttrIn{SetAttrInCommon: tt.in}); !st.Ok() {
				t.Fatal(st)
			}
			r.sync()
			a := srv.attr("f")
			if !tt.atime(a.Atime) || !tt.mtime(a.Mtime) || a.Mode != syscall.S_IFREG|tt.mode || a.UID != tt.uid || a.Size != tt.size {
				t.Errorf("on the server: %+v (mode %o)", a, a.Mode)
			}
			if c := srv.count(); tt.name == "ctime" && len(c) != 0 {
				t.Errorf("requests: %v", c)
			}
		})
	}
}

// sync waits for what is on its way to the server.
func (r *raw) sync() {
	r.t.Helper()
	if err := r.tree.Sync(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

func TestPanicIsEIO(t *testing.T) {
	srv := newMemServer()
	var log bytes.Buffer
	r := newRaw(t, srv, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	srv.hook = func(_ context.Context, op, _ string) error {
		if op == "MKDIR" {
			panic("a handler's bug")
		}
		return nil
	}
	if _, st := r.mkdir(1, "d", 0o755); st != fuse.EIO {
		t.Errorf("mkdir: %v, want EIO", st)
	}
	for _, want := range []string{"op=MKDIR", "path=d", "a handler's bug", "memServer"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
	srv.hook = nil
	if _, st := r.mkdir(1, "d", 0o755); !st.Ok() {
		t.Errorf("mkdir afterwards: %v", st)
	}
}

func TestDebugLine(t *testing.T) {
	srv := newMemServer()
	var log bytes.Buffer
	r := newRaw(t, srv, Options{Debug: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	h := r.header(1)
	var out fuse.EntryOut
	r.Lookup(r.cancel, &h, "missing", &out)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 1 {
		t.Fatalf("%d lines for one request:\n%s", len(lines), log.String())
	}
	for _, want := range []string{"msg=LOOKUP", "path=missing", `result="no such file or directory"`, "took=", "LSTAT", `\"missing\"`} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("line lacks %q: %s", want, lines[0])
		}
	}
}

func TestAllowRoot(t *testing.T) {
	r := newRaw(t, newMemServer(), Options{AllowRoot: true})
	for uid, want := range map[uint32]fuse.Status{0: fuse.OK, 1000: fuse.OK, 1001: fuse.EACCES} {
		r.caller.Uid = uid
		if _, st := r.mkdir(1, fmt.Sprint("d", uid), 0o755); st != want {
			t.Errorf("user %d: %v, want %v", uid, st, want)
		}
	}
}
