package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A program is the seamount program with a mount, as a child process.
type program struct {
	dir, served string
	cmd         *exec.Cmd
	output      bytes.Buffer
	ended       chan struct{}
	err         error // of the process, once ended is closed
}

// buildProgram builds the program into a directory that every user can reach.
func buildProgram(t testing.TB) string {
	t.Helper()
	path := filepath.Join(userHome(t, os.Geteuid()), "seamount")
	run(t, ".", "go", "build", "-buildvcs=false", "-o", path, "seamount/cmd/seamount")
	return path
}

// startProgram mounts a directory of a sshd of user uid, as that user.
func startProgram(t testing.TB, binary string, uid int, args ...string) *program {
	t.Helper()
	checkLeaks(t)
	home := userHome(t, uid)
	p := &program{dir: home + "/mnt", served: home + "/served", ended: make(chan struct{})}
	for _, d := range []string{p.dir, p.served} {
		must(t, errors.Join(os.Mkdir(d, 0o755), os.Chown(d, uid, uid)))
	}
	s := startSSHDAs(t, uid)
	p.cmd = exec.Command(binary, append([]string{"-f", "-F", s.config, "testserver:" + p.served, p.dir}, args...)...)
	p.cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + home}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if uid != os.Geteuid() {
		openFuseDevice(t)
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	must(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.end(t) })
	awaitMount(t, p.dir, p.ended)
	return p
}

// end makes sure that the program is gone.
func (p *program) end(t testing.TB) {
	select {
	case <-p.ended:
	default:
		t.Error("the program is still running")
		_ = p.cmd.Process.Kill()
		<-p.ended
		_ = syscall.Unmount(p.dir, syscall.MNT_DETACH)
	}
	if t.Failed() {
		t.Logf("the program printed:\n%s", p.output.String())
	}
}

// wantEnd waits for the program to end as it should.
func (p *program) wantEnd(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("the program ended with %v", p.err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the program has not ended")
	}
	if kind := mountType(t, p.dir); kind != "" {
		t.Errorf("%s is still mounted: %s", p.dir, kind)
	}
}

// TestProgram mounts with the program, writes, ends the mount in each of the
// ways there are and looks for the data on the server.
func TestProgram(t *testing.T) {
	needRoot(t)
	binary := buildProgram(t)
	for name, end := range map[string]func(t *testing.T, p *program, who identity) error{
		"umount": func(t *testing.T, p *program, _ identity) error { _, err := tryRun("/", "umount", p.dir); return err },
		"fusermount3": func(t *testing.T, p *program, who identity) error {
			_, err := tryRun("/", "setpriv", fmt.Sprint("--reuid=", who.uid), fmt.Sprint("--regid=", who.gid), "--clear-groups",
				"fusermount3", "-u", p.dir)
			return err
		},
		"SIGINT":  func(_ *testing.T, p *program, _ identity) error { return p.cmd.Process.Signal(syscall.SIGINT) },
		"SIGTERM": func(_ *testing.T, p *program, _ identity) error { return p.cmd.Process.Signal(syscall.SIGTERM) },
	} {
		for _, uid := range []int{0, nobody} {
			t.Run(fmt.Sprintf("%s/uid %d", name, uid), func(t *testing.T) {
				p := startProgram(t, binary, uid)
				who := identity{uid: uid, gid: uid}
				data := bytes.Repeat([]byte("0123456789"), 100_000)
				must(t, as(t, who, func() error { return os.WriteFile(p.dir+"/file", data, 0o640) }))
				must(t, end(t, p, who))
				p.wantEnd(t)
				if got, err := os.ReadFile(p.served + "/file"); err != nil || !bytes.Equal(got, data) {
					t.Errorf("the server has %d bytes, %v", len(got), err)
				}
				if u, _, mode := ownerOf(t, p.served+"/file"); u != uint32(uid) || mode&0o777 != 0o640 {
					t.Errorf("owner %d mode %o", u, mode)
				}
			})
		}
	}
}

const mib = 1 << 20

// resident is the memory of the program in bytes: what it has now, or the most
// that it ever had.
func (p *program) resident(t testing.TB, field string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			must(t, err)
			return kb << 10
		}
	}
	t.Fatalf("no %s in /proc/PID/status", field)
	return 0
}

// wantMemory fails the test if the program has ever had more memory than most bytes.
func (p *program) wantMemory(t testing.TB, what string, most int) {
	t.Helper()
	got := p.resident(t, "VmHWM")
	t.Logf("%s: %d MiB", what, got/mib)
	if got > most {
		t.Errorf("%s: %d MiB, want at most %d", what, got/mib, most/mib)
	}
}

// TestMemory holds the program to its limits: idle, and with a large directory
// listed.
func TestMemory(t *testing.T) {
	needRoot(t)
	entries := size(20_000, 100_000)
	p := startProgram(t, buildProgram(t), 0)
	p.wantMemory(t, "idle", 40*mib)
	must(t, os.Mkdir(p.served+"/many", 0o755))
	for i := range entries {
		must(t, os.WriteFile(fmt.Sprintf("%s/many/a-name-of-usual-length-%06d", p.served, i), nil, 0o644))
	}
	if out := run(t, p.dir, "sh", "-c", "ls -l many | wc -l"); strings.TrimSpace(out) != fmt.Sprint(entries+1) {
		t.Errorf("ls -l shows %s lines of %d", out, entries+1)
	}
	p.wantMemory(t, fmt.Sprintf("%d entries listed", entries), 150*mib)
	run(t, "/", "umount", p.dir)
	p.wantEnd(t)
}
