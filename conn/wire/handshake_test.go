package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCaps(t *testing.T) {
	limited := func(packet, read, write, handles uint64) func(*peer) {
		return func(p *peer) {
			p.raw(version(3, append(offered, [2]string{extLimits, "1"})...))
			got := p.recv()
			if got.typ != typeExtended || !bytes.Equal(got.body, cat(extLimits)) {
				t.Errorf("request %d %q", got.typ, got.body)
			}
			p.send(typeExtendedReply, got.id, packet, read, write, handles, "more")
		}
	}
	all := Caps{
		Version: 3, PosixRename: true, Statvfs: true, Fstatvfs: true, Hardlink: true, Fsync: true, Lsetstat: true,
		ExpandPath: true, CopyData: true, HomeDirectory: true, UsersGroups: true, Limits: true,
	}
	sizes := func(c Caps, packet, read, write, handles int) Caps {
		c.MaxPacket, c.MaxRead, c.MaxWrite, c.MaxHandles = packet, read, write, handles
		return c
	}
	for name, e := range map[string]struct {
		greet func(*peer)
		want  Caps
	}{
		"bare":             {func(p *peer) { p.raw(version(3)) }, sizes(Caps{Version: 3}, 34000, 32768, 32768, 0)},
		"openssh":          {limited(262144, 261120, 261120, 1019), sizes(all, 262144, 261120, 261120, 1019)},
		"openssh 8.5":      {limited(262144, 65536, 261120, 10), sizes(all, 262144, 65536, 261120, 10)},
		"no limits at all": {limited(0, 0, 0, 0), sizes(all, 34000, 32768, 32768, 0)},
		"absurdly large": {limited(1<<63, 1<<63, 1<<63, 1<<63),
			sizes(all, 262144, 261120, 261120, 1<<30)},
		"absurdly small": {limited(1, 1, 2, 1), sizes(all, 4096, 1, 2, 1)},
		"limits refused": {func(p *peer) {
			p.raw(version(3, [2]string{extLimits, "1"}))
			p.send(typeStatus, p.recv().id, StatusFailure, "", "")
		}, sizes(Caps{Version: 3, Limits: true}, 34000, 32768, 32768, 0)},
		"other versions": {func(p *peer) {
			p.raw(version(3, [2]string{extLimits, "2"}, [2]string{extStatvfs, "1"}, [2]string{"x", "\x00\xff"}))
		}, sizes(Caps{Version: 3}, 34000, 32768, 32768, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, _, err := dial(t, Options{}, e.greet)
				if err != nil {
					t.Fatal(err)
				}
				defer hangUp(t, s)
				if diff := cmp.Diff(e.want, s.Caps(), cmpopts.IgnoreFields(Caps{}, "Extensions")); diff != "" {
					t.Errorf("Caps (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestExtensions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _, err := dial(t, Options{}, func(p *peer) {
			p.raw(version(3, [2]string{"a", ""}, [2]string{"b", "\x00\xff"}))
		})
		if err != nil {
			t.Fatal(err)
		}
		defer hangUp(t, s)
		want := map[string]string{"a": "", "b": "\x00\xff"}
		if diff := cmp.Diff(want, s.Caps().Extensions); diff != "" {
			t.Errorf("Extensions (-want +got):\n%s", diff)
		}
	})
}

// refused begins a session that must fail, and checks that nothing is left.
func refused(t *testing.T, greet func(*peer)) error {
	t.Helper()
	s, p, err := dial(t, Options{}, greet)
	if err == nil || s != nil {
		t.Fatalf("New = %v, %v", s, err)
	}
	_ = p.SetReadDeadline(time.Now().Add(time.Hour))
	if _, err := p.Read(make([]byte, 1)); err != io.EOF && err != io.ErrClosedPipe {
		t.Errorf("the stream after a failed handshake: %v", err)
	}
	return err
}

func TestVersionRefused(t *testing.T) {
	for v, raw := range map[uint32][]byte{
		2: version(2),
		6: version(6, [2]string{"supported2", "1"}),
		4: cat(9, byte(typeVersion), 4, "", byte(1))[:13], // and something of its own
	} {
		bubble(t, func(t *testing.T) {
			err := refused(t, func(p *peer) { p.raw(raw) })
			if got := wantErrorAs[*VersionError](t, err); got.Version != v {
				t.Errorf("error %v, want version %d", err, v)
			}
		})
	}
}

func TestHandshakeViolations(t *testing.T) {
	for name, raw := range map[string][]byte{
		"another type":        cat(5, byte(typeStatus), 3),
		"no type":             cat(0, byte(typeVersion), 3),
		"no version":          cat(1, byte(typeVersion)),
		"half a version":      cat(3, byte(typeVersion), byte(0), byte(0)),
		"too long":            cat(maxReceive+1, byte(typeVersion), 3),
		"half an extension":   cat(string(cat(byte(typeVersion), 3, "name"))),
		"extension that lies": cat(string(cat(byte(typeVersion), 3, "name", 100, byte(1)))),
		"limits that lie": append(version(3, [2]string{extLimits, "1"}),
			frame(typeExtendedReply, 1, uint64(1), uint64(2), uint64(3), 4)...),
		"limits of another type": append(version(3, [2]string{extLimits, "1"}), frame(typeName, 1, 0)...),
		"limits with a wrong id": append(version(3, [2]string{extLimits, "1"}), frame(typeName, 9, 0)...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				err := refused(t, func(p *peer) {
					go io.Copy(io.Discard, p) // the limits request
					_, _ = p.Write(raw)
				})
				wantErrorAs[*ProtocolError](t, err)
			})
		})
	}
}

