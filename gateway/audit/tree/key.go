package tree

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// typeECDSA is the type of ECDSA signatures with SHA-256 in c2sp.org/signed-note; their key ID is that of the key alone.
const typeECDSA = 0x02

// VerifierKey writes a public key, Ed25519 or ECDSA, as the verifier key of the log with that origin: "NAME+ID+KEY".
func VerifierKey(origin string, public any) (string, error) {
	if err := CheckOrigin(origin); err != nil {
		return "", err
	}
	switch k := public.(type) {
	case ed25519.PublicKey:
		return note.NewEd25519VerifierKey(origin, k)
	case *ecdsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			return "", err
		}
		id := sha256.Sum256(der)
		return fmt.Sprintf("%s+%08x+%s", origin, binary.BigEndian.Uint32(id[:]), base64.StdEncoding.EncodeToString(append([]byte{typeECDSA}, der...))), nil
	}
	return "", fmt.Errorf("a key of type %T cannot sign checkpoints: it should be Ed25519 or ECDSA", public)
}

// CheckOrigin says what is wrong with the name of a log, which is the first line of its checkpoints and the name of
// its keys.
func CheckOrigin(origin string) error {
	if origin == "" || len(origin) > 200 || strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' || r == '+' }) {
		return fmt.Errorf("%q cannot name a log: it should have 1 to 200 printable ASCII characters and no space or plus, such as log.example.com/hsmgate", origin)
	}
	return nil
}

// ParseKeys reads verifier keys, one a line, as the file key has them. Keys of witnesses are read, too.
func ParseKeys(text string) ([]note.Verifier, error) {
	var keys []note.Verifier
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		v, err := formats.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("%q is not a verifier key: %w", line, err)
		}
		keys = append(keys, v)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no verifier key: it should be a line such as hsmgate/main+1a2b3c4d+AQ…")
	}
	return keys, nil
}

// Keys reads the public keys that sign the log's checkpoints, the newest first. Who trusts the folder no more than the
// log takes them from another place.
func (d Dir) Keys() ([]note.Verifier, error) {
	text, err := os.ReadFile(d.path(keyName))
	if err != nil {
		return nil, err
	}
	keys, err := ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path(keyName), err)
	}
	return keys, nil
}

// signer signs notes with a key that is elsewhere.
type signer struct {
	note.Verifier // name and ID
	sign          func(text []byte) ([]byte, error)
}

// NewSigner makes a signer of notes for the verifier key from what signs with it: Ed25519 over the text, or ECDSA
// (ASN.1 DER) over its SHA-256.
func NewSigner(key string, sign func(text []byte) ([]byte, error)) (note.Signer, error) {
	v, err := formats.NewVerifier(key)
	return signer{v, sign}, err
}

// Sign signs, and looks whether the key is the one that was named.
func (s signer) Sign(text []byte) ([]byte, error) {
	sig, err := s.sign(text)
	if err == nil && !s.Verify(text, sig) {
		err = fmt.Errorf("the signature that was made is not one of the key %s+%08x", s.Name(), s.KeyHash())
	}
	return sig, err
}
