package conn

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"seamount/cache"
	"seamount/conn/serve"
)

// roundTrip is what one takes in these tests, in virtual time.
const roundTrip = time.Second

// distant puts the server of d a round trip away.
func distant(open func() (io.ReadWriteCloser, error)) Dialer {
	return PipeDialer(func(context.Context) (io.ReadWriteCloser, error) {
		far, err := open()
		if err != nil {
			return nil, err
		}
		client, near := net.Pipe()
		go serve.Link{Delay: roundTrip / 2}.Join(near, far)
		return client, nil
	})
}

// withLsetstat makes pkg/sftp's server offer lsetstat.
func withLsetstat() *filter {
	return &filter{
		request: func(req *packet) *packet {
			if ext := "lsetstat@openssh.com"; req.extName() == ext {
				req.typ, req.body = reqSetstat, req.body[4+len(ext):]
			}
			return nil
		},
		reply: func(req, rep *packet) *packet {
			if req.typ == reqInit {
				rep.body = cat(rep.body, str("lsetstat@openssh.com"), str("1"))
			}
			return rep
		},
	}
}

func distantPkg(f *filter) Dialer {
	return distant(func() (io.ReadWriteCloser, error) { return pkgStream(f) })
}

func TestRoundTrips(t *testing.T) {
	full := context.Background
	change := cache.SetAttr{Valid: cache.SetMode | cache.SetUID | cache.SetTimes, Mode: 0o600, UID: uint32(os.Getuid()), Mtime: 1, Atime: 1}
	for _, test := range []struct {
		name string
		want int
		op   func(t *testing.T, c *Client)
	}{
		{"lstat", 1, func(t *testing.T, c *Client) { _, err := c.Lstat(full(), "f"); must(t, err) }},
		{"lstat missing", 1, func(t *testing.T, c *Client) { _, _ = c.Lstat(full(), "missing") }},
		{"list 300", 2, func(t *testing.T, c *Client) { _, err := listAll(full(), c, "many"); must(t, err) }},
		{"open", 1, func(t *testing.T, c *Client) {
			f, _, err := c.Open(full(), "f", cache.OpenRead, 0)
			must(t, err)
			go f.Close(full())
		}},
		{"create", 1, func(t *testing.T, c *Client) {
			f, _, err := c.Open(full(), "new", cache.OpenWrite|cache.OpenCreate, 0o600)
			must(t, err)
			go f.Close(full())
		}},
		{"create, the umask in the way", 2, func(t *testing.T, c *Client) {
			f, _, err := c.Open(full(), "new", cache.OpenWrite|cache.OpenCreate|cache.OpenExclusive, 0o666)
			must(t, err)
			go f.Close(full())
		}},
		{"open, read to the end, close", 3, func(t *testing.T, c *Client) {
			f, _, err := c.Open(full(), "f", cache.OpenRead, 0)
			must(t, err)
			n, err := f.ReadAt(full(), make([]byte, 100_000), 0)
			if n != 70_000 || err != io.EOF {
				t.Errorf("ReadAt: %d, %v", n, err)
			}
			must(t, f.Close(full()))
		}},
		{"open, write 300 kB, close", 3, func(t *testing.T, c *Client) {
			f, _, err := c.Open(full(), "f", cache.OpenWrite, 0)
			must(t, err)
			_, err = f.WriteAt(full(), make([]byte, 300_000), 0)
			must(t, err)
			must(t, f.Close(full()))
		}},
		{"mkdir", 1, func(t *testing.T, c *Client) { _, err := c.Mkdir(full(), "d", 0o755); must(t, err) }},
		{"mkdir, the mode ignored", 2, func(t *testing.T, c *Client) { _, err := c.Mkdir(full(), "d", 0o700); must(t, err) }},
		{"mkdir of what exists", 1, func(t *testing.T, c *Client) { _, _ = c.Mkdir(full(), "f", 0o755) }},
		{"symlink", 1, func(t *testing.T, c *Client) { _, err := c.Symlink(full(), "f", "l"); must(t, err) }},
		{"link", 1, func(t *testing.T, c *Client) { _, err := c.Link(full(), "f", "l"); must(t, err) }},
		{"rename", 1, func(t *testing.T, c *Client) { must(t, c.Rename(full(), "f", "g", false)) }},
		{"remove", 1, func(t *testing.T, c *Client) { must(t, c.Remove(full(), "f")) }},
		{"rmdir", 1, func(t *testing.T, c *Client) { must(t, c.Rmdir(full(), "empty")) }},
		{"start of a change", 0, func(t *testing.T, c *Client) { go c.StartSetattr(full(), "f", change).Wait(full()) }},
		{"mode, owner and times", 1, func(t *testing.T, c *Client) {
			a, err := c.StartSetattr(full(), "f", change).Wait(full())
			must(t, err)
			if a.Mode&permBits != 0o600 || a.Mtime != 1 {
				t.Errorf("%+v", a)
			}
		}},
		{"two changes and a rename behind them", 1, func(t *testing.T, c *Client) {
			c.StartSetattr(full(), "f", change)
			c.StartSetattr(full(), "f", cache.SetAttr{Valid: cache.SetMode, Mode: 0o640})
			must(t, c.Rename(full(), "f", "g", false))
		}},
		{"a change and an open behind it", 2, func(t *testing.T, c *Client) {
			c.StartSetattr(full(), "f", change)
			f, a, err := c.Open(full(), "f", cache.OpenRead, 0)
			must(t, err)
			if a.Mode&permBits != 0o600 {
				t.Errorf("opened with mode %o", a.Mode)
			}
			go f.Close(full())
		}},
		{"a change and an open of another file", 1, func(t *testing.T, c *Client) {
			c.StartSetattr(full(), "empty", change)
			f, _, err := c.Open(full(), "f", cache.OpenRead, 0)
			must(t, err)
			go f.Close(full())
		}},
	} {
		t.Run(test.name, func(t *testing.T) { countRoundTrips(t, test.want, withLsetstat(), test.op) })
	}
	t.Run("without lsetstat", func(t *testing.T) {
		countRoundTrips(t, 2, nil, func(t *testing.T, c *Client) {
			_, err := c.StartSetattr(full(), "f", change).Wait(full())
			must(t, err)
		})
	})
	t.Run("two changes without lsetstat, a rename and a stat", func(t *testing.T) {
		countRoundTrips(t, 4, nil, func(t *testing.T, c *Client) {
			c.StartSetattr(full(), "f", change)
			second := c.StartSetattr(full(), "f", cache.SetAttr{Valid: cache.SetMode, Mode: 0o640})
			must(t, c.Rename(full(), "f", "g", false))
			_, err := second.Wait(full())
			must(t, err)
			a, err := c.Lstat(full(), "g")
			must(t, err)
			if a.Mode&permBits != 0o640 {
				t.Errorf("mode %o", a.Mode)
			}
		})
	})
}

