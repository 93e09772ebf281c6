package fs

import (
	"context"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// toCaller is a mount by root of a root account, with directories as on any
// system.
func toCaller(t *testing.T) (*raw, *memServer) {
	t.Helper()
	srv := newMemServer()
	srv.umask = 0o022
	team := srv.put("team", newInode(syscall.S_IFDIR|syscall.S_ISGID|0o2777))
	team.attr.GID = 50
	srv.put("tmp", newInode(syscall.S_IFDIR|0o1777))
	return newRaw(t, srv, Options{NewFilesToCaller: true, AllowOther: true}), srv
}

func (r *raw) wantOwner(path string, mode, uid, gid uint32) {
	r.t.Helper()
	r.sync()
	a := r.srv.attr(path)
	if a.Mode != mode || a.UID != uid || a.GID != gid {
		r.t.Errorf("%s is %o of %d:%d, want %o of %d:%d", path, a.Mode, a.UID, a.GID, mode, uid, gid)
	}
}

func TestNewFilesToCaller(t *testing.T) {
	r, _ := toCaller(t)
	tmp := r.lookup(1, "tmp").NodeId
	out, st := r.create(tmp, "f", syscall.O_WRONLY|syscall.O_CREAT, 0o666)
	if !st.Ok() || out.Attr.Uid != 1000 || out.Attr.Gid != 100 || out.Attr.Mode != syscall.S_IFREG|0o666 {
		t.Errorf("create: %v, %+v", st, out.Attr)
	}
	r.wantOwner("tmp/f", syscall.S_IFREG|0o666, 1000, 100)
	if _, st := r.create(tmp, "suid", syscall.O_WRONLY|syscall.O_CREAT, 0o4755); !st.Ok() {
		t.Error(st)
	}
	r.wantOwner("tmp/suid", syscall.S_IFREG|0o4755, 1000, 100)
	if _, st := r.mkdir(tmp, "d", 0o777); !st.Ok() {
		t.Error(st)
	}
	r.wantOwner("tmp/d", syscall.S_IFDIR|0o777, 1000, 100)
	h := r.header(tmp)
	var link fuse.EntryOut
	if st := r.Symlink(r.cancel, &h, "f", "l", &link); !st.Ok() {
		t.Error(st)
	}
	r.wantOwner("tmp/l", syscall.S_IFLNK|0o777, 1000, 100)
	var node fuse.EntryOut
	if st := r.Mknod(r.cancel, &fuse.MknodIn{InHeader: h, Mode: syscall.S_IFREG | 0o600}, "n", &node); !st.Ok() {
		t.Error(st)
	}
	r.wantOwner("tmp/n", syscall.S_IFREG|0o600, 1000, 100)
}

func TestNewFilesOfRoot(t *testing.T) {
	r, srv := toCaller(t)
	r.caller.Owner = fuse.Owner{}
	srv.count()
	if _, st := r.create(1, "f", syscall.O_WRONLY|syscall.O_CREAT, 0o644); !st.Ok() {
		t.Error(st)
	}
	r.wantOwner("f", syscall.S_IFREG|0o644, 0, 0)
	if c := srv.count(); c["SETSTAT"]+c["FSETSTAT"] != 0 {
		t.Errorf("requests: %v", c)
	}
}

func TestNewFilesInheritGroup(t *testing.T) {
	r, _ := toCaller(t)
	team := r.lookup(1, "team").NodeId
	if _, st := r.create(team, "f", syscall.O_WRONLY|syscall.O_CREAT, 0o664); !st.Ok() {
		t.Error(st)
	}
	r.wantOwner("team/f", syscall.S_IFREG|0o664, 1000, 50)
	if _, st := r.mkdir(team, "d", 0o755); !st.Ok() {
		t.Error(st)
	}
	r.wantOwner("team/d", syscall.S_IFDIR|syscall.S_ISGID|0o755, 1000, 50)
}

// A file that is there already is nobody's to be given.
func TestCreateOfExistingKeepsOwner(t *testing.T) {
	r, srv := toCaller(t)
	r.readdir(1)
	srv.put("f", newInode(syscall.S_IFREG|0o600).write("kept")) // after the kernel looked
	out, st := r.create(1, "f", syscall.O_RDWR|syscall.O_CREAT, 0o666)
	if !st.Ok() || out.Attr.Size != 4 {
		t.Errorf("create: %v, %+v", st, out.Attr)
	}
	r.wantOwner("f", syscall.S_IFREG|0o600, 0, 0)
	if _, st := r.create(1, "f", syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, 0o666); st != fuse.Status(syscall.EEXIST) {
		t.Errorf("exclusive create: %v, want EEXIST", st)
	}
}

func TestNewOwnerRefused(t *testing.T) {
	r, srv := toCaller(t)
	srv.hook = func(_ context.Context, op, _ string) error {
		if op == "SETSTAT" || op == "FSETSTAT" {
			return syscall.EPERM
		}
		return nil
	}
	h := r.header(1)
	var out fuse.EntryOut
	// Links are waited for; other changes of a root account may be told later.
	if st := r.Symlink(r.cancel, &h, "f", "l", &out); st != fuse.EPERM {
		t.Errorf("symlink: %v, want EPERM", st)
	}
}

func TestMknodKinds(t *testing.T) {
	r := newRaw(t, newMemServer(), Options{})
	for mode, want := range map[uint32]fuse.Status{
		syscall.S_IFIFO: fuse.EPERM, syscall.S_IFCHR: fuse.EPERM, syscall.S_IFBLK: fuse.EPERM,
		syscall.S_IFSOCK: fuse.EPERM, syscall.S_IFREG: fuse.OK,
	} {
		var out fuse.EntryOut
		in := &fuse.MknodIn{InHeader: r.header(1), Mode: mode | 0o644}
		if st := r.Mknod(r.cancel, in, "n", &out); st != want {
			t.Errorf("mknod %o: %v, want %v", mode, st, want)
		}
	}
}
