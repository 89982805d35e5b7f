package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// algorithm is one way to sign that is measured.
type algorithm struct {
	name    string // in --only and the tables
	spec    api.KeySpec
	signing api.SigningAlgorithm
	size    int // of the digest or message, in bytes
	// goal is the most CPU per operation of the daemon over the floor's, with the signature checked, at 32 connections; 0: none is set.
	goal float64
	// uncheckedGoal is the same without the check, where it may be turned off.
	uncheckedGoal float64
}

var algorithms = []algorithm{
	{name: "rsa2048-pkcs1", spec: "RSA_2048", signing: "RSASSA_PKCS1_V1_5_SHA_256", size: 32, goal: 1.08},
	{name: "rsa2048-pss", spec: "RSA_2048", signing: "RSASSA_PSS_SHA_256", size: 32, goal: 1.08},
	{name: "rsa4096", spec: "RSA_4096", signing: "RSASSA_PKCS1_V1_5_SHA_256", size: 32, goal: 1.03},
	{name: "p256", spec: "ECC_NIST_P256", signing: "ECDSA_SHA_256", size: 32, goal: 1.50, uncheckedGoal: 1.15},
	{name: "p384", spec: "ECC_NIST_P384", signing: "ECDSA_SHA_384", size: 48},
	{name: "ed25519", spec: "ECC_NIST_EDWARDS25519", signing: "ED25519_SHA_512", size: 32, goal: 1.35},
}

func algorithmNamed(name string) (algorithm, bool) {
	for _, a := range algorithms {
		if a.name == name {
			return a, true
		}
	}
	return algorithm{}, false
}

func (a algorithm) ecdsa() bool { return a.spec == "ECC_NIST_P256" || a.spec == "ECC_NIST_P384" }

// messageType is RAW where the algorithm signs the message itself.
func (a algorithm) messageType() api.MessageType {
	if a.name == "ed25519" {
		return api.Raw
	}
	return api.Digest
}

// random is a digest or message to sign.
func (a algorithm) random() []byte {
	b := make([]byte, a.size)
	rand.Read(b) // never fails
	return b
}

// ckmEdDSA is CKM_EDDSA of PKCS#11 v3.0, 6.3.5.
const ckmEdDSA = 0x1057

// sha256Prefix is the DigestInfo of RFC 8017, 9.2, up to the digest.
var sha256Prefix = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// mechanism is the bare call: the mechanism, and the input that it takes for a digest or message.
func (a algorithm) mechanism() ([]*pkcs11.Mechanism, func([]byte) []byte) {
	same := func(in []byte) []byte { return in }
	switch a.name {
	case "rsa2048-pss":
		params := pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, 32)
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, params)}, same
	case "rsa2048-pkcs1", "rsa4096":
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil)},
			func(in []byte) []byte { return append(sha256Prefix[:len(sha256Prefix):len(sha256Prefix)], in...) }
	case "ed25519":
		return []*pkcs11.Mechanism{pkcs11.NewMechanism(ckmEdDSA, nil)}, same
	}
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, same
}

// verify checks a signature as a caller of the gateway gets it, or, raw, as the token makes it.
func (a algorithm) verify(spki, in, sig []byte, raw bool) error {
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return err
	}
	good := false
	switch public := public.(type) {
	case *rsa.PublicKey:
		if a.name == "rsa2048-pss" {
			return rsa.VerifyPSS(public, crypto.SHA256, in, sig, &rsa.PSSOptions{SaltLength: 32})
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, in, sig)
	case *ecdsa.PublicKey:
		if raw {
			half := len(sig) / 2
			good = ecdsa.Verify(public, in, new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:]))
		} else {
			good = ecdsa.VerifyASN1(public, in, sig)
		}
	case ed25519.PublicKey:
		good = ed25519.Verify(public, in, sig)
	}
	if !good {
		return errors.New("the signature does not verify")
	}
	return nil
}
