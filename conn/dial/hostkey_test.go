package dial

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// openServer lets everybody in and shows the given host keys.
func openServer(t *testing.T, keys ...ssh.Signer) *fakeServer {
	t.Helper()
	srv := &fakeServer{hostKeys: keys}
	srv.NoClientAuth = true
	return srv.start(t)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	key := newSigner(t, "ed25519")
	other := newSigner(t, "ed25519")
	srv := openServer(t, key)
	line := knownHostsLine(srv.addr(), key.PublicKey())
	wrong := "# comment\n" + knownHostsLine(srv.addr(), other.PublicKey())
	for _, tt := range []struct {
		name, policy, known string
		answers             []string
		problem             HostKeyProblem // 0: connects
		adds                bool
	}{
		{"known", "yes", line, nil, 0, false},
		{"unknown, yes", "yes", "", nil, HostKeyUnknown, false},
		{"unknown, ask without terminal", "ask", "", nil, HostKeyUnknown, false},
		{"unknown, ask, no", "ask", "", []string{"no"}, HostKeyUnknown, false},
		{"unknown, ask, yes", "ask", "", []string{"yes"}, 0, true},
		{"unknown, accept-new", "accept-new", "", nil, 0, true},
		{"unknown, no", "no", "", nil, 0, true},
		{"changed, yes", "yes", wrong, nil, HostKeyChanged, false},
		{"changed, ask", "ask", wrong, []string{"yes"}, HostKeyChanged, false},
		{"changed, accept-new", "accept-new", wrong, nil, HostKeyChanged, false},
		{"changed, no", "no", wrong, nil, 0, false},
		{"revoked", "accept-new", line + "@revoked * " + string(ssh.MarshalAuthorizedKey(key.PublicKey())), nil, HostKeyRevoked, false},
		{"revoked, no", "no", "@revoked * " + string(ssh.MarshalAuthorizedKey(key.PublicKey())), nil, HostKeyRevoked, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ssh", "known_hosts")
			if tt.known != "" {
				if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				writeFile(t, file, tt.known)
			}
			cfg := testConfig(t, srv.addr(), settings{"stricthostkeychecking": {tt.policy}, "userknownhostsfile": {file}})
			var p Prompter
			if tt.answers != nil {
				p = &scripted{answers: tt.answers}
			}
			d := NewDialer(cfg, p, nil)
			if tt.problem == 0 {
				mustDial(t, d)
			} else {
				e := wantError[*HostKeyError](t, d)
				if e.Problem != tt.problem || e.Fingerprint != ssh.FingerprintSHA256(key.PublicKey()) {
					t.Errorf("%+v, want problem %d", e, tt.problem)
				}
				checkMessage(t, e, file, other.PublicKey())
			}
			text, _ := os.ReadFile(file)
			if added := string(text) == tt.known+line; added != tt.adds {
				t.Errorf("known_hosts afterwards: %q", text)
			}
			if tt.adds {
				checkModes(t, file)
				mustDial(t, NewDialer(testConfig(t, srv.addr(), settings{"stricthostkeychecking": {"yes"}, "userknownhostsfile": {file}}), nil, nil))
			}
		})
	}
}

func checkMessage(t *testing.T, e *HostKeyError, file string, was ssh.PublicKey) {
	t.Helper()
	if e.Problem != HostKeyChanged {
		return
	}
	want := fmt.Sprintf("host key of %s changed (was %s, is %s; %s:2): if this is expected, run ssh-keygen -R '%s'",
		e.Host, ssh.FingerprintSHA256(was), e.Fingerprint, file, e.Host)
	if e.Error() != want {
		t.Errorf("error\n%s\nwant\n%s", e, want)
	}
}

func checkModes(t *testing.T, file string) {
	t.Helper()
	for name, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestNoPasswordToChangedHost(t *testing.T) {
	srv := &fakeServer{}
	tries := 0
	srv.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { tries++; return nil, nil }
	srv.start(t)
	file := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, file, knownHostsLine(srv.addr(), newSigner(t, "ed25519").PublicKey()))
	cfg := testConfig(t, srv.addr(), settings{"stricthostkeychecking": {"no"}, "userknownhostsfile": {file}})
	e := wantError[*AuthError](t, NewDialer(cfg, &scripted{answers: []string{"secret"}}, nil))
	if tries != 0 || !errors.Is(e, errHostNotSure) {
		t.Errorf("%d passwords sent, %v", tries, e.Err)
	}
}

