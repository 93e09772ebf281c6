package wire

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	someAttrs = Attrs{
		Flags: AttrSize | AttrUIDGID | AttrPermissions | AttrACModTime,
		Size:  1<<40 + 7, UID: 10, GID: 20, Mode: 0o100640, Atime: 30, Mtime: 40,
	}
	someAttrsRaw = cat(0x0f, uint64(1<<40+7), 10, 20, 0o100640, 30, 40)
	modeOnly     = Attrs{Flags: AttrPermissions, Mode: 0o600}
	modeOnlyRaw  = cat(4, 0o600)
	okRaw        = cat(0, "Success", "")
)

// exchange is one request, the answer to it, and what the caller gets.
type exchange struct {
	name  string
	issue func(context.Context, *Session) erased
	typ   byte   // of the request
	body  []byte // of the request, behind the id
	reply byte
	with  []byte // body of the reply
	value any
}

func plainExchanges() []exchange {
	unit := struct{}{}
	return []exchange{
		{"lstat", func(c context.Context, s *Session) erased { return erase(s.Lstat(c, "a/b")) },
			7, cat("a/b"), 105, someAttrsRaw, someAttrs},
		{"stat", func(c context.Context, s *Session) erased { return erase(s.Stat(c, "")) },
			17, cat(""), 105, cat(0), Attrs{}},
		{"fstat", func(c context.Context, s *Session) erased { return erase(s.Fstat(c, "h\x00h")) },
			8, cat("h\x00h"), 105, modeOnlyRaw, modeOnly},
		{"extended attributes are skipped", func(c context.Context, s *Session) erased { return erase(s.Lstat(c, "a")) },
			7, cat("a"), 105, cat(uint32(0x80000004), 0o600, 2, "k", "v", "k2", ""), modeOnly},
		{"attributes of a later version are skipped", func(c context.Context, s *Session) erased { return erase(s.Lstat(c, "a")) },
			7, cat("a"), 105, cat(0x104, 0o600, 99), modeOnly},
		{"setstat", func(c context.Context, s *Session) erased { return erase(s.Setstat(c, "a", someAttrs)) },
			9, cat("a", someAttrsRaw), 101, okRaw, unit},
		{"fsetstat", func(c context.Context, s *Session) erased { return erase(s.Fsetstat(c, "h", modeOnly)) },
			10, cat("h", modeOnlyRaw), 101, okRaw, unit},
		{"open", func(c context.Context, s *Session) erased {
			return erase(s.Open(c, "a", OpenWrite|OpenCreat|OpenExcl, modeOnly))
		}, 3, cat("a", 0x2a, modeOnlyRaw), 102, cat("\x00\x01\x02\x03"), Handle("\x00\x01\x02\x03")},
		{"opendir", func(c context.Context, s *Session) erased { return erase(s.Opendir(c, "d")) },
			11, cat("d"), 102, cat("h"), Handle("h")},
		{"readdir", func(c context.Context, s *Session) erased { return erase(s.Readdir(c, "h")) },
			12, cat("h"), 104, cat(3, "x", "-rw x", someAttrsRaw, "", "", 0, "yy", "long y", modeOnlyRaw),
			[]Name{{"x", "-rw x", someAttrs}, {}, {"yy", "long y", modeOnly}}},
		{"readdir without entries", func(c context.Context, s *Session) erased { return erase(s.Readdir(c, "h")) },
			12, cat("h"), 104, cat(0), []Name{}},
		{"close", func(c context.Context, s *Session) erased { return erase(s.CloseHandle(c, "h")) },
			4, cat("h"), 101, okRaw, unit},
		{"status without text", func(c context.Context, s *Session) erased { return erase(s.CloseHandle(c, "h")) },
			4, cat("h"), 101, cat(0), unit},
		{"write", func(c context.Context, s *Session) erased { return erase(s.Write(c, "h", 1<<33, []byte("data"))) },
			6, cat("h", uint64(1<<33), "data"), 101, okRaw, unit},
		{"remove", func(c context.Context, s *Session) erased { return erase(s.Remove(c, "a")) },
			13, cat("a"), 101, okRaw, unit},
		{"mkdir", func(c context.Context, s *Session) erased { return erase(s.Mkdir(c, "d", modeOnly)) },
			14, cat("d", modeOnlyRaw), 101, okRaw, unit},
		{"rmdir", func(c context.Context, s *Session) erased { return erase(s.Rmdir(c, "d")) },
			15, cat("d"), 101, okRaw, unit},
		{"realpath", func(c context.Context, s *Session) erased { return erase(s.Realpath(c, ".")) },
			16, cat("."), 104, cat(1, "/home/u", "", 0), "/home/u"},
		{"rename", func(c context.Context, s *Session) erased { return erase(s.Rename(c, "a", "b")) },
			18, cat("a", "b"), 101, okRaw, unit},
		{"readlink", func(c context.Context, s *Session) erased { return erase(s.Readlink(c, "l")) },
			19, cat("l"), 104, cat(1, "../t", "../t", 0), "../t"},
		{"symlink", func(c context.Context, s *Session) erased { return erase(s.Symlink(c, "target", "link")) },
			20, cat("target", "link"), 101, okRaw, unit},
	}
}

