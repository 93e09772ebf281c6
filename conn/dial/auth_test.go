package dial

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func (p *scripted) Password(_ context.Context, q string) (string, error) { return p.next(q) }
func (p *scripted) Confirm(_ context.Context, q string) (bool, error) {
	a, err := p.next(q)
	return a == "yes", err
}
func (p *scripted) Interactive() bool { return true }

func TestIdentityFilesOfEachType(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var keys []ssh.PublicKey
	kinds := []string{"ed25519", "ecdsa", "rsa"}
	for _, kind := range kinds {
		keys = append(keys, writeKey(t, filepath.Join(dir, kind), newKey(t, kind), ""))
	}
	srv := startSSHD(t, "", keys...)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			cfg := testConfig(t, srv.addr(), settings{"identityfile": {filepath.Join(dir, kind)}})
			c := mustDial(t, NewDialer(cfg, nil, nil))
			checkSFTP(t, c)
			if v := c.ServerVersion(); !strings.HasPrefix(v, "SSH-2.0-OpenSSH") {
				t.Errorf("ServerVersion = %q", v)
			}
		})
	}
}

func TestEncryptedKeyAsksOnceAndOnlyIfWanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	writeKey(t, other, newKey(t, "ed25519"), "unknown to the server")
	file := filepath.Join(dir, "id")
	pub := writeKey(t, file, newKey(t, "ed25519"), "open sesame")
	srv := startSSHD(t, "", pub)
	cfg := testConfig(t, srv.addr(), settings{"identityfile": {other, file}})
	p := &scripted{answers: []string{"wrong", "open sesame"}}
	d := NewDialer(cfg, p, nil)
	mustDial(t, d)
	mustDial(t, d) // the second connection asks nothing
	if q := p.questions(); len(q) != 2 || !strings.Contains(q[0], file) || !strings.Contains(q[1], file) {
		t.Errorf("asked %q, want twice for %s", q, file)
	}
}

func TestEncryptedKeyWithoutTerminal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "id")
	pub := writeKey(t, file, newKey(t, "ed25519"), "open sesame")
	srv := startSSHD(t, "", pub)
	cfg := testConfig(t, srv.addr(), settings{"identityfile": {file}})
	e := wantError[*AuthError](t, NewDialer(cfg, nil, nil))
	if !errors.Is(e, ErrNoTerminal) || !slices.Equal(e.Locked, []string{file}) || !strings.Contains(e.Hint(), "ssh-add") {
		t.Errorf("error %+v, hint %q", e, e.Hint())
	}
}

func TestKeyBehindOneThatCannotBeUnlocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	a := writeKey(t, first, newKey(t, "ed25519"), "forgotten")
	b := writeKey(t, second, newKey(t, "ed25519"), "")
	srv := startSSHD(t, "", a, b)
	cfg := testConfig(t, srv.addr(), settings{"identityfile": {first, second}, "numberofpasswordprompts": {"1"}})
	p := &scripted{answers: []string{"x"}}
	mustDial(t, NewDialer(cfg, p, nil))
	if q := p.questions(); len(q) != 1 {
		t.Errorf("asked %d times, want 1", len(q))
	}
}

// serveAgent serves keys on a socket as ssh-agent does.
func serveAgent(t *testing.T, keys ...agent.AddedKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(k); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			agent.ServeAgent(ring, c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return socket
}

func TestAgent(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			key := newKey(t, kind)
			signer, err := ssh.NewSignerFromKey(key)
			if err != nil {
				t.Fatal(err)
			}
			srv := startSSHD(t, "", signer.PublicKey())
			socket := serveAgent(t, agent.AddedKey{PrivateKey: key})
			checkSFTP(t, mustDial(t, NewDialer(testConfig(t, srv.addr(), settings{"identityagent": {socket}}), nil, nil)))

			only := testConfig(t, srv.addr(), settings{"identityagent": {socket}, "identitiesonly": {"yes"}})
			wantError[*AuthError](t, NewDialer(only, nil, nil))

			// The public half in a file selects the key of the agent.
			file := filepath.Join(t.TempDir(), "id.pub")
			writeFile(t, file, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
			only = testConfig(t, srv.addr(), settings{"identityagent": {socket}, "identitiesonly": {"yes"}, "identityfile": {file}})
			mustDial(t, NewDialer(only, nil, nil))
		})
	}
}

func TestAgentThatDoesNotAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket) // it accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(t.TempDir(), "id")
	pub := writeKey(t, file, newKey(t, "ed25519"), "")
	srv := &fakeServer{}
	srv.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !sameKey(k, pub) {
			return nil, errors.New("no")
		}
		return nil, nil
	}
	srv.start(t)
	for _, agent := range []string{socket, filepath.Join(t.TempDir(), "none")} {
		cfg := testConfig(t, srv.addr(), settings{"identityagent": {agent}, "identityfile": {file}})
		cfg.ConnectTimeout = 200 * time.Millisecond
		mustDial(t, NewDialer(cfg, nil, nil))
	}
}

// offers records the public keys that a client offers, and takes none of them.
func offers(got *[]string) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	return func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		*got = append(*got, ssh.FingerprintSHA256(k))
		return nil, errors.New("no")
	}
}

func TestOrderAndNumberOfKeys(t *testing.T) {
	dir := t.TempDir()
	var files, want []string
	var added []agent.AddedKey
	// A key only in the agent, one in both, one only in a file, and more than
	// a server would hear of.
	inBoth, inFile := newKey(t, "ed25519"), newKey(t, "ed25519")
	files = append(files, filepath.Join(dir, "file"), filepath.Join(dir, "both"))
	fileKey := writeKey(t, files[0], inFile, "")
	bothKey := writeKey(t, files[1], inBoth, "")
	want = append(want, ssh.FingerprintSHA256(bothKey), ssh.FingerprintSHA256(fileKey))
	for range 5 {
		k := newKey(t, "ed25519")
		signer, _ := ssh.NewSignerFromKey(k)
		want = append(want, ssh.FingerprintSHA256(signer.PublicKey()))
		added = append(added, agent.AddedKey{PrivateKey: k})
	}
	added = append(added, agent.AddedKey{PrivateKey: inBoth})
	var got []string
	srv := &fakeServer{}
	srv.MaxAuthTries = 20
	srv.PublicKeyCallback = offers(&got)
	srv.start(t)
	cfg := testConfig(t, srv.addr(), settings{"identityagent": {serveAgent(t, added...)}, "identityfile": files})
	e := wantError[*AuthError](t, NewDialer(cfg, nil, nil))
	if !slices.Equal(got, want[:maxKeys]) {
		t.Errorf("offered %q\nwant %q", got, want[:maxKeys])
	}
	if e.NotTried != 2 || !strings.Contains(e.Hint(), "IdentityFile") {
		t.Errorf("%d not tried, hint %q", e.NotTried, e.Hint())
	}
}

func TestCertificateBesideKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := newSigner(t, "ed25519")
	for _, kind := range []string{"ed25519", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			file := filepath.Join(dir, kind)
			pub := writeKey(t, file, newKey(t, kind), "")
			cert := &ssh.Certificate{
				Key: pub, CertType: ssh.UserCert, KeyId: "test", ValidBefore: ssh.CertTimeInfinity,
				ValidPrincipals: []string{thisMachine().user},
			}
			if err := cert.SignCert(rand.Reader, ca); err != nil {
				t.Fatal(err)
			}
			writeFile(t, file+"-cert.pub", string(ssh.MarshalAuthorizedKey(cert)))
			writeFile(t, filepath.Join(dir, "ca"), string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
			srv := startSSHD(t, "TrustedUserCAKeys "+filepath.Join(dir, "ca"))
			mustDial(t, NewDialer(testConfig(t, srv.addr(), settings{"identityfile": {file}}), nil, nil))
		})
	}
}

func passwordServer(t *testing.T, password string) (*fakeServer, *int) {
	t.Helper()
	tries := new(int)
	srv := &fakeServer{}
	srv.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		*tries++
		if string(p) != password {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}
	return srv.start(t), tries
}

func TestPasswordIsAskedAgainAndRemembered(t *testing.T) {
	srv, tries := passwordServer(t, "right")
	p := &scripted{answers: []string{"wrong", "right"}}
	d := NewDialer(testConfig(t, srv.addr(), settings{"user": {"me"}}), p, nil)
	checkSFTP(t, mustDial(t, d))
	mustDial(t, d)
	if *tries != 3 || len(p.questions()) != 2 {
		t.Errorf("%d passwords tried, %q asked; want 3 and 2", *tries, p.questions())
	}
}