func TestHandshakeStreamEnds(t *testing.T) {
	for name, raw := range map[string][]byte{
		"at once":        nil,
		"in the length":  cat(byte(0)),
		"in the version": cat(50, byte(typeVersion), 3),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, _, err := dial(t, Options{}, func(p *peer) { p.raw(raw); p.Close() })
				if err == nil || errors.Is(err, io.EOF) {
					t.Errorf("New: %v", err)
				}
			})
		})
	}
}

// A login shell that prints is told from a server, and its text is shown,
// however it goes on.
func TestChatter(t *testing.T) {
	for name, e := range map[string]struct {
		greet func(*peer)
		want  string
	}{
		"then silence": {func(p *peer) { p.raw([]byte("Hi\n")) }, "Hi\n"},
		"in pieces": {func(p *peer) {
			p.raw([]byte("This account is\r\n"))
			p.raw([]byte("\x1b[1mnot\x1b[0m available.\r\n"))
		}, "This account is\n[1mnot[0m available.\n"},
		"then the end":   {func(p *peer) { p.raw([]byte("bye")); p.Close() }, "bye"},
		"then a server":  {func(p *peer) { p.raw(append([]byte("motd\n"), version(3)...)) }, "motd\n"},
		"without an end": {func(p *peer) { go babble(p) }, strings.Repeat("y\n", maxChatter/2)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, p, err := dial(t, Options{}, e.greet)
				defer p.Close()
				if got := wantErrorAs[*ChatterError](t, err); got.Text != e.want {
					t.Errorf("text %q, want %q", got.Text, e.want)
				}
			})
		})
	}
}

func babble(p *peer) {
	for {
		if _, err := p.Write([]byte("y\n")); err != nil {
			return
		}
	}
}

// refusing is the stream of a server that does not read: the first write
// fails, while there is still something to be read.
type refusing struct{ net.Conn }

func (refusing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestChatterOfServerThatDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			time.Sleep(time.Second) // of the bubble: the write fails first
			_, _ = io.WriteString(there, "no service\n")
			there.Close()
		}()
		_, err := New(t.Context(), refusing{here}, Options{})
		if got := wantErrorAs[*ChatterError](t, err); got.Text != "no service\n" {
			t.Errorf("text %q", got.Text)
		}
	})
}

// A server that says nothing, or stops after VERSION, is left when the context ends.
func TestHandshakeContext(t *testing.T) {
	for name, raw := range map[string][]byte{
		"silence":     nil,
		"half":        version(3, offered...)[:20],
		"only limits": version(3, [2]string{extLimits, "1"}),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, there := net.Pipe()
				go io.Copy(io.Discard, there)
				go there.Write(raw)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := New(ctx, here, Options{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("New: %v", err)
				}
			})
		})
	}
}
