package hsm

import (
	"crypto"
	"crypto/mlkem"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
	"github.com/miekg/pkcs11"
)

// The numbers of PKCS#11 v3.2 for ML-DSA (FIPS 204) and ML-KEM (FIPS 203).
const (
	ckkMLKEM          = 0x49
	ckkMLDSA          = 0x4a
	ckmMLKEMKeyGen    = 0x0f
	ckmMLKEM          = 0x17
	ckmMLDSAKeyGen    = 0x1c
	ckmMLDSA          = 0x1d
	ckaParameterSet   = 0x61d
	ckaEncapsulate    = 0x633
	ckaDecapsulate    = 0x634
	maxSignature      = mldsa.MLDSA87SignatureSize
	muSize            = 64 // FIPS 204, algorithm 7
	sharedSize        = mlkem.SharedKeySize
	mlkem512CryptSize = mlkem512.CiphertextSize
)

// parameterSet is what PKCS#11, RFC 9881 and RFC 9935 call a spec, and the size of what comes of it, in bytes.
type parameterSet struct {
	keyType, number, generator, mechanism uint
	oid                                   asn1.ObjectIdentifier
	output                                int // the signature, or the ciphertext
}

var parameterSets = map[KeySpec]*parameterSet{
	MLDSA44:   {ckkMLDSA, 1, ckmMLDSAKeyGen, ckmMLDSA, nistSig(17), mldsa.MLDSA44SignatureSize},
	MLDSA65:   {ckkMLDSA, 2, ckmMLDSAKeyGen, ckmMLDSA, nistSig(18), mldsa.MLDSA65SignatureSize},
	MLDSA87:   {ckkMLDSA, 3, ckmMLDSAKeyGen, ckmMLDSA, nistSig(19), mldsa.MLDSA87SignatureSize},
	MLKEM512:  {ckkMLKEM, 1, ckmMLKEMKeyGen, ckmMLKEM, nistKEM(1), mlkem512CryptSize},
	MLKEM768:  {ckkMLKEM, 2, ckmMLKEMKeyGen, ckmMLKEM, nistKEM(2), mlkem.CiphertextSize768},
	MLKEM1024: {ckkMLKEM, 3, ckmMLKEMKeyGen, ckmMLKEM, nistKEM(3), mlkem.CiphertextSize1024},
}

func nistSig(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, n}
}
func nistKEM(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, n}
}

var (
	mldsaSpecs   = map[mldsa.Parameters]KeySpec{mldsa.MLDSA44(): MLDSA44, mldsa.MLDSA65(): MLDSA65, mldsa.MLDSA87(): MLDSA87}
	latticeNames = map[uint]string{ckkMLDSA: "ML_DSA", ckkMLKEM: "ML_KEM"}
)

func isMLDSA(spec KeySpec) bool {
	p := parameterSets[spec]
	return p != nil && p.keyType == ckkMLDSA
}

func isKEM(spec KeySpec) bool {
	p := parameterSets[spec]
	return p != nil && p.keyType == ckkMLKEM
}

// signatureSize is 0 for what maxOutput holds.
func signatureSize(spec KeySpec) int {
	if isMLDSA(spec) {
		return parameterSets[spec].output
	}
	return 0
}

// attributes of the public key that make it one of this set.
func (p *parameterSet) attributes() []*pkcs11.Attribute {
	a := []*pkcs11.Attribute{pkcs11.NewAttribute(ckaParameterSet, p.number)}
	if p.keyType == ckkMLKEM {
		a = append(a, pkcs11.NewAttribute(ckaEncapsulate, true))
	}
	return a
}

// latticeSpec names the spec of CKA_KEY_TYPE and CKA_PARAMETER_SET, empty where it is none of ours.
func latticeSpec(keyType, set uint) KeySpec {
	for spec, p := range parameterSets {
		if p.keyType == keyType && p.number == set {
			return spec
		}
	}
	return ""
}

// externalMu is why nothing signs or verifies a mu that the caller computed.
func externalMu(op string, mu []byte) error {
	if len(mu) != muSize {
		return &Error{Kind: ErrInvalid, Op: op, Detail: fmt.Sprintf("mu has %d bytes; ML-DSA takes %d", len(mu), muSize)}
	}
	return &Error{Kind: ErrUnsupported, Op: op, Detail: "PKCS#11 v3.2 has no mechanism that takes a mu computed by the caller", Advice: "give the message itself"}
}

