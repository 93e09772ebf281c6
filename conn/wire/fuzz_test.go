package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzAttrs(f *testing.F) {
	for _, seed := range [][]byte{
		nil, cat(0), someAttrsRaw, modeOnlyRaw, cat(uint32(attrExtended), 1, "k", "v"),
		cat(uint32(attrExtended), uint32(0xffffffff), "k"), cat(0x100, 1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeAttrs(body)
		if err != nil {
			return
		}
		if a.Flags&^attrKnown != 0 {
			t.Errorf("flags %x", a.Flags)
		}
		again, err := decodeAttrs(appendAttrs(nil, a))
		if err != nil || again != a {
			t.Errorf("%+v became %+v, %v", a, again, err)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, seed := range [][]byte{
		nil, cat(0), cat(1, "a", "b", 0), cat(2, "a", "long", someAttrsRaw, "", "", modeOnlyRaw),
		cat(uint32(0xffffffff), "a", "b", 0), cat(1, "a", "b", uint32(attrExtended), 1, "k", "v"),
		cat(3, "..", "", 0, "a/b", "", 0, "\x00", "", 0),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		names, err := decodeNames(body)
		if cap(names)*minName > len(body) {
			t.Errorf("%d names out of %d bytes", cap(names), len(body))
		}
		if err != nil {
			return
		}
		again, err := decodeNames(encodeNames(names))
		if err != nil || !slices.Equal(again, names) {
			t.Errorf("%+v became %+v, %v", names, again, err)
		}
		if name, err := decodeName(body); err == nil && (len(names) != 1 || names[0].Name != name) {
			t.Errorf("one name %q out of %+v", name, names)
		}
	})
}

func encodeNames(names []Name) []byte {
	b := cat(len(names))
	for _, n := range names {
		b = append(b, cat(n.Name, n.LongName, appendAttrs(nil, n.Attrs))...)
	}
	return b
}

func FuzzHandle(f *testing.F) {
	for _, seed := range [][]byte{nil, cat(""), cat("h"), cat(uint32(0xffffffff)), cat(strings.Repeat("h", 257))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := decodeHandle(body)
		if err == nil && (len(h) > maxHandle || !bytes.Equal(appendString(nil, h), body)) {
			t.Errorf("%q out of %q", h, body)
		}
	})
}

func FuzzStatus(f *testing.F) {
	for _, seed := range [][]byte{
		nil, cat(0), okRaw, cat(4, "\x1b[2J\r\n\xff", "en"), cat(4, "x"), cat(4, uint32(0xffffffff)),
		cat(4, strings.Repeat("é", 1000), ""),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		st, err := decodeStatus("OP", body)
		if err != nil {
			return
		}
		if st.Op != "OP" || len(st.Msg) > maxStatusText || !utf8.ValidString(st.Msg) ||
			strings.ContainsFunc(st.Msg, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%+v out of %q", st, body)
		}
		if want := cat(body[:4]); !bytes.Equal(appendUint32(nil, st.Code), want) {
			t.Errorf("code %d out of %x", st.Code, want)
		}
	})
}

func FuzzVersion(f *testing.F) {
	for _, seed := range [][]byte{
		nil, cat(3), cat(3, "a", "1"), cat(3, "a", "1", "a", "2"), cat(3, "a"), cat(6, "supported2", "\x00\x01"),
		cat(3, uint32(0xffffffff)), version(3, offered...)[5:], cat(3, "", ""),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, ext, err := decodeVersion(body)
		if len(ext)*8 > len(body) {
			t.Errorf("%d extensions out of %d bytes", len(ext), len(body))
		}
		if err != nil {
			return
		}
		c := newCaps(v, ext)
		if c.Statvfs != (ext[extStatvfs] == "2") || c.CopyData != (ext[extCopyData] == "1") {
			t.Errorf("%+v", c)
		}
		b := cat(v)
		for name, data := range ext {
			b = append(b, cat(name, data)...)
		}
		if v2, ext2, err := decodeVersion(b); err != nil || v2 != v || len(ext2) != len(ext) {
			t.Errorf("%d %q became %d %q, %v", v, ext, v2, ext2, err)
		}
	})
}

func FuzzLimits(f *testing.F) {
	f.Add(cat(uint64(262144), uint64(261120), uint64(261120), uint64(1019)))
	f.Add(cat(uint64(0), uint64(0), uint64(0), uint64(0)))
	f.Add(cat(uint64(1<<63), uint64(1<<63), uint64(1<<63), uint64(1<<63), "more"))
	f.Add(cat(uint64(1), uint64(1)))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := decodeLimits(body)
		if (err == nil) != (len(body) >= 32) {
			t.Errorf("%v for %d bytes", err, len(body))
		}
		c := newCaps(protocolVersion, nil)
		c.setLimits(l)
		for _, payload := range []int{c.MaxRead, c.MaxWrite} {
			if payload < 1 || payload+packetOverhead > c.MaxPacket || c.MaxPacket > maxPacket || c.MaxHandles < 0 {
				t.Errorf("%+v became %+v", l, c)
			}
		}
	})
}

