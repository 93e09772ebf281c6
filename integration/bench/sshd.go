package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshd is OpenSSH's server on loopback. It is a daemon, not an "sshd -i" for
// each connection: see command.
type sshd struct {
	dir    string
	addr   string
	cmd    *exec.Cmd
	exited chan struct{}
}

// startAttempts is how often a port is chosen: between choosing it and sshd's
// listening on it another process may take it.
const startAttempts = 5

func startSSHD(ctx context.Context, dir string) (*sshd, error) {
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
	for range startAttempts {
		if err = s.start(ctx); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// start runs sshd on a free port and waits until it listens.
func (s *sshd) start(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.addr = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	s.cmd = exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", s.dir+"/sshd_config", "-o", "ListenAddress "+s.addr)
	s.cmd.Stderr = os.Stderr
	// ^C is for the bench, which ends its mounts before their server.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() { defer close(s.exited); _ = s.cmd.Wait() }() // it has said why
	return s.wait(ctx)
}

func (s *sshd) wait(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("sshd ended before it listened: %w", err)
		case <-ctx.Done():
			s.close()
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// close ends the server. Its connections have ended with their clients.
func (s *sshd) close() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // gone already is as good
	<-s.exited
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
