package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// sshd is OpenSSH's server on loopback, an "sshd -i" for each connection.
type sshd struct {
	dir      string
	listener net.Listener
	wg       sync.WaitGroup
}

func startSSHD(dir string) (*sshd, error) {
	s := &sshd{dir: dir}
	for _, name := range []string{"host_key", "id"} {
		if err := s.writeKey(name); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return nil, err
	}
	config := strings.Join([]string{
		"HostKey " + dir + "/host_key", "AuthorizedKeysFile " + dir + "/id.pub", "StrictModes no", "UsePAM no",
		"PermitRootLogin yes", "PidFile none", "MaxStartups 100", "LogLevel ERROR", "Subsystem sftp internal-sftp",
		"SetEnv SHLVL=2", "", // so that bash does not take a command for a login and read .bashrc
	}, "\n")
	if err := os.WriteFile(dir+"/sshd_config", []byte(config), 0o600); err != nil {
		return nil, err
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *sshd) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.serve(c.(*net.TCPConn)) })
	}
}

func (s *sshd) serve(c *net.TCPConn) {
	f, err := c.File()
	c.Close()
	if err != nil {
		return
	}
	cmd := exec.Command("/usr/sbin/sshd", "-i", "-f", s.dir+"/sshd_config")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, os.Stderr
	err = cmd.Start()
	f.Close()
	if err == nil {
		_ = cmd.Wait() // the clients tell what went wrong
	}
}

// close refuses new connections and waits for those that are open to end.
func (s *sshd) close() {
	s.listener.Close()
	s.wg.Wait()
}

func (s *sshd) writeKey(name string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.dir+"/"+name, pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.dir+"/"+name+".pub", ssh.MarshalAuthorizedKey(key), 0o600)
}

// writeClientConfig writes an ssh_config with the host benchserver.
func (s *sshd) writeClientConfig(path, port string) error {
	host, err := os.ReadFile(s.dir + "/host_key.pub")
	if err != nil {
		return err
	}
	known := fmt.Sprintf("[127.0.0.1]:%s %s", port, host)
	if err := os.WriteFile(s.dir+"/known_hosts", []byte(known), 0o600); err != nil {
		return err
	}
	who, err := user.Current()
	if err != nil {
		return err
	}
	config := strings.Join([]string{
		"Host benchserver", "HostName 127.0.0.1", "Port " + port, "User " + who.Username,
		"IdentityFile " + s.dir + "/id", "IdentitiesOnly yes", "IdentityAgent none", "BatchMode yes",
		"UserKnownHostsFile " + s.dir + "/known_hosts", "StrictHostKeyChecking yes", "",
	}, "\n")
	return os.WriteFile(path, []byte(config), 0o600)
}
