package dial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxKeys is how many keys are offered at most: sshd ends the connection at the
// sixth failure (MaxAuthTries), and a password may have to be tried after them.
const maxKeys = 5

// attempt is one authentication at one server. x/crypto/ssh calls it from one
// goroutine at a time.
type attempt struct {
	ctx   context.Context
	hop   *hop
	guard *guard
	keys  *hostKeys

	agent   *agentKeys // nil without one
	signers []ssh.Signer
	listed  bool // signers is complete
	next    int  // signers before it need not be tried again

	reached   bool     // the server named its methods
	offered   []string // as it named them last
	tried     []string
	skipped   int    // keys beyond maxKeys
	sent      string // the last password that was given to the server
	refused   bool   // a password was refused
	promptErr error
	locked    []string
}

// close ends the use of the agent.
func (a *attempt) close() {
	if a.agent != nil {
		a.agent.Close()
	}
}

// methods returns what to try, in the order that the configuration prefers.
// Those that need an answer are there only if one can be had.
func (a *attempt) methods() []ssh.AuthMethod {
	cfg := a.hop.cfg
	tries := cfg.NumberOfPasswordPrompts
	if !a.hop.interactive() {
		tries = 1
	}
	ask := tries > 0 && a.canAnswer()
	var list []ssh.AuthMethod
	for _, name := range cfg.PreferredAuthentications {
		switch {
		case name == "publickey" && cfg.PubkeyAuthentication:
			list = append(list, ssh.PublicKeysCallback(a.publicKeys))
		case name == "keyboard-interactive" && cfg.KbdInteractiveAuthentication && ask:
			list = append(list, a.interactiveMethod(tries))
		case name == "password" && cfg.PasswordAuthentication && ask:
			list = append(list, a.passwordMethod(tries))
		}
	}
	return list
}

// canAnswer tells whether a question for the password has an answer.
func (a *attempt) canAnswer() bool {
	return a.hop.cfg.Password != nil || a.hop.remembered() != "" || a.hop.interactive()
}

// observe is an ssh.ClientAuthCallback. It notes what the server says, and has
// publickey go on behind a key that could not be unlocked.
func (a *attempt) observe(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	a.reached = true
	a.offered = c.AllowedMethods
	a.tried = without(c.TriedMethods, "none")
	a.guard.begin("authentication")
	if n := len(a.tried); n > 0 && a.sent != "" && a.tried[n-1] != "publickey" {
		a.refused = true
	}
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	if a.stuck() {
		return ssh.PublicKeysCallback(a.publicKeys), nil
	}
	return nil, nil
}

// stuck reports that publickey ended early, at a key that could not sign, with
// others behind it. It is true once for each such key.
func (a *attempt) stuck() bool {
	for i := a.next; i < len(a.signers); i++ {
		if s, ok := a.signers[i].(*watchedSigner); ok && s.failed {
			a.next = i + 1
			return a.next < len(a.signers)
		}
	}
	return false
}

// publicKeys returns the keys to offer.
func (a *attempt) publicKeys() ([]ssh.Signer, error) {
	if !a.listed {
		a.listed = true
		a.signers = a.collect()
	}
	return a.signers[a.next:], nil
}

// collect lists the keys: those of the identity files that the agent holds,
// those of the files, the others of the agent. A certificate goes before its
// key.
func (a *attempt) collect() []ssh.Signer {
	cfg := a.hop.cfg
	a.openAgent()
	ids := a.identities()
	certs := loadCertificates(cfg.CertificateFiles, cfg.IdentityFiles)
	var all []ssh.Signer
	for _, id := range ids {
		all = append(all, a.fromAgent(id.public)...)
	}
	for _, id := range ids {
		if id.signer != nil {
			all = append(all, id.signer)
		}
	}
	if !cfg.IdentitiesOnly {
		all = append(all, a.fromAgent(nil)...)
	}
	var list []ssh.Signer
	for _, s := range all {
		list = a.addSigner(list, s, certs)
	}
	if len(list) > maxKeys {
		a.skipped = len(list) - maxKeys
		a.hop.log.Warn("more keys than a server allows to try; the rest is left out", "tried", maxKeys, "left_out", a.skipped)
		list = list[:maxKeys]
	}
	return list
}

// addSigner appends s behind its certificates, each wrapped and only if its
// public key is not there yet and the configuration allows its algorithm.
func (a *attempt) addSigner(list []ssh.Signer, s ssh.Signer, certs []*ssh.Certificate) []ssh.Signer {
	candidates := []ssh.Signer{}
	for _, c := range certs {
		if sameKey(c, s.PublicKey()) {
			if signer, err := ssh.NewCertSigner(c, s); err == nil {
				candidates = append(candidates, signer)
			}
		}
	}
	for _, c := range append(candidates, s) {
		pub := c.PublicKey().Marshal()
		same := func(have ssh.Signer) bool { return string(have.PublicKey().Marshal()) == string(pub) }
		if slices.ContainsFunc(list, same) {
			continue
		}
		if w := a.watch(c); w != nil {
			list = append(list, w)
		}
	}
	return list
}

