package hsm

import (
	"encoding/asn1"
	"encoding/binary"

	"github.com/ThalesIgnite/crypto11"
	"github.com/miekg/pkcs11"
)

// attributeNames are the attributes that Config.OmitAttributes may leave out of the templates. What protects the key is read back all the same.
var attributeNames = map[string]uint{
	"CKA_TOKEN": pkcs11.CKA_TOKEN, "CKA_PRIVATE": pkcs11.CKA_PRIVATE, "CKA_SENSITIVE": pkcs11.CKA_SENSITIVE,
	"CKA_EXTRACTABLE": pkcs11.CKA_EXTRACTABLE, "CKA_SIGN": pkcs11.CKA_SIGN, "CKA_SIGN_RECOVER": pkcs11.CKA_SIGN_RECOVER,
	"CKA_DECRYPT": pkcs11.CKA_DECRYPT, "CKA_UNWRAP": pkcs11.CKA_UNWRAP, "CKA_DERIVE": pkcs11.CKA_DERIVE, "CKA_VERIFY": pkcs11.CKA_VERIFY,
	"CKA_VERIFY_RECOVER": pkcs11.CKA_VERIFY_RECOVER, "CKA_ENCRYPT": pkcs11.CKA_ENCRYPT, "CKA_WRAP": pkcs11.CKA_WRAP,
	"CKA_ALLOWED_MECHANISMS": pkcs11.CKA_ALLOWED_MECHANISMS, "CKA_LABEL": pkcs11.CKA_LABEL, "CKA_ENCAPSULATE": ckaEncapsulate, "CKA_DECAPSULATE": ckaDecapsulate,
}

// rsaBits and the EC parameters of each spec.
var (
	rsaBits  = map[KeySpec]uint{RSA2048: 2048, RSA3072: 3072, RSA4096: 4096}
	ecParams = map[KeySpec][]byte{NISTP256: mustDER(oidP256), NISTP384: mustDER(oidP384), NISTP521: mustDER(oidP521), SECGP256K1: mustDER(oidSecp256k1)}
	// edParams are the two ways to name Ed25519 (PKCS#11 v3.0, 2.3.5): modules take the one, the other, or both.
	edParams = [][]byte{mustDER(printable("edwards25519")), mustDER(oidEd25519)}
)

func printable(s string) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte(s)}
}

func mustDER(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		return nil // cannot be: the values are constants
	}
	return b
}

// template is what a key is to be.
type template struct {
	spec    KeySpec
	use     Use
	id      []byte
	label   string
	token   bool // false: a throw-away session key
	omit    map[uint]bool
	edParam []byte
	keyType uint // of a secret key; 0: each that it may have
	raw     bool // a wrapping key that may decrypt too (GenerateWrapping)
	foreign bool // imported: not made in the token
}

// private says each flag, the false ones too: SoftHSM and others default CKA_DECRYPT, CKA_UNWRAP and the like to true.
func (t *template) private() []*pkcs11.Attribute {
	a := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, t.token),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, t.use == UseSign),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN_RECOVER, false),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, t.use == UseDecrypt || t.raw),
		pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, t.use == useUnwrap),
		pkcs11.NewAttribute(pkcs11.CKA_DERIVE, t.use == UseAgree),
		pkcs11.NewAttribute(pkcs11.CKA_ID, t.id),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.label),
		pkcs11.NewAttribute(pkcs11.CKA_ALLOWED_MECHANISMS, ulongs(t.mechanisms())),
	}
	if isKEM(t.spec) {
		a = append(a, pkcs11.NewAttribute(ckaDecapsulate, t.use == UseDecapsulate))
	}
	return t.without(a)
}

func (t *template) public() []*pkcs11.Attribute {
	a := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, t.token),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, t.use == UseSign),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY_RECOVER, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, t.use == UseDecrypt),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_ID, t.id),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.label),
	}
	switch bits := rsaBits[t.spec]; {
	case bits != 0:
		a = append(a, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, bits), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	case parameterSets[t.spec] != nil:
		a = append(a, parameterSets[t.spec].attributes()...)
	case t.spec == Edwards25519:
		a = append(a, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, t.edParam))
	default:
		a = append(a, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, ecParams[t.spec]))
	}
	return t.without(a)
}

func (t *template) without(a []*pkcs11.Attribute) []*pkcs11.Attribute {
	kept := a[:0]
	for _, x := range a {
		if !t.omit[x.Type] {
			kept = append(kept, x)
		}
	}
	return kept
}

// mechanisms are those that the key may be used with. X_509 is the way to OAEP with SHA-256 where the token lacks it.
func (t *template) mechanisms() []uint {
	switch {
	case secretKinds[t.spec] != nil:
		return []uint{secretKinds[t.spec].mech}
	case t.use == UseAgree:
		return []uint{pkcs11.CKM_ECDH1_DERIVE}
	case t.use == useUnwrap && t.raw:
		return []uint{pkcs11.CKM_RSA_PKCS_OAEP, ckmRSAAESKeyWrap, pkcs11.CKM_RSA_X_509}
	case t.use == useUnwrap:
		return []uint{pkcs11.CKM_RSA_PKCS_OAEP, ckmRSAAESKeyWrap}
	case rsaBits[t.spec] != 0 && t.use == UseDecrypt:
		return []uint{pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.CKM_RSA_X_509}
	case rsaBits[t.spec] != 0:
		return []uint{pkcs11.CKM_RSA_PKCS, pkcs11.CKM_RSA_PKCS_PSS}
	case parameterSets[t.spec] != nil:
		return []uint{parameterSets[t.spec].mechanism}
	case t.spec == Edwards25519:
		return []uint{ckmEdDSA}
	}
	return []uint{pkcs11.CKM_ECDSA}
}

// generator is the mechanism that makes the key.
func (t *template) generator() uint {
	switch {
	case secretKinds[t.spec] != nil:
		return secretKinds[t.spec].generator
	case rsaBits[t.spec] != 0:
		return pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN
	case parameterSets[t.spec] != nil:
		return parameterSets[t.spec].generator
	case t.spec == Edwards25519:
		return ckmECEdwardsKeyPairGen
	}
	return pkcs11.CKM_EC_KEY_PAIR_GEN
}

// ulongs is an array of CK_ULONG as a module of this machine reads it.
func ulongs(list []uint) []byte {
	var b []byte
	for _, n := range list {
		b = binary.NativeEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// attributeSet is the same for crypto11.
func attributeSet(list []*pkcs11.Attribute) crypto11.AttributeSet {
	set := crypto11.NewAttributeSet()
	for _, a := range list {
		set[a.Type] = a
	}
	return set
}
