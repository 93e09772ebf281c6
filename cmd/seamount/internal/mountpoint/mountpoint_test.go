package mountpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testSystem is a System where everything is in order for an ordinary user.
func testSystem(t *testing.T) System {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	uid := 1000
	return System{
		Device:    write("fuse", ""),
		FuseConf:  write("fuse.conf", "# user_allow_other\n"),
		MountInfo: write("mountinfo", ""),
		UID:       &uid,
		LookPath:  func(name string) (string, error) { return "/bin/" + name, nil },
	}
}

// realDir is a new directory by its real path.
func realDir(t *testing.T) string {
	t.Helper()
	p, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCheckAccepts(t *testing.T) {
	dir := realDir(t)
	link := filepath.Join(realDir(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, path := range []string{dir, dir + "/", ".", link, link + "/."} {
		got, err := testSystem(t).Check(t.Context(), Request{Path: path})
		if err != nil || got != dir {
			t.Errorf("Check(%q) = %q, %v; want %q", path, got, err, dir)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	missing := func(string) (string, error) { return "", fs.ErrNotExist }
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, s *System, r *Request)
		want  string // in the message
	}{
		{"missing", func(t *testing.T, s *System, r *Request) {
			r.Path += "/no/such"
		}, "create it with mkdir -p"},
		{"a file", func(t *testing.T, s *System, r *Request) {
			r.Path = filepath.Join(r.Path, "f")
			os.WriteFile(r.Path, nil, 0o600)
		}, "not a directory"},
		{"below a file", func(t *testing.T, s *System, r *Request) {
			os.WriteFile(filepath.Join(r.Path, "f"), nil, 0o600)
			r.Path = filepath.Join(r.Path, "f", "d")
		}, "not a directory"},
		{"not empty", func(t *testing.T, s *System, r *Request) {
			os.WriteFile(filepath.Join(r.Path, "f"), nil, 0o600)
		}, "-o nonempty"},
		{"a mount", func(t *testing.T, s *System, r *Request) {
			line := "1 2 0:3 / " + r.Path + " rw - ext4 /dev/sda1 rw\n"
			os.WriteFile(s.MountInfo, []byte(line), 0o600)
		}, "already a mount (/dev/sda1 of type ext4): unmount it first: umount "},
		{"a FUSE mount", func(t *testing.T, s *System, r *Request) {
			line := "1 2 0:3 / " + r.Path + " rw shared:5 - fuse.sshfs host:dir rw\n"
			os.WriteFile(s.MountInfo, []byte(line), 0o600)
			r.NonEmpty = true
		}, "already a mount (host:dir of type fuse.sshfs): unmount it first: fusermount3 -u "},
		{"no device", func(t *testing.T, s *System, r *Request) {
			s.Device += "-missing"
		}, "modprobe fuse"},
		{"no fusermount3", func(t *testing.T, s *System, r *Request) {
			s.LookPath = missing
		}, "install the package fuse3"},
		{"allow_other", func(t *testing.T, s *System, r *Request) {
			r.AllowOther = true
		}, "user_allow_other"},
		{"empty path", func(t *testing.T, s *System, r *Request) {
			r.Path = filepath.Join(r.Path, "d\x00")
		}, "invalid argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, r := testSystem(t), Request{Path: realDir(t)}
			tt.spoil(t, &s, &r)
			_, err := s.Check(t.Context(), r)
			var p *Problem
			if !errors.As(err, &p) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Check: %v, want a Problem with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

// TestCheckExceptions: what is refused to an ordinary user is root's to do.
func TestCheckExceptions(t *testing.T) {
	s, r := testSystem(t), Request{Path: realDir(t), AllowOther: true, NonEmpty: true}
	if err := os.WriteFile(filepath.Join(r.Path, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	root := 0
	s.UID = &root
	s.LookPath = func(string) (string, error) { return "", fs.ErrNotExist }
	if _, err := s.Check(t.Context(), r); err != nil {
		t.Errorf("as root: %v", err)
	}
	s = testSystem(t)
	if err := os.WriteFile(s.FuseConf, []byte("mount_max = 9\nuser_allow_other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(t.Context(), r); err != nil {
		t.Errorf("with user_allow_other: %v", err)
	}
}

func TestPathProblem(t *testing.T) {
	err := pathProblem("/m", &fs.PathError{Op: "stat", Path: "/m", Err: unix.ENOTCONN})
	if want := "/m: a dead mount, left by a crash: run fusermount3 -u /m"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts(`22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
36 35 98:0 / /a\040b\134c rw - fuse.seamount host:d\040ir rw,user_id=1000,group_id=7

garbage - x
40 35 0:5 / /x rw master:1 propagate_from:2 - tmpfs none rw`)
	want := mounts{
		{"/sys", "sysfs", "sysfs", "0:20", "rw"},
		{`/a b\c`, "fuse.seamount", "host:d ir", "98:0", "rw,user_id=1000,group_id=7"},
		{"/x", "tmpfs", "none", "0:5", "rw"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mount{})); diff != "" {
		t.Error(diff)
	}
	if id := got[1].userID(); id != 1000 {
		t.Errorf("user id %d, want 1000", id)
	}
	if m, ok := got.at("/sys"); !ok || m.isFUSE() {
		t.Errorf("at(/sys) = %v, %v", m, ok)
	}
	if _, ok := got.at("/"); ok {
		t.Error("found a mount at /")
	}
}

func TestMounted(t *testing.T) {
	s, dir := testSystem(t), realDir(t)
	var p *Problem
	if _, err := s.Mounted(dir); !errors.As(err, &p) {
		t.Errorf("Mounted of a plain directory: %v", err)
	}
	for fstype, ok := range map[string]bool{"fuse.seamount": true, "fuse.sshfs": false} {
		line := "1 2 0:3 / " + dir + " rw - " + fstype + " host:dir rw\n"
		if err := os.WriteFile(s.MountInfo, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Mounted(dir); (err == nil) != ok || (ok && got.Path != dir) {
			t.Errorf("%s: Mounted = %v, %v", fstype, got, err)
		}
	}
}

func TestUnmountNothing(t *testing.T) {
	var p *Problem
	if err := Unmount(t.Context(), realDir(t), false); !errors.As(err, &p) {
		t.Errorf("unmount of a plain directory: %v, want a Problem", err)
	}
}
