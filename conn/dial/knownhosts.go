package dial

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

const (
	maxKnownHosts     = 64 << 20 // bytes of one file
	maxKnownHostsLine = 60 << 10 // bytes; the library's scanner fails beyond 64 KiB
)

// knownHosts answers what the known_hosts files say of one host.
type knownHosts struct {
	db          *knownhosts.HostKeyDB
	address     string            // host:port to look up
	files       map[string]string // real names by those the library was given
	authorities map[string]bool   // "file:line" of @cert-authority lines
}

// loadKnownHosts reads the files that exist. The library fails on files without
// one good line and on long lines, and minds the case of names, so it is given
// a copy of a file in which that is put right. Lines that cannot be used are
// told to log.
func loadKnownHosts(files []string, address string, log *slog.Logger) (*knownHosts, error) {
	k := &knownHosts{address: address, files: map[string]string{}, authorities: map[string]bool{}}
	dir := ""
	defer func() {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}()
	var usable []string
	for i, file := range files {
		text, err := readBounded(file, maxKnownHosts)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
			continue
		}
		if err != nil {
			log.Warn("known_hosts file cannot be read", "file", file, "err", err)
			continue
		}
		name := file
		if clean := k.clean(file, text, log); !bytes.Equal(clean, text) {
			if dir == "" {
				if dir, err = os.MkdirTemp("", "seamount-known-hosts-"); err != nil {
					return nil, err
				}
			}
			name = filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(name, clean, 0o600); err != nil {
				return nil, err
			}
		}
		k.files[name] = file
		usable = append(usable, name)
	}
	db, err := knownhosts.NewDB(usable...)
	k.db = db
	return k, err
}

// clean returns text with unusable lines made empty, so that the others keep
// their numbers, and plain host names in lower case.
func (k *knownHosts) clean(file string, text []byte, log *slog.Logger) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, l := range lines {
		if t := bytes.TrimSpace(l); len(t) == 0 || t[0] == '#' {
			if len(l) > maxKnownHostsLine {
				lines[i] = nil
			}
			continue
		}
		marker, hosts, err := checkKnownHostsLine(l)
		if err != nil {
			log.Warn("known_hosts line cannot be used", "place", fmt.Sprintf("%s:%d", file, i+1), "err", oneLine(err.Error()))
			lines[i] = nil
			continue
		}
		if marker == "cert-authority" {
			k.authorities[fmt.Sprintf("%s:%d", file, i+1)] = true
		}
		if low := strings.ToLower(hosts); hosts[0] != '|' && low != hosts {
			lines[i] = bytes.Replace(l, []byte(hosts), []byte(low), 1)
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// checkKnownHostsLine tells whether the library can use a line, and its marker
// and first field.
func checkKnownHostsLine(l []byte) (marker, hosts string, err error) {
	if len(l) > maxKnownHostsLine {
		return "", "", errors.New("the line is too long")
	}
	fields := strings.Fields(string(l))
	if strings.HasPrefix(fields[0], "@") {
		marker, fields = fields[0][1:], fields[1:]
		if marker != "cert-authority" && marker != "revoked" {
			return "", "", fmt.Errorf("unknown marker @%s", marker)
		}
	}
	if len(fields) < 3 {
		return "", "", errors.New("it has less than three fields")
	}
	if err := checkHosts(fields[0]); err != nil {
		return "", "", err
	}
	blob, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return "", "", err
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return "", "", err
	}
	if key.Type() != fields[1] {
		return "", "", fmt.Errorf("a key of type %s under the name %s", key.Type(), fields[1])
	}
	return marker, fields[0], nil
}

// checkHosts checks the first field of a line.
func checkHosts(hosts string) error {
	if hosts[0] == '|' {
		parts := strings.Split(hosts, "|")
		if len(parts) != 4 || parts[1] != "1" {
			return errors.New("unknown kind of hashed name")
		}
		for _, p := range parts[2:] {
			if _, err := base64.StdEncoding.DecodeString(p); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range strings.Split(hosts, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if p == "" && negated {
			return errors.New("an exclamation mark without a name")
		}
		if strings.HasPrefix(p, "[") {
			if _, _, err := net.SplitHostPort(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// algorithms puts those of keys that are known for the host before the others
// of all, and leaves certificates out unless an authority is known for it: a
// certificate that nobody can check would hide a plain key that can be.
func (k *knownHosts) algorithms(all []string) []string {
	known := k.db.HostKeyAlgorithms(k.address)
	var first, rest []string
	certificates := false
	for _, a := range known {
		isCert := strings.Contains(a, "-cert-v01@")
		certificates = certificates || isCert
		if contains(all, a) {
			first = append(first, a)
		}
	}
	for _, a := range all {
		if certificates || !strings.Contains(a, "-cert-v01@") {
			rest = append(rest, a)
		}
	}
	return appendNew(first, rest)
}

// check compares key with what is known. The error is a *HostKeyError.
func (k *knownHosts) check(remote net.Addr, key ssh.PublicKey) error {
	if _, ok := remote.(*net.TCPAddr); !ok {
		remote = &net.TCPAddr{IP: net.IPv4zero} // through a proxy or a jump host
	}
	err := k.db.HostKeyCallback()(k.address, remote, key)
	if err == nil {
		return nil
	}
	e := newHostKeyError(k.address, key)
	e.Err = err
	var mismatch *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		e.Problem, e.Known = HostKeyRevoked, []KnownKey{k.known(revoked.Revoked)}
	case errors.As(err, &mismatch):
		e.Problem, e.Known = HostKeyUnknown, k.wanted(mismatch.Want, key.Type())
		if len(e.Known) > 0 {
			e.Problem = HostKeyChanged
		}
	default:
		e.Problem = HostCertificateInvalid
	}
	return e
}

// wanted lists the known keys that are no authorities, those of the same type
// first.
func (k *knownHosts) wanted(keys []xknownhosts.KnownKey, keyType string) []KnownKey {
	var same, other []KnownKey
	for _, w := range keys {
		known := k.known(w)
		switch {
		case k.authorities[fmt.Sprintf("%s:%d", known.File, known.Line)]:
		case w.Key.Type() == keyType:
			same = append(same, known)
		default:
			other = append(other, known)
		}
	}
	return append(same, other...)
}

func (k *knownHosts) known(w xknownhosts.KnownKey) KnownKey {
	return KnownKey{Fingerprint: ssh.FingerprintSHA256(w.Key), File: k.files[w.Filename], Line: w.Line}
}

func newHostKeyError(address string, key ssh.PublicKey) *HostKeyError {
	return &HostKeyError{
		Host:        knownhosts.Normalize(address),
		KeyType:     key.Type(),
		Fingerprint: ssh.FingerprintSHA256(key),
	}
}

// addKnownHost appends a line for address to file, which with its directory is
// made if it does not exist, as ssh does it: 0600 and 0700.
func addKnownHost(file, address string, key ssh.PublicKey, hashed bool) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name := knownhosts.Normalize(address)
	if hashed {
		name = xknownhosts.HashHostname(name)
	}
	text := name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + "\n"
	if !endsWithNewline(f) {
		text = "\n" + text
	}
	_, err = f.WriteString(text)
	return err
}

// endsWithNewline is true for an empty file and for one that is not regular.
func endsWithNewline(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return true
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err != nil || last[0] == '\n'
}
