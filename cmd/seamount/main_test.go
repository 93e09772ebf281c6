package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"seamount/conn/serve"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seamount": main})
}

// TestScripts runs the transcripts in testdata: what a user types and sees.
// Each has servers of its own on loopback, which its ssh_config $CONFIG calls
// "host" (a key), "password" (the password is "secret"), "changed" (another
// host key than is known), "closed" (nothing listens) and "silent" (which accepts
// and says nothing). $ROOT is the
// directory that they serve.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Deadline:            time.Now().Add(5 * time.Minute),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mounted":     cmdMounted,
			"unmounted":   cmdUnmounted,
			"awaitend":    cmdAwaitEnd,
			"signal":      cmdSignal,
			"hold":        cmdHold,
			"release":     cmdRelease,
			"asuser":      cmdAsUser,
			"awaitclient": cmdAwaitClient,
			"onterminal":  cmdOnTerminal,
		},
	})
}

func condition(name string) (bool, error) {
	if name == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

func setup(e *testscript.Env) error {
	root := filepath.Join(e.WorkDir, "root")
	for _, dir := range []string{root, filepath.Join(e.WorkDir, "mnt")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	config, err := serveAll(e, root)
	if err != nil {
		return err
	}
	configFile := filepath.Join(e.WorkDir, "ssh_config")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return err
	}
	e.Vars = append(e.Vars,
		"ROOT="+root, "CONFIG="+configFile, "HOME="+e.WorkDir, "XDG_STATE_HOME="+filepath.Join(e.WorkDir, "state"))
	e.Values[heldKey{}] = new(held)
	e.Defer(func() { detachAll(e.WorkDir) })
	return nil
}

// serveAll starts the servers and returns the ssh_config for them.
func serveAll(e *testscript.Env, root string) ([]byte, error) {
	key := filepath.Join(e.WorkDir, "id_ed25519")
	public, err := writeKey(key)
	if err != nil {
		return nil, err
	}
	var config, known bytes.Buffer
	fmt.Fprintf(&config, "Host *\n  HostName 127.0.0.1\n  User ann\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
		"  IdentityAgent none\n  GSSAPIAuthentication yes\n  UserKnownHostsFile %s\n  GlobalKnownHostsFile none\n\n", key, key+".known_hosts")
	for name, o := range map[string]serve.Options{
		"host":     {AuthorizedKeys: []ssh.PublicKey{public}},
		"password": {Password: "secret"},
		"changed":  {},
		"closed":   {},
	} {
		o.Root = root
		if o.HostKey, err = newSigner(e.WorkDir); err != nil {
			return nil, err
		}
		addr, err := serveOne(e, o, name != "closed")
		if err != nil {
			return nil, err
		}
		knownKey := o.HostKey.PublicKey()
		if name == "changed" {
			knownKey = public
		}
		fmt.Fprintf(&config, "Host %s\n  Port %d\n", name, addr.Port)
		fmt.Fprintln(&known, knownhosts.Line([]string{addr.String()}, knownKey))
	}
	silent, err := newSilent(e)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&config, "Host silent\n  Port %d\n", silent.Port)
	return config.Bytes(), os.WriteFile(key+".known_hosts", known.Bytes(), 0o600)
}

func newSigner(dir string) (ssh.Signer, error) {
	file := filepath.Join(dir, "host_key")
	if _, err := writeKey(file); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

func serveOne(e *testscript.Env, o serve.Options, open bool) (*net.TCPAddr, error) {
	s, err := serve.New(o)
	if err != nil {
		return nil, err
	}
	addr, err := listen(s.Serve)
	if err != nil {
		return nil, err
	}
	if !open {
		return addr, s.Close()
	}
	e.Defer(func() { s.Close() })
	return addr, nil
}

// clientsKey finds the connections to "silent", a chan net.Conn.
type clientsKey struct{}

func newSilent(e *testscript.Env) (*net.TCPAddr, error) {
	clients := make(chan net.Conn, 8)
	e.Values[clientsKey{}] = clients
	var listener net.Listener
	started := make(chan struct{})
	addr, err := listen(func(l net.Listener) error {
		listener = l
		close(started)
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			clients <- c
		}
	})
	if err != nil {
		return nil, err
	}
	<-started
	e.Defer(func() { listener.Close() })
	return addr, nil
}

// cmdAwaitClient waits until somebody has connected to "silent".
func cmdAwaitClient(ts *testscript.TestScript, _ bool, _ []string) {
	select {
	case c := <-ts.Value(clientsKey{}).(chan net.Conn):
		ts.Defer(func() { c.Close() })
	case <-time.After(patience):
		ts.Fatalf("nobody connected")
	}
}

// TestHelpFits: the help must not scroll away.
func TestHelpFits(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(usage, "\n"), "\n")
	if len(lines) > 23 { // and the prompt
		t.Errorf("%d lines, more than 23", len(lines))
	}
	for _, l := range lines {
		if len(l) > 80 {
			t.Errorf("%d columns: %s", len(l), l)
		}
	}
}
