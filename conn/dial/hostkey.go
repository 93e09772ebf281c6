package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// hostKeys decides on the host key of one connection. x/crypto/ssh asks again
// at each change of session keys, where nobody may be asked and an edit of
// known_hosts must not end a mount: then only the key of the first time counts.
type hostKeys struct {
	ctx   context.Context
	hop   *hop
	known *knownHosts
	ask   func(question string) (bool, error)

	accepted []byte // the first key, once it was accepted
	insecure bool   // accepted although it is not the known one
}

// hostKeyAddress is what known_hosts is searched for. An alias stands without a
// port.
func (c *Config) hostKeyAddress() string {
	if c.HostKeyAlias != "" {
		return net.JoinHostPort(c.HostKeyAlias, "22")
	}
	return net.JoinHostPort(strings.ToLower(c.HostName), strconv.Itoa(c.Port))
}

// newHostKeys reads known_hosts, at each connection anew.
func (h *hop) newHostKeys(ctx context.Context, ask func(string) (bool, error)) (*hostKeys, error) {
	files := slices.Concat(h.cfg.UserKnownHostsFiles, h.cfg.GlobalKnownHostsFiles)
	known, err := loadKnownHosts(files, h.cfg.hostKeyAddress(), h.log)
	if err != nil {
		return nil, err
	}
	return &hostKeys{ctx: ctx, hop: h, known: known, ask: ask}, nil
}

// algorithms are what to offer for the host key.
func (k *hostKeys) algorithms() []string {
	if list := k.hop.cfg.HostKeyAlgorithms; list != nil {
		return k.known.algorithms(list)
	}
	return k.known.algorithms(ssh.SupportedAlgorithms().HostKeys)
}

// check is an ssh.HostKeyCallback.
func (k *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	blob := key.Marshal()
	if k.accepted != nil {
		if !bytes.Equal(k.accepted, blob) {
			return k.changed(key)
		}
		return nil
	}
	err := k.known.check(remote, key)
	var problem *HostKeyError
	if errors.As(err, &problem) {
		err = k.decide(problem, key)
	}
	if err == nil {
		k.accepted = blob
	}
	return err
}

// decide applies StrictHostKeyChecking to a key that known_hosts does not
// vouch for. A key that this process took earlier counts as known.
func (k *hostKeys) decide(problem *HostKeyError, key ssh.PublicKey) error {
	policy := k.hop.cfg.StrictHostKeyChecking
	if problem.Problem == HostKeyUnknown {
		if earlier := k.hop.pinned(); earlier != nil {
			if bytes.Equal(earlier.Marshal(), key.Marshal()) {
				return nil
			}
			problem = k.changed(key)
		}
	}
	switch {
	case problem.Problem == HostKeyChanged && policy == HostKeyNo:
		k.insecure = true
		k.hop.log.Warn("host key differs from the known one; no password will be sent", "err", problem)
		return nil
	case problem.Problem != HostKeyUnknown, policy == HostKeyYes:
		return problem
	case policy == HostKeyAsk:
		if err := k.confirm(problem); err != nil {
			return err
		}
	}
	k.accept(problem, key)
	return nil
}

// confirm asks the user; the error is the problem itself unless the answer is
// yes.
func (k *hostKeys) confirm(problem *HostKeyError) error {
	yes, err := k.ask(fmt.Sprintf("The host key of %s is not known. Its %s fingerprint is %s. Connect and remember it (yes/no)? ",
		problem.Host, problem.KeyType, problem.Fingerprint))
	switch {
	case errors.Is(err, ErrNoTerminal):
		return problem
	case err != nil:
		return err
	case !yes:
		problem.Err = errNotConfirmed
		return problem
	}
	return nil
}

var errNotConfirmed = errors.New("not confirmed by the user")

// accept remembers a new key, in this process and in known_hosts.
func (k *hostKeys) accept(problem *HostKeyError, key ssh.PublicKey) {
	cfg := k.hop.cfg
	k.hop.pin(key)
	if len(cfg.UserKnownHostsFiles) == 0 {
		return
	}
	file := cfg.UserKnownHostsFiles[0]
	if err := addKnownHost(file, cfg.hostKeyAddress(), key, cfg.HashKnownHosts); err != nil {
		k.hop.log.Warn("host key could not be written down", "file", file, "err", err)
		return
	}
	k.hop.log.Info("host key added", "host", problem.Host, "fingerprint", problem.Fingerprint, "file", file)
}

// changed is the error for a key that is not the one taken earlier.
func (k *hostKeys) changed(key ssh.PublicKey) *HostKeyError {
	e := newHostKeyError(k.hop.cfg.hostKeyAddress(), key)
	e.Problem = HostKeyChanged
	earlier := KnownKey{}
	if p := k.hop.pinned(); p != nil {
		earlier.Fingerprint = ssh.FingerprintSHA256(p)
	} else if p, err := ssh.ParsePublicKey(k.accepted); err == nil {
		earlier.Fingerprint = ssh.FingerprintSHA256(p)
	}
	e.Known = []KnownKey{earlier}
	return e
}