// openAgent connects to the agent if the configuration has one.
func (a *attempt) openAgent() {
	cfg := a.hop.cfg
	if cfg.IdentityAgent == "" {
		return
	}
	defer a.guard.pause()()
	agent, err := openAgent(a.ctx, cfg.IdentityAgent, cfg.ConnectTimeout, a.guard.pause)
	if err != nil {
		a.hop.log.Warn("agent cannot be used", "socket", cfg.IdentityAgent, "err", err)
		return
	}
	a.agent = agent
}

// fromAgent returns the agent's signers for pub and its certificates, or all of
// them for nil.
func (a *attempt) fromAgent(pub ssh.PublicKey) []ssh.Signer {
	if a.agent == nil {
		return nil
	}
	var list []ssh.Signer
	for _, s := range a.agent.signers {
		if pub == nil || sameKey(s.PublicKey(), pub) {
			list = append(list, s)
		}
	}
	return list
}

// identities loads the identity files that exist. An encrypted one without
// anybody to ask for its passphrase is noted instead of offered, unless it is
// in the agent.
func (a *attempt) identities() []*identity {
	var list []*identity
	for _, file := range a.hop.cfg.IdentityFiles {
		id, err := loadIdentity(file, a.unlock)
		if err != nil {
			a.hop.log.Debug("identity file is not used", "file", file, "err", err)
			continue
		}
		if id.open && id.signer != nil {
			a.hop.log.Warn("private key can be read by others", "file", file)
		}
		if id.locked && !a.hop.interactive() && a.hop.unlockedKey(file) == nil {
			id.signer = nil
			if len(a.fromAgent(id.public)) == 0 {
				a.locked = append(a.locked, file)
				a.promptErr = ErrNoTerminal
			}
		}
		list = append(list, id)
	}
	return list
}

// unlock asks for the passphrase of a key, as often as for a password.
func (a *attempt) unlock(file string, text []byte, pub ssh.PublicKey) (ssh.AlgorithmSigner, error) {
	if s := a.hop.unlockedKey(file); s != nil {
		return s, nil
	}
	for range max(1, a.hop.cfg.NumberOfPasswordPrompts) {
		phrase, err := a.ask(fmt.Sprintf("Passphrase of the key %s: ", oneLine(file)))
		if err != nil {
			a.locked = append(a.locked, file)
			return nil, err
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(text, []byte(phrase))
		as, ok := signer.(ssh.AlgorithmSigner)
		if err != nil || !ok {
			continue
		}
		if !sameKey(as.PublicKey(), pub) {
			return nil, fmt.Errorf("the key in %s is not the one in its .pub file", file)
		}
		a.hop.keepUnlocked(file, as)
		return as, nil
	}
	a.locked = append(a.locked, file)
	return nil, errors.New("wrong passphrase")
}

// ask puts a question whose answer is not shown, with the clock stopped.
func (a *attempt) ask(question string) (string, error) {
	if !a.hop.interactive() {
		a.promptErr = ErrNoTerminal
		return "", ErrNoTerminal
	}
	defer a.guard.pause()()
	answer, err := a.hop.prompt.password(a.ctx, question)
	if err != nil {
		a.promptErr = err
	}
	return answer, err
}

// confirm puts a yes-or-no question, with the clock stopped.
func (a *attempt) confirm(question string) (bool, error) {
	if !a.hop.interactive() {
		return false, ErrNoTerminal
	}
	defer a.guard.pause()()
	return a.hop.prompt.confirm(a.ctx, question)
}

// failure is the error of an authentication that ended with err.
func (a *attempt) failure(err error) error {
	cfg := a.hop.cfg
	if a.promptErr != nil && !errors.Is(a.promptErr, ErrNoTerminal) {
		return a.promptErr // the user gave up
	}
	e := &AuthError{
		User: cfg.User, Host: cfg.Alias, Tried: slices.Compact(slices.Clone(a.tried)), Offered: a.offered,
		WrongPassword: a.refused, Locked: a.locked, NotTried: a.skipped, Err: err,
	}
	wantsAnswer := contains(a.offered, "password") || contains(a.offered, "keyboard-interactive")
	if a.promptErr != nil || wantsAnswer && !a.canAnswer() {
		e.Err = errors.Join(ErrNoTerminal, err)
	}
	if strings.Contains(err.Error(), "disconnect") && a.sent != "" {
		e.WrongPassword = true
	}
	return e
}
