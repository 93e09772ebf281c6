package conn

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"

	"seamount/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sftpServer is OpenSSH's; the package openssh-sftp-server holds it.
const sftpServer = "/usr/lib/openssh/sftp-server"

// opensshDialer starts OpenSSH's server for each session.
func opensshDialer(t *testing.T) Dialer {
	t.Helper()
	if _, err := os.Stat(sftpServer); err != nil {
		t.Fatalf("these tests need OpenSSH's sftp-server (Debian: openssh-sftp-server): %v", err)
	}
	return CommandDialer(sftpServer)
}

// pkgDialer serves each session by pkg/sftp's server in this process, through
// the filter f if that is not nil. It begins in this process's directory: with
// another one the server changes the targets of symbolic links.
func pkgDialer(f *filter) Dialer {
	return PipeDialer(func(context.Context) (io.ReadWriteCloser, error) {
		return pkgStream(f)
	})
}

func pkgStream(f *filter) (io.ReadWriteCloser, error) {
	client, server := net.Pipe()
	if f != nil {
		server = f.insert(server)
	}
	s, err := sftp.NewServer(server)
	if err != nil {
		return nil, err
	}
	go func() {
		_ = s.Serve()
		_ = s.Close()
	}()
	return client, nil
}

// newTestClient connects to d and closes the Client at the end of the test,
// when nothing may be left open.
func newTestClient(t *testing.T, d Dialer, o Options) *Client {
	t.Helper()
	c, err := New(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeClient(t, c) })
	return c
}

func closeClient(t *testing.T, c *Client) {
	t.Helper()
	if n := c.Info().Handles; n != 0 {
		t.Errorf("%d handles are left open", n)
	}
	if err := c.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// onEachServer runs a test on both kinds of server, each with an empty
// directory for root.
func onEachServer(t *testing.T, test func(t *testing.T, c *Client, dir string)) {
	t.Run("openssh", func(t *testing.T) {
		dir := t.TempDir()
		test(t, newTestClient(t, opensshDialer(t), Options{Root: dir}), dir)
	})
	t.Run("pkgsftp", func(t *testing.T) {
		dir := t.TempDir()
		test(t, newTestClient(t, pkgDialer(nil), Options{Root: dir}), dir)
	})
}

// needRoot is for tests that mount or change to another user.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test must run as root")
	}
	t.Skip("this test must run as root")
}

// asNobody runs OpenSSH's server as an ordinary user, who may enter dir, and
// whose login directory is "home" in it.
func asNobody(t *testing.T, dir string) Dialer {
	t.Helper()
	needRoot(t)
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	home := filepath.Join(dir, "home")
	must(t, os.Mkdir(home, 0o700))
	must(t, os.Chown(home, 65534, 65534))
	return PipeDialer(func(context.Context) (io.ReadWriteCloser, error) {
		cmd := exec.Command(sftpServer)
		cmd.Dir = home
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return startProcess(cmd)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, dir, name, content string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
}

// wantErrno checks what an operation returned; 0 means no error.
func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if want == 0 {
		if err != nil {
			t.Errorf("%s: %v, want no error", what, err)
		}
		return
	}
	var own *Error
	if !errors.Is(err, want) || !errors.As(err, &own) || own.Errno != want {
		t.Errorf("%s: %v, want an *Error with %v", what, err, want)
	}
}

func openFile(t *testing.T, c *Client, path string, flag cache.OpenFlag) cache.File {
	t.Helper()
	f, _, err := c.Open(t.Context(), path, flag, 0o644)
	must(t, err)
	return f
}

func closeFile(t *testing.T, f cache.File) {
	t.Helper()
	if err := f.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// logTo is a Log that keeps its lines.
type logTo struct {
	mu    sync.Mutex
	lines []string
}

func (l *logTo) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logTo) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logTo) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// Types of packets, for filters.
const (
	reqInit     = 1
	reqOpen     = 3
	reqClose    = 4
	reqRead     = 5
	reqLstat    = 7
	reqReaddir  = 12
	reqRename   = 18
	reqReadlink = 19
	reqSetstat  = 9
	reqExtended = 200

	repStatus = 101
	repData   = 103
	repName   = 104
	repAttrs  = 105
)

