package hsm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"

	"filippo.io/mldsa"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// verify checks sig over in by m; in has been checked by signerFor.
func verify(pub crypto.PublicKey, m SignMechanism, in, sig []byte) bool {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if m.Scheme == PKCS1v15 {
			return rsa.VerifyPKCS1v15(k, m.Hash, in, sig) == nil
		}
		return rsa.VerifyPSS(k, m.Hash, in, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, in, sig)
	case *secp256k1.PublicKey:
		s, err := secpecdsa.ParseDERSignature(sig)
		return err == nil && s.Verify(in, k)
	case ed25519.PublicKey:
		if m.Scheme == Ed25519ph {
			return ed25519.VerifyWithOptions(k, in, sig, &ed25519.Options{Hash: crypto.SHA512}) == nil
		}
		return ed25519.Verify(k, in, sig)
	case *mldsa.PublicKey:
		return mldsa.Verify(k, in, sig, nil) == nil
	}
	return false
}

// derSignature turns r || s, as CKM_ECDSA gives it, into the DER of ECDSA-Sig-Value (RFC 3279, 2.2.3). Nil where it cannot be a signature.
func derSignature(raw []byte) []byte {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil
	}
	r, s := trimInt(raw[:len(raw)/2]), trimInt(raw[len(raw)/2:])
	if len(r) == 0 || len(s) == 0 {
		return nil
	}
	body := intLen(r) + intLen(s)
	out := make([]byte, 0, body+3)
	out = append(out, 0x30)
	if body > 127 { // P-521: up to 138 bytes
		out = append(out, 0x81)
	}
	out = append(out, byte(body))
	out = appendInt(out, r)
	return appendInt(out, s)
}

func trimInt(b []byte) []byte {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

func intLen(b []byte) int { return 2 + len(b) + int(b[0]>>7) }

func appendInt(out, b []byte) []byte {
	out = append(out, 0x02, byte(len(b)+int(b[0]>>7)))
	if b[0]>>7 == 1 {
		out = append(out, 0)
	}
	return append(out, b...)
}