func extendedExchanges() []exchange {
	unit := struct{}{}
	vfs := StatVFS{1, 2, 3, 4, 5, 6, 7, 8, 9, StatVFSReadOnly, 11}
	vfsRaw := cat(uint64(1), uint64(2), uint64(3), uint64(4), uint64(5), uint64(6), uint64(7), uint64(8),
		uint64(9), uint64(1), uint64(11))
	return []exchange{
		{"posix-rename", func(c context.Context, s *Session) erased { return erase(s.PosixRename(c, "a", "b")) },
			200, cat("posix-rename@openssh.com", "a", "b"), 101, okRaw, unit},
		{"statvfs", func(c context.Context, s *Session) erased { return erase(s.Statvfs(c, "a")) },
			200, cat("statvfs@openssh.com", "a"), 201, vfsRaw, vfs},
		{"fstatvfs", func(c context.Context, s *Session) erased { return erase(s.Fstatvfs(c, "h")) },
			200, cat("fstatvfs@openssh.com", "h"), 201, append(vfsRaw, "more"...), vfs},
		{"hardlink", func(c context.Context, s *Session) erased { return erase(s.Hardlink(c, "a", "b")) },
			200, cat("hardlink@openssh.com", "a", "b"), 101, okRaw, unit},
		{"fsync", func(c context.Context, s *Session) erased { return erase(s.Fsync(c, "h")) },
			200, cat("fsync@openssh.com", "h"), 101, okRaw, unit},
		{"lsetstat", func(c context.Context, s *Session) erased { return erase(s.Lsetstat(c, "l", modeOnly)) },
			200, cat("lsetstat@openssh.com", "l", modeOnlyRaw), 101, okRaw, unit},
		{"expand-path", func(c context.Context, s *Session) erased { return erase(s.ExpandPath(c, "~/x")) },
			200, cat("expand-path@openssh.com", "~/x"), 104, cat(1, "/home/u/x", "", 0), "/home/u/x"},
		{"copy-data", func(c context.Context, s *Session) erased { return erase(s.CopyData(c, "h", 1, 2, "k", 3)) },
			200, cat("copy-data", "h", uint64(1), uint64(2), "k", uint64(3)), 101, okRaw, unit},
		{"home-directory", func(c context.Context, s *Session) erased { return erase(s.HomeDirectory(c, "u")) },
			200, cat("home-directory", "u"), 104, cat(1, "/home/u", "", 0), "/home/u"},
		{"users-groups", func(c context.Context, s *Session) erased {
			return erase(s.UsersGroups(c, []uint32{0, 7}, []uint32{1}))
		}, 200, cat("users-groups-by-id@openssh.com", string(cat(0, 7)), string(cat(1))),
			201, cat(string(cat("root", "")), string(cat("daemon"))),
			UsersGroupsReply{[]string{"root", ""}, []string{"daemon"}}},
	}
}

func allExchanges() []exchange { return append(plainExchanges(), extendedExchanges()...) }

func TestEveryRequest(t *testing.T) {
	for _, e := range allExchanges() {
		t.Run(e.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := open(t, Options{})
				defer hangUp(t, s)
				wait := e.issue(t.Context(), s)
				got := p.recv()
				if got.typ != e.typ || !bytes.Equal(got.body, e.body) {
					t.Errorf("request %d %q, want %d %q", got.typ, got.body, e.typ, e.body)
				}
				p.send(e.reply, got.id, e.with)
				value, err := wait(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(e.value, value); diff != "" {
					t.Errorf("value (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Every request fails with the server's status, whole and harmless.
func TestEveryRequestRefused(t *testing.T) {
	for _, e := range allExchanges() {
		t.Run(e.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := open(t, Options{})
				defer hangUp(t, s)
				wait := e.issue(t.Context(), s)
				p.send(typeStatus, p.recv().id, StatusFailure, "no\x1b[31m\r\n way", "en")
				_, err := wait(t.Context())
				st := wantErrorAs[*StatusError](t, err)
				if st.Code != StatusFailure || st.Msg != "no[31m way" || st.Op == "" {
					t.Errorf("error %+v", st)
				}
			})
		})
	}
}

// Every request fails, alone, when the type of the reply or its content is wrong.
func TestEveryReplyWrong(t *testing.T) {
	for _, e := range allExchanges() {
		wrong := map[string][]byte{
			"type":      frame(typeInit, 0),
			"empty":     frame(e.reply, 0),
			"truncated": frame(e.reply, 0, e.with[:len(e.with)-1]),
		}
		if e.reply == typeStatus {
			wrong["type"] = frame(typeHandle, 0, "h")
		} else {
			wrong["OK without a value"] = frame(typeStatus, 0, okRaw)
		}
		if strings.Contains(e.name, "fstatvfs") || strings.Contains(e.name, "later version") {
			delete(wrong, "truncated") // there was more than is needed
		}
		for name, reply := range wrong {
			t.Run(e.name+"/"+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) { failsAlone(t, e.issue, reply) })
			})
		}
	}
}

