package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestDemoKeep keeps the demo's mount until it is interrupted, and leaves
// neither goroutines nor files behind.
func TestDemoKeep(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	var stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: w, stderr: &stderr}
	ended := make(chan int, 1)
	go func() {
		ended <- a.run(ctx, []string{"demo", "--keep"})
		w.Close()
	}()
	var last string
	for lines := bufio.NewScanner(r); lines.Scan(); {
		last = lines.Text()
		if strings.Contains(last, "Look around") {
			cancel()
		}
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if want := "Unmounted; nothing is left behind."; last != want {
		t.Errorf("the last line is %q, want %q", last, want)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
