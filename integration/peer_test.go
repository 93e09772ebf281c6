package integration

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"path"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"

	"seamount/conn"
)

// Packet types, status codes and flags of SFTP version 3
// (draft-ietf-secsh-filexfer-02) as the peer uses them.
const (
	fxpInit, fxpVersion, fxpOpen, fxpClose, fxpRead, fxpWrite     = 1, 2, 3, 4, 5, 6
	fxpLstat, fxpFstat, fxpSetstat, fxpFsetstat                   = 7, 8, 9, 10
	fxpOpendir, fxpReaddir, fxpRemove, fxpMkdir, fxpRmdir         = 11, 12, 13, 14, 15
	fxpRealpath, fxpStat, fxpRename, fxpReadlink                  = 16, 17, 18, 19
	fxpStatus, fxpHandle, fxpData, fxpName, fxpAttrs, fxpExtended = 101, 102, 103, 104, 105, 200

	fxOK, fxEOF, fxNoSuchFile, fxFailure, fxUnsupported = 0, 1, 2, 4, 8

	attrSize, attrOwner, attrPermissions, attrTimes, attrExtended = 1, 2, 4, 8, 1 << 31
)

// A peer is an SFTP server over a tree in memory whose answers a test can
// replace. Nothing about it is clever: it is there to lie.
type peer struct {
	// fault, if set, may answer a request: with packets (without their length)
	// or raw bytes. ok false leaves it to the peer.
	fault func(r peerRequest) (reply peerReply, ok bool)

	mu    sync.Mutex
	files map[string]*peerFile // by clean absolute path
	seen  map[string]int       // READDIRs of a handle
}

// A peerFile is one file, directory or link.
type peerFile struct {
	mode   uint32
	data   []byte
	target string
	size   uint64 // told in place of the size of data, if not 0
}

// A peerRequest is a request with the parts that the types have in common.
type peerRequest struct {
	typ    byte
	id     uint32
	path   string // also the handle: a handle is the path of its file
	off    uint64
	length uint32
	data   []byte
}

// A peerReply is what goes out.
type peerReply struct {
	packets [][]byte
	raw     []byte
	hangUp  bool
}

func one(p []byte) peerReply { return peerReply{packets: [][]byte{p}} }

func newPeer() *peer {
	return &peer{
		files: map[string]*peerFile{"/": {mode: syscall.S_IFDIR | 0o755}},
		seen:  map[string]int{},
	}
}

func (p *peer) add(name string, data string) *peerFile {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &peerFile{mode: syscall.S_IFREG | 0o644, data: []byte(data)}
	p.files["/"+name] = f
	return f
}

// dialer connects to the peer. The peer's goroutines end with the test.
func (p *peer) dialer(t testing.TB) conn.Dialer {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return conn.PipeDialer(func(context.Context) (io.ReadWriteCloser, error) {
		near, far, err := duplex()
		if err != nil {
			return nil, err
		}
		wg.Go(func() {
			p.serve(far)
			far.Close()
		})
		return near, nil
	})
}

// serve answers until the client is gone.
func (p *peer) serve(rw io.ReadWriter) {
	in := bufio.NewReader(rw)
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		reply := p.answer(body)
		var out []byte
		for _, packet := range reply.packets {
			out = binary.BigEndian.AppendUint32(out, uint32(len(packet)))
			out = append(out, packet...)
		}
		if _, err := rw.Write(append(out, reply.raw...)); err != nil || reply.hangUp {
			return
		}
	}
}

