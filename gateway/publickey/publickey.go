// Package publickey reads and writes public keys in the forms that the tools of signature formats hold them in: OpenPGP
// certificates, SSH keys and allowed signers, minisign's.
package publickey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// ErrKey: the form does not hold keys of this kind.
var ErrKey = errors.New("the format cannot use this key")

// ErrNone: a text is none of the forms in which the tools of formats hold public keys.
var ErrNone = errors.New("it holds no public key")

// Read reads the public keys of a text in the form of a format's tool: OpenPGP certificates, lines of an SSH public
// key or of allowed signers, or a public key of minisign.
func Read(text []byte) ([]crypto.PublicKey, error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case len(text) > 0 && text[0]&0x80 != 0, bytes.HasPrefix(trimmed, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")):
		return pgpPublicKeys(text)
	case bytes.HasPrefix(trimmed, []byte("untrusted comment:")):
		return minisignPublicKeys(string(trimmed))
	}
	return sshPublicKeys(string(trimmed))
}

// Describe names a public key for people: its kind, and its fingerprint as SSH has it where SSH has the kind.
func Describe(key crypto.PublicKey) string {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return KindOf(key)
	}
	return KindOf(key) + " " + ssh.FingerprintSHA256(public)
}

// KindOf names the kind of a public key for people.
func KindOf(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits", k.Size()*8)
	case *ecdsa.PublicKey:
		return "ECDSA on " + k.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}
