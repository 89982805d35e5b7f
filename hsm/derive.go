package hsm

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"
)

// The values of Config.WithoutGCM.
const (
	gcmRefuse = "refuse"
	gcmDerive = "derive"
)

// A token without AES-GCM can still hold a symmetric key: as one for HMAC-SHA-256, which never leaves it and derives a key for each message. AES-GCM
// is then computed here, and no key is in memory that is good for more than one message.
const (
	nonceSize     = 16                 // of what a message's key is derived from
	derivedIVSize = nonceSize + ivSize // what stands where the IV does
	deriveLabel   = "hsmgate: key of one message, AES-256-GCM"
	derivePrefix  = "\x00\x00\x00\x01" + deriveLabel + "\x00" // of all that the key of a message is the MAC of
)

// ReservedForKeys reports whether a MAC of message by a key of this spec could be the key of a message: the same material may be in the token as a
// key for HMAC and as a symmetric one, so MAC and VerifyMAC refuse it whatever the key is.
func ReservedForKeys(spec KeySpec, message []byte) bool {
	return spec == HMAC256 && bytes.HasPrefix(message, []byte(derivePrefix))
}

// stored is what a key of this spec and use is in the token.
func (t *Token) stored(spec KeySpec, use Use) (KeySpec, Use) {
	if tests := t.tests.Load(); spec == Symmetric && tests != nil && tests.derives {
		return HMAC256, UseMAC
	}
	return spec, use
}

// kept is what imported material becomes in the token: what a key that is made now does, and what it was where it was here before.
func (t *Token) kept(spec KeySpec, use Use, check []byte) (KeySpec, Use, error) {
	tests := t.tests.Load()
	switch {
	case spec != Symmetric || check == nil:
		if err := t.Supports(spec, use); err != nil {
			return "", 0, err
		}
		spec, use = t.stored(spec, use)
		return spec, use, nil
	case derived(check):
		return HMAC256, UseMAC, t.Supports(HMAC256, UseMAC)
	case tests != nil && tests.gcm.State == No:
		return "", 0, &Error{Kind: ErrUnsupported, Op: "supports", Detail: "it was imported into a token with AES-GCM, and what it encrypted is opened by one alone: " + tests.gcm.Detail,
			Advice: "import it into a token with AES-GCM"}
	}
	return Symmetric, UseCipher, nil
}

// derived: the check value is that of a symmetric key which is kept as one for HMAC.
func derived(check []byte) bool { return len(check) == secretKinds[HMAC256].size }

// SameForm reports whether two check values of one key spec are of keys that are kept alike. Where they are not, the material may be the same and
// cannot be compared.
func SameForm(a, b []byte) bool { return derived(a) == derived(b) }

// deriving notes that symmetric keys are kept as keys for HMAC, where the token refuses AES-GCM as such, has HMAC, and the configuration says so.
// AES-GCM that fails in any other way is for the operator to look at, and no reason to make keys otherwise.
func (r *trial) deriving(s *session) {
	gcm, mac := r.get(string(Symmetric)), r.get(string(HMAC256))
	r.gcm = gcm
	switch {
	case gcm.State == Unknown && mac.State == Unknown && r.t.cfg.WithoutGCM == gcmDerive:
		r.set(string(Symmetric), Unknown, gcm.Detail+"; whether the token has AES-GCM cannot be tried, so without_gcm: derive is not in effect", gcm.Advice)
	case gcm.State == Yes || mac.State != Yes || !r.lacksGCM(s):
	case r.t.cfg.WithoutGCM == gcmDerive:
		r.derives = true
		r.set(string(Symmetric), Yes, "each message by a key of its own, derived by HMAC in the token and used in this process (without_gcm); "+gcm.Detail, adviceDerived)
	default:
		r.set(string(Symmetric), No, gcm.Detail+"; the setting without_gcm: derive makes such keys all the same", gcm.Advice)
	}
}

const adviceDerived = "read docs/ciphertext.md, On a token without AES-GCM, or use a token that has it"

// lacksGCM: the token refused the mechanism itself, or does not list it.
func (r *trial) lacksGCM(s *session) bool {
	_, err := s.ctx.GetMechanismInfo(s.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, nil)})
	return r.noGCM || rvOf(err) == pkcs11.CKR_MECHANISM_INVALID
}

// messageKey derives the key of one message: NIST SP 800-108r1, 4.1, counter mode with HMAC-SHA-256, of which one block is enough.
func (t *Token) messageKey(ctx context.Context, op string, s *Secret, nonce []byte) (cipher.AEAD, error) {
	in := append(append([]byte(derivePrefix), nonce...), 0, 0, 1, 0) // 256 bits
	key, err := t.mac(ctx, op, s, in)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, &Error{Kind: ErrFailed, Op: op, Detail: err.Error()}
	}
	return cipher.NewGCM(block)
}

// sealDerived is EncryptGCM with a derived key; iv is the nonce and the IV.
func (t *Token) sealDerived(ctx context.Context, s *Secret, plaintext, aad []byte) (iv, ciphertext []byte, err error) {
	iv = make([]byte, derivedIVSize)
	rand.Read(iv) // never fails: crypto/rand ends the process instead
	aead, err := t.messageKey(ctx, "encrypt", s, iv[:nonceSize])
	if err != nil {
		return nil, nil, err
	}
	return iv, aead.Seal(nil, iv[nonceSize:], plaintext, aad), nil
}

// openDerived undoes it.
func (t *Token) openDerived(ctx context.Context, s *Secret, iv, ciphertext, aad []byte) ([]byte, error) {
	aead, err := t.messageKey(ctx, "decrypt", s, iv[:nonceSize])
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, iv[nonceSize:], ciphertext, aad)
	if err != nil {
		return nil, errCiphertext()
	}
	return plaintext, nil
}

// newDerived is NewSecret for a symmetric key that is kept as one for HMAC, which its check value tells.
func newDerived(id, check []byte) *Secret {
	return &Secret{ref: ref{id: bytes.Clone(id), spec: HMAC256, secret: true}, kind: secretKinds[HMAC256], derives: true, check: bytes.Clone(check)}
}

// ciphers refuses a key that does not encrypt.
func (x *Secret) ciphers(op string) error {
	if x.kind.use == UseCipher || x.derives {
		return nil
	}
	return &Error{Kind: ErrInvalid, Op: op, Detail: fmt.Sprintf("takes a key of type %s", Symmetric)}
}
