package hsm

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Secret is one secret key in the token, known by its CKA_ID and its check value. Like a Key it caches its handle, and is safe for
// concurrent use: make one for each key and keep it.
type Secret struct {
	ref
	kind    *secretKind
	derives bool // a symmetric key that is kept as one for HMAC
	check   []byte
}

// checkText is what the check value encrypts or authenticates. It is for nothing else: nobody gains by having it.
const checkText = "hsmgate: which key is this? version 1"

// NewSecret names the secret key with this CKA_ID and the check value that GenerateSecret gave for it. It does not ask the token; the check
// value is compared at first use.
func NewSecret(id []byte, spec KeySpec, check []byte) (*Secret, error) {
	bad := func(detail string) (*Secret, error) {
		return nil, &Error{Kind: ErrInvalid, Op: "key", Detail: detail}
	}
	kind := secretKinds[spec]
	switch {
	case kind == nil:
		return bad(fmt.Sprintf("%q is no key spec of a secret key", string(spec)))
	case len(id) == 0:
		return bad("the CKA_ID is empty")
	case spec == Symmetric && derived(check):
		return newDerived(id, check), nil
	case kind.hash != 0 && len(check) != kind.hash.Size():
		return bad(fmt.Sprintf("the check value has %d bytes; %s has %d", len(check), spec, kind.hash.Size()))
	case kind.hash == 0 && splitCheck(check) < 0:
		return bad("the check value is none of AES-GCM")
	}
	return &Secret{ref: ref{id: bytes.Clone(id), spec: spec, secret: true}, kind: kind, check: bytes.Clone(check)}, nil
}

// splitCheck returns the length of the IV that a check value of AES begins with (one byte that says so, the IV, the ciphertext), -1 where it is none.
func splitCheck(check []byte) int {
	if len(check) == 0 || !validIV(int(check[0])) || len(check) != 1+int(check[0])+len(checkText)+tagSize {
		return -1
	}
	return int(check[0])
}

// supportsSecret is Supports for secret keys.
func (t *Token) supportsSecret(spec KeySpec, use Use) error {
	kind := secretKinds[spec]
	if kind == nil || kind.use != use {
		return &Error{Kind: ErrInvalid, Op: "supports", Detail: fmt.Sprintf("a key of type %q does not go with that use", string(spec))}
	}
	if err := t.able(string(spec)); err != nil || kind.hash == 0 {
		return err
	}
	return t.able(macName(kind.hash))
}

// GenerateSecret makes a protected secret key in the token under this CKA_ID and label: AES-256 for Symmetric, else a secret as long as the
// hash. check tells this key from any other later, as the public key does for a pair (NewSecret): for AES the ciphertext of a fixed text, for
// HMAC, and where a symmetric key is kept as one for HMAC (Config.WithoutGCM), the MAC of one. It is no secret. What protects the key is read back, and a key that is not wanted is destroyed, as in Generate, with
// the same errors; ErrUnsupported where the token has no AES-GCM, or no HMAC with that hash.
func (t *Token) GenerateSecret(ctx context.Context, spec KeySpec, id []byte, label string) (check []byte, err error) {
	kind := secretKinds[spec]
	if kind == nil {
		return nil, &Error{Kind: ErrInvalid, Op: "generate", Detail: fmt.Sprintf("%q is no key spec of a secret key", string(spec))}
	}
	if err := t.Supports(spec, kind.use); err != nil {
		return nil, withOp("generate", err)
	}
	spec, use := t.stored(spec, kind.use)
	m := &template{spec: spec, use: use, id: id, label: label, token: true, omit: t.omitted(), keyType: t.secretType(spec)}
	var made []byte // written by the worker; not touched here unless the call came to its end
	err = t.create(ctx, callMakeSecret, id, label, func(g *generation, s *session) (err error) {
		made, err = t.makeSecret(g, s, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// secretType is the CKA_KEY_TYPE that the self-test found to work; 0: it does not know.
func (t *Token) secretType(spec KeySpec) uint {
	if tests := t.tests.Load(); tests != nil {
		return tests.types[spec]
	}
	return 0
}

// makeSecret makes the key and computes its check value.
func (t *Token) makeSecret(g *generation, s *session, m *template) (check []byte, err error) {
	err = t.makeProtected(g, s, m, func(e *entry) error {
		check, err = t.checkValue(s, e.secret[0], m)
		return err
	})
	return check, err
}

// checkValue computes the check value of a new key, after a look at its type and size.
func (t *Token) checkValue(s *session, h pkcs11.ObjectHandle, m *template) ([]byte, error) {
	typ, errT := s.attribute(h, pkcs11.CKA_KEY_TYPE)
	size, errS := s.attribute(h, pkcs11.CKA_VALUE_LEN)
	if _, made := secretType(ulong(typ), ulong(size)); errT == nil && errS == nil && ulong(size) != 0 && made != m.spec { // 0: opencryptoki, of a key that was imported
		return nil, &Error{Kind: ErrFailed, Op: "generate", Detail: fmt.Sprintf("the token made a key of %d bytes and type 0x%X", ulong(size), ulong(typ))}
	}
	if kind := secretKinds[m.spec]; kind.hash != 0 {
		mac, rv := s.mac(uint(h), kind, []byte(checkText))
		if rv != pkcs11.CKR_OK {
			return nil, fail("generate", rv, "the new key does not compute a MAC")
		}
		return mac, nil
	}
	iv, ct, err := t.sealIn(s, uint(h), []byte(checkText), []byte(checkText))
	return append(append([]byte{byte(len(iv))}, iv...), ct...), err
}

// expect computes the check value again, or decrypts it.
func (x *Secret) expect(s *session, e *entry) (same bool, err error) {
	key := uint(e.secret[0])
	var got []byte
	var rv uint
	want, refuted := x.check, false
	if x.kind.hash != 0 {
		got, rv = s.mac(key, x.kind, []byte(checkText))
	} else {
		n := splitCheck(x.check)
		want = []byte(checkText)
		got, rv, refuted = s.openIn(key, x.check[1:1+n], x.check[1+n:], []byte(checkText))
	}
	switch classify(rv) {
	case classOK:
		return subtle.ConstantTimeCompare(got, want) == 1, nil
	case classLost, classSession, classKeyGone:
		return false, pkcs11.Error(rv)
	}
	switch {
	case rv == pkcs11.CKR_KEY_TYPE_INCONSISTENT, rv == pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, rv == pkcs11.CKR_KEY_SIZE_RANGE:
		return false, nil
	case refuted:
		return false, s.healthy() // SoftHSM says the same of a wrong tag and of a token that is away
	}
	return false, pkcs11.Error(rv)
}
