package integration

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"seamount/cache"
	"seamount/fs"
)

// posixExceptions are the cases of posixtest that are expected not to pass,
// with the reason. Each is run all the same, and fails the test once it passes.
func posixExceptions(kind serverKind) map[string]string {
	exceptions := map[string]string{
		"XAttr":      "SFTP version 3 carries no extended attributes",
		"XAttrLarge": "SFTP version 3 carries no extended attributes",
		"Tmpfile":    "SFTP can make no file without a name",
		"FcntlFlockLocksFile": "wrong on every file system: it expects record locks of one process to " +
			"conflict (fcntl(2)); go-fuse's own TestAll leaves it out",
		"OpenSymlinkRace": "SFTP has no O_NOFOLLOW: the server follows a link put in the place of the file " +
			"between the look-up and the OPEN; go-fuse's own TestAll leaves it out",
	}
	if kind == pkgSFTP {
		exceptions["RenameOpenDir"] = "the server renames with os.Rename, which replaces no directory"
	}
	if !kind.setsLinks() {
		exceptions["SetattrSymlink"] = "the server lacks lsetstat, which alone sets times of a link"
	}
	return exceptions
}

// posixRaces are the exceptions that pass now and then.
func posixRaces() map[string]bool { return map[string]bool{"OpenSymlinkRace": true} }

// TestPosix runs go-fuse's conformance tests. Its links to absolute targets
// need symlinks=raw.
func TestPosix(t *testing.T) {
	for _, kind := range serverKinds {
		for name, d := range map[string]cache.Durability{"close": cache.DurabilityClose, "call": cache.DurabilityCall} {
			t.Run(string(kind)+"/durability="+name, func(t *testing.T) {
				m := mount(t, mountOptions{server: kind, cache: cache.Options{Durability: d}, symlinks: fs.SymlinksRaw})
				runPosix(t, kind, m.dir)
			})
		}
	}
	if !asUser() {
		t.Run("ordinary user", func(t *testing.T) { rerunAs(t, nobody, "TestPosix") })
	}
}

func runPosix(t *testing.T, kind serverKind, dir string) {
	exceptions := posixExceptions(kind)
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			sub := filepath.Join(dir, name)
			if err := os.Mkdir(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(sub)
			if _, excepted := exceptions[name]; excepted {
				expectNotPassing(t, name, sub)
				return
			}
			defer func() {
				if t.Skipped() {
					t.Error("skipped, which is not on the list of exceptions")
				}
			}()
			posixtest.All[name](t, sub)
		})
	}
}

// expectNotPassing runs a case in a process of its own, where it may fail.
func expectNotPassing(t *testing.T, name, dir string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestPosixCase$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "SEAMOUNT_TEST_POSIX_CASE="+name, "SEAMOUNT_TEST_POSIX_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil && !skipped(out) && !posixRaces()[name] {
		t.Errorf("the case passes now, so it is no exception any more:\n%s", out)
	}
}

func skipped(out []byte) bool { return bytes.Contains(out, []byte("--- SKIP: TestPosixCase ")) }

// TestPosixCase is the child of expectNotPassing. On its own it has nothing to do.
func TestPosixCase(t *testing.T) {
	if name := os.Getenv("SEAMOUNT_TEST_POSIX_CASE"); name != "" {
		posixtest.All[name](t, os.Getenv("SEAMOUNT_TEST_POSIX_DIR"))
	}
}
