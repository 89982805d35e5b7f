package hsm

import (
	"crypto"
	_ "crypto/sha1"   // OAEP with SHA-1
	_ "crypto/sha256" // the hashes that Hash.New and the check of signatures need
	_ "crypto/sha512"
	"fmt"

	"github.com/miekg/pkcs11"
)

// The numbers of PKCS#11 v3.0 that miekg/pkcs11 does not name.
const (
	ckmECEdwardsKeyPairGen = 0x1055
	ckmEdDSA               = 0x1057
	ckkECEdwards           = 0x40
)

// digestInfo holds the DER of DigestInfo up to the digest (RFC 8017, 9.2, note 1). It is built here because CKM_SHA256_RSA_PKCS is not on
// every module, and raw CKM_RSA_PKCS is.
var digestInfo = map[crypto.Hash][]byte{
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA384: {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}

// hashMech has the CKM and CKG numbers of each hash, for the parameters of PSS and OAEP.
var hashMech = map[crypto.Hash]struct{ ckm, mgf uint }{
	crypto.SHA1:   {pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1},
	crypto.SHA256: {pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	crypto.SHA384: {pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384},
	crypto.SHA512: {pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512},
}

// curveHash is the one hash that each curve signs with, as KMS has it.
var curveHash = map[KeySpec]crypto.Hash{NISTP256: crypto.SHA256, NISTP384: crypto.SHA384, NISTP521: crypto.SHA512, SECGP256K1: crypto.SHA256}

// signers holds the mechanism and the prefix of the input for each pair that a key may sign with; what is not in it is refused.
var signers = buildSigners()

type signer struct {
	mech   mechanism
	prefix []byte
}

type signerKey struct {
	spec KeySpec
	m    SignMechanism
}

func buildSigners() map[signerKey]*signer {
	all := map[signerKey]*signer{}
	for _, spec := range []KeySpec{RSA2048, RSA3072, RSA4096} {
		for h, prefix := range digestInfo {
			all[signerKey{spec, SignMechanism{PKCS1v15, h}}] = &signer{mechanism{typ: pkcs11.CKM_RSA_PKCS}, prefix}
			pss := mechanism{typ: pkcs11.CKM_RSA_PKCS_PSS, param: paramPSS, hash: hashMech[h].ckm, mgf: hashMech[h].mgf, salt: uint(h.Size())}
			all[signerKey{spec, SignMechanism{PSS, h}}] = &signer{mech: pss}
		}
	}
	for spec, h := range curveHash {
		all[signerKey{spec, SignMechanism{ECDSA, h}}] = &signer{mech: mechanism{typ: pkcs11.CKM_ECDSA}}
	}
	all[signerKey{Edwards25519, SignMechanism{Scheme: Ed25519}}] = &signer{mech: mechanism{typ: ckmEdDSA}}
	all[signerKey{Edwards25519, SignMechanism{Ed25519ph, crypto.SHA512}}] = &signer{mech: mechanism{typ: ckmEdDSA, param: paramEdDSAHash}}
	for spec, p := range parameterSets {
		if p.mechanism == ckmMLDSA {
			all[signerKey{spec, SignMechanism{Scheme: MLDSA}}] = &signer{mech: mechanism{typ: ckmMLDSA}}
		}
	}
	return all
}

// signerFor checks that the key may sign in by m: the mechanism belongs to the spec and a digest has its hash's length.
func signerFor(op string, spec KeySpec, m SignMechanism, in []byte) (*signer, error) {
	s := signers[signerKey{spec, m}]
	if s == nil && m.Scheme == MLDSAMu && isMLDSA(spec) {
		return nil, externalMu(op, in)
	}
	if s == nil {
		return nil, &Error{Kind: ErrInvalid, Op: op, Detail: fmt.Sprintf("%s is no mechanism for a key of type %s", m, spec)}
	}
	if m.Hash != 0 && len(in) != m.Hash.Size() {
		return nil, &Error{Kind: ErrInvalid, Op: op,
			Detail: fmt.Sprintf("the digest has %d bytes; %s takes %d", len(in), m, m.Hash.Size())}
	}
	return s, nil
}

// String names the mechanism in the words of the KMS API, for example RSASSA_PSS_SHA_256.
func (m SignMechanism) String() string {
	names := map[Scheme]string{PKCS1v15: "RSASSA_PKCS1_V1_5", PSS: "RSASSA_PSS", ECDSA: "ECDSA", Ed25519: "ED25519", Ed25519ph: "ED25519_PH", MLDSA: "ML_DSA_SHAKE_256",
		MLDSAMu: "ML_DSA_SHAKE_256 of an external mu"}
	name := names[m.Scheme]
	if name == "" {
		name = fmt.Sprintf("scheme %d", m.Scheme)
	}
	if m.Scheme == Ed25519 && m.Hash == 0 {
		return name + "_SHA_512"
	}
	if m.Hash == 0 && (m.Scheme == MLDSA || m.Scheme == MLDSAMu) {
		return name
	}
	if _, ok := hashMech[m.Hash]; !ok {
		return fmt.Sprintf("%s with hash %d", name, m.Hash)
	}
	return fmt.Sprintf("%s_SHA_%d", name, 8*m.Hash.Size())
}
