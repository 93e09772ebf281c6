package dial

import (
	"context"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentSignTimeout bounds a signature of the agent, which may ask its user to
// confirm or to touch a security key.
const agentSignTimeout = 2 * time.Minute

// agentKeys is a connection to the user's agent for one authentication. The
// socket is dialed each time: an agent may have been restarted.
type agentKeys struct {
	conn    net.Conn
	signers []ssh.Signer
	release func() bool
}

// openAgent lists the keys of the agent at socket, within limit. Close ends it;
// so does ctx.
func openAgent(ctx context.Context, socket string, limit time.Duration, pause func() (resume func())) (*agentKeys, error) {
	conn, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	a := &agentKeys{conn: conn, release: context.AfterFunc(ctx, func() { conn.Close() })}
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		a.Close()
		return nil, err
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		a.Close()
		return nil, err
	}
	for _, s := range signers {
		if as, ok := s.(ssh.AlgorithmSigner); ok {
			a.signers = append(a.signers, &agentSigner{AlgorithmSigner: as, conn: conn, pause: pause})
		}
	}
	return a, nil
}

func (a *agentKeys) Close() {
	a.release()
	a.conn.Close()
}

// agentSigner has the agent sign; the clock of connecting stands meanwhile.
type agentSigner struct {
	ssh.AlgorithmSigner
	conn  net.Conn
	pause func() (resume func())
}

func (s *agentSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, s.PublicKey().Type())
}

func (s *agentSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	defer s.pause()()
	if err := s.conn.SetDeadline(time.Now().Add(agentSignTimeout)); err != nil {
		return nil, err
	}
	return s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}
