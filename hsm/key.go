package hsm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"sync/atomic"
)

// Key is one key pair in the token, known by its CKA_ID and its public key. It caches its handle with the generation it belongs to and is
// safe for concurrent use: make one for each key and keep it.
type Key struct {
	ref
	pub crypto.PublicKey

	// What Token.Sign's own check keeps, for the one type that the key is of.
	checks  atomic.Uint32 // signatures checked, until the key has its table
	p256    atomic.Pointer[p256Table]
	ed25519 atomic.Pointer[ed25519Table]
	rsa     atomic.Pointer[rsaCheck]
}

// NewID returns 16 random bytes for a CKA_ID.
func NewID() []byte {
	id := make([]byte, 16)
	rand.Read(id) // never fails: crypto/rand ends the process instead
	return id
}

// NewKey names the key pair with this CKA_ID and this public key (DER of SubjectPublicKeyInfo). It does not ask the token; the token's own
// public key is compared at first use.
func NewKey(id []byte, spec KeySpec, spki []byte) (*Key, error) {
	if len(id) == 0 {
		return nil, &Error{Kind: ErrInvalid, Op: "key", Detail: "the CKA_ID is empty"}
	}
	pub, err := parsePublic(spki)
	if err != nil {
		return nil, &Error{Kind: ErrInvalid, Op: "key", Detail: "public key: " + err.Error()}
	}
	if got := specOf(pub); got != spec {
		return nil, &Error{Kind: ErrInvalid, Op: "key", Detail: fmt.Sprintf("the public key is of type %q, not %q", got, spec)}
	}
	return &Key{ref: ref{id: bytes.Clone(id), spec: spec}, pub: pub}, nil
}

// Public returns the public key: *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, *secp256k1.PublicKey, *mldsa.PublicKey
// (filippo.io/mldsa) or *KEMPublicKey.
func (k *Key) Public() crypto.PublicKey { return k.pub }

// SPKI returns the public key as the DER of SubjectPublicKeyInfo.
func (k *Key) SPKI() ([]byte, error) {
	der, err := marshalPublic(k.pub)
	if err != nil {
		return nil, &Error{Kind: ErrInvalid, Op: "key", Detail: err.Error()}
	}
	return der, nil
}

// expect compares the token's public key. Where the token shows none, the check of the signature decides.
func (k *Key) expect(s *session, e *entry) (same bool, err error) {
	pub, err := s.publicKey(e)
	if err != nil || pub == nil {
		return err == nil, err
	}
	return equalPublic(k.pub, pub), nil
}

// Verify checks sig over in (as in Token.Sign) with the public key, in Go. Nil means valid; everything else is ErrInvalid.
func (k *Key) Verify(m SignMechanism, in, sig []byte) error {
	if _, err := signerFor("verify", k.spec, m, in); err != nil {
		return err
	}
	if !verify(k.pub, m, in, sig) {
		return &Error{Kind: ErrInvalid, Op: "verify", Detail: "the signature does not verify"}
	}
	return nil
}

// Encrypt encrypts plaintext by RSAES-OAEP with an empty label and h for both the label hash and MGF1, in Go. h is SHA-1 or SHA-256.
func (k *Key) Encrypt(h crypto.Hash, plaintext []byte) ([]byte, error) {
	pub, ok := k.pub.(*rsa.PublicKey)
	if !ok || h != crypto.SHA1 && h != crypto.SHA256 {
		return nil, &Error{Kind: ErrInvalid, Op: "encrypt", Detail: "takes an RSA key and SHA-1 or SHA-256"}
	}
	if limit := pub.Size() - 2*h.Size() - 2; len(plaintext) > limit {
		return nil, &Error{Kind: ErrInvalid, Op: "encrypt", Detail: fmt.Sprintf("the plaintext has %d bytes; at most %d fit", len(plaintext), limit)}
	}
	ct, err := rsa.EncryptOAEP(h.New(), rand.Reader, pub, plaintext, nil)
	if err != nil {
		return nil, &Error{Kind: ErrInvalid, Op: "encrypt", Detail: err.Error()}
	}
	return ct, nil
}