func FuzzStatVFS(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1}, 88))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Add(make([]byte, 87))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := decodeStatVFS(body)
		if err != nil {
			if len(body) >= 88 {
				t.Errorf("%v for %d bytes", err, len(body))
			}
			return
		}
		b := cat(v.Bsize, v.Frsize, v.Blocks, v.Bfree, v.Bavail, v.Files, v.Ffree, v.Favail, v.Fsid, v.Flag, v.Namemax)
		if !bytes.Equal(b, body[:88]) {
			t.Errorf("%+v out of %x", v, body)
		}
	})
}

func FuzzUsersGroups(f *testing.F) {
	f.Add(cat(string(cat("root", "")), string(cat("daemon"))), uint16(2), uint16(1))
	f.Add(cat("", ""), uint16(0), uint16(0))
	f.Add(cat("", ""), uint16(0xffff), uint16(0))
	f.Add(cat(string(cat(uint32(0xffffffff))), ""), uint16(1), uint16(0))
	f.Fuzz(func(t *testing.T, body []byte, users, groups uint16) {
		r, err := decodeUsersGroups(body, int(users), int(groups))
		if err != nil {
			return
		}
		if len(r.Users) != int(users) || len(r.Groups) != int(groups) {
			t.Fatalf("%d and %d names, want %d and %d", len(r.Users), len(r.Groups), users, groups)
		}
		var u, g []byte
		for _, n := range r.Users {
			u = append(u, cat(n)...)
		}
		for _, n := range r.Groups {
			g = append(g, cat(n)...)
		}
		if b := cat(string(u), string(g)); !bytes.Equal(b, body[:len(b)]) {
			t.Errorf("%+v out of %x", r, body)
		}
	})
}

// FuzzGreeting lets a server begin with anything.
func FuzzGreeting(f *testing.F) {
	for _, seed := range [][]byte{
		nil, version(3), version(3, [2]string{extLimits, "1"}), version(2), []byte("hello\n"),
		append(version(3, [2]string{extLimits, "1"}), frame(typeExtendedReply, 1, make([]byte, 32))...),
		append([]byte("motd"), version(3)...), cat(uint32(0xffffffff)), cat(0, 0, 0),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, greeting []byte) {
		stream := newCanned()
		go stream.say(greeting, true)
		s, err := New(context.Background(), stream, Options{})
		if err != nil {
			if errors.Is(err, io.EOF) {
				t.Errorf("New: %v", err)
			}
			return
		}
		if c := s.Caps(); c.Version != 3 || c.MaxRead < 1 {
			t.Errorf("Caps: %+v", c)
		}
		s.Abort(context.Canceled)
		<-s.ended
	})
}

// FuzzReplies lets a server answer one request of each kind of reply with
// anything: every call has an outcome, and nothing is left.
func FuzzReplies(f *testing.F) {
	for _, seed := range [][]byte{
		nil, frame(typeAttrs, 1, 0), frame(typeData, 2, "12345678"), frame(typeData, 2, "123456789"),
		append(frame(typeHandle, 3, "h"), frame(typeName, 4, cat(1, "a", "b", 0))...),
		frame(typeStatus, 5, okRaw), frame(typeExtendedReply, 6, make([]byte, 88)), frame(typeStatus, 9, okRaw),
		cat(5, byte(typeData), 2), cat(9, byte(typeData), 2, uint32(0xffffffff)), cat(uint32(0x00ffffff)),
		append(frame(typeName, 4, make([]byte, 70_000)), frame(typeStatus, 1, okRaw)...),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, replies []byte) {
		stream := newCanned()
		go stream.say(version(3, offered...), false)
		s, err := New(context.Background(), stream, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		buf := make([]byte, 16)
		first, read := s.Lstat(ctx, "a"), s.Read(ctx, "h", 0, buf[:8]) // ids 1 and 2
		waits := []erased{
			erase(first), erase(read), erase(s.Open(ctx, "a", 0, Attrs{})),
			erase(s.Readdir(ctx, "h")), erase(s.Remove(ctx, "a")), erase(s.Statvfs(ctx, "a")),
		}
		go stream.say(replies, true)
		for _, wait := range waits {
			if _, err := wait(ctx); errors.Is(err, io.EOF) && err != io.EOF {
				t.Errorf("an error that hides an end of file: %v", err)
			}
		}
		if n, err := read.Wait(ctx); n < 0 || n > 8 || n == 0 && err == nil {
			t.Errorf("Read = %d, %v", n, err)
		}
		if !bytes.Equal(buf[8:], make([]byte, 8)) {
			t.Error("written beyond the buffer")
		}
		s.Abort(context.Canceled)
		<-s.ended
	})
}

// canned is a server that takes everything and says what it is told to.
type canned struct {
	net.Conn // the session's end
	there    net.Conn
}

func newCanned() *canned {
	here, there := net.Pipe()
	return &canned{here, there}
}

// say sends b; after the last words the stream ends.
func (c *canned) say(b []byte, last bool) {
	_, _ = c.there.Write(b) // fails where the session has ended before
	if last {
		c.there.Close()
	}
}

func (c *canned) Write(p []byte) (int, error) { return len(p), nil }
