package dial

import (
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// watchedSigner notes when its key could not sign, after which x/crypto/ssh
// gives up on publickey, and keeps to the algorithms that are allowed.
type watchedSigner struct {
	ssh.AlgorithmSigner
	algorithms []string
	failed     bool
}

// Algorithms makes it an ssh.MultiAlgorithmSigner.
func (s *watchedSigner) Algorithms() []string { return s.algorithms }

func (s *watchedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, err := s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	s.failed = s.failed || err != nil
	return sig, err
}

// watch wraps s, nil if PubkeyAcceptedAlgorithms allows none of its algorithms.
func (a *attempt) watch(s ssh.Signer) ssh.Signer {
	as, ok := s.(ssh.AlgorithmSigner)
	if !ok {
		return nil
	}
	algorithms := signatureAlgorithms(s.PublicKey())
	if allowed := a.hop.cfg.PubkeyAcceptedAlgorithms; allowed != nil {
		_, isCert := s.PublicKey().(*ssh.Certificate)
		algorithms = slices.DeleteFunc(algorithms, func(alg string) bool {
			return !slices.Contains(allowed, alg) && !(isCert && slices.Contains(allowed, certificateName(alg)))
		})
	}
	if len(algorithms) == 0 {
		return nil
	}
	return &watchedSigner{AlgorithmSigner: as, algorithms: algorithms}
}

// signatureAlgorithms are those of a key, most wanted first.
func signatureAlgorithms(pub ssh.PublicKey) []string {
	pub = plainKey(pub)
	if pub.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	}
	return []string{pub.Type()}
}

// certificateName is the name of alg where a certificate stands for the key.
func certificateName(alg string) string {
	if rest, ok := strings.CutSuffix(alg, "@openssh.com"); ok {
		return rest + "-cert-v01@openssh.com"
	}
	return alg + "-cert-v01@openssh.com"
}
