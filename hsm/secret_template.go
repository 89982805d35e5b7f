package hsm

import (
	"crypto"
	"fmt"

	"github.com/miekg/pkcs11"
)

// secretKind says what the secret keys of a spec are made of.
type secretKind struct {
	use       Use
	size      int    // in bytes
	mech      uint   // the one mechanism that the key may be used with
	generator uint   // the mechanism that makes it
	types     []uint // its CKA_KEY_TYPE: the first that the module takes
	hash      crypto.Hash
}

// secretKinds has the specs that are secret keys and not key pairs. Most modules want CKK_GENERIC_SECRET for HMAC (PKCS#11 v2.40, 2.13), YubiHSM and
// nShield the type of the hash.
var secretKinds = map[KeySpec]*secretKind{
	Symmetric: {UseCipher, 32, pkcs11.CKM_AES_GCM, pkcs11.CKM_AES_KEY_GEN, []uint{pkcs11.CKK_AES}, 0},
	HMAC224:   hmacKind(pkcs11.CKM_SHA224_HMAC, pkcs11.CKK_SHA224_HMAC, crypto.SHA224),
	HMAC256:   hmacKind(pkcs11.CKM_SHA256_HMAC, pkcs11.CKK_SHA256_HMAC, crypto.SHA256),
	HMAC384:   hmacKind(pkcs11.CKM_SHA384_HMAC, pkcs11.CKK_SHA384_HMAC, crypto.SHA384),
	HMAC512:   hmacKind(pkcs11.CKM_SHA512_HMAC, pkcs11.CKK_SHA512_HMAC, crypto.SHA512),
}

func hmacKind(mech, typ uint, h crypto.Hash) *secretKind {
	return &secretKind{UseMAC, h.Size(), mech, pkcs11.CKM_GENERIC_SECRET_KEY_GEN, []uint{pkcs11.CKK_GENERIC_SECRET, typ}, h}
}

// secretUsage lists the usage flags of a secret key.
func secretUsage(use Use) []wanted {
	flag := func(name string, typ uint, want bool) wanted { return wanted{name, typ, want, want} }
	return []wanted{
		flag("CKA_ENCRYPT", pkcs11.CKA_ENCRYPT, use == UseCipher),
		flag("CKA_DECRYPT", pkcs11.CKA_DECRYPT, use == UseCipher),
		flag("CKA_SIGN", pkcs11.CKA_SIGN, use == UseMAC),
		flag("CKA_VERIFY", pkcs11.CKA_VERIFY, use == UseMAC),
		flag("CKA_WRAP", pkcs11.CKA_WRAP, false),
		flag("CKA_UNWRAP", pkcs11.CKA_UNWRAP, false),
		flag("CKA_DERIVE", pkcs11.CKA_DERIVE, false),
	}
}

// secret is the template of a secret key; like private, it says each flag.
func (t *template) secret() []*pkcs11.Attribute {
	a := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, t.keyType),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, secretKinds[t.spec].size),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, t.token),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
	}
	for _, w := range secretUsage(t.use) {
		a = append(a, pkcs11.NewAttribute(w.typ, w.want))
	}
	return t.without(append(a,
		pkcs11.NewAttribute(pkcs11.CKA_ID, t.id),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.label),
		pkcs11.NewAttribute(pkcs11.CKA_ALLOWED_MECHANISMS, ulongs(t.mechanisms())),
	))
}

// secretType names the CKA_KEY_TYPE of a key, and its spec where it is one of ours.
func secretType(typ, size uint) (name string, spec KeySpec) {
	switch typ {
	case pkcs11.CKK_AES:
		name = "AES"
	case pkcs11.CKK_GENERIC_SECRET:
		name = "GENERIC_SECRET"
	default:
		name = fmt.Sprintf("CKK 0x%X", typ)
	}
	for s, kind := range secretKinds {
		last := kind.types[len(kind.types)-1]
		if typ == last && kind.hash != 0 {
			name = fmt.Sprintf("SHA%d_HMAC", 8*kind.size)
		}
		if (typ == last || typ == kind.types[0]) && int(size) == kind.size {
			spec = s
		}
	}
	return name, spec
}
