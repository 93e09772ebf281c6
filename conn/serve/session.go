package serve

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// serveConn authenticates a connection and answers its channels until it
// ends. It returns when no channel runs any more.
func (s *Server) serveConn(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	sc, chans, reqs, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return err
	}
	defer sc.Close()
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.log.Debug("connected", "user", sc.User(), "remote", c.RemoteAddr().String())

	var wg sync.WaitGroup
	wg.Go(func() { ssh.DiscardRequests(reqs) }) // keepalives get the failure they expect
	for nc := range chans {
		if nc.ChannelType() != "session" {
			nc.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		wg.Go(func() { s.serveChannel(nc) })
	}
	wg.Wait()
	if err := sc.Wait(); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// serveChannel answers the requests of a session channel. The first request
// for the subsystem "sftp" starts it; everything else is refused.
func (s *Server) serveChannel(nc ssh.NewChannel) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		s.log.Info("channel not opened", "err", err)
		return
	}
	var wg sync.WaitGroup
	started := false
	for r := range reqs {
		ok := !started && isSFTP(r)
		if r.WantReply {
			r.Reply(ok, nil)
		}
		if !ok {
			s.log.Debug("request refused", "type", r.Type)
			continue
		}
		started = true
		wg.Go(func() { s.serveSFTP(ch) })
	}
	ch.Close()
	wg.Wait()
}

// isSFTP tells whether r asks for the subsystem "sftp" (RFC 4254, 6.5).
func isSFTP(r *ssh.Request) bool {
	var payload struct{ Name string }
	return r.Type == "subsystem" && ssh.Unmarshal(r.Payload, &payload) == nil && payload.Name == "sftp"
}

// serveSFTP answers SFTP requests on ch until the client has had enough,
// then ends the channel with the exit status of a program that did the same.
func (s *Server) serveSFTP(ch ssh.Channel) {
	status := struct{ Status uint32 }{}
	if err := s.runSFTP(ch); err != nil && !errors.Is(err, io.EOF) {
		s.log.Info("sftp ended", "err", err)
		status.Status = 1
	}
	// The client may be gone already: nothing here can fail usefully.
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(&status))
	_ = ch.Close()
}

func (s *Server) runSFTP(ch ssh.Channel) error {
	var opts []sftp.ServerOption
	if s.opts.ReadOnly {
		opts = append(opts, sftp.ReadOnly())
	}
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{&rebased{r: ch, root: s.opts.Root}, ch}, opts...)
	if err != nil {
		return err
	}
	return server.Serve()
}
