package format

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"io"
)

func isRSA(key crypto.PublicKey) bool { _, ok := key.(*rsa.PublicKey); return ok }

func isEd25519(key crypto.PublicKey) bool { _, ok := key.(ed25519.PublicKey); return ok }

// isNIST says that it is an ECDSA key on P-256, P-384 or P-521.
func isNIST(key crypto.PublicKey) bool { return curveHash(key) != 0 }

func isRSAOrNIST(key crypto.PublicKey) bool { return isRSA(key) || isNIST(key) }

func isRSANISTOrEd25519(key crypto.PublicKey) bool { return isRSAOrNIST(key) || isEd25519(key) }

// curveHash is the hash that goes with an ECDSA key's curve (FIPS 186-5, 6.1.1); 0 for others.
func curveHash(key crypto.PublicKey) crypto.Hash {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return 0
	}
	switch k.Curve {
	case elliptic.P256():
		return crypto.SHA256
	case elliptic.P384():
		return crypto.SHA384
	case elliptic.P521():
		return crypto.SHA512
	}
	return 0
}

// hashFor is the hash for a key: that of its curve, and SHA-256 for RSA.
func hashFor(key crypto.PublicKey) crypto.Hash {
	if h := curveHash(key); h != 0 {
		return h
	}
	return crypto.SHA256
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// signDigest hashes all of r and signs the digest: RSA as RSASSA-PKCS1-v1_5.
func signDigest(k *Key, h crypto.Hash, r io.Reader) ([]byte, error) {
	sum, err := digest(h, r)
	if err != nil {
		return nil, err
	}
	return k.Sign(nil, sum, h)
}

func digest(h crypto.Hash, r io.Reader) ([]byte, error) {
	w := h.New()
	if _, err := io.Copy(w, r); err != nil {
		return nil, err
	}
	return w.Sum(nil), nil
}

// verifyDigest checks what signDigest makes.
func verifyDigest(key crypto.PublicKey, h crypto.Hash, sum, signature []byte) error {
	good := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(k, h, sum, signature) == nil
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(k, sum, signature)
	}
	if !good {
		return notGood("it was not made by this key over this file")
	}
	return nil
}

// isRSAOrP256 says that it is a key of formats that know no other curve.
func isRSAOrP256(key crypto.PublicKey) bool { return isRSA(key) || curveHash(key) == crypto.SHA256 }
