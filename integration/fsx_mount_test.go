package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestFsx tests the content of a file on a mount, and what the server has of
// it in the end. The operations run in a process of their own, since memory of
// the mount must not be touched in this one (see mount).
func TestFsx(t *testing.T) {
	onEveryServer(t, func(t *testing.T, m *mounted) {
		result := filepath.Join(t.TempDir(), "want")
		child(t, "TestFsxChild", map[string]string{
			"FSX_FILE": filepath.Join(m.dir, "file"), "FSX_WANT": result,
			"FSX_SEED": fmt.Sprint(seed(t)), "FSX_OPS": fmt.Sprint(operations(20_000, 200_000)),
		})
		want, err := os.ReadFile(result)
		must(t, err)
		got, err := os.ReadFile(filepath.Join(m.served, "file"))
		must(t, err)
		if len(want) == 0 || !bytes.Equal(got, want) {
			t.Errorf("the server's file (%d bytes) is not what was written (%d bytes)", len(got), len(want))
		}
	})
}

// TestFsxChild is the child of TestFsx. On its own it has nothing to do.
func TestFsxChild(t *testing.T) {
	if os.Getenv("FSX_FILE") == "" {
		return
	}
	want, err := runFsx(os.Getenv("FSX_FILE"), envUint("FSX_SEED"), int(envUint("FSX_OPS")))
	must(t, err)
	must(t, os.WriteFile(os.Getenv("FSX_WANT"), want, 0o600))
}