func TestWrongPassword(t *testing.T) {
	srv, tries := passwordServer(t, "right")
	p := &scripted{answers: []string{"a", "b", "c", "d"}}
	e := wantError[*AuthError](t, NewDialer(testConfig(t, srv.addr(), settings{"numberofpasswordprompts": {"2"}}), p, nil))
	if *tries != 2 || !e.WrongPassword {
		t.Errorf("%d tries, %+v", *tries, e)
	}
}

func TestPasswordSource(t *testing.T) {
	srv, tries := passwordServer(t, "right")
	for _, password := range []string{"right", "wrong"} {
		cfg := testConfig(t, srv.addr(), nil)
		calls := 0
		cfg.Password = func(context.Context) (string, error) { calls++; return password, nil }
		*tries = 0
		c, err := NewDialer(cfg, nil, nil).Dial(t.Context())
		if err == nil {
			c.Close()
		}
		var e *AuthError
		if (err == nil) != (password == "right") || err != nil && (!errors.As(err, &e) || !e.WrongPassword) {
			t.Errorf("%s password: %v", password, err)
		}
		if *tries != 1 || calls != 1 {
			t.Errorf("%s password: tried %d times, source called %d times", password, *tries, calls)
		}
	}
}

func TestPasswordWithoutTerminal(t *testing.T) {
	srv, tries := passwordServer(t, "right")
	for name, p := range map[string]Prompter{"no terminal": NoPrompter{}, "batch mode": &scripted{answers: []string{"right"}}} {
		cfg := testConfig(t, srv.addr(), settings{"batchmode": {"yes"}})
		e := wantError[*AuthError](t, NewDialer(cfg, p, nil))
		if !errors.Is(e, ErrNoTerminal) || *tries != 0 || !slices.Equal(e.Offered, []string{"password"}) {
			t.Errorf("%s: %+v after %d tries", name, e, *tries)
		}
	}
}

func TestUserInterruptsPassword(t *testing.T) {
	srv, _ := passwordServer(t, "right")
	_, err := NewDialer(testConfig(t, srv.addr(), nil), &scripted{}, nil).Dial(t.Context())
	if !errors.Is(err, ErrInterrupted) {
		t.Errorf("error %v, want ErrInterrupted", err)
	}
}

func TestKeyboardInteractive(t *testing.T) {
	srv := &fakeServer{}
	var got [][]string
	srv.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		a, err := ask("", "", []string{"Password: "}, []bool{false})
		if err != nil {
			return nil, err
		}
		b, err := ask("Second\x1b[31m", "factor", []string{"Code: ", "Colour: "}, []bool{false, true})
		if err != nil {
			return nil, err
		}
		if _, err := ask("", "done", nil, nil); err != nil {
			return nil, err
		}
		got = append(got, append(a, b...))
		return nil, nil
	}
	srv.start(t)
	p := &scripted{answers: []string{"secret", "123", "blue", "456", "red"}}
	d := NewDialer(testConfig(t, srv.addr(), nil), p, nil)
	mustDial(t, d)
	mustDial(t, d) // the password is remembered, a code is not
	want := [][]string{{"secret", "123", "blue"}, {"secret", "456", "red"}}
	if len(got) != 2 || !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) {
		t.Errorf("answers %q, want %q", got, want)
	}
}

func TestTwoMethodsInTurn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "id")
	pub := writeKey(t, file, newKey(t, "ed25519"), "")
	srv := &fakeServer{}
	srv.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !sameKey(k, pub) {
			return nil, errors.New("unknown key")
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
			PasswordCallback: func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
				if string(p) != "right" {
					return nil, errors.New("wrong")
				}
				return nil, nil
			},
		}}
	}
	srv.start(t)
	p := &scripted{answers: []string{"right"}}
	mustDial(t, NewDialer(testConfig(t, srv.addr(), settings{"identityfile": {file}}), p, nil))
}

func TestDisconnectDuringPasswords(t *testing.T) {
	srv := &fakeServer{}
	srv.MaxAuthTries = 1
	srv.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("no") }
	srv.start(t)
	p := &scripted{answers: []string{"a", "b", "c"}}
	if e := wantError[*AuthError](t, NewDialer(testConfig(t, srv.addr(), nil), p, nil)); !e.WrongPassword {
		t.Errorf("%+v does not say that the password was wrong", e)
	}
}
