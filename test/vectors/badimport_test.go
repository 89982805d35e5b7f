package vectors

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// materials are private keys and other things, each good or bad for one spec at
// most.
func materials(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, spec := range []hsm.KeySpec{hsm.RSA2048, hsm.NISTP256, hsm.NISTP384, hsm.NISTP521, hsm.SECGP256K1, hsm.Edwards25519} {
		m := hsmtest.MaterialOf(t, spec, hsm.UseSign)
		all["a key of "+string(spec)] = m.Value
		all["a public key of "+string(spec)] = m.Public
		all["a cut key of "+string(spec)] = m.Value[:len(m.Value)-1]
		all["a longer key of "+string(spec)] = append(bytes.Clone(m.Value), 0)
		all["PEM of "+string(spec)] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: m.Value})
	}
	for _, size := range []int{1, 8, 16, 24, 27, 28, 31, 32, 33, 48, 63, 64, 65, 128} {
		all["zeros: "+big.NewInt(int64(size)).String()] = make([]byte, size)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	sec1, err := x509.MarshalECPrivateKey(ec)
	must(t, err)
	all["SEC 1"] = sec1
	all["encrypted"] = hsmtest.OpenSSL(t, all["a key of ECC_NIST_P256"], "pkcs8", "-topk8", "-inform", "DER", "-outform", "DER", "-passout", "pass:secret")
	all["parameters in full"] = hsmtest.OpenSSL(t, hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"),
		"pkcs8", "-topk8", "-nocrypt", "-outform", "DER")
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, err)
	all["X25519"], err = x509.MarshalPKCS8PrivateKey(x)
	must(t, err)
	all["Ed448"] = hsmtest.OpenSSL(t, hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "ED448"), "pkcs8", "-topk8", "-nocrypt", "-outform", "DER")
	numbers(t, all)
	rsaKeys(t, all)
	return all
}

// numbers adds keys on curves that are none.
func numbers(t *testing.T, all map[string][]byte) {
	t.Helper()
	for spec, order := range orders {
		n, _ := new(big.Int).SetString(order, 16)
		size := (n.BitLen() + 7) / 8
		all["zero on "+string(spec)] = ecPKCS8(t, spec, make([]byte, size))
		all["the order on "+string(spec)] = ecPKCS8(t, spec, n.Bytes())
		all["beyond the order on "+string(spec)] = ecPKCS8(t, spec, new(big.Int).Add(n, big.NewInt(1)).Bytes())
		all["nothing on "+string(spec)] = ecPKCS8(t, spec, nil)
		all["too long on "+string(spec)] = ecPKCS8(t, spec, append([]byte{1}, make([]byte, size)...))
		all["another's public key on "+string(spec)] = pkcs8(t, algorithmOf(t, spec), der(t, struct {
			Version int
			D       []byte
			Public  asn1.BitString `asn1:"explicit,tag:1"`
		}{1, []byte{5}, asn1.BitString{Bytes: append([]byte{4}, make([]byte, 2*size)...), BitLength: 8 * (1 + 2*size)}}))
	}
	ed := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 112}}
	for _, size := range []int{0, 31, 33, 64} {
		all["Ed25519 of "+big.NewInt(int64(size)).String()] = pkcs8(t, ed, der(t, make([]byte, size)))
	}
	all["Ed25519 bare"] = pkcs8(t, ed, ed25519.NewKeyFromSeed(make([]byte, 32)).Seed())
}

