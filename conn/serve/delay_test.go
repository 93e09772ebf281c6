package serve

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// join connects two ends over l in virtual time.
func join(l Link) (client, server net.Conn, done chan struct{}) {
	client, a := net.Pipe()
	server, b := net.Pipe()
	done = make(chan struct{})
	go func() {
		l.Join(a, b)
		close(done)
	}()
	return client, server, done
}

func TestLinkDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, done := join(Link{Delay: 25 * time.Millisecond})
		start := time.Now()
		go io.Copy(server, server) // echo
		// Two writes at once: both are under way together, so the whole takes
		// one round trip.
		if _, err := client.Write([]byte("ab")); err != nil {
			t.Error(err)
		}
		if _, err := client.Write([]byte("cd")); err != nil {
			t.Error(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(client, got); err != nil {
			t.Error(err)
		}
		if string(got) != "abcd" {
			t.Errorf("got %q, want abcd", got)
		}
		if d := time.Since(start); d != 50*time.Millisecond {
			t.Errorf("echo took %v, want 50ms", d)
		}
		client.Close()
		<-done
	})
}

func TestLinkRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, done := join(Link{Delay: time.Second, Rate: 1 << 20})
		start := time.Now()
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB: one second of line
		go func() {
			client.Write(want)
			client.Close()
		}()
		got, err := io.ReadAll(server)
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, not the %d sent", len(got), len(want))
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("took %v, want 2s", d)
		}
		<-done
	})
}

// TestLinkReaderGone: data that nobody takes does not keep Join alive.
func TestLinkReaderGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, done := join(Link{Delay: time.Second})
		if _, err := client.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		server.Close()
		<-done
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read: %v, want EOF", err)
		}
		client.Close()
	})
}

// TestProxy reaches the server over a Proxy, and the Proxy's Close ends it.
func TestProxy(t *testing.T) {
	s, addr := startServer(t, Options{Root: t.TempDir()})
	p := NewProxy(addr, Link{Delay: time.Millisecond})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	c, err := ssh.Dial("tcp", l.Addr().String(), &ssh.ClientConfig{
		User: "ann", HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d < 2*time.Millisecond {
		t.Errorf("a round trip took %v, want at least 2ms", d)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, ErrClosed) {
		t.Errorf("Serve returned %v, want ErrClosed", err)
	}
	if err := c.Wait(); err == nil {
		t.Error("the connection survived the proxy")
	}
}
