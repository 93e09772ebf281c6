package serve

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
)

// request makes a packet of a type with strings.
func request(typ byte, s ...string) []byte {
	body := []byte{typ, 0, 0, 0, 7}
	for _, s := range s {
		body = binary.BigEndian.AppendUint32(body, uint32(len(s)))
		body = append(body, s...)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func TestRebase(t *testing.T) {
	const write, symlink = 6, 20
	in := bytes.Join([][]byte{
		request(fxpRealpath, "."), request(fxpStat, "a/b"), request(fxpRealpath, "/abs"),
		request(fxpOpen, "rel", "rest"), request(write, "handle", "data"),
		request(symlink, "target", "link"), request(fxpRealpath, ".."),
	}, nil)
	want := bytes.Join([][]byte{
		request(fxpRealpath, "/srv"), request(fxpStat, "/srv/a/b"), request(fxpRealpath, "/abs"),
		request(fxpOpen, "/srv/rel", "rest"), request(write, "handle", "data"),
		request(symlink, "target", "link"), request(fxpRealpath, "/"),
	}, nil)
	got, err := io.ReadAll(iotest.OneByteReader(&rebased{r: bytes.NewReader(in), root: "/srv"}))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

// What is no packet goes through for the server to refuse.
func FuzzRebase(f *testing.F) {
	f.Add(request(fxpRealpath, "."))
	f.Add([]byte{0, 0, 0, 0, fxpRealpath})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, fxpRealpath, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := io.ReadAll(&rebased{r: bytes.NewReader(in), root: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.ContainsFunc(in, func(r rune) bool { return r < 256 && hasPath(byte(r)) }) && !bytes.Equal(got, in) {
			t.Errorf("%q became %q", in, got)
		}
	})
}
