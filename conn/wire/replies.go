package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Handle is an open file or directory as the server names it.
type Handle string

// Name is an entry of a NAME reply.
type Name struct {
	Name     string
	LongName string // for people, in the manner of ls -l on most servers
	Attrs    Attrs
}

// StatVFS is the reply to statvfs@openssh.com: the fields of statvfs(3).
type StatVFS struct {
	Bsize, Frsize         uint64 // bytes
	Blocks, Bfree, Bavail uint64 // in units of Frsize
	Files, Ffree, Favail  uint64
	Fsid                  uint64
	Flag                  uint64 // StatVFSReadOnly, StatVFSNoSUID
	Namemax               uint64 // bytes
}

// Bits of StatVFS.Flag (OpenSSH's PROTOCOL, section 4.4).
const (
	StatVFSReadOnly = 1
	StatVFSNoSUID   = 2
)

// UsersGroupsReply holds the names of the ids asked for, in their order; ""
// where the server knows none.
type UsersGroupsReply struct{ Users, Groups []string }

// minName is the least that an entry of a NAME reply takes: two empty strings
// and attributes without fields.
const minName = 12

var errCount = errors.New("more entries announced than the packet can hold")

// decodeNames decodes the body of a NAME reply. The names of a reply share one
// string and the long names another, so that a reply costs three allocations
// and keeping names does not keep long names.
func decodeNames(body []byte) ([]Name, error) {
	d := decoder{rest: body}
	n := d.uint32()
	if d.short {
		return nil, errShort
	}
	if uint64(n) > uint64(len(d.rest)/minName) {
		return nil, errCount
	}
	size, longSize, err := measureNames(d, n)
	if err != nil {
		return nil, err
	}
	var all, allLong strings.Builder // both are filled exactly, so their strings stand
	all.Grow(size)
	allLong.Grow(longSize)
	names := make([]Name, n)
	for i := range names {
		names[i].Name = cut(&all, d.bytes())
		names[i].LongName = cut(&allLong, d.bytes())
		names[i].Attrs, _ = d.attrs()
	}
	return names, nil
}

// measureNames adds up the lengths of n names, and checks that there are n.
func measureNames(d decoder, n uint32) (names, longNames int, err error) {
	for ; n > 0; n-- {
		names += len(d.bytes())
		longNames += len(d.bytes())
		d.attrs()
	}
	return names, longNames, d.finish()
}

// cut appends b to a builder that has room for it, and returns it as a string.
func cut(to *strings.Builder, b []byte) string {
	start := to.Len()
	to.Write(b)
	return to.String()[start:]
}

// decodeName decodes a NAME reply that must hold one name: READLINK, REALPATH.
func decodeName(body []byte) (string, error) {
	names, err := decodeNames(body)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", fmt.Errorf("%d names instead of one", len(names))
	}
	return names[0].Name, nil
}

// decodeHandle decodes the body of a HANDLE reply.
func decodeHandle(body []byte) (Handle, error) {
	d := decoder{rest: body}
	h := d.bytes()
	if len(h) > maxHandle {
		return "", fmt.Errorf("handle of %d bytes", len(h))
	}
	return Handle(h), d.finish()
}

// decodeStatVFS decodes the body of a reply to statvfs@openssh.com.
func decodeStatVFS(body []byte) (StatVFS, error) {
	d := decoder{rest: body}
	var v StatVFS
	for _, f := range []*uint64{
		&v.Bsize, &v.Frsize, &v.Blocks, &v.Bfree, &v.Bavail,
		&v.Files, &v.Ffree, &v.Favail, &v.Fsid, &v.Flag, &v.Namemax,
	} {
		*f = d.uint64()
	}
	return v, d.atLeast()
}

// decodeUsersGroups decodes the body of a reply to
// users-groups-by-id@openssh.com for the given numbers of ids.
func decodeUsersGroups(body []byte, users, groups int) (UsersGroupsReply, error) {
	d := decoder{rest: body}
	u, g := d.bytes(), d.bytes()
	if err := d.atLeast(); err != nil {
		return UsersGroupsReply{}, err
	}
	var r UsersGroupsReply
	var err error
	if r.Users, err = decodeStrings(u, users); err != nil {
		return UsersGroupsReply{}, err
	}
	if r.Groups, err = decodeStrings(g, groups); err != nil {
		return UsersGroupsReply{}, err
	}
	return r, nil
}

// decodeStrings decodes exactly n strings.
func decodeStrings(body []byte, n int) ([]string, error) {
	if n > len(body)/lengthSize {
		return nil, errShort
	}
	d := decoder{rest: body}
	s := make([]string, n)
	for i := range s {
		s[i] = d.string()
	}
	return s, d.finish()
}

// decodeStatus decodes the body of a STATUS reply. Text and language may be
// missing, as from servers older than version 3.
func decodeStatus(op string, body []byte) (*StatusError, error) {
	d := decoder{rest: body}
	st := &StatusError{Op: op, Code: d.uint32()}
	if len(d.rest) > 0 {
		st.Msg = oneLine(d.bytes())
	}
	if len(d.rest) > 0 {
		d.bytes() // the language
	}
	return st, d.atLeast()
}
