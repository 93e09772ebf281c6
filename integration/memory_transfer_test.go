package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"
)

// TestMemoryTransfer writes and reads a large file: beside the content cache
// the program may have 100 MB.
func TestMemoryTransfer(t *testing.T) {
	needRoot(t)
	const cacheSize = 64 * mib
	fileSize := int64(size(256, 4096)) * mib
	p := startProgram(t, buildProgram(t), 0)
	transfer(t, p.dir+"/file", fileSize)
	p.wantMemory(t, fmt.Sprintf("%d MiB written and read", fileSize/mib), cacheSize+100e6)
	run(t, "/", "umount", p.dir)
	p.wantEnd(t)
}

// transfer writes a file and reads it again.
func transfer(t testing.TB, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	buf := bytes.Repeat([]byte("0123456789abcdef"), mib/16)
	for off := int64(0); off < size; off += mib {
		_, err := f.Write(buf)
		must(t, err)
	}
	must(t, f.Sync())
	in, err := os.Open(path)
	must(t, err)
	defer in.Close()
	if n, err := io.Copy(io.Discard, in); err != nil || n != size {
		t.Errorf("%d bytes read of %d, %v", n, size, err)
	}
	must(t, os.Remove(path))
}
