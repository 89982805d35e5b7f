package format

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
)

// message is a signer of messages that a format makes of a file. It says what is too long for an Ed25519 key before the
// gateway does, since it is the file that should be another one, or the key.
type message struct{ crypto.Signer }

func (m message) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if isEd25519(m.Public()) && len(digest) > maxMessage {
		return nil, fmt.Errorf("%w: Ed25519 signs messages of at most %d bytes, and the one that this format makes is longer: use RSA or ECDSA", ErrKey, maxMessage)
	}
	return m.Signer.Sign(rand, digest, opts)
}

// KeyID names a public key in signatures as the gateway's JSON Web Key Sets do, by the SHA-256 of its
// SubjectPublicKeyInfo, in hexadecimal.
func KeyID(key crypto.PublicKey) (string, error) {
	sum, err := spkiSum(key)
	return hex.EncodeToString(sum), err
}

func spkiSum(key crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	sum := sha256.Sum256(spki)
	return sum[:], nil
}

// SignMessage signs a text as raw signs a file. An Ed25519 key signs at most 4096 bytes; the error is an ErrKey then.
func SignMessage(k *Key, text []byte) ([]byte, error) {
	return signFile(&Key{Signer: message{k.Signer}}, bytes.NewReader(text))
}

// VerifyMessage checks what SignMessage makes.
func (t *Trust) VerifyMessage(text, signature []byte) error {
	return t.byAny(func(key crypto.PublicKey) error { return verifyFile(key, bytes.NewReader(text), signature) })
}
