package fs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// IDMap translates owners between the server and this machine, both ways.
// An id that it does not know is the same on both sides. The zero value
// changes nothing. It is safe for concurrent use and may be copied.
type IDMap struct {
	users, groups idTable
	names         *nameMap // mode "name" only
}

// IDSources is what NewIDMap may need.
type IDSources struct {
	// RemoteUID, RemoteGID and LocalUID, LocalGID are the user who logs in on
	// the server and the mounting user, for mode "user".
	RemoteUID, RemoteGID uint32
	LocalUID, LocalGID   uint32
	// Users and Groups are for mode "file": lines of "name:id", or of
	// passwd(5) and group(5), that give the server's id of a local name.
	// Either may be nil.
	Users, Groups io.Reader
	// Names asks the server for the names of ids, for mode "name", as
	// cache.Remote does.
	Names func(ctx context.Context, uids, gids []uint32) (users, groups []string, err error)
}

// NewIDMap returns the IDMap of mode: "user" shows the remote user as the
// mounting user and all others as they are; "none" shows all as they are;
// "file" maps by s.Users and s.Groups; "name" maps those of the same name.
func NewIDMap(mode string, s IDSources) (IDMap, error) {
	switch mode {
	case "none":
		return IDMap{}, nil
	case "user":
		return IDMap{users: pair(s.RemoteUID, s.LocalUID), groups: pair(s.RemoteGID, s.LocalGID)}, nil
	case "file":
		return fileIDMap(s)
	case "name":
		if s.Names == nil {
			return IDMap{}, errors.New("idmap=name: no server to ask for names")
		}
		return IDMap{names: newNameMap(s.Names)}, nil
	}
	return IDMap{}, fmt.Errorf("idmap=%s: must be user, none, file or name", mode)
}

// local returns the owner on this machine for one on the server.
func (m IDMap) local(ctx context.Context, uid, gid uint32) (uint32, uint32) {
	if m.names != nil {
		return m.names.local(ctx, uid, gid)
	}
	return m.users.local(uid), m.groups.local(gid)
}

func (m IDMap) remoteUID(uid uint32) uint32 {
	if m.names != nil {
		return m.names.remoteUID(uid)
	}
	return m.users.remote(uid)
}

func (m IDMap) remoteGID(gid uint32) uint32 {
	if m.names != nil {
		return m.names.remoteGID(gid)
	}
	return m.groups.remote(gid)
}

// idTable maps ids of one kind. A nil map maps all to themselves.
type idTable struct {
	toLocal, toRemote map[uint32]uint32
}

func pair(remote, local uint32) idTable {
	return idTable{map[uint32]uint32{remote: local}, map[uint32]uint32{local: remote}}
}

func (t idTable) local(id uint32) uint32  { return translate(t.toLocal, id) }
func (t idTable) remote(id uint32) uint32 { return translate(t.toRemote, id) }

func translate(m map[uint32]uint32, id uint32) uint32 {
	if to, ok := m[id]; ok {
		return to
	}
	return id
}

func fileIDMap(s IDSources) (IDMap, error) {
	users, err := readIDs(s.Users, localUser)
	if err != nil {
		return IDMap{}, fmt.Errorf("idmap=file: users: %w", err)
	}
	groups, err := readIDs(s.Groups, localGroup)
	if err != nil {
		return IDMap{}, fmt.Errorf("idmap=file: groups: %w", err)
	}
	return IDMap{users: users, groups: groups}, nil
}

// readIDs reads lines that give the server's id of a local name: "name:id",
// or with a password field between, as in passwd(5) and group(5). Names that
// this machine does not have are left out.
func readIDs(r io.Reader, localID func(name string) (uint32, bool)) (idTable, error) {
	t := idTable{map[uint32]uint32{}, map[uint32]uint32{}}
	if r == nil {
		return t, nil
	}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, remote, err := parseIDLine(line)
		if err != nil {
			return t, fmt.Errorf("line %d: %w", n, err)
		}
		if local, ok := localID(name); ok {
			t.toLocal[remote], t.toRemote[local] = local, remote
		}
	}
	return t, lines.Err()
}

func parseIDLine(line string) (name string, id uint32, err error) {
	f := strings.Split(line, ":")
	field := 1
	if len(f) >= 3 {
		field = 2
	}
	if len(f) < 2 || f[0] == "" {
		return "", 0, fmt.Errorf("%q is not of the form name:id", line)
	}
	v, err := strconv.ParseUint(f[field], 10, 32)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not of the form name:id", line)
	}
	return f[0], uint32(v), nil
}

func localUser(name string) (uint32, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	return parseID(u.Uid)
}

func localGroup(name string) (uint32, bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	return parseID(g.Gid)
}

func parseID(s string) (uint32, bool) {
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err == nil
}

// nameMap maps the ids of those who have the same name on both sides. The
// server is asked once for each id that it shows; a local id is known on the
// server only after its counterpart was seen, until then it is taken as it is.
type nameMap struct {
	ask                   func(ctx context.Context, uids, gids []uint32) (users, groups []string, err error)
	localUser, localGroup func(name string) (uint32, bool)

	mu            sync.Mutex
	users, groups idTable
}

func newNameMap(ask func(ctx context.Context, uids, gids []uint32) ([]string, []string, error)) *nameMap {
	return &nameMap{
		ask: ask, localUser: localUser, localGroup: localGroup,
		users:  idTable{map[uint32]uint32{}, map[uint32]uint32{}},
		groups: idTable{map[uint32]uint32{}, map[uint32]uint32{}},
	}
}

func (m *nameMap) local(ctx context.Context, uid, gid uint32) (uint32, uint32) {
	if u, g, ok := m.known(uid, gid); ok {
		return u, g
	}
	users, groups, err := m.ask(ctx, []uint32{uid}, []uint32{gid})
	if err != nil && !errors.Is(err, syscall.ENOTSUP) {
		return uid, gid // ask again next time
	}
	u, g := uid, gid
	if len(users) == 1 {
		u = counterpart(users[0], uid, m.localUser)
	}
	if len(groups) == 1 {
		g = counterpart(groups[0], gid, m.localGroup)
	}
	m.learn(uid, u, gid, g)
	return u, g
}

// counterpart returns the local id of name, or id if there is none.
func counterpart(name string, id uint32, localID func(string) (uint32, bool)) uint32 {
	if local, ok := localID(name); ok && name != "" {
		return local
	}
	return id
}

func (m *nameMap) known(uid, gid uint32) (u, g uint32, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, okU := m.users.toLocal[uid]
	g, okG := m.groups.toLocal[gid]
	return u, g, okU && okG
}

// maxNames bounds the ids remembered: a server can make up any number.
const maxNames = 1 << 16

func (m *nameMap) learn(uid, u, gid, g uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users.learn(uid, u)
	m.groups.learn(gid, g)
}

// learn records a pair. An id that has no counterpart does not take the place
// of one that has.
func (t idTable) learn(remote, local uint32) {
	if len(t.toLocal) >= maxNames {
		return
	}
	t.toLocal[remote] = local
	if _, taken := t.toRemote[local]; !taken || remote != local {
		t.toRemote[local] = remote
	}
}

func (m *nameMap) remoteUID(uid uint32) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users.remote(uid)
}

func (m *nameMap) remoteGID(gid uint32) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.groups.remote(gid)
}