// rsaKeys adds RSA keys whose numbers do not go together.
func rsaKeys(t *testing.T, all map[string][]byte) {
	t.Helper()
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	good.Precompute()
	all["PKCS #1"] = x509.MarshalPKCS1PrivateKey(good)
	all["RSA of 1024 bits"] = hsmtest.OpenSSL(t, hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), "pkcs8", "-topk8", "-nocrypt", "-outform", "DER")
	all["RSA of three primes"] = hsmtest.OpenSSL(t, hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_primes:3"),
		"pkcs8", "-topk8", "-nocrypt", "-outform", "DER")
	all["RSA-PSS"] = hsmtest.OpenSSL(t, hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"), "pkcs8", "-topk8", "-nocrypt", "-outform", "DER")
	type key struct {
		Version                     int
		N, E, D, P, Q, DP, DQ, QInv *big.Int
	}
	c, e := good.Precomputed, big.NewInt(65537)
	spoil := func(what string, change func(*key)) {
		k := key{0, good.N, e, good.D, good.Primes[0], good.Primes[1], c.Dp, c.Dq, c.Qinv}
		change(&k)
		all["RSA: "+what] = pkcs8(t, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, der(t, k))
	}
	one := big.NewInt(1)
	spoil("another modulus", func(k *key) { k.N = new(big.Int).Add(k.N, big.NewInt(2)) })
	spoil("modulus negative", func(k *key) { k.N = new(big.Int).Neg(k.N) })
	spoil("modulus zero", func(k *key) { k.N = new(big.Int) })
	spoil("exponent one", func(k *key) { k.E = one })
	spoil("exponent even", func(k *key) { k.E = big.NewInt(65536) })
	spoil("public exponent", func(k *key) { k.E = big.NewInt(17) })
	spoil("exponent huge", func(k *key) { k.E = new(big.Int).Lsh(one, 100) })
	spoil("a prime of one", func(k *key) { k.P, k.Q = one, k.N })
	spoil("primes of another", func(k *key) { k.P = new(big.Int).Add(k.P, big.NewInt(2)) })
	spoil("private exponent zero", func(k *key) { k.D = new(big.Int) })
	spoil("first exponent of another", func(k *key) { k.DP = one })
	spoil("second exponent of another", func(k *key) { k.DQ = one })
	spoil("coefficient of another", func(k *key) { k.QInv = one })
	spoil("private exponent of another", func(k *key) { k.D = new(big.Int).Add(k.D, big.NewInt(2)) })
	spoil("primes swapped", func(k *key) { k.P, k.Q = k.Q, k.P })
	spoil("version 1", func(k *key) { k.Version = 1 })
	spoil("version 2", func(k *key) { k.Version = 2 })
}

// fits are the materials that a spec takes.
func fits(spec api.KeySpec, what string) bool {
	size := map[api.KeySpec]string{api.Symmetric: "32", api.HMAC224: "28", api.HMAC256: "32", api.HMAC384: "48", api.HMAC512: "64"}[spec]
	return what == "a key of "+string(spec) || size != "" && what == "zeros: "+size
}

// TestBadMaterial: what is well wrapped and not the material of the key's spec is
// refused as such, leaves nothing behind, and the right one goes in afterwards.
func TestBadMaterial(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	all := materials(t)
	for spec, usage := range map[api.KeySpec]api.KeyUsage{
		api.Symmetric: api.EncryptDecrypt, api.HMAC512: api.GenerateVerifyMac, api.RSA2048: api.SignVerify, api.P256: api.KeyAgreement,
		api.P521: api.SignVerify, api.P256K1: api.SignVerify, api.Ed25519: api.SignVerify,
	} {
		key := b.external(t, spec, usage)
		here, inside := b.wrappingBy(t, key, api.WrapRSAAESSHA256), b.wrapping(t, key)
		objects, good, n := b.objects(t), "", 0
		for what, material := range all {
			if fits(spec, what) {
				good = what
			} else if near(spec, what) {
				n++
				b.wrongMaterial(t, faces[n%2], key, string(spec)+" of "+what, here.request(t, material))
				if looked(what) {
					b.wrongMaterial(t, faces[n%2], key, string(spec)+" in the token of "+what, inside.request(t, material))
				}
			}
		}
		if now := b.objects(t); now != objects {
			t.Errorf("%s: %d objects are left, there were %d", spec, now, objects)
		}
		b.do(t, "ImportKeyMaterial", key, here.request(t, all[good]), nil)
	}
}

