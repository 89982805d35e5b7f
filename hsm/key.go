package hsm

import (
	"crypto"
	"crypto/rand"
)

// Key is one key pair in the token, known by its CKA_ID and its public key. It caches its handle with the generation it belongs to and is
// safe for concurrent use: make one for each key and keep it.
type Key struct {
	id   []byte
	spec KeySpec
	pub  crypto.PublicKey
}

// NewID returns 16 random bytes for a CKA_ID.
func NewID() []byte {
	id := make([]byte, 16)
	rand.Read(id)
	return id
}

// NewKey names the key pair with this CKA_ID and this public key (DER of SubjectPublicKeyInfo). It does not ask the token; the token's own
// public key is compared at first use.
func NewKey(id []byte, spec KeySpec, spki []byte) (*Key, error) {
	return nil, &Error{Kind: ErrInvalid, Op: "key"}
}

// Public returns the public key: *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or *secp256k1.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.pub }

// ID returns the CKA_ID. Do not change it.
func (k *Key) ID() []byte { return k.id }

// Spec returns the key's type and size.
func (k *Key) Spec() KeySpec { return k.spec }

// Verify checks sig over in (as in Token.Sign) with the public key, in Go. Nil means valid; ErrInvalid anything else.
func (k *Key) Verify(m SignMechanism, in, sig []byte) error {
	return &Error{Kind: ErrInvalid, Op: "verify"}
}

// Encrypt encrypts plaintext by RSAES-OAEP with h for both the label hash and MGF1, in Go. h is SHA-1 or SHA-256.
func (k *Key) Encrypt(h crypto.Hash, plaintext []byte) ([]byte, error) {
	return nil, &Error{Kind: ErrInvalid, Op: "encrypt"}
}