// failsAlone sends reply, its id corrected, to one of two requests.
func failsAlone(t *testing.T, issue func(context.Context, *Session) erased, reply []byte) {
	t.Helper()
	s, p := open(t, Options{})
	defer hangUp(t, s)
	wait := issue(t.Context(), s)
	other := s.Lstat(t.Context(), "other")
	id, otherID := p.recv().id, p.recv().id
	reply = bytes.Clone(reply)
	copy(reply[5:], cat(id))
	p.raw(reply)
	_, err := wait(t.Context())
	wantErrorAs[*ProtocolError](t, err)
	p.send(typeAttrs, otherID, modeOnlyRaw)
	if got, err := other.Wait(t.Context()); err != nil || got != modeOnly {
		t.Errorf("the request beside it: %+v, %v", got, err)
	}
}

// What would make a server end the session is not sent.
func TestRefusedLocally(t *testing.T) {
	long := strings.Repeat("n", draftPacket)
	for _, e := range []struct {
		name  string
		issue func(context.Context, *Session) erased
		want  syscall.Errno
	}{
		{"NUL", func(c context.Context, s *Session) erased { return erase(s.Lstat(c, "a\x00b")) }, syscall.EINVAL},
		{"NUL in open", func(c context.Context, s *Session) erased { return erase(s.Open(c, "\x00", 0, Attrs{})) }, syscall.EINVAL},
		{"NUL in mkdir", func(c context.Context, s *Session) erased { return erase(s.Mkdir(c, "\x00", Attrs{})) }, syscall.EINVAL},
		{"NUL in second path", func(c context.Context, s *Session) erased { return erase(s.Rename(c, "a", "\x00")) }, syscall.EINVAL},
		{"NUL in extension", func(c context.Context, s *Session) erased { return erase(s.PosixRename(c, "a", "\x00")) }, syscall.EINVAL},
		{"NUL in lsetstat", func(c context.Context, s *Session) erased { return erase(s.Lsetstat(c, "\x00", Attrs{})) }, syscall.EINVAL},
		{"long", func(c context.Context, s *Session) erased { return erase(s.Stat(c, long)) }, syscall.ENAMETOOLONG},
		{"long in extension", func(c context.Context, s *Session) erased { return erase(s.Hardlink(c, long, "a")) }, syscall.ENAMETOOLONG},
		{"large", func(c context.Context, s *Session) erased { return erase(s.Write(c, "h", 0, make([]byte, 32769))) }, syscall.EMSGSIZE},
		{"many ids", func(c context.Context, s *Session) erased {
			return erase(s.UsersGroups(c, make([]uint32, 999), make([]uint32, 2)))
		}, syscall.EMSGSIZE},
	} {
		t.Run(e.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p := open(t, Options{})
				defer hangUp(t, s)
				_, err := e.issue(t.Context(), s)(t.Context())
				wantErrorAs[*RequestError](t, err)
				if !errors.Is(err, e.want) {
					t.Errorf("error %v, want %v", err, e.want)
				}
				s.Lstat(t.Context(), "next")
				if got := p.recv(); string(got.body) != string(cat("next")) {
					t.Errorf("sent %q", got.body)
				} else {
					p.send(typeAttrs, got.id, 0)
				}
			})
		})
	}
}

// An extension that is not offered, or in another version, is not used.
func TestExtensionNotOffered(t *testing.T) {
	others := make([][2]string, len(offered))
	for i, e := range offered {
		others[i] = [2]string{e[0], "9"}
	}
	for name, ext := range map[string][][2]string{"none": nil, "other versions": others} {
		bubble(t, func(t *testing.T) {
			s, _, err := dial(t, Options{}, func(p *peer) { p.raw(version(3, ext...)) })
			if err != nil {
				t.Fatal(err)
			}
			defer hangUp(t, s)
			for _, e := range extendedExchanges() {
				_, err := e.issue(t.Context(), s)(t.Context())
				un := wantErrorAs[*UnsupportedError](t, err)
				if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(string(e.body), un.Extension) {
					t.Errorf("%s: %s: %v", name, e.name, err)
				}
			}
		})
	}
}
