package hsm

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"github.com/miekg/pkcs11"
)

// WrapAlgorithm is how key material is wrapped for Import, in the words of the KMS API.
type WrapAlgorithm string

// The ways to wrap. By RSA_AES_KEY_WRAP the material is wrapped by an AES key (RFC 5649), and that by RSAES-OAEP, which comes first (PKCS#11
// v2.40, 2.1.21). OAEP has an empty label and one hash for both the label and MGF1.
const (
	WrapOAEPSHA1   WrapAlgorithm = "RSAES_OAEP_SHA_1"
	WrapOAEPSHA256 WrapAlgorithm = "RSAES_OAEP_SHA_256"
	WrapAESSHA1    WrapAlgorithm = "RSA_AES_KEY_WRAP_SHA_1"
	WrapAESSHA256  WrapAlgorithm = "RSA_AES_KEY_WRAP_SHA_256"
)

var (
	wrapHash = map[WrapAlgorithm]crypto.Hash{WrapOAEPSHA1: crypto.SHA1, WrapOAEPSHA256: crypto.SHA256, WrapAESSHA1: crypto.SHA1, WrapAESSHA256: crypto.SHA256}
	wrapAES  = map[WrapAlgorithm]bool{WrapAESSHA1: true, WrapAESSHA256: true}
)

// useUnwrap is the use of a wrapping key, which is for Import alone.
const useUnwrap Use = -1

// The numbers that miekg/pkcs11 does not name.
const (
	ckmRSAAESKeyWrap = 0x1054
	ckmAESKeyWrapPad = 0x210a // RFC 5649 in SoftHSM, PKCS#7 padding elsewhere
	ckmAESKeyWrapKWP = 0x210b // PKCS#11 v3.0: RFC 5649
)

// GenerateWrapping makes an RSA key pair of 2048, 3072 or 4096 bits that unwraps what Import is given and does nothing else, and returns its public
// key (DER of SubjectPublicKeyInfo); hsm.NewKey with RSA_2048 and so on names it. It is protected and read back like any other (Generate, with the
// same errors). Where the token has no OAEP with SHA-256 of its own, or no AES key wrap, the key may decrypt too: Import needs that to go through memory,
// where it is allowed to.
func (t *Token) GenerateWrapping(ctx context.Context, bits int, id []byte, label string) (spki []byte, err error) {
	spec := KeySpec(fmt.Sprintf("RSA_%d", bits))
	if rsaBits[spec] == 0 {
		return nil, &Error{Kind: ErrInvalid, Op: "generate", Detail: "a wrapping key has 2048, 3072 or 4096 bits"}
	}
	if err := t.able(string(spec)); err != nil {
		return nil, withOp("generate", err)
	}
	m := &template{spec: spec, use: useUnwrap, id: id, label: label, token: true, omit: t.omitted(), raw: t.oaep.sha256.Load()}
	var made []byte // written by the worker; not touched here unless the call came to its end
	err = t.create(ctx, callMakePair, id, label, func(g *generation, s *session) (err error) {
		m.raw = m.raw || !s.unwrapsAES()
		made, err = t.makeKey(g, s, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// Importable reports whether Import takes keys of this spec; whether a token can use them is another question (Supports).
func Importable(spec KeySpec) bool {
	return secretKinds[spec] != nil || parameterSets[spec] == nil && spec != ""
}

// unwrapsAES reports whether the token lists a mechanism for AES key wrap. A list may lie about what is in it; what is not in it, no module has.
// opencryptoki (3.27) has one that writes beyond its buffer when the material was tampered with, which ends the process: it is not used.
func (s *session) unwrapsAES() bool {
	if info, err := s.ctx.GetInfo(); err == nil && strings.HasPrefix(info.LibraryDescription, "openCryptoki") {
		return false
	}
	for _, m := range []uint{ckmAESKeyWrapKWP, ckmAESKeyWrapPad, ckmRSAAESKeyWrap} {
		if _, err := s.ctx.GetMechanismInfo(s.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(m, nil)}); err == nil {
			return true
		}
	}
	return false
}
