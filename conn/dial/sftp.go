package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// sftpWay is a way to start an SFTP server: a subsystem, or a command if that
// is set. The zero value is none.
type sftpWay struct {
	subsystem string
	command   string
	usual     bool // the command tries the usual paths
}

func (w sftpWay) String() string {
	switch {
	case w.usual:
		return "sftp-server at the usual paths"
	case w.command != "":
		return w.command
	}
	return "subsystem " + w.subsystem
}

// usualPaths is where systems keep OpenSSH's sftp-server.
func usualPaths() []string {
	return []string{
		"/usr/lib/openssh/sftp-server",     // Debian
		"/usr/libexec/openssh/sftp-server", // Fedora
		"/usr/libexec/sftp-server",         // the BSDs, macOS
		"/usr/lib/sftp-server",
		"/usr/lib/ssh/sftp-server", // SUSE, Arch, Alpine
		"/usr/local/libexec/sftp-server",
	}
}

// usualCommand tries the usual paths, then PATH. csh and fish read it too.
func usualCommand() string {
	var b strings.Builder
	for _, p := range usualPaths() {
		fmt.Fprintf(&b, "test -x %s && exec %s; ", p, p)
	}
	return b.String() + "exec sftp-server"
}

// ways lists what to try for the setting, in order. What worked last is all
// there is to try the next time.
func (d *Dialer) ways() []sftpWay {
	d.mu.Lock()
	defer d.mu.Unlock()
	server := d.hops[len(d.hops)-1].cfg.SFTPServer
	switch {
	case d.way != sftpWay{}:
		return []sftpWay{d.way}
	case strings.ContainsAny(server, "/ "):
		return []sftpWay{{command: server}}
	case server != "":
		return []sftpWay{{subsystem: server}}
	}
	return []sftpWay{{subsystem: "sftp"}, {command: usualCommand(), usual: true}}
}

func (d *Dialer) worked(w sftpWay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.way = w
}

// OpenSFTP opens a channel with an SFTP server behind it. It returns after the
// server's first packet, so a server that is not there, or a shell that prints
// at login, is told here: *SubsystemError, *ServerExitError, *ChattyError,
// *TimeoutError, or an error that wraps conn.ErrNoMoreSessions.
//
// The stream takes the session from its start: the INIT packet that the caller
// writes is the one that was sent already, and the VERSION packet is there to be
// read.
func (c *connection) OpenSFTP(ctx context.Context) (io.ReadWriteCloser, error) {
	cfg := c.dialer.hops[len(c.dialer.hops)-1].cfg
	limited, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	s, err := c.startSFTP(limited)
	if err == nil {
		return s, nil
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, &TimeoutError{Host: cfg.Alias, Step: "starting the SFTP server", After: cfg.ConnectTimeout}
	}
	return nil, err
}

// startSFTP tries one way after the other, as long as one says that it does not
// exist.
func (c *connection) startSFTP(ctx context.Context) (*sftpStream, error) {
	var first error
	for _, w := range c.dialer.ways() {
		s, err := c.startBy(ctx, w)
		if err == nil {
			c.dialer.worked(w)
			return s, nil
		}
		var refused *SubsystemError
		var exited *ServerExitError
		if !errors.As(err, &refused) && !errors.As(err, &exited) {
			return nil, err
		}
		if first == nil || w.usual && exited != nil {
			first = err
		}
	}
	return nil, first
}

func (c *connection) startBy(ctx context.Context, w sftpWay) (*sftpStream, error) {
	ch, err := c.openSession(ctx)
	if err != nil {
		return nil, err
	}
	s, err := await(ctx, func() (*sftpStream, error) { return ch.becomeSFTP(w) }, func(*sftpStream) {})
	if err != nil {
		// Closing waits for the connection if that is stuck; nobody else does.
		go ch.Close()
		return nil, err
	}
	return s, nil
}

// initPacket is SSH_FXP_INIT for version 3, draft-ietf-secsh-filexfer-02
// section 4.
func initPacket() []byte { return []byte{0, 0, 0, 5, 1, 0, 0, 0, 3} }

const (
	maxStartText    = 2 << 10 // bytes of a shell's text that are kept
	exitStatusGrace = time.Second
)

// becomeSFTP starts the server by w and waits for the beginning of its first
// packet.
func (s *session) becomeSFTP(w sftpWay) (*sftpStream, error) {
	request, payload := "subsystem", w.subsystem
	if w.command != "" {
		request, payload = "exec", w.command
	}
	ok, err := s.SendRequest(request, true, ssh.Marshal(struct{ S string }{payload}))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case !ok || err != nil:
		return nil, &SubsystemError{Name: w.String()}
	}
	if _, err := s.Write(initPacket()); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	start, err := s.readStart()
	switch {
	case isPacket(start):
		return &sftpStream{session: s, replay: start, expect: initPacket()}, nil
	case len(start) > 0:
		return nil, &ChattyError{Command: w.String(), Text: string(start)}
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return nil, s.exited(w)
}

// readStart reads until there is the length and the type of a packet, or text.
func (s *session) readStart() ([]byte, error) {
	buf := make([]byte, maxStartText)
	n := 0
	for n < 5 {
		m, err := s.Read(buf[n:])
		n += m
		if err != nil {
			return buf[:n], err
		}
	}
	return buf[:n], nil
}

// isPacket tells a packet from text: none is so long that its first byte is not
// 0. Whether it is a good one is for the caller to see.
func isPacket(start []byte) bool { return len(start) > 0 && start[0] == 0 }

// exited is the error for a server that ended without a word of SFTP. Its
// status comes after its output, at once or not at all.
func (s *session) exited(w sftpWay) error {
	e := &ServerExitError{Command: w.String(), Status: -1, usual: w.usual}
	grace := time.NewTimer(exitStatusGrace)
	defer grace.Stop()
	select {
	case <-s.ended:
		e.Status = s.exitStatus()
	case <-grace.C:
	}
	e.Stderr = s.stderr.String()
	return e
}

// sftpStream is the byte stream of an SFTP session that was begun already. Read
// and Write are each for one goroutine at a time.
type sftpStream struct {
	*session
	replay []byte // read from the server, not yet by the caller
	expect []byte // sent to the server, not yet by the caller
}

var errOtherInit = errors.New("an SFTP session begins with INIT for version 3")

func (s *sftpStream) Read(p []byte) (int, error) {
	if len(s.replay) > 0 {
		n := copy(p, s.replay)
		s.replay = s.replay[n:]
		return n, nil
	}
	return s.session.Read(p)
}

func (s *sftpStream) Write(p []byte) (int, error) {
	n := min(len(p), len(s.expect))
	if n == 0 {
		return s.session.Write(p)
	}
	if !bytes.Equal(p[:n], s.expect[:n]) {
		return 0, errOtherInit
	}
	if s.expect = s.expect[n:]; n == len(p) {
		return n, nil
	}
	m, err := s.session.Write(p[n:])
	return n + m, err
}
