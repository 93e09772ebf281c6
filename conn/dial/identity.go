package dial

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxKeyFile bounds the size of a key file, bytes.
const maxKeyFile = 1 << 20

// identity is an identity file: a private key, an encrypted one whose public
// half is known, or only a public key, whose private half an agent may hold.
type identity struct {
	file   string
	public ssh.PublicKey
	signer ssh.AlgorithmSigner // nil if only public
	locked bool                // encrypted: signing asks for the passphrase
	open   bool                // others may read the file
}

// loadIdentity reads file, and FILE.pub where that is all there is. Nothing is
// asked: unlock is called when a signature is needed. fs.ErrNotExist if there
// is neither.
func loadIdentity(file string, unlock func(file string, text []byte, pub ssh.PublicKey) (ssh.AlgorithmSigner, error)) (*identity, error) {
	text, err := readBounded(file, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		pub, perr := loadPublic(file + ".pub")
		if perr != nil {
			return nil, err
		}
		return &identity{file: file, public: pub}, nil
	}
	if err != nil {
		return nil, err
	}
	id := &identity{file: file}
	if info, err := os.Stat(file); err == nil {
		id.open = info.Mode().Perm()&0o077 != 0
	}
	signer, err := ssh.ParsePrivateKey(text)
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return id.with(signer)
	case errors.As(err, &missing):
		return id.lock(text, missing.PublicKey, unlock)
	}
	if pub, perr := parsePublic(text); perr == nil {
		return &identity{file: file, public: pub}, nil
	}
	return nil, err
}

func (id *identity) with(s ssh.Signer) (*identity, error) {
	as, ok := s.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("a key of a kind that cannot sign")
	}
	id.signer, id.public = as, s.PublicKey()
	return id, nil
}

// lock makes the identity one that is unlocked when it signs. Old formats do
// not tell their public key; then FILE.pub must.
func (id *identity) lock(text []byte, pub ssh.PublicKey, unlock func(string, []byte, ssh.PublicKey) (ssh.AlgorithmSigner, error)) (*identity, error) {
	if pub == nil {
		var err error
		if pub, err = loadPublic(id.file + ".pub"); err != nil {
			return nil, errors.New("an encrypted key whose public key is not beside it")
		}
	}
	id.public, id.locked = pub, true
	id.signer = &lockedSigner{public: pub, unlock: func() (ssh.AlgorithmSigner, error) { return unlock(id.file, text, pub) }}
	return id, nil
}

// lockedSigner unlocks its key when it has to sign, which is after the server
// said that it would take that key.
type lockedSigner struct {
	public ssh.PublicKey
	unlock func() (ssh.AlgorithmSigner, error)
}

func (s *lockedSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *lockedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, s.public.Type())
}

func (s *lockedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := s.unlock()
	if err != nil {
		return nil, err
	}
	return signer.SignWithAlgorithm(rand, data, algorithm)
}

func loadPublic(file string) (ssh.PublicKey, error) {
	text, err := readBounded(file, maxKeyFile)
	if err != nil {
		return nil, err
	}
	return parsePublic(text)
}

func parsePublic(text []byte) (ssh.PublicKey, error) {
	pub, _, _, _, err := ssh.ParseAuthorizedKey(text)
	return pub, err
}

// loadCertificates reads user certificates: the files named, and those beside
// identity files. What is missing or something else is left out.
func loadCertificates(named, identityFiles []string) []*ssh.Certificate {
	var certs []*ssh.Certificate
	for _, f := range identityFiles {
		named = append(named[:len(named):len(named)], strings.TrimSuffix(f, ".pub")+"-cert.pub")
	}
	for _, f := range named {
		pub, err := loadPublic(f)
		if c, ok := pub.(*ssh.Certificate); err == nil && ok && c.CertType == ssh.UserCert {
			certs = append(certs, c)
		}
	}
	return certs
}

// sameKey compares public keys; a certificate is the key that it certifies.
func sameKey(a, b ssh.PublicKey) bool {
	return bytes.Equal(plainKey(a).Marshal(), plainKey(b).Marshal())
}

func plainKey(k ssh.PublicKey) ssh.PublicKey {
	if c, ok := k.(*ssh.Certificate); ok {
		return c.Key
	}
	return k
}