// packet is a request or reply: body is what follows type and id.
type packet struct {
	typ  byte
	id   uint32
	body []byte
}

// filter stands between client and server and changes what they say. Its
// functions may be nil, and are called from one goroutine per session each.
type filter struct {
	// request returns the reply to req itself, or forwards it (as it left
	// it) if that is nil.
	request func(req *packet) *packet
	// reply changes the reply to req; nil drops it.
	reply func(req, rep *packet) *packet
}

// insert returns what the server is to read from in place of the client.
func (f *filter) insert(client net.Conn) net.Conn {
	inner, server := net.Pipe()
	s := &filtered{filter: f, client: client, server: inner, asked: make(map[uint32]*packet)}
	go s.requests()
	go s.replies()
	return server
}

type filtered struct {
	*filter
	client, server net.Conn
	out            sync.Mutex // writes to client

	mu    sync.Mutex
	asked map[uint32]*packet
}

func (s *filtered) close() {
	_ = s.client.Close()
	_ = s.server.Close()
}

func (s *filtered) requests() {
	defer s.close()
	for {
		p, err := readPacket(s.client)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.asked[p.id] = &packet{p.typ, p.id, p.body}
		s.mu.Unlock()
		if s.request != nil {
			if rep := s.request(p); rep != nil {
				rep.id = p.id
				if s.answer(rep) != nil {
					return
				}
				continue
			}
		}
		if writePacket(s.server, p) != nil {
			return
		}
	}
}

func (s *filtered) replies() {
	defer s.close()
	for {
		p, err := readPacket(s.server)
		if err != nil {
			return
		}
		s.mu.Lock()
		req := s.asked[p.id]
		delete(s.asked, p.id)
		s.mu.Unlock()
		if p.typ == 2 {
			req = &packet{typ: reqInit}
		}
		if s.reply != nil && req != nil {
			p = s.reply(req, p)
		}
		if p != nil && s.answer(p) != nil {
			return
		}
	}
}

func (s *filtered) answer(p *packet) error {
	s.out.Lock()
	defer s.out.Unlock()
	return writePacket(s.client, p)
}

// readPacket reads a packet. INIT and VERSION have their version for an id.
func readPacket(r io.Reader) (*packet, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	p := &packet{typ: head[4], id: binary.BigEndian.Uint32(head[5:])}
	p.body = make([]byte, binary.BigEndian.Uint32(head[:])-5)
	_, err := io.ReadFull(r, p.body)
	return p, err
}

func writePacket(w io.Writer, p *packet) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(5+len(p.body)))
	b = binary.BigEndian.AppendUint32(append(b, p.typ), p.id)
	_, err := w.Write(append(b, p.body...))
	return err
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func statusReply(code uint32, text string) *packet {
	return &packet{typ: repStatus, body: cat(u32(code), str(text), str(""))}
}

// names makes a NAME reply of entries, each made by nameEntry.
func nameReply(entries ...[]byte) *packet {
	return &packet{typ: repName, body: cat(u32(uint32(len(entries))), cat(entries...))}
}

func nameEntry(name, long string, attrs []byte) []byte { return cat(str(name), str(long), attrs) }

// extName is the name of an EXTENDED request.
func (p *packet) extName() string {
	if p.typ != reqExtended || len(p.body) < 4 {
		return ""
	}
	n := binary.BigEndian.Uint32(p.body)
	return string(p.body[4:min(4+int(n), len(p.body))])
}

// socketPair returns two ends of a stream that holds what is not read yet.
func socketPair() (net.Conn, net.Conn, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		ends[i], err = net.FileConn(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, nil, err
		}
	}
	return ends[0], ends[1], nil
}
