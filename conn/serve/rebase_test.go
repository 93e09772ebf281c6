package serve

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
)

// request makes a packet of a type with one string.
func request(typ byte, s string) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(9+len(s)))
	p = append(p, typ, 0, 0, 0, 7)
	p = binary.BigEndian.AppendUint32(p, uint32(len(s)))
	return append(p, s...)
}

func TestRebase(t *testing.T) {
	const lstat = 7
	in := bytes.Join([][]byte{
		request(fxpRealpath, "."), request(fxpRealpath, "a/b"), request(fxpRealpath, "/abs"),
		request(lstat, "rel"), request(fxpRealpath, ".."),
	}, nil)
	want := bytes.Join([][]byte{
		request(fxpRealpath, "/srv"), request(fxpRealpath, "/srv/a/b"), request(fxpRealpath, "/abs"),
		request(lstat, "rel"), request(fxpRealpath, "/"),
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
		if !bytes.Contains(in, []byte{fxpRealpath}) && !bytes.Equal(got, in) {
			t.Errorf("%q became %q", in, got)
		}
	})
}
