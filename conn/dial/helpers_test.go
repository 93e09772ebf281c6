package dial

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// newKey makes a private key of a type: ed25519, ecdsa or rsa.
func newKey(t testing.TB, kind string) any {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no key type %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB, kind string) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(newKey(t, kind))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writeKey writes a private key and its .pub file, encrypted for a passphrase
// that is not empty.
func writeKey(t testing.TB, file string, key any, passphrase string) ssh.PublicKey {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, string(pem.EncodeToMemory(block)))
	writeFile(t, file+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return signer.PublicKey()
}

func writeFile(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// knownHostsLine is the line for a server at addr.
func knownHostsLine(addr string, key ssh.PublicKey) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(key))
}

// testConfig is a Config for a server at addr that uses no file of this
// machine; keys of more go over it.
func testConfig(t testing.TB, addr string, more settings) *Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	l := thisMachine()
	l.home = t.TempDir()
	l.getenv = func(string) (string, bool) { return "", false }
	s := settings{
		"hostname": {host}, "port": {port}, "stricthostkeychecking": {"accept-new"},
		"globalknownhostsfile": {"none"}, "identityfile": {"none"}, "connecttimeout": {"10"},
	}
	for k, v := range more {
		s[k] = v
	}
	cfg, err := newConfig(Target{Host: host}, s, l)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// mustDial connects and has the test close the connection.
func mustDial(t testing.TB, d *Dialer) *connection {
	t.Helper()
	c, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*connection)
}

// checkSFTP works a little over a new SFTP channel.
func checkSFTP(t testing.TB, c *connection) {
	t.Helper()
	rwc, err := c.OpenSFTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rwc.Close()
	client, err := sftp.NewClientPipe(rwc, rwc)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "content")
	info, err := client.Stat(filepath.Join(dir, "file"))
	if err != nil || info.Size() != 7 {
		t.Fatalf("Stat over SFTP = %v, %v; want size 7", info, err)
	}
}

// wantError dials and returns the error as a T.
func wantError[T error](t testing.TB, d *Dialer) T {
	t.Helper()
	c, err := d.Dial(t.Context())
	if err == nil {
		c.Close()
		t.Fatal("Dial succeeded")
	}
	var want T
	if !errors.As(err, &want) {
		t.Fatalf("Dial: %T %v; want a %T", err, err, want)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Fatalf("error is not one clean line: %q", err)
	}
	t.Log(err)
	return want
}

// scripted is a Prompter with answers to give in turn.
type scripted struct {
	mu      sync.Mutex
	answers []string
	asked   []string
}

func (p *scripted) next(question string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, question)
	if len(p.answers) == 0 {
		return "", ErrInterrupted
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a, nil
}

func (p *scripted) questions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}
