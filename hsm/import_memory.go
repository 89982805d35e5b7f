package hsm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"sync"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/miekg/pkcs11"
)

// outside has the token decrypt, and makes the key of what comes out. The material is in this process's memory until outside returns.
func (i *importer) outside() error {
	material, err := i.unwrapHere()
	if err != nil {
		return err
	}
	defer clear(material)
	if kind := secretKinds[i.m.spec]; kind != nil {
		if len(material) != kind.size {
			return i.invalid("the material has %d bytes; %s takes %d", len(material), i.spec, kind.size)
		}
		return i.put(pkcs11.NewAttribute(pkcs11.CKA_VALUE, material))
	}
	k, err := parsePrivate(material)
	if err != nil {
		return i.invalid("%s: %v", i.wanted(), err)
	}
	defer k.clear()
	if got := specOf(k.pub); got != i.m.spec {
		return i.invalid("the material is a key of type %q, not %s", got, i.m.spec)
	}
	return i.putPair(k)
}

func (i *importer) put(value *pkcs11.Attribute) error {
	h, err := i.place(func(v *template) (pkcs11.ObjectHandle, error) { return i.s.create(append(v.unwrapped(), value)) }, true)
	if err != nil {
		return err
	}
	return i.finish(h, nil, true)
}

func (i *importer) putPair(k *privateKey) error {
	h, err := i.place(func(v *template) (pkcs11.ObjectHandle, error) {
		list := append(v.unwrapped(), k.parts...)
		switch {
		case v.spec == Edwards25519:
			list = append(list, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, v.edParam))
		case ecParams[v.spec] != nil:
			list = append(list, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, ecParams[v.spec]))
		}
		return i.s.create(list)
	}, true)
	if err != nil {
		return err
	}
	return i.finish(h, k.pub, true)
}

// unwrapHere gives the material; everything that can be wrong with the wrapping is errMaterial.
func (i *importer) unwrapHere() ([]byte, error) {
	first := i.pub.Size()
	inner, err := i.t.openOAEP(i.s, i.key, i.hash, i.wrapped[:first])
	if err != nil || !wrapAES[i.how] {
		return inner, err
	}
	defer clear(inner)
	material, ok := kwpUnwrap(inner, i.wrapped[first:])
	if !ok {
		return nil, errMaterial()
	}
	return material, nil
}

// openOAEP decrypts by a session that is at hand: by the token's OAEP where it has it, else over CKM_RSA_X_509, as Decrypt does.
func (t *Token) openOAEP(s *session, key uint, h crypto.Hash, ct []byte) ([]byte, error) {
	n := hashMech[h]
	for _, mech := range []mechanism{{typ: pkcs11.CKM_RSA_PKCS_OAEP, param: paramOAEP, hash: n.ckm, mgf: n.mgf}, {typ: pkcs11.CKM_RSA_X_509}} {
		if mech.param == paramOAEP && t.oaep.of(h).Load() {
			continue
		}
		out := make([]byte, maxOutput)
		defer clear(out)
		rv, size, begun := s.decrypt(key, &mech, ct, out)
		switch c := classify(rv); {
		case c == classLost || c == classSession || c == classKeyGone:
			return nil, pkcs11.Error(rv)
		case rv == pkcs11.CKR_OK && mech.param == paramOAEP:
			return bytes.Clone(out[:min(size, len(out))]), nil
		case rv == pkcs11.CKR_OK && size <= len(ct):
			em := make([]byte, len(ct))
			defer clear(em)
			copy(em[len(em)-size:], out[:size]) // a module may drop leading zeros
			if msg, ok := unpadOAEP(h, em); ok {
				return msg, nil
			}
			return nil, errMaterial()
		case begun || rv == pkcs11.CKR_OK:
			return nil, errMaterial()
		case c != classUnsupported:
			return nil, pkcs11.Error(rv)
		}
	}
	return nil, &Error{Kind: ErrUnsupported, Op: "import", Detail: "the wrapping key may not decrypt, or the token has neither this OAEP nor CKM_RSA_X_509",
		Advice: "make a new wrapping key"}
}

// pointBytes is the encoding of an EC or Ed25519 public key in CKA_EC_POINT, without the OCTET STRING around it.
func pointBytes(pub crypto.PublicKey) []byte {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		b, err := k.Bytes()
		if err != nil {
			return nil
		}
		return b
	case *secp256k1.PublicKey:
		return k.SerializeUncompressed()
	case ed25519.PublicKey:
		return k
	}
	return nil
}

func exponent(k *rsa.PublicKey) []byte { return big.NewInt(int64(k.E)).Bytes() }

// sampleRSA is a key that is known to be good, made when it is first needed.
var sampleRSA = sync.OnceValues(func() ([]byte, error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(k)
})

// sample wraps good material of the spec, to find out whether the token can unwrap such.
func (i *importer) sample() ([]byte, error) {
	material, err := sampleOf(i.m.spec)
	if err != nil {
		return nil, err
	}
	if !wrapAES[i.how] {
		return rsa.EncryptOAEP(i.hash.New(), rand.Reader, i.pub, material, nil)
	}
	kek := make([]byte, 32)
	rand.Read(kek)
	first, err := rsa.EncryptOAEP(i.hash.New(), rand.Reader, i.pub, kek, nil)
	if err != nil {
		return nil, err
	}
	rest, err := kwpWrap(kek, material)
	return append(first, rest...), err
}

func sampleOf(spec KeySpec) ([]byte, error) {
	switch {
	case secretKinds[spec] != nil:
		b := make([]byte, secretKinds[spec].size)
		rand.Read(b)
		return b, nil
	case rsaBits[spec] != 0:
		return sampleRSA()
	case spec == Edwards25519:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(k)
	case spec == SECGP256K1:
		k, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			return nil, err
		}
		return marshalEC(ecParams[spec], k.Serialize())
	case curves[spec] != nil:
		k, err := ecdsa.GenerateKey(curves[spec], rand.Reader)
		if err != nil {
			return nil, err
		}
		d, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		return marshalEC(ecParams[spec], d)
	}
	return nil, errors.New("no sample")
}

// marshalEC is PKCS#8 in its shortest form, without the public key, so that a P-521 key fits into OAEP of 2048 bits.
func marshalEC(params, d []byte) ([]byte, error) {
	inner, err := asn1.Marshal(struct {
		Version int
		D       []byte
	}{1, d})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(privateKeyInfo{Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidECPublicKey, Parameters: asn1.RawValue{FullBytes: params}}, Key: inner})
}
