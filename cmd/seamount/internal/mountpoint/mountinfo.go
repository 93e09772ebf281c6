package mountpoint

import (
	"os"
	"strconv"
	"strings"
)

// mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	path, fstype, source string
	device               string // major:minor
	options              string // of the file system
}

// userID is the mounting user of a FUSE mount; 0 where it is not told.
func (m mount) userID() int {
	for o := range strings.SplitSeq(m.options, ",") {
		if v, ok := strings.CutPrefix(o, "user_id="); ok {
			id, _ := strconv.Atoi(v)
			return id
		}
	}
	return 0
}

func (m mount) isFUSE() bool {
	return m.fstype == "fuse" || m.fstype == "fuseblk" || strings.HasPrefix(m.fstype, "fuse.")
}

type mounts []mount

// at returns the topmost mount whose root is path.
func (ms mounts) at(path string) (mount, bool) {
	for i := len(ms) - 1; i >= 0; i-- {
		if ms[i].path == path {
			return ms[i], true
		}
	}
	return mount{}, false
}

func readMounts(file string) (mounts, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseMounts(string(text)), nil
}

// parseMounts leaves out lines that it does not understand.
func parseMounts(text string) mounts {
	var out mounts
	for line := range strings.Lines(text) {
		// 36 35 98:0 /root /path options optional... - type source options
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 2 {
			continue
		}
		m := mount{path: unescape(l[4]), fstype: r[0], source: unescape(r[1]), device: l[2]}
		if len(r) > 2 {
			m.options = r[2]
		}
		out = append(out, m)
	}
	return out
}

// unescape undoes the octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace(s)
}
