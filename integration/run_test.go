package integration

import (
	"bytes"
	"iter"
	"os"
	"os/exec"
	"testing"
)

// run runs a program in dir and returns what it printed; if it fails, so does
// the test.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	out, err := tryRun(dir, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// tryRun changes the directory in a shell and not between fork and exec: see mount.
func tryRun(dir, name string, args ...string) (string, error) {
	cmd := exec.Command("sh", append([]string{"-c", `cd "$0" && exec "$@"`, dir, name}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=gc.auto", "GIT_CONFIG_VALUE_0=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// lines are those of p, without their ends.
func lines(p []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range bytes.Lines(p) {
			if !yield(string(bytes.TrimRight(line, "\r\n"))) {
				return
			}
		}
	}
}

// child runs the test name of this binary in a process of its own.
func child(t testing.TB, name string, env map[string]string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run", "^"+name+"$", "-test.timeout", "60m")
	cmd.Env = os.Environ()
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
