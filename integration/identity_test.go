package integration

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is the ordinary user of the tests: it exists everywhere, and
// fusermount3 wants a user with a name.
const nobody = 65534

// An identity is who does something.
type identity struct {
	uid, gid int
	groups   []int
}

// as runs do as who on a thread of its own that takes the identity, as
// set*id(2) does it for one thread, and that ends with do: nothing needs to be
// taken back. do must not call methods of t that end the test.
func as(t testing.TB, who identity, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		if err := who.assume(); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

// assume changes the identity of the calling thread only.
func (who identity) assume() error {
	groups := make([]uint32, 0, len(who.groups)+1)
	for _, g := range who.groups {
		groups = append(groups, uint32(g))
	}
	groups = append(groups, uint32(who.gid))
	if err := setgroups(groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(who.gid), uintptr(who.gid), uintptr(who.gid)); e != 0 {
		return fmt.Errorf("setresgid: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(who.uid), uintptr(who.uid), uintptr(who.uid)); e != 0 {
		return fmt.Errorf("setresuid: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_FS, 0, 0); e != 0 {
		return fmt.Errorf("unshare: %w", e) // an umask of its own
	}
	return nil
}

// needRoot fails the test if it does not run as root.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs to run as root, as in the container of the tests")
	}
}

// asUser says that this process was started by rerunAs.
func asUser() bool { return os.Getenv("SEAMOUNT_TEST_AS_USER") == "1" }

// rerunAs runs the test name of this binary again as the ordinary user uid and
// reports each of its sub-tests as one of t.
func rerunAs(t *testing.T, uid int, name string) {
	needRoot(t)
	openFuseDevice(t)
	home := userHome(t, uid)
	cmd := exec.Command(copyOfSelf(t, home), "-test.v", "-test.run", "^"+name+"$", "-test.timeout", "10m",
		fmt.Sprintf("-seed=%d", *seedFlag), fmt.Sprintf("-ops=%d", *opsFlag), fmt.Sprintf("-soak=%t", *soakFlag))
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), "SEAMOUNT_TEST_AS_USER=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	out, err := cmd.CombinedOutput()
	reported := reportSubtests(t, name, string(out))
	if err != nil || reported == 0 {
		t.Errorf("as user %d: %v, %d sub-tests\n%s", uid, err, reported, out)
	}
}

// openFuseDevice gives /dev/fuse the permissions that it has from udev wherever
// there is one, and that it lacks in some containers.
func openFuseDevice(t testing.TB) {
	t.Helper()
	fi, err := os.Stat("/dev/fuse")
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o666 {
		if err := os.Chmod("/dev/fuse", 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// reportSubtests makes a sub-test of every result in the output of a test
// binary and returns their number.
func reportSubtests(t *testing.T, name, out string) int {
	results := regexp.MustCompile(`(?m)^ +--- (PASS|FAIL|SKIP): `+name+`/(\S+)`).FindAllStringSubmatch(out, -1)
	for _, r := range results {
		t.Run(r[2], func(t *testing.T) {
			if r[1] != "PASS" {
				t.Errorf("%s, see the output below", strings.ToLower(r[1]))
			}
		})
	}
	return len(results)
}

// userHome makes a directory that belongs to uid and that it can reach.
func userHome(t testing.TB, uid int) string {
	t.Helper()
	home, err := os.MkdirTemp("", "seamount-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.Chmod(home, 0o755), os.Chown(home, uid, uid)); err != nil {
		t.Fatal(err)
	}
	return home
}

// copyOfSelf puts this test binary where any user can execute it.
func copyOfSelf(t testing.TB, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "integration.test")
	copyFile(t, self, path, 0o755)
	return path
}

func copyFile(t testing.TB, from, to string, mode os.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Error(err)
	}
	if err := errors.Join(out.Chmod(mode), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAs(t *testing.T) {
	needRoot(t)
	dir := userHome(t, 4711)
	err := as(t, identity{uid: 4711, gid: 815, groups: []int{99}}, func() error {
		return os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "mine"), &st); err != nil || st.Uid != 4711 || st.Gid != 815 {
		t.Errorf("owner %d:%d, %v", st.Uid, st.Gid, err)
	}
	if os.Geteuid() != 0 {
		t.Error("the identity of the process has changed")
	}
	err = as(t, identity{uid: 4712, gid: 4712}, func() error { return os.Remove(filepath.Join(dir, "mine")) })
	if !errors.Is(err, syscall.EACCES) {
		t.Errorf("removed by another user: %v", err)
	}
}
