package wire

// The extensions that are spoken here (OpenSSH's PROTOCOL, section 4).
const (
	extPosixRename   = "posix-rename@openssh.com"
	extStatvfs       = "statvfs@openssh.com"
	extFstatvfs      = "fstatvfs@openssh.com"
	extHardlink      = "hardlink@openssh.com"
	extFsync         = "fsync@openssh.com"
	extLsetstat      = "lsetstat@openssh.com"
	extLimits        = "limits@openssh.com"
	extExpandPath    = "expand-path@openssh.com"
	extCopyData      = "copy-data"
	extHomeDirectory = "home-directory"
	extUsersGroups   = "users-groups-by-id@openssh.com"
)

// Caps is what a server can do, as it said at the start of the session.
type Caps struct {
	Version    uint32
	Extensions map[string]string // all that were offered: name to data, mostly a version; not to be changed

	// Extensions offered in the version that is spoken here.
	PosixRename, Statvfs, Fstatvfs, Hardlink, Fsync, Lsetstat bool
	ExpandPath, CopyData, HomeDirectory, UsersGroups, Limits  bool

	// Sizes in bytes, from limits@openssh.com or else those that every server
	// must take. MaxRead and MaxWrite are payloads.
	MaxPacket, MaxRead, MaxWrite int
	// MaxHandles is how many handles may be open at once, 0 if unknown.
	MaxHandles int
}

// newCaps judges the extensions offered.
func newCaps(version uint32, ext map[string]string) Caps {
	has := func(name, version string) bool {
		v, ok := ext[name]
		return ok && v == version
	}
	return Caps{
		Version:       version,
		Extensions:    ext,
		PosixRename:   has(extPosixRename, "1"),
		Statvfs:       has(extStatvfs, "2"),
		Fstatvfs:      has(extFstatvfs, "2"),
		Hardlink:      has(extHardlink, "1"),
		Fsync:         has(extFsync, "1"),
		Lsetstat:      has(extLsetstat, "1"),
		ExpandPath:    has(extExpandPath, "1"),
		CopyData:      has(extCopyData, "1"),
		HomeDirectory: has(extHomeDirectory, "1"),
		UsersGroups:   has(extUsersGroups, "1"),
		Limits:        has(extLimits, "1"),
		MaxPacket:     draftPacket,
		MaxRead:       draftPayload,
		MaxWrite:      draftPayload,
	}
}

// limits is the reply to limits@openssh.com; 0 means that there is no
// particular limit.
type limits struct{ packet, read, write, handles uint64 }

func decodeLimits(body []byte) (limits, error) {
	d := decoder{rest: body}
	l := limits{d.uint64(), d.uint64(), d.uint64(), d.uint64()}
	return l, d.atLeast()
}

// setLimits takes over what the server said, within what is sane: a packet
// always holds a long path, and never more than other servers would take.
func (c *Caps) setLimits(l limits) {
	const leastPacket = 4 << 10
	if l.packet != 0 {
		c.MaxPacket = int(min(max(l.packet, leastPacket), maxPacket))
	}
	payload := func(limit uint64) int {
		if limit == 0 {
			limit = draftPayload
		}
		return int(min(limit, uint64(c.MaxPacket-packetOverhead)))
	}
	c.MaxRead, c.MaxWrite = payload(l.read), payload(l.write)
	c.MaxHandles = int(min(l.handles, 1<<30))
}
