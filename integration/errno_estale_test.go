package integration

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestErrnoEstale opens a file through a reference that was made before the
// server put something of another type in its place.
func TestErrnoEstale(t *testing.T) {
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			m := mount(t, mountOptions{server: kind, cache: uncached()})
			must(t, os.WriteFile(m.dir+"/name", []byte("x"), 0o644))
			ref, err := unix.Open(m.dir+"/name", unix.O_PATH|unix.O_CLOEXEC, 0)
			must(t, err)
			defer unix.Close(ref)
			must(t, m.sync())
			must(t, os.Remove(m.served+"/name"))
			must(t, os.Mkdir(m.served+"/name", 0o755))
			wantErrno(t, openClose(fmt.Sprintf("/proc/self/fd/%d", ref), unix.O_RDONLY), unix.ESTALE)
			if fi, err := os.Stat(m.dir + "/name"); err != nil || !fi.IsDir() {
				t.Errorf("the name does not lead to the new directory: %v, %v", fi, err)
			}
		})
	}
}
