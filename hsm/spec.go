package hsm

import "crypto"

// KeySpec names the type and size of a key in the words of the KMS API.
type KeySpec string

// The key specs this package can make and use, where the token can.
const (
	RSA2048      KeySpec = "RSA_2048"
	RSA3072      KeySpec = "RSA_3072"
	RSA4096      KeySpec = "RSA_4096"
	NISTP256     KeySpec = "ECC_NIST_P256"
	NISTP384     KeySpec = "ECC_NIST_P384"
	NISTP521     KeySpec = "ECC_NIST_P521"
	SECGP256K1   KeySpec = "ECC_SECG_P256K1"
	Edwards25519 KeySpec = "ECC_NIST_EDWARDS25519"
	MLDSA44      KeySpec = "ML_DSA_44"
	MLDSA65      KeySpec = "ML_DSA_65"
	MLDSA87      KeySpec = "ML_DSA_87"
	MLKEM512     KeySpec = "ML_KEM_512"
	MLKEM768     KeySpec = "ML_KEM_768"
	MLKEM1024    KeySpec = "ML_KEM_1024"

	Symmetric KeySpec = "SYMMETRIC_DEFAULT" // AES-256, for GCM
	HMAC224   KeySpec = "HMAC_224"          // a secret as long as the hash: 28 bytes, and 32, 48, 64
	HMAC256   KeySpec = "HMAC_256"
	HMAC384   KeySpec = "HMAC_384"
	HMAC512   KeySpec = "HMAC_512"
)

// Specs lists every KeySpec of a key pair, in the order of the documentation; SecretSpecs has the others.
func Specs() []KeySpec {
	return []KeySpec{RSA2048, RSA3072, RSA4096, NISTP256, NISTP384, NISTP521, SECGP256K1, Edwards25519,
		MLDSA44, MLDSA65, MLDSA87, MLKEM512, MLKEM768, MLKEM1024}
}

// SecretSpecs lists every KeySpec of a secret key.
func SecretSpecs() []KeySpec { return []KeySpec{Symmetric, HMAC224, HMAC256, HMAC384, HMAC512} }

// Use is the one thing a key may do; it is fixed at creation by the key's usage flags.
type Use int

// The uses of a key. UseDecrypt is for RSA only, UseAgree (ECDH) for the NIST curves only, UseCipher for Symmetric, UseMAC for HMAC, UseDecapsulate
// for ML-KEM only, which has no other.
const (
	UseSign Use = iota + 1
	UseDecrypt
	UseCipher
	UseMAC
	UseAgree
	UseDecapsulate
)

// Scheme is a signature scheme.
type Scheme int

// The signature schemes. ECDSA signatures are DER (RFC 3279, 2.2.3); PSS uses a salt as long as the hash (RFC 8017, 9.1).
const (
	PKCS1v15 Scheme = iota + 1
	PSS
	ECDSA
	Ed25519
	Ed25519ph
	MLDSA   // FIPS 204, with an empty context
	MLDSAMu // the same over the 64 bytes of mu that the caller computed (FIPS 204, 6.2)
)

// SignMechanism is a scheme with its hash. Ed25519 and MLDSA have Hash 0 and sign the message itself, MLDSAMu has Hash 0 and signs mu; Ed25519ph has Hash crypto.SHA512 and every
// other scheme SHA-256, SHA-384 or SHA-512, and they sign a digest of that hash's length.
type SignMechanism struct {
	Scheme Scheme
	Hash   crypto.Hash
}
