package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"seamount/conn/dial"
	"seamount/conn/serve"
)

// demoServer is the server of the demo, with a proxy before it when it is to
// be far away.
type demoServer struct {
	server         *serve.Server
	proxy          *serve.Proxy // nil without delay
	addr           *net.TCPAddr
	key, knownHost string // files
}

// startDemoServer serves root to whoever has the key that it puts into dir.
func startDemoServer(root, dir string, rtt time.Duration) (*demoServer, error) {
	d := &demoServer{key: filepath.Join(dir, "id_ed25519"), knownHost: filepath.Join(dir, "known_hosts")}
	public, err := writeKey(d.key)
	if err != nil {
		return nil, err
	}
	d.server, err = serve.New(serve.Options{Root: root, AuthorizedKeys: []ssh.PublicKey{public}})
	if err != nil {
		return nil, err
	}
	if d.addr, err = listen(d.server.Serve); err != nil {
		return nil, err
	}
	if rtt > 0 {
		d.proxy = serve.NewProxy(d.addr.String(), serve.Link{Delay: rtt / 2})
		if d.addr, err = listen(d.proxy.Serve); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	line := knownhosts.Line([]string{d.addr.String()}, d.server.HostKey())
	if err := os.WriteFile(d.knownHost, []byte(line+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// listen has serve, which returns when what it belongs to is closed, answer
// on a loopback port.
func listen(serve func(net.Listener) error) (*net.TCPAddr, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	go serve(l) //nolint:errcheck // it ends with close, and else the mount's calls fail
	return l.Addr().(*net.TCPAddr), nil
}

// writeKey makes a key, writes it to file and returns its public half.
func writeKey(file string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "seamount demo")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

// target is how the server is reached, whatever the user's ssh_config says.
func (d *demoServer) target() dial.Target {
	return dial.Target{
		User: "demo", Host: d.addr.IP.String(), Port: d.addr.Port, ConfigFile: "none",
		Options: []string{
			"IdentityFile=" + d.key,
			"IdentitiesOnly=yes",
			"IdentityAgent=none",
			"UserKnownHostsFile=" + d.knownHost,
			"GlobalKnownHostsFile=none",
			"StrictHostKeyChecking=yes",
			"BatchMode=yes",
		},
	}
}

func (d *demoServer) close() error {
	var err error
	if d.proxy != nil {
		err = d.proxy.Close()
	}
	return errors.Join(err, d.server.Close())
}

// generateTree fills dir with what the demo works on: 100 small files in one
// directory, 100 in 20 others, and one of 32 MiB.
func generateTree(dir string) error {
	random := mathrand.New(mathrand.NewPCG(1, 2)) // every demo is the same
	var files []string
	for i := range 100 {
		files = append(files, fmt.Sprintf("src/file-%03d.txt", i))
		files = append(files, fmt.Sprintf("tree/%c/%d/file-%d.txt", 'a'+i%4, i%20, i))
	}
	for i, f := range files {
		text := strings.Repeat(fmt.Sprintf("file %d\n", i), 1+random.IntN(1000))
		if err := writeFile(filepath.Join(dir, f), []byte(text)); err != nil {
			return err
		}
	}
	large := make([]byte, 32<<20)
	if _, err := mathrand.NewChaCha8([32]byte{1}).Read(large); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "large.bin"), large)
}

func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}
