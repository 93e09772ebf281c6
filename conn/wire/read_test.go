package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		buf := bytes.Repeat([]byte{'-'}, 8)
		c := s.Read(t.Context(), "h", 1<<33, buf)
		got := p.recv()
		if want := cat("h", uint64(1<<33), 8); got.typ != typeRead || !bytes.Equal(got.body, want) {
			t.Errorf("request %d %q, want %q", got.typ, got.body, want)
		}
		p.send(typeData, got.id, "short")
		if n, err := c.Wait(t.Context()); n != 5 || err != nil || string(buf) != "short---" {
			t.Errorf("Read = %d, %v, %q", n, err, buf)
		}
	})
}

// No more is asked for than the server gives, and nothing for nothing.
func TestReadSize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		if n, err := s.Read(t.Context(), "h", 0, nil).Wait(t.Context()); n != 0 || err != nil {
			t.Errorf("empty Read = %d, %v", n, err)
		}
		buf := make([]byte, 100_000)
		c := s.Read(t.Context(), "h", 0, buf)
		got := p.recv()
		if want := cat("h", uint64(0), 32768); !bytes.Equal(got.body, want) {
			t.Errorf("request %q, want %q", got.body, want)
		}
		data := strings.Repeat("0123456789abcdef", 2048)
		p.send(typeData, got.id, data)
		if n, err := c.Wait(t.Context()); n != len(data) || err != nil || string(buf[:n]) != data {
			t.Errorf("Read = %d, %v", n, err)
		}
	})
}

func TestEndOfFile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		r := s.Read(t.Context(), "h", 0, make([]byte, 8))
		d := s.Readdir(t.Context(), "h")
		c := s.CopyData(t.Context(), "h", 0, 1, "k", 0)
		for range 3 {
			p.send(typeStatus, p.recv().id, StatusEOF, "End of file", "")
		}
		if n, err := r.Wait(t.Context()); n != 0 || err != io.EOF {
			t.Errorf("Read = %d, %v", n, err)
		}
		if names, err := d.Wait(t.Context()); names != nil || err != io.EOF {
			t.Errorf("Readdir = %v, %v", names, err)
		}
		_, err := c.Wait(t.Context())
		if st := wantErrorAs[*StatusError](t, err); st.Code != StatusEOF || errors.Is(err, io.EOF) {
			t.Errorf("CopyData: %v", err)
		}
	})
}

// A DATA packet that lies fails its READ, and the next packet is understood.
func TestWrongData(t *testing.T) {
	for name, body := range map[string][]byte{
		"nothing":        nil,
		"truncated":      cat(byte(0), byte(0)),
		"empty":          cat(0),
		"more than said": cat(4, []byte("12345")),
		"less than said": cat(5, []byte("1234")),
		"huge":           cat(uint32(0xffffffff), []byte("1234")),
		"too much":       cat("123456789"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				issue := func(ctx context.Context, s *Session) erased {
					return erase(s.Read(ctx, "h", 0, make([]byte, 8)))
				}
				failsAlone(t, issue, frame(typeData, 0, body))
			})
		})
	}
	t.Run("status OK", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			issue := func(ctx context.Context, s *Session) erased {
				return erase(s.Read(ctx, "h", 0, make([]byte, 8)))
			}
			failsAlone(t, issue, frame(typeStatus, 0, okRaw))
		})
	})
	t.Run("for another request", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			issue := func(ctx context.Context, s *Session) erased { return erase(s.Stat(ctx, "a")) }
			failsAlone(t, issue, frame(typeData, 0, "data"))
		})
	})
}

// A reply that no buffer of the session holds is decoded all the same.
func TestLongReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := open(t, Options{})
		defer hangUp(t, s)
		const count = 2000
		body := cat(count)
		for i := range count {
			body = append(body, cat(fmt.Sprintf("name %d", i), strings.Repeat("l", 80), modeOnlyRaw)...)
		}
		c := s.Readdir(t.Context(), "h")
		p.send(typeName, p.recv().id, body)
		names, err := c.Wait(t.Context())
		if err != nil || len(names) != count {
			t.Fatalf("%d names, %v", len(names), err)
		}
		for i, n := range names {
			if n.Name != fmt.Sprintf("name %d", i) || len(n.LongName) != 80 || n.Attrs != modeOnly {
				t.Fatalf("name %d: %+v", i, n)
			}
		}
	})
}