func (b *bench) wrongMaterial(t *testing.T, face, key, what string, in api.ImportKeyMaterialRequest) {
	t.Helper()
	b.records(t)
	r := b.ask(t, face, "ImportKeyMaterial", key, in)
	got := b.records(t)
	if r.code() != api.IncorrectKeyMaterial || len(got) != 1 || got[0].ErrorCode != string(api.IncorrectKeyMaterial) {
		t.Fatalf("%s on %s: %d %s, records %+v", what, face, r.status, r.body, got)
	}
}

// looked is what even a token finds out that unwraps by itself and so reads by
// itself, or the first use does. SoftHSM passes over the rest: it signs rightly with
// wrong primes, since it falls back on the private exponent, and reduces a number
// that is beyond the order.
func looked(what string) bool {
	for _, w := range []string{"modulus", "public exponent", "exponent one", "exponent even", "exponent huge", "zero on", "the order on", "nothing on", "another's public key on"} {
		if strings.Contains(what, w) && !strings.Contains(what, "beyond") {
			return true
		}
	}
	return false
}

// near keeps the number of imports small: all materials for P-256 and RSA, of the
// others those that look most like theirs.
func near(spec api.KeySpec, what string) bool {
	switch spec {
	case api.P256:
		return !strings.HasPrefix(what, "RSA: ") && (strings.HasPrefix(what, "a key") || !strings.Contains(what, " of ") || strings.HasSuffix(what, string(spec)))
	case api.RSA2048:
		return strings.Contains(what, "RSA") || strings.Contains(what, "PKCS")
	case api.Symmetric, api.HMAC512:
		return strings.HasPrefix(what, "zeros")
	case api.Ed25519:
		return strings.Contains(what, "Ed") || what == "X25519" || what == "zeros: 32"
	}
	return strings.HasSuffix(what, string(spec))
}

func (b *bench) objects(t *testing.T) int {
	t.Helper()
	all, err := b.Token.Objects(t.Context())
	must(t, err)
	return len(all)
}

// TestBadWrapping: what does not unwrap has one answer.
func TestBadWrapping(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.external(t, api.P256, api.SignVerify)
	w := b.wrapping(t, key)
	m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
	good := w.request(t, m.Value)
	refused := func(what string, wrapped []byte, want api.Code) {
		t.Helper()
		in := good
		in.EncryptedKeyMaterial = wrapped
		b.refused(t, what, "ImportKeyMaterial", key, in, want)
	}
	c := good.EncryptedKeyMaterial
	for i := 0; i < len(c); i += 7 { // the wrapped key of AES, then what it wraps
		changed := bytes.Clone(c)
		changed[i] ^= 1 << (i % 8)
		refused("changed", changed, api.InvalidCiphertext)
	}
	for _, size := range []int{1, 8, 255, 256, 264, 271, 272, len(c) - 8, len(c) - 1} {
		refused("cut", c[:size], api.InvalidCiphertext)
	}
	swapped := bytes.Clone(c)
	copy(swapped[256:264], c[264:272])
	copy(swapped[264:272], c[256:264])
	for what, wrapped := range map[string][]byte{
		"longer": append(bytes.Clone(c), 0), "a block longer": append(bytes.Clone(c), make([]byte, 8)...), "a zero before": append([]byte{0}, c...), "twice": append(bytes.Clone(c), c...),
		"blocks swapped": swapped, "zeros": make([]byte, len(c)), "ones": bytes.Repeat([]byte{0xff}, len(c)), "the longest": make([]byte, 6144), "not wrapped": m.Value,
		"OAEP alone": hsmtest.Wrap(t, w.pem, hsm.WrapOAEPSHA1, make([]byte, 32)), "by SHA-256": hsmtest.Wrap(t, w.pem, hsm.WrapAESSHA256, m.Value),
	} {
		refused(what, wrapped, api.InvalidCiphertext)
	}
	refused("empty", []byte{}, api.Validation)
	refused("too long", make([]byte, 6145), api.Validation)
	b.do(t, "ImportKeyMaterial", key, good, nil)
	b.signs(t, key, api.ECDSASHA256, api.Raw, []byte("m"))
}