func TestHashedNames(t *testing.T) {
	srv := openServer(t)
	file := filepath.Join(t.TempDir(), "known_hosts")
	more := settings{"userknownhostsfile": {file}, "hashknownhosts": {"yes"}}
	mustDial(t, NewDialer(testConfig(t, srv.addr(), more), nil, nil))
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "|1|") || strings.Contains(string(text), "127.0.0.1") {
		t.Fatalf("known_hosts: %q, %v; want a hashed name", text, err)
	}
	more["stricthostkeychecking"] = []string{"yes"}
	mustDial(t, NewDialer(testConfig(t, srv.addr(), more), nil, nil))
	writeFile(t, file, knownhosts.HashHostname(knownhosts.Normalize(srv.addr()))+" "+
		string(ssh.MarshalAuthorizedKey(newSigner(t, "ed25519").PublicKey())))
	if e := wantError[*HostKeyError](t, NewDialer(testConfig(t, srv.addr(), more), nil, nil)); e.Problem != HostKeyChanged {
		t.Errorf("%+v, want a changed key", e)
	}
}

func TestLinesThatCannotBeUsed(t *testing.T) {
	key := newSigner(t, "ed25519")
	srv := openServer(t, key)
	good := knownHostsLine(srv.addr(), key.PublicKey())
	long := "h ssh-ed25519 " + strings.Repeat("A", 100<<10)
	bad := []string{
		"host ssh-future AAAA", "host ssh-ed25519 !!!", "host", "@what " + strings.TrimSpace(good), "|1|x " + good[strings.Index(good, " ")+1:],
		"[host ssh-ed25519 " + strings.Fields(good)[2], "host ssh-rsa " + strings.Fields(good)[2], long, "@revoked", "|2|a|b ssh-ed25519 " + strings.Fields(good)[2],
	}
	text := ""
	for _, b := range bad {
		text += strings.TrimSpace(b) + "\n"
	}
	for name, all := range map[string]string{"with a good one": text + good, "without": text} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			writeFile(t, file, all)
			var log bytes.Buffer
			cfg := testConfig(t, srv.addr(), settings{"stricthostkeychecking": {"yes"}, "userknownhostsfile": {file}})
			d := NewDialer(cfg, nil, slog.New(slog.NewTextHandler(&log, nil)))
			if strings.HasSuffix(all, good) {
				mustDial(t, d)
			} else if e := wantError[*HostKeyError](t, d); e.Problem != HostKeyUnknown {
				t.Errorf("%+v, want an unknown key", e)
			}
			for i := range bad {
				if !strings.Contains(log.String(), fmt.Sprintf("%s:%d", file, i+1)) {
					t.Errorf("log does not name line %d (%.40q):\n%s", i+1, bad[i], log.String())
				}
			}
		})
	}
}

func TestAlgorithmsOrderedByKnownKey(t *testing.T) {
	keys := map[string]ssh.Signer{}
	var all []ssh.Signer
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		keys[kind] = newSigner(t, kind)
		all = append(all, keys[kind])
	}
	srv := openServer(t, all...)
	for kind, key := range keys {
		t.Run(kind, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			writeFile(t, file, knownHostsLine(srv.addr(), key.PublicKey()))
			mustDial(t, NewDialer(testConfig(t, srv.addr(), settings{"stricthostkeychecking": {"yes"}, "userknownhostsfile": {file}}), nil, nil))
		})
	}
}

func TestNamesInKnownHosts(t *testing.T) {
	key := newSigner(t, "ed25519")
	srv := openServer(t, key)
	pub := string(ssh.MarshalAuthorizedKey(key.PublicKey()))
	_, port, _ := strings.Cut(srv.addr(), ":")
	for _, tt := range []struct{ name, line, alias, host string }{
		{"alias stands without port", "Alias " + pub, "aLIAS", "127.0.0.1"},
		{"wildcard goes for each port", "127.0.* " + pub, "", "127.0.0.1"},
		{"case does not matter", "[LocalHost]:" + port + " " + pub, "", "LOCALhost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			writeFile(t, file, tt.line)
			cfg := testConfig(t, tt.host+":"+port, settings{
				"stricthostkeychecking": {"yes"}, "userknownhostsfile": {file}, "hostkeyalias": {tt.alias}, "addressfamily": {"inet"},
			})
			mustDial(t, NewDialer(cfg, nil, nil))
		})
	}
}

