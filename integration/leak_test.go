package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// checkLeaks fails the test if, when everything else of it is cleaned up,
// there are goroutines, descriptors or mounts that were not there before.
func checkLeaks(t testing.TB) {
	t.Helper()
	goroutines, fds, mounts := goleak.IgnoreCurrent(), openFiles(t), fuseMounts(t)
	t.Cleanup(func() {
		if err := goleak.Find(goroutines); err != nil {
			t.Errorf("goroutines left: %v", err)
		}
		settles(t, "descriptors", func() string { return cmp.Diff(fds, openFiles(t)) })
		settles(t, "mounts", func() string { return cmp.Diff(mounts, fuseMounts(t)) })
	})
}

// settles fails the test if diff does not become empty within a few seconds:
// the kernel releases what a process that ended has held a moment later.
func settles(t testing.TB, what string, diff func() string) {
	t.Helper()
	if d := eventually(diff); d != "" {
		t.Errorf("%s left (-before +after):\n%s", what, d)
	}
}

// eventually calls diff until it returns "" or five seconds have passed, and
// returns its last answer.
func eventually(diff func() string) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(5 * time.Second)
	for {
		d := diff()
		if d == "" || time.Now().After(deadline) {
			return d
		}
		<-tick.C
	}
}

// openFiles lists the descriptors of this process, but for those of the
// runtime's poller.
func openFiles(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || strings.HasPrefix(target, "anon_inode:[event") || strings.HasPrefix(target, fmt.Sprintf("/proc/%d/fd", os.Getpid())) {
			continue
		}
		files = append(files, e.Name()+" "+target)
	}
	sort.Strings(files)
	return files
}

// fuseMounts lists the FUSE mounts below the directories of the test.
func fuseMounts(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var mounts []string
	mine := " " + filepath.Dir(t.TempDir()) + "/"
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, " - fuse") && strings.Contains(line, mine) {
			mounts = append(mounts, strings.TrimSpace(line))
		}
	}
	return mounts
}

// mountType returns the type of the file system mounted at dir, "" if none is.
func mountType(t testing.TB, dir string) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[4] == dir {
			_, after, _ := strings.Cut(line, " - ")
			return strings.Fields(after)[0]
		}
	}
	return ""
}

// awaitMount waits until a file system is mounted at dir, gone says that none
// will be. The kernel tells of changes by an event on mountinfo (proc(5)).
func awaitMount(t testing.TB, dir string, gone <-chan struct{}) {
	t.Helper()
	info, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer info.Close()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if mountType(t, dir) != "" {
			return
		}
		select {
		case <-gone:
			t.Fatalf("the program ended before %s was mounted", dir)
		default:
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(info.Fd()), Events: unix.POLLPRI}}, 200); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
	}
	t.Fatalf("%s is not mounted after 30 s", dir)
}

// holders lists what keeps the mount at dir busy: descriptors, directories and
// memory of any process.
func holders(dir string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, pattern := range []string{"cwd", "root", "exe", "map_files/*", "task/*/cwd"} {
		more, _ := filepath.Glob("/proc/[0-9]*/" + pattern)
		links = append(links, more...)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && (target == dir || strings.HasPrefix(target, dir+"/")) {
			found = append(found, link+" -> "+target)
		}
	}
	return found
}
