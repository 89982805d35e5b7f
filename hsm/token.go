package hsm

import (
	"context"
	"crypto"
	"time"
)

// Token is an open, logged-in token. It is safe for concurrent use.
type Token struct{}

// Open opens the module and the token, logs in once, tests what the token can do, and starts to watch over it.
func Open(ctx context.Context, c Config) (*Token, error) {
	return nil, &Error{Kind: ErrUnavailable, Op: "open"}
}

// Close stops the work and gives up the module. Calls after it fail with ErrUnavailable.
func (t *Token) Close() error { return nil }

// Info asks the token who it is and how it is.
func (t *Token) Info(ctx context.Context) (Info, error) { return Info{}, nil }

// Ready is nil when the token answers now and is logged in.
func (t *Token) Ready(ctx context.Context) error { return nil }

// Hung reports whether a call has been inside the module for longer than d: then the process that holds the module has to be replaced.
func (t *Token) Hung(d time.Duration) bool { return false }

// Abilities says what the self-test found.
func (t *Token) Abilities() []Ability { return nil }

// Supports is nil when the token can make keys of this spec for this use, or does not let itself be tested; ErrUnsupported otherwise.
func (t *Token) Supports(spec KeySpec, use Use) error { return nil }

// SupportsSign is nil when the token can sign by m with a key of this spec, or does not let itself be tested; ErrUnsupported otherwise.
func (t *Token) SupportsSign(spec KeySpec, m SignMechanism) error { return nil }

// Objects lists the private keys in the token.
func (t *Token) Objects(ctx context.Context) ([]Object, error) { return nil, nil }

// Generate makes a protected key pair under this CKA_ID and label and returns its public key (DER of SubjectPublicKeyInfo).
func (t *Token) Generate(ctx context.Context, spec KeySpec, use Use, id []byte, label string) ([]byte, error) {
	return nil, &Error{Kind: ErrUnavailable, Op: "generate"}
}

// Destroy destroys the private and the public object with this CKA_ID. It is nil when there is none and the token is healthy.
func (t *Token) Destroy(ctx context.Context, id []byte) error { return nil }

// Sign signs in: a digest of m.Hash, or the message for Ed25519.
func (t *Token) Sign(ctx context.Context, k *Key, m SignMechanism, in []byte) ([]byte, error) {
	return nil, &Error{Kind: ErrUnavailable, Op: "sign"}
}

// Decrypt decrypts ct by RSAES-OAEP with h (SHA-1 or SHA-256) for both the label hash and MGF1.
func (t *Token) Decrypt(ctx context.Context, k *Key, h crypto.Hash, ct []byte) ([]byte, error) {
	return nil, &Error{Kind: ErrUnavailable, Op: "decrypt"}
}

// Stats returns the figures of the session pool and of the recovery.
func (t *Token) Stats() Stats { return Stats{} }

// InitToken makes a token with this label in a free slot of the module and sets its user PIN; it returns the serial number. It refuses a
// label that exists.
func InitToken(module, initArgs, label, soPIN, userPIN string) (serial string, err error) {
	return "", &Error{Kind: ErrUnavailable, Op: "init token"}
}