func TestHostCertificate(t *testing.T) {
	ca, key := newSigner(t, "ed25519"), newSigner(t, "ed25519")
	certify := func(principal string) ssh.Signer {
		cert := &ssh.Certificate{
			Key: key.PublicKey(), CertType: ssh.HostCert, KeyId: "test", ValidBefore: ssh.CertTimeInfinity, ValidPrincipals: []string{principal},
		}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		s, err := ssh.NewCertSigner(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	authority := "@cert-authority * " + string(ssh.MarshalAuthorizedKey(ca.PublicKey()))
	good := openServer(t, certify("127.0.0.1"), key)
	bad := openServer(t, certify("elsewhere"))
	plain := openServer(t, key)
	file := filepath.Join(t.TempDir(), "known_hosts")
	more := settings{"stricthostkeychecking": {"yes"}, "userknownhostsfile": {file}}

	writeFile(t, file, authority)
	mustDial(t, NewDialer(testConfig(t, good.addr(), more), nil, nil))
	if e := wantError[*HostKeyError](t, NewDialer(testConfig(t, bad.addr(), more), nil, nil)); e.Problem != HostCertificateInvalid {
		t.Errorf("certificate for another host: %+v", e)
	}
	if e := wantError[*HostKeyError](t, NewDialer(testConfig(t, plain.addr(), more), nil, nil)); e.Problem != HostKeyUnknown {
		t.Errorf("plain key where an authority is known: %+v, want an unknown key", e)
	}
	writeFile(t, file, knownHostsLine(good.addr(), key.PublicKey()))
	mustDial(t, NewDialer(testConfig(t, good.addr(), more), nil, nil))
}

func TestKeyAcceptedInThisProcessCounts(t *testing.T) {
	srv := openServer(t)
	cfg := testConfig(t, srv.addr(), settings{"userknownhostsfile": {"none"}})
	d := NewDialer(cfg, nil, nil)
	mustDial(t, d)
	mustDial(t, d)
	d.hops[0].pin(newSigner(t, "ed25519").PublicKey())
	if e := wantError[*HostKeyError](t, d); e.Problem != HostKeyChanged || e.Known[0].File != "" {
		t.Errorf("%+v, want a key that changed in this process", e)
	}
}

func TestKeyChangeWithinConnectionIsRefused(t *testing.T) {
	h := &hop{cfg: testConfig(t, "127.0.0.1:22", settings{"userknownhostsfile": {"none"}}), prompt: newAsker(nil), log: slog.New(slog.DiscardHandler)}
	k, err := h.newHostKeys(t.Context(), func(string) (bool, error) { return false, ErrNoTerminal })
	if err != nil {
		t.Fatal(err)
	}
	first := newSigner(t, "ed25519").PublicKey()
	for range 2 {
		if err := k.check("", nil, first); err != nil {
			t.Fatal(err)
		}
	}
	var e *HostKeyError
	if err := k.check("", nil, newSigner(t, "ed25519").PublicKey()); !errors.As(err, &e) || e.Problem != HostKeyChanged {
		t.Errorf("another key at rekeying: %v", err)
	}
}

func TestAppendToFileWithoutNewline(t *testing.T) {
	srv := openServer(t)
	file := filepath.Join(t.TempDir(), "known_hosts")
	before := strings.TrimSpace(knownHostsLine("10.0.0.1:22", newSigner(t, "ed25519").PublicKey()))
	writeFile(t, file, before)
	mustDial(t, NewDialer(testConfig(t, srv.addr(), settings{"userknownhostsfile": {file}}), nil, nil))
	text, err := os.ReadFile(file)
	if lines := strings.Split(string(text), "\n"); err != nil || len(lines) != 3 || lines[0] != before {
		t.Errorf("known_hosts: %q, %v", text, err)
	}
}

// Whatever a known_hosts file holds, it does not keep us from using the others.
func FuzzKnownHosts(f *testing.F) {
	line := knownHostsLine("10.0.0.1:22", newSigner(f, "ed25519").PublicKey())
	f.Add("@cert-authority *.x,!Y " + line[strings.Index(line, " ")+1:])
	f.Add("# c\n\n" + line + "[h:22 " + line[strings.Index(line, " ")+1:])
	f.Add("|1|AAAA|AAAA " + line[strings.Index(line, " ")+1:])
	f.Add("@revoked\nx y z\n\x00 \xff\n@ a b c")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		bad, good := filepath.Join(dir, "bad"), filepath.Join(dir, "good")
		writeFile(t, bad, text)
		writeFile(t, good, line)
		k, err := loadKnownHosts([]string{bad, good}, "10.0.0.1:22", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if len(k.algorithms([]string{ssh.KeyAlgoED25519})) == 0 {
			t.Fatal("the good file is not used")
		}
	})
}
