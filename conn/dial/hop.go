package dial

import (
	"log/slog"
	"sync"

	"golang.org/x/crypto/ssh"
)

// hop is one server on the way, the target or a jump host, with what was
// learned about it, so that a later connection asks nothing again.
type hop struct {
	cfg    *Config
	prompt *asker
	log    *slog.Logger

	mu       sync.Mutex
	password string                         // the one that let us in, "" for none
	unlocked map[string]ssh.AlgorithmSigner // decrypted keys by file
	hostKey  ssh.PublicKey                  // accepted in this process, nil for none
}

func (h *hop) pinned() ssh.PublicKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hostKey
}

func (h *hop) pin(key ssh.PublicKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hostKey = key
}

func (h *hop) remembered() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.password
}

func (h *hop) remember(password string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.password = password
}

func (h *hop) unlockedKey(file string) ssh.AlgorithmSigner {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unlocked[file]
}

func (h *hop) keepUnlocked(file string, s ssh.AlgorithmSigner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unlocked == nil {
		h.unlocked = make(map[string]ssh.AlgorithmSigner)
	}
	h.unlocked[file] = s
}

// interactive tells whether questions about this server may be asked.
func (h *hop) interactive() bool {
	return !h.cfg.BatchMode && h.prompt.interactive()
}
