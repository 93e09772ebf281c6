package fs

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// checkLocal and checkRemote compare what m makes of one owner.
func checkLocal(t *testing.T, m IDMap, uid, gid, wantUID, wantGID uint32) {
	t.Helper()
	if u, g := m.local(t.Context(), uid, gid); u != wantUID || g != wantGID {
		t.Errorf("local(%d, %d) = %d, %d; want %d, %d", uid, gid, u, g, wantUID, wantGID)
	}
}

func checkRemote(t *testing.T, m IDMap, uid, gid, wantUID, wantGID uint32) {
	t.Helper()
	if u, g := m.remoteUID(uid), m.remoteGID(gid); u != wantUID || g != wantGID {
		t.Errorf("remote(%d, %d) = %d, %d; want %d, %d", uid, gid, u, g, wantUID, wantGID)
	}
}

func TestIDMapNone(t *testing.T) {
	m, err := NewIDMap("none", IDSources{RemoteUID: 7, LocalUID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	checkLocal(t, m, 7, 8, 7, 8)
	checkRemote(t, IDMap{}, 7, 8, 7, 8)
}

func TestIDMapUser(t *testing.T) {
	m, err := NewIDMap("user", IDSources{RemoteUID: 501, RemoteGID: 20, LocalUID: 1000, LocalGID: 100})
	if err != nil {
		t.Fatal(err)
	}
	checkLocal(t, m, 501, 20, 1000, 100)
	checkLocal(t, m, 0, 0, 0, 0)
	checkRemote(t, m, 1000, 100, 501, 20)
	checkRemote(t, m, 33, 33, 33, 33)
}

func TestIDMapFile(t *testing.T) {
	m, err := NewIDMap("file", IDSources{
		Users:  strings.NewReader("# remote users\n\nroot:4000\nno such user here:5\n"),
		Groups: strings.NewReader("root:x:4001:\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	checkLocal(t, m, 4000, 4001, 0, 0)
	checkRemote(t, m, 0, 0, 4000, 4001)
	checkLocal(t, m, 5, 5, 5, 5)
	for _, bad := range []string{"root", "root:", "root:x", ":5", "root:-1", "root:4294967296"} {
		if _, err := NewIDMap("file", IDSources{Users: strings.NewReader(bad)}); err == nil {
			t.Errorf("line %q accepted", bad)
		}
	}
}

func TestIDMapUnknownMode(t *testing.T) {
	for _, mode := range []string{"", "users", "name"} { // "name" without a server
		if _, err := NewIDMap(mode, IDSources{}); err == nil {
			t.Errorf("mode %q accepted", mode)
		}
	}
}

// namesOf answers as a server on which ids have these names.
type namesOf struct {
	users, groups map[uint32]string
	err           error
	asked         int
}

func (n *namesOf) names(_ context.Context, uids, gids []uint32) (users, groups []string, err error) {
	n.asked++
	if n.err != nil {
		return nil, nil, n.err
	}
	return []string{n.users[uids[0]]}, []string{n.groups[gids[0]]}, nil
}

func TestIDMapName(t *testing.T) {
	srv := &namesOf{users: map[uint32]string{900: "root"}, groups: map[uint32]string{901: "root"}}
	m, err := NewIDMap("name", IDSources{Names: srv.names})
	if err != nil {
		t.Fatal(err)
	}
	checkRemote(t, m, 0, 0, 0, 0) // not seen yet
	checkLocal(t, m, 900, 901, 0, 0)
	checkLocal(t, m, 900, 901, 0, 0)
	checkRemote(t, m, 0, 0, 900, 901)
	checkLocal(t, m, 70000, 901, 70000, 0) // without a name
	if srv.asked != 2 {
		t.Errorf("server asked %d times, want 2", srv.asked)
	}
}

func TestIDMapNameErrors(t *testing.T) {
	for err, want := range map[error]int{
		syscall.ENOTSUP:       1, // will never know
		errors.New("no link"): 2, // may know later
	} {
		srv := &namesOf{err: err}
		m, mapErr := NewIDMap("name", IDSources{Names: srv.names})
		if mapErr != nil {
			t.Fatal(mapErr)
		}
		checkLocal(t, m, 900, 901, 900, 901)
		checkLocal(t, m, 900, 901, 900, 901)
		if srv.asked != want {
			t.Errorf("%v: asked %d times, want %d", err, srv.asked, want)
		}
	}
}