// latticePublic reads the public key of ML-DSA or ML-KEM from the public object; nil: it is none. The private object is never asked for
// CKA_VALUE, which is the private key there.
func (s *session) latticePublic(e *entry) (crypto.PublicKey, error) {
	if len(e.public) == 0 {
		return nil, nil
	}
	h := e.public[0]
	typ, err := s.attribute(h, pkcs11.CKA_KEY_TYPE)
	if c := classify(rvOf(err)); c == classLost || c == classSession || c == classKeyGone {
		return nil, err
	}
	if latticeNames[ulong(typ)] == "" {
		return nil, nil
	}
	set, err := s.attribute(h, ckaParameterSet)
	if err != nil {
		return nil, err
	}
	raw, err := s.attribute(h, pkcs11.CKA_VALUE)
	if err != nil {
		return nil, err
	}
	return latticeKey(latticeSpec(ulong(typ), ulong(set)), raw)
}

// latticeKey makes a public key of its encoding in FIPS 203 or 204.
func latticeKey(spec KeySpec, raw []byte) (crypto.PublicKey, error) {
	if isKEM(spec) {
		return newKEM(spec, raw)
	}
	for p, s := range mldsaSpecs {
		if s == spec {
			return mldsa.NewPublicKey(p, raw)
		}
	}
	return nil, errors.New("the parameter set is none of ours")
}

// KEMPublicKey is an ML-KEM encapsulation key that has passed the checks of FIPS 203, 7.2.
type KEMPublicKey struct {
	spec KeySpec
	raw  []byte
}

func newKEM(spec KeySpec, raw []byte) (*KEMPublicKey, error) {
	k := &KEMPublicKey{spec, append([]byte{}, raw...)}
	if _, _, err := k.encapsulate(); err != nil {
		return nil, fmt.Errorf("not an encapsulation key of %s: %w", spec, err)
	}
	return k, nil
}

// Bytes returns the encoding of FIPS 203, 7.1.
func (k *KEMPublicKey) Bytes() []byte { return append([]byte{}, k.raw...) }

// Equal compares two public keys.
func (k *KEMPublicKey) Equal(other crypto.PublicKey) bool {
	o, ok := other.(*KEMPublicKey)
	return ok && k.spec == o.spec && string(k.raw) == string(o.raw)
}

// encapsulate is FIPS 203, 7.2: by Go for the sets that crypto/mlkem has.
func (k *KEMPublicKey) encapsulate() (ciphertext, shared []byte, err error) {
	switch k.spec {
	case MLKEM768:
		e, err := mlkem.NewEncapsulationKey768(k.raw)
		if err != nil {
			return nil, nil, err
		}
		shared, ciphertext = e.Encapsulate()
	case MLKEM1024:
		e, err := mlkem.NewEncapsulationKey1024(k.raw)
		if err != nil {
			return nil, nil, err
		}
		shared, ciphertext = e.Encapsulate()
	default:
		e, err := mlkem512.Scheme().UnmarshalBinaryPublicKey(k.raw)
		if err != nil {
			return nil, nil, err
		}
		return mlkem512.Scheme().Encapsulate(e)
	}
	return ciphertext, shared, nil
}

// marshal is RFC 9935, 4: no parameters, the encoding as it is.
func (k *KEMPublicKey) marshal() ([]byte, error) {
	return asn1.Marshal(subjectPublicKeyInfo{Algorithm: pkix.AlgorithmIdentifier{Algorithm: parameterSets[k.spec].oid},
		Key: asn1.BitString{Bytes: k.raw, BitLength: 8 * len(k.raw)}})
}

func kemOf(oid asn1.ObjectIdentifier) KeySpec {
	for spec, p := range parameterSets {
		if p.keyType == ckkMLKEM && p.oid.Equal(oid) {
			return spec
		}
	}
	return ""
}

func parseKEM(spec KeySpec, info subjectPublicKeyInfo) (crypto.PublicKey, error) {
	if len(info.Algorithm.Parameters.FullBytes) != 0 {
		return nil, errors.New("an ML-KEM key has no parameters")
	}
	return newKEM(spec, info.Key.RightAlign())
}
