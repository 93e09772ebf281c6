package conn

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"seamount/cache"
)

func stripedClient(t *testing.T) (*Client, string) {
	dir := t.TempDir()
	c := newTestClient(t, opensshDialer(t), Options{Root: dir, DataSessions: 3})
	seemDistant(c)
	return c, dir
}

// seemDistant has c take the server for far away, so that large files are
// striped, until it measures again.
func seemDistant(c *Client) {
	c.rtt.mu.Lock()
	defer c.rtt.mu.Unlock()
	c.rtt.begun, c.rtt.now, c.rtt.last = time.Now(), time.Second, time.Second
}

// handlesOf waits for the stripe that is being opened, if any.
func handlesOf(t *testing.T, f cache.File) int {
	t.Helper()
	own := f.(*file)
	must(t, own.lock(t.Context()))
	defer own.unlock()
	own.client.handles.mu.Lock()
	defer own.client.handles.mu.Unlock()
	return len(own.handles)
}

func TestStripedWrite(t *testing.T) {
	c, dir := stripedClient(t)
	data := randomBytes(24 << 20)
	f := openFile(t, c, "f", create|cache.OpenRead)
	for round := 0; round < 2; round++ {
		seemDistant(c)
		var wg sync.WaitGroup
		for off := 0; off < len(data); off += 4 << 20 {
			wg.Go(func() {
				if n, err := f.WriteAt(context.Background(), data[off:off+4<<20], int64(off)); n != 4<<20 || err != nil {
					t.Errorf("WriteAt: %d, %v", n, err)
				}
			})
		}
		wg.Wait()
		if round == 0 {
			data = append(data[1:], 'x')
			_ = handlesOf(t, f)
		}
	}
	if n := handlesOf(t, f); n < 2 {
		t.Errorf("%d handles, want stripes", n)
	}
	checkReads(t, f, data)
	closeFile(t, f)
	if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file does not hold what was written (%v)", err)
	}
}

// A file whose path leads to another one by now gets no further handle.
func TestNoStripeOfAnotherFile(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, c *Client, dir string)
	}{
		{"replaced behind our back", func(t *testing.T, _ *Client, dir string) {
			must(t, os.Rename(filepath.Join(dir, "f"), filepath.Join(dir, "old")))
			writeFile(t, dir, "f", string(make([]byte, 3<<20)))
		}},
		{"removed", func(t *testing.T, c *Client, _ string) { must(t, c.Remove(t.Context(), "f")) }},
		{"gone", func(t *testing.T, _ *Client, dir string) { must(t, os.Remove(filepath.Join(dir, "f"))) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := stripedClient(t)
			data := randomBytes(2 << 20)
			writeFile(t, dir, "f", string(data))
			f := openFile(t, c, "f", cache.OpenRead|cache.OpenWrite)
			defer closeFile(t, f)
			test.change(t, c, dir)
			for range 3 {
				seemDistant(c)
				checkReads(t, f, data)
				if n := handlesOf(t, f); n != 1 {
					t.Fatalf("%d handles", n)
				}
			}
			if n := c.Info().Handles; n != 1 {
				t.Errorf("%d handles on the server", n)
			}
		})
	}
}