// countRoundTrips runs op and reads off the clock what it took.
func countRoundTrips(t *testing.T, want int, f *filter, op func(t *testing.T, c *Client)) {
	dir := t.TempDir()
	writeFile(t, dir, "f", string(make([]byte, 70_000)))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "many"), 0o755))
	for i := range 300 {
		writeFile(t, dir, fmt.Sprintf("many/%d", i), "")
	}
	synctest.Test(t, func(t *testing.T) {
		c, err := New(context.Background(), distantPkg(f), Options{Root: dir, DataSessions: 1})
		must(t, err)
		defer func() {
			time.Sleep(10 * roundTrip) // what op did not wait for
			closeClient(t, c)
			time.Sleep(roundTrip) // the end travels too
		}()
		if got := c.Features().RTT; got != roundTrip {
			t.Errorf("RTT %v, want %v", got, roundTrip)
		}
		_, err = c.pool.pick(context.Background())
		must(t, err)
		begun := time.Now()
		op(t, c)
		if got := time.Since(begun); got != time.Duration(want)*roundTrip {
			t.Errorf("%v, want %d round trips of %v", got, want, roundTrip)
		}
	})
}

// A stat is answered at once while a large file is on its way, and the file's
// data shares the data sessions.
func TestStripes(t *testing.T) {
	dir := t.TempDir()
	const size = 24 << 20
	data := randomBytes(size)
	writeFile(t, dir, "big", string(data))
	synctest.Test(t, func(t *testing.T) {
		c, err := New(context.Background(), distantPkg(nil), Options{Root: dir, DataSessions: 3})
		must(t, err)
		f, _, err := c.Open(t.Context(), "big", cache.OpenRead, 0)
		must(t, err)
		done := make(chan error, 1)
		begun := time.Now()
		go func() {
			done <- readInParallel(f, data)
		}()
		time.Sleep(roundTrip / 4)
		at := time.Now()
		_, err = c.Lstat(t.Context(), "big")
		must(t, err)
		if d := time.Since(at); d != roundTrip {
			t.Errorf("Lstat took %v beside a large read, want %v", d, roundTrip)
		}
		must(t, <-done)
		// One session moves 2 MiB in a round trip and would need 12.
		if d := time.Since(begun); d > 11*roundTrip {
			t.Errorf("reading took %v, want it striped", d)
		}
		if n := len(f.(*file).handles); n < 2 {
			t.Errorf("%d handles, want stripes", n)
		}
		must(t, f.Close(context.Background()))
		closeClient(t, c)
		time.Sleep(roundTrip)
	})
}

// readInParallel reads a file with eight calls at a time and compares it.
func readInParallel(f cache.File, data []byte) error {
	const part = 1 << 20
	parts := make(chan int)
	errs := make(chan error, 8)
	for range 8 {
		go func() {
			var err error
			p := make([]byte, part)
			for off := range parts {
				if _, e := f.ReadAt(context.Background(), p, int64(off)); e != nil {
					err = e
				} else if string(p) != string(data[off:off+part]) {
					err = fmt.Errorf("other data at %d", off)
				}
			}
			errs <- err
		}()
	}
	for off := 0; off < len(data); off += part {
		parts <- off
	}
	close(parts)
	var err error
	for range 8 {
		if e := <-errs; e != nil {
			err = e
		}
	}
	return err
}