func (p *peer) answer(body []byte) peerReply {
	if body[0] == fxpInit {
		return one([]byte{fxpVersion, 0, 0, 0, 3})
	}
	r := parseRequest(body)
	if p.fault != nil {
		if reply, ok := p.fault(r); ok {
			return reply
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return one(p.handleLocked(r))
}

// parseRequest takes from every request what its type has.
func parseRequest(body []byte) peerRequest {
	r := peerRequest{typ: body[0], id: binary.BigEndian.Uint32(body[1:])}
	rest := body[5:]
	r.path, rest = cutString(rest)
	switch r.typ {
	case fxpRead, fxpWrite:
		r.off = binary.BigEndian.Uint64(rest)
		r.length = binary.BigEndian.Uint32(rest[8:])
		r.data = rest[12:]
	case fxpOpen:
		r.length = binary.BigEndian.Uint32(rest) // pflags
	case fxpExtended, fxpClose, fxpReaddir, fxpFstat, fxpFsetstat:
	default:
		r.path = path.Clean("/" + r.path)
	}
	if r.typ == fxpOpen || r.typ == fxpOpendir {
		r.path = path.Clean("/" + r.path)
	}
	return r
}

func cutString(p []byte) (string, []byte) {
	n := binary.BigEndian.Uint32(p)
	return string(p[4 : 4+n]), p[4+n:]
}

// handleLocked answers as an honest server.
func (p *peer) handleLocked(r peerRequest) []byte {
	f := p.files[r.path]
	switch {
	case r.typ == fxpExtended || r.typ == fxpFsetstat || r.typ == fxpSetstat || r.typ == fxpRename:
		return statusPacket(r.id, fxUnsupported)
	case r.typ == fxpRealpath:
		return namePacket(r.id, peerName{r.path, attrsOf(&peerFile{mode: syscall.S_IFDIR | 0o755})})
	case r.typ == fxpClose:
		return statusPacket(r.id, fxOK)
	case r.typ == fxpOpen && f == nil && r.length&8 != 0: // SSH_FXF_CREAT
		p.files[r.path] = &peerFile{mode: syscall.S_IFREG | 0o644}
		return handlePacket(r.id, r.path)
	case f == nil:
		return statusPacket(r.id, fxNoSuchFile)
	}
	return p.handleFileLocked(r, f)
}

func (p *peer) handleFileLocked(r peerRequest, f *peerFile) []byte {
	switch r.typ {
	case fxpOpen, fxpOpendir:
		p.seen[r.path] = 0
		return handlePacket(r.id, r.path)
	case fxpLstat, fxpStat, fxpFstat:
		return attrsPacket(r.id, attrsOf(f))
	case fxpReadlink:
		return namePacket(r.id, peerName{f.target, u32(0)})
	case fxpReaddir:
		if p.seen[r.path]++; p.seen[r.path] > 1 {
			return statusPacket(r.id, fxEOF)
		}
		return namePacket(r.id, p.namesLocked(r.path)...)
	case fxpRead:
		if r.off >= uint64(len(f.data)) {
			return statusPacket(r.id, fxEOF)
		}
		return dataPacket(r.id, f.data[r.off:min(r.off+uint64(r.length), uint64(len(f.data)))])
	case fxpWrite:
		if n := int(r.off) + len(r.data); n > len(f.data) {
			f.data = append(f.data, make([]byte, n-len(f.data))...)
		}
		copy(f.data[r.off:], r.data)
		return statusPacket(r.id, fxOK)
	}
	return statusPacket(r.id, fxUnsupported)
}

// namesLocked are the entries of directory dir.
func (p *peer) namesLocked(dir string) []peerName {
	var names []peerName
	for name, f := range p.files {
		if name != "/" && path.Dir(name) == dir {
			names = append(names, peerName{path.Base(name), attrsOf(f)})
		}
	}
	sort.Slice(names, func(i, j int) bool { return names[i].name < names[j].name })
	return names
}

// A peerName is an entry of a NAME packet with its encoded attributes.
type peerName struct {
	name  string
	attrs []byte
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func str(s string) []byte { return append(u32(uint32(len(s))), s...) }

func packet(typ byte, id uint32, parts ...[]byte) []byte {
	p := append([]byte{typ}, u32(id)...)
	for _, part := range parts {
		p = append(p, part...)
	}
	return p
}

func statusPacket(id, code uint32) []byte {
	return packet(fxpStatus, id, u32(code), str("said the peer"), str(""))
}
func handlePacket(id uint32, h string) []byte { return packet(fxpHandle, id, str(h)) }
func dataPacket(id uint32, d []byte) []byte   { return packet(fxpData, id, str(string(d))) }
func attrsPacket(id uint32, a []byte) []byte  { return packet(fxpAttrs, id, a) }

func namePacket(id uint32, names ...peerName) []byte {
	p := packet(fxpName, id, u32(uint32(len(names))))
	for _, n := range names {
		p = append(p, str(n.name)...)
		p = append(p, str(strings.Repeat("?", 10))...)
		p = append(p, n.attrs...)
	}
	return p
}

func attrsOf(f *peerFile) []byte {
	size := uint64(len(f.data))
	if f.size != 0 {
		size = f.size
	}
	a := u32(attrSize | attrOwner | attrPermissions | attrTimes)
	a = append(a, u64(size)...)
	a = append(append(a, u32(0)...), u32(0)...)
	a = append(a, u32(f.mode)...)
	return append(append(a, u32(1e9)...), u32(1e9)...)
}
