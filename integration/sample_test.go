package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// sampleTree makes a directory as people have them: files of many sizes and
// permissions, old and new, links, odd names, empty directories.
func sampleTree(t testing.TB) string {
	t.Helper()
	root := emptyDir(t, "sample")
	rng := rand.New(rand.NewPCG(7, 7))
	for i, dir := range []string{".", "src", "src/deep", "src/deep/deeper", "empty", "odd names"} {
		path := filepath.Join(root, dir)
		must(t, os.MkdirAll(path, 0o755))
		if dir == "empty" {
			continue
		}
		for j := range 12 {
			sampleFile(t, rng, filepath.Join(path, fmt.Sprintf("file%d-%d", i, j)))
		}
	}
	for _, name := range []string{" ", "-n", "new\nline", "\xff\xfe", "a'b\"c", "*", "日本語"} {
		must(t, os.WriteFile(filepath.Join(root, "odd names", name), []byte(name), 0o600))
	}
	for link, target := range map[string]string{
		"relative": "src/file1-1", "dangling": "not/there", "src/up": "../file0-0", "src/deep/dir": "../deep",
	} {
		path := filepath.Join(root, link)
		must(t, os.Symlink(target, path))
		must(t, unix.Lutimes(path, []unix.Timeval{{Sec: 1e9}, {Sec: 1e9 + 5}}))
	}
	for _, dir := range []string{"src/deep/deeper", "src/deep", "src", "empty", "odd names", "."} {
		must(t, os.Chmod(filepath.Join(root, dir), 0o750))
		must(t, unix.Utimes(filepath.Join(root, dir), []unix.Timeval{{Sec: 1e9}, {Sec: 1_100_000_000}}))
	}
	return root
}

func sampleFile(t testing.TB, rng *rand.Rand, path string) {
	t.Helper()
	size := []int{0, 1, 100, 4096, 5000, 40_000, 300_000, 1_200_000}[rng.IntN(8)]
	data := bytes.Repeat([]byte(fmt.Sprintf("%s %d\n", filepath.Base(path), rng.Uint64())), size/10+1)[:size]
	mode := []os.FileMode{0o644, 0o600, 0o755, 0o444, 0o640}[rng.IntN(5)]
	must(t, os.WriteFile(path, data, mode))
	must(t, os.Chmod(path, mode))
	must(t, unix.Utimes(path, []unix.Timeval{{Sec: 1e9}, {Sec: 1e9 + rng.Int64N(1e8)}}))
}
