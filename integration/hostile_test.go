package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"seamount/cache"
)

// mountPeer mounts what p serves.
func mountPeer(t testing.TB, p *peer) *mounted {
	t.Helper()
	return mount(t, mountOptions{dialer: p.dialer(t), root: "/", faulty: true})
}

// inTime runs do, which must return within half a minute: nothing that a
// server says may hang a program.
func (m *mounted) inTime(t testing.TB, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		t.Error("hangs")
		if err := m.server.Abort(); err != nil {
			t.Error(err)
		}
		return <-done
	}
}

// answering makes a fault that answers requests of a type about a path.
func answering(typ byte, path string, reply func(r peerRequest) peerReply) func(peerRequest) (peerReply, bool) {
	return func(r peerRequest) (peerReply, bool) {
		if r.typ != typ || r.path != path {
			return peerReply{}, false
		}
		return reply(r), true
	}
}

func TestHostileNames(t *testing.T) {
	p := newPeer()
	file := attrsOf(&peerFile{mode: syscall.S_IFREG | 0o644})
	longest, tooLong := strings.Repeat("x", 255), strings.Repeat("y", 256)
	listed := false
	p.fault = answering(fxpReaddir, "/", func(r peerRequest) peerReply {
		if listed {
			return one(statusPacket(r.id, fxEOF))
		}
		listed = true
		var names []peerName
		for _, n := range []string{
			"good", "", ".", "..", "a/b", "/", "../../etc/passwd", "nul\x00byte", tooLong, longest, "good", "\xff\n", "/abs",
		} {
			names = append(names, peerName{n, file})
		}
		return one(namePacket(r.id, names...))
	})
	m := mountPeer(t, p)
	var got []string
	must(t, m.inTime(t, func() error {
		entries, err := os.ReadDir(m.dir)
		for _, e := range entries {
			got = append(got, e.Name())
		}
		return err
	}))
	sort.Strings(got)
	if d := cmp.Diff([]string{"good", longest, "\xff\n"}, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

// TestHostileListing lists directories that have no end or lie about it.
func TestHostileListing(t *testing.T) {
	file := attrsOf(&peerFile{mode: syscall.S_IFREG | 0o644})
	for name, reply := range map[string]func(r peerRequest) peerReply{
		"the same names without end": func(r peerRequest) peerReply {
			return one(namePacket(r.id, peerName{"a", file}, peerName{"b", file}))
		},
		"no names without end": func(r peerRequest) peerReply { return one(namePacket(r.id)) },
		"a count that lies": func(r peerRequest) peerReply {
			return one(packet(fxpName, r.id, u32(0xffffffff), str("a"), str(""), file))
		},
		"a length that lies":   func(r peerRequest) peerReply { return one(packet(fxpName, r.id, u32(1), u32(0xfffffff0), str(""))) },
		"attributes cut short": func(r peerRequest) peerReply { return one(packet(fxpName, r.id, u32(1), str("a"), str(""), file[:7])) },
		"an extension count": func(r peerRequest) peerReply {
			return one(packet(fxpName, r.id, u32(1), str("a"), str(""), u32(attrExtended), u32(0xffffffff)))
		},
		"a reply of wrong type": func(r peerRequest) peerReply { return one(handlePacket(r.id, "h")) },
		"success":               func(r peerRequest) peerReply { return one(statusPacket(r.id, fxOK)) },
		"a failure":             func(r peerRequest) peerReply { return one(statusPacket(r.id, fxFailure)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer()
			p.add("dir", "").mode = syscall.S_IFDIR | 0o755
			p.fault = answering(fxpReaddir, "/dir", reply)
			m := mountPeer(t, p)
			before := heap()
			wantErrno(t, m.inTime(t, func() error { return listDir(m.dir + "/dir") }), unix.EIO)
			if after := heap(); after > before+100<<20 {
				t.Errorf("the heap grew from %d to %d bytes", before, after)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestHostilePackets answers one LSTAT with what is no answer.
func TestHostilePackets(t *testing.T) {
	for name, reply := range map[string]func(r peerRequest) peerReply{
		"empty packet":      func(peerRequest) peerReply { return peerReply{raw: u32(0)} },
		"endless packet":    func(peerRequest) peerReply { return peerReply{raw: append(u32(0xffffffff), "rubbish"...)} },
		"text":              func(peerRequest) peerReply { return peerReply{raw: []byte("Segmentation fault\n")} },
		"unknown type":      func(r peerRequest) peerReply { return one(packet(250, r.id, []byte("what"))) },
		"type of a request": func(r peerRequest) peerReply { return one(packet(fxpOpen, r.id, str("x"))) },
		"wrong type":        func(r peerRequest) peerReply { return one(handlePacket(r.id, "h")) },
		"wrong id":          func(r peerRequest) peerReply { return one(statusPacket(r.id+1_000_000, fxFailure)) },
		"cut short":         func(r peerRequest) peerReply { return one(attrsPacket(r.id, u32(attrSize))) },
		"only a type":       func(peerRequest) peerReply { return one([]byte{fxpAttrs}) },
		"unknown status":    func(r peerRequest) peerReply { return one(statusPacket(r.id, 4711)) },
		"status cut short":  func(r peerRequest) peerReply { return one(packet(fxpStatus, r.id)) },
		"success":           func(r peerRequest) peerReply { return one(statusPacket(r.id, fxOK)) },
		"end of file":       func(r peerRequest) peerReply { return one(statusPacket(r.id, fxEOF)) },
		"two answers": func(r peerRequest) peerReply {
			return peerReply{packets: [][]byte{statusPacket(r.id, fxFailure), statusPacket(r.id, fxFailure)}}
		},
		"end of the session": func(peerRequest) peerReply { return peerReply{hangUp: true} },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer()
			p.add("file", "content")
			var once atomic.Bool
			p.fault = func(r peerRequest) (peerReply, bool) {
				if (r.typ != fxpLstat && r.typ != fxpReaddir) || once.Swap(true) {
					return peerReply{}, false
				}
				return reply(r), true
			}
			m := mountPeer(t, p)
			once.Store(false)
			err := m.inTime(t, func() error { return unix.Lstat(m.dir+"/file", new(unix.Stat_t)) })
			if err != nil {
				wantErrno(t, err, unix.EIO)
			}
			// Whatever became of the session: the mount answers, and ends.
			_ = m.inTime(t, func() error { return unix.Lstat(m.dir+"/file", new(unix.Stat_t)) })
		})
	}
}

// TestHostileAttributes looks at a file of which the server tells nonsense.
func TestHostileAttributes(t *testing.T) {
	for name, attrs := range map[string][]byte{
		"nothing":             u32(0),
		"only a size":         append(u32(attrSize), u64(7)...),
		"no file type":        append(u32(attrPermissions), u32(0o644)...),
		"huge size":           append(append(u32(attrSize|attrPermissions), u64(1<<63+5)...), u32(syscall.S_IFREG|0o644)...),
		"block device":        append(u32(attrPermissions), u32(syscall.S_IFBLK|0o666)...),
		"fifo":                append(u32(attrPermissions), u32(syscall.S_IFIFO|0o666)...),
		"type of no kind":     append(u32(attrPermissions), u32(0o170000|0o666)...),
		"all permission bits": append(u32(attrPermissions), u32(0xffffffff)...),
		"owner -1":            append(append(u32(attrOwner), u32(0xffffffff)...), u32(0xffffffff)...),
		"far times":           append(append(u32(attrTimes), u32(0xffffffff)...), u32(0)...),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer()
			p.add("file", "content")
			p.fault = func(r peerRequest) (peerReply, bool) {
				if r.path == "/file" && (r.typ == fxpLstat || r.typ == fxpFstat || r.typ == fxpStat) {
					return one(attrsPacket(r.id, attrs)), true
				}
				return peerReply{}, false
			}
			m := mountPeer(t, p)
			var st unix.Stat_t
			if err := m.inTime(t, func() error { return unix.Lstat(m.dir+"/file", &st) }); err != nil {
				wantErrno(t, err, unix.EIO)
				return
			}
			if st.Size < 0 {
				t.Errorf("size %d", st.Size)
			}
			fd, err := unix.Open(m.dir+"/file", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err == nil { // a device must not open: the mount is nodev
				defer unix.Close(fd)
				if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFBLK || kind == unix.S_IFCHR {
					t.Errorf("opened a device")
				}
			}
		})
	}
}

// readWith reads a file of p with content and a fault.
func readWith(t *testing.T, content string, fault func(p *peer, r peerRequest) (peerReply, bool)) (string, error) {
	t.Helper()
	p := newPeer()
	p.add("file", content)
	p.fault = func(r peerRequest) (peerReply, bool) { return fault(p, r) }
	m := mountPeer(t, p)
	var got []byte
	err := m.inTime(t, func() (err error) {
		got, err = os.ReadFile(m.dir + "/file")
		return err
	})
	return string(got), err
}

func TestHostileReads(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 40_000)
	t.Run("short replies lose nothing", func(t *testing.T) {
		got, err := readWith(t, content, func(p *peer, r peerRequest) (peerReply, bool) {
			if r.typ != fxpRead || r.off >= uint64(len(content)) {
				return peerReply{}, false
			}
			n := min(uint64(r.length), 1+r.off%5000, uint64(len(content))-r.off)
			return one(dataPacket(r.id, []byte(content)[r.off:r.off+n])), true
		})
		if err != nil || got != content {
			t.Errorf("%d bytes of %d, %v", len(got), len(content), err)
		}
	})
	for name, reply := range map[string]func(r peerRequest) []byte{
		"a failure":         func(r peerRequest) []byte { return statusPacket(r.id, fxFailure) },
		"no such file":      func(r peerRequest) []byte { return statusPacket(r.id, fxNoSuchFile) },
		"success":           func(r peerRequest) []byte { return statusPacket(r.id, fxOK) },
		"no bytes":          func(r peerRequest) []byte { return dataPacket(r.id, nil) },
		"more than asked":   func(r peerRequest) []byte { return dataPacket(r.id, make([]byte, r.length+1)) },
		"a wrong type":      func(r peerRequest) []byte { return handlePacket(r.id, "x") },
		"a length too long": func(r peerRequest) []byte { return packet(fxpData, r.id, u32(0x7fffffff), []byte("x")) },
	} {
		t.Run("error/"+name, func(t *testing.T) {
			got, err := readWith(t, content, func(_ *peer, r peerRequest) (peerReply, bool) {
				if r.typ != fxpRead || r.off < 300_000 {
					return peerReply{}, false
				}
				return one(reply(r)), true
			})
			if err == nil {
				t.Errorf("%d bytes of %d and no error", len(got), len(content))
			} else if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ESTALE) {
				t.Errorf("error %v, want EIO", err)
			}
			if !strings.HasPrefix(content, got) {
				t.Error("what was read before the error is wrong")
			}
		})
	}
	for name, size := range map[string]uint64{"smaller": 10, "larger": 1 << 20} {
		t.Run("size that lies/"+name, func(t *testing.T) {
			got, err := readWith(t, content, func(p *peer, r peerRequest) (peerReply, bool) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.files["/file"].size = size
				return peerReply{}, false
			})
			// Where the size promises more than there is, the kernel fills the last page.
			if !strings.HasPrefix(content, strings.TrimRight(got, "\x00")) {
				t.Errorf("%d bytes, %v: not the content", len(got), err)
			}
		})
	}
}

// TestHostileWrites fails every WRITE: every descriptor must hear of it.
func TestHostileWrites(t *testing.T) {
	p := newPeer()
	p.add("file", "")
	p.fault = answering(fxpWrite, "/file", func(r peerRequest) peerReply { return one(statusPacket(r.id, fxFailure)) })
	m := mountPeer(t, p)
	var fds []int
	for range 3 {
		fd, err := unix.Open(m.dir+"/file", unix.O_RDWR|unix.O_CLOEXEC, 0)
		must(t, err)
		fds = append(fds, fd)
	}
	for i, fd := range fds {
		if _, err := unix.Pwrite(fd, bytes.Repeat([]byte{byte(i)}, 100), int64(i)*100); err != nil {
			wantErrno(t, err, unix.EIO)
		}
	}
	for i, fd := range fds {
		t.Run(fmt.Sprint("descriptor ", i), func(t *testing.T) {
			sync := m.inTime(t, func() error { return unix.Fsync(fd) })
			if closed := unix.Close(fd); sync == nil && closed == nil {
				t.Error("neither fsync nor close told of the write that failed")
			}
		})
	}
	t.Run("a later open is not told", func(t *testing.T) {
		must(t, openClose(m.dir+"/file", unix.O_RDONLY))
	})
}

// TestHostileType has a file become a directory and a link while it is open.
func TestHostileType(t *testing.T) {
	for name, mode := range map[string]uint32{"directory": syscall.S_IFDIR | 0o755, "link": syscall.S_IFLNK | 0o777} {
		t.Run(name, func(t *testing.T) {
			p := newPeer()
			file := p.add("file", "content")
			m := mount(t, mountOptions{dialer: p.dialer(t), root: "/", faulty: true, cache: uncached()})
			f, err := os.Open(m.dir + "/file")
			must(t, err)
			defer f.Close()
			p.mu.Lock()
			file.mode, file.target = mode, "elsewhere"
			p.mu.Unlock()
			fi, err := os.Lstat(m.dir + "/file")
			must(t, err)
			if got := fi.Mode().Type(); got != map[string]os.FileMode{"directory": os.ModeDir, "link": os.ModeSymlink}[name] {
				t.Errorf("the name has type %v", got)
			}
			if fi, err := f.Stat(); err == nil && !fi.Mode().IsRegular() {
				t.Errorf("the open file has become %v", fi.Mode())
			}
			_ = m.inTime(t, func() error { _, err := io.ReadAll(f); return err })
		})
	}
}

// TestSilentServer has a server that stops answering: ^C ends what waits, and
// the mount can be ended.
func TestSilentServer(t *testing.T) {
	p := newPeer()
	p.add("file", "content")
	release := make(chan struct{})
	p.fault = answering(fxpRead, "/file", func(r peerRequest) peerReply {
		<-release
		return one(statusPacket(r.id, fxFailure))
	})
	m := mount(t, mountOptions{dialer: p.dialer(t), root: "/", faulty: true, cache: cache.Options{}})
	defer close(release)
	began := time.Now()
	out, err := tryRun("/", "timeout", "--signal=INT", "--kill-after=20", "0.5", "cat", m.dir+"/file")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("cat was interrupted after %v: %v\n%s", took, err, out)
	}
}
