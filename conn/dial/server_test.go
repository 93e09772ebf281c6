package dial

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeServer is an SSH server in this process. Its fields are set before start.
type fakeServer struct {
	ssh.ServerConfig
	hostKeys []ssh.Signer
	// session handles a request of a session channel that wants to start
	// something and returns whether it is granted; nil serves SFTP.
	session func(ch ssh.Channel, kind, payload string) bool
	// open decides on a channel; nil grants sessions and forwards TCP.
	open func(n ssh.NewChannel) bool
	// global answers a global request; nil refuses it.
	global func(r *ssh.Request)

	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	wg       sync.WaitGroup
}

// start listens on loopback and serves until the test ends.
func (s *fakeServer) start(t testing.TB) *fakeServer {
	t.Helper()
	if len(s.hostKeys) == 0 {
		s.hostKeys = []ssh.Signer{newSigner(t, "ed25519")}
	}
	for _, k := range s.hostKeys {
		s.AddHostKey(k)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = l
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.drop()
		s.wg.Wait()
	})
	return s
}

// drop closes all connections.
func (s *fakeServer) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

func (s *fakeServer) addr() string { return s.listener.Addr().String() }

func (s *fakeServer) serve(c net.Conn) {
	defer c.Close()
	sc, channels, requests, err := ssh.NewServerConn(c, &s.ServerConfig)
	if err != nil {
		return
	}
	defer sc.Close()
	s.wg.Go(func() {
		for r := range requests {
			if s.global != nil {
				s.global(r)
			} else if r.WantReply {
				r.Reply(false, nil)
			}
		}
	})
	for n := range channels {
		s.wg.Go(func() { s.channel(n) })
	}
}

func (s *fakeServer) channel(n ssh.NewChannel) {
	if s.open != nil && !s.open(n) {
		return
	}
	if n.ChannelType() == "direct-tcpip" {
		s.forward(n)
		return
	}
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	for r := range requests {
		var p struct{ S string }
		ssh.Unmarshal(r.Payload, &p)
		start := s.session
		if start == nil {
			start = serveSFTP
		}
		ok := (r.Type == "subsystem" || r.Type == "exec") && start(ch, r.Type, p.S)
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
}

func (s *fakeServer) forward(n ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		FromHost string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
		n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	c, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		n.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer c.Close()
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	s.wg.Go(func() {
		io.Copy(c, ch)
		c.Close()
	})
	io.Copy(ch, c)
}

// serveSFTP is a session that grants the subsystem sftp.
func serveSFTP(ch ssh.Channel, kind, payload string) bool {
	if kind != "subsystem" || payload != "sftp" {
		return false
	}
	go runSFTP(ch)
	return true
}

func runSFTP(ch ssh.Channel) {
	defer ch.Close()
	if srv, err := sftp.NewServer(ch); err == nil {
		srv.Serve()
	}
}

// exits is a session that ends at once with a status and a complaint.
func exits(ch ssh.Channel, status uint32, complaint string) {
	fmt.Fprint(ch.Stderr(), complaint)
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{status}))
	ch.Close()
}
