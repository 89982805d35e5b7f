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
	"math/big"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

var agreementCurves = map[api.KeySpec]elliptic.Curve{api.P256: elliptic.P256(), api.P384: elliptic.P384(), api.P521: elliptic.P521()}

// badPoints are encodings that are no point of the curve, or not the one form that
// is taken (SEC 1, 2.3.3: uncompressed).
func badPoints(t *testing.T, curve elliptic.Curve, point []byte) map[string][]byte {
	t.Helper()
	size := (len(point) - 1) / 2
	p := curve.Params().P
	x, y := new(big.Int).SetBytes(point[1:1+size]), new(big.Int).SetBytes(point[1+size:])
	both := func(x, y *big.Int) []byte {
		return append(append([]byte{4}, x.FillBytes(make([]byte, size))...), y.FillBytes(make([]byte, size))...)
	}
	zero, one, parity := big.NewInt(0), big.NewInt(1), point[len(point)-1]&1
	most := new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*size)), one)
	return map[string][]byte{
		"nothing": {}, "infinity": {0}, "infinity, long": make([]byte, len(point)), "zero and zero": both(zero, zero), "zero and one": both(zero, one),
		"x zero": both(zero, y), "y zero": both(x, zero), "y changed": both(x, new(big.Int).Xor(y, one)), "x changed": both(new(big.Int).Xor(x, one), y), "swapped": both(y, x),
		"x the field": both(p, y), "y the field": both(x, p), "x of ones": both(most, y), "y of ones": both(x, most), "x minus one": both(new(big.Int).Sub(p, one), y),
		"another curve's b": otherB(both), "compressed": append([]byte{2 | parity}, point[1:1+size]...), "hybrid": append([]byte{6 | parity}, point[1:]...),
		"hybrid, wrong parity": append([]byte{7 ^ parity}, point[1:]...), "form 5": append([]byte{5}, point[1:]...), "form 1": append([]byte{1}, point[1:]...), "no form": point[1:],
		"longer": append(bytes.Clone(point), 0), "cut": point[:len(point)-1], "half": point[:1+size], "in an OCTET STRING": tlv(4, point),
		"coordinates padded": append(append([]byte{4, 0}, point[1:1+size]...), append([]byte{0}, point[1+size:]...)...),
	}
}

// otherB is a point of the curve y² = x³ - 3x + b' for another b', which breaks an
// implementation that does not look (Biehl, Meyer, Müller 2000).
func otherB(both func(x, y *big.Int) []byte) []byte { return both(big.NewInt(2), big.NewInt(3)) }

// TestBadPeers: each is refused as malformed, on each curve and both faces, and the
// key agrees afterwards.
func TestBadPeers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	points := map[api.KeySpec][]byte{}
	for spec, curve := range agreementCurves {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		must(t, err)
		points[spec], err = k.PublicKey.Bytes()
		must(t, err)
	}
	for spec, curve := range agreementCurves {
		key := b.CreateKey(spec, api.KeyAgreement).KeyId
		named := func(params []byte, point []byte) []byte {
			return spkiOf(t, pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: params}}, point)
		}
		good, point := spkiOf(t, algorithmOf(t, spec), points[spec]), points[spec]
		peers := map[string][]byte{"the longest": make([]byte, 8192), "NULL": {5, 0}, "PEM": []byte("-----BEGIN PUBLIC KEY-----\n" + base64Of(good) + "\n-----END PUBLIC KEY-----\n"),
			"the point alone": point, "something after it": append(bytes.Clone(good), 0), "twice": append(bytes.Clone(good), good...), "in a SEQUENCE": tlv(0x30, good), "something inside": append([]byte{0x30, good[1] + 2}, append(bytes.Clone(good[2:]), 5, 0)...),
			"NULL for a curve": named([]byte{5, 0}, point), "no curve": named(nil, point), "two curves": named(append(der(t, curveOIDs[spec]), der(t, curveOIDs[spec])...), point),
			"an unknown curve": named(der(t, asn1.ObjectIdentifier{1, 2, 3}), point), "a curve by its text": named(tlv(0x13, []byte("prime256v1")), point),
			"parameters in full": explicit(t, spec), "a private key": ecPKCS8(t, spec, []byte{1}), "BER: long length": append([]byte{0x30, 0x82, 0, byte(len(good) - 2)}, good[2:]...),
			"BER: indefinite length": append(append([]byte{0x30, 0x80}, good[2:]...), 0, 0),
			"id-ecDH":                spkiOf(t, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 132, 1, 12}, Parameters: asn1.RawValue{FullBytes: der(t, curveOIDs[spec])}}, point),
			"RSA's OID":              spkiOf(t, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, point),
			"bits unused":            bytes.Replace(good, append([]byte{0, 4}, point[1:9]...), append([]byte{1, 4}, point[1:9]...), 1),
		}
		for what, p := range badPoints(t, curve, point) {
			peers["point: "+what] = spkiOf(t, algorithmOf(t, spec), p)
		}
		for other, p := range points {
			if other != spec {
				peers["of "+string(other)] = spkiOf(t, algorithmOf(t, other), p)
				peers["of "+string(other)+", named as ours"] = spkiOf(t, algorithmOf(t, spec), p)
				peers["named "+string(other)] = spkiOf(t, algorithmOf(t, other), point)
			}
		}
		peers["named secp256k1"] = spkiOf(t, algorithmOf(t, api.P256K1), point)
		otherKinds(t, b, peers)
		for i := 1; i < len(good); i++ {
			peers["cut at "+big.NewInt(int64(i)).String()] = good[:i]
		}
		for what, peer := range peers {
			in := api.DeriveSharedSecretRequest{KeyAgreementAlgorithm: api.ECDH, PublicKey: peer}
			b.refused(t, string(spec)+": "+what, "DeriveSharedSecret", key, in, api.Validation)
		}
		for _, size := range []int{0, 8193} {
			in := api.DeriveSharedSecretRequest{KeyAgreementAlgorithm: api.ECDH, PublicKey: make([]byte, size)}
			b.refused(t, "a wrong size", "DeriveSharedSecret", key, in, api.Validation)
		}
		if got := b.derives(t, key, good); len(got) != (len(point)-1)/2 {
			t.Errorf("%s: a secret of %d bytes afterwards", spec, len(got))
		}
	}
}

// otherKinds adds the public keys of other algorithms.
func otherKinds(t *testing.T, b *bench, peers map[string][]byte) {
	t.Helper()
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, err)
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	f, spki := newForger(t)
	peers["RSA"], peers["RSA, PKCS #1"] = spki, x509.MarshalPKCS1PublicKey(&f.PublicKey)
	for what, pub := range map[string]any{"X25519": x25519.PublicKey(), "Ed25519": ed} {
		peers[what], err = x509.MarshalPKIXPublicKey(pub)
		must(t, err)
	}
	var pair api.GenerateDataKeyPairResponse
	b.do(t, "GenerateDataKeyPair", b.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId, api.GenerateDataKeyPairRequest{KeyPairSpec: api.MLKEM768}, &pair)
	peers["ML-KEM"] = pair.PublicKey
	peers["secp256k1"] = hsmtest.MaterialOf(t, hsm.SECGP256K1, hsm.UseSign).Public
}

// explicit is a public key whose curve is written out, by OpenSSL (CVE-2020-0601
// was a verifier that believed such).
func explicit(t *testing.T, spec api.KeySpec) []byte {
	t.Helper()
	name := map[api.KeySpec]string{api.P256: "P-256", api.P384: "P-384", api.P521: "P-521"}[spec]
	pem := hsmtest.OpenSSL(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+name, "-pkeyopt", "ec_param_enc:explicit")
	return hsmtest.OpenSSL(t, pem, "pkey", "-pubout", "-outform", "DER")
}

// TestBadOAEP: one answer for everything that is no ciphertext of the key, by both
// algorithms and over both faces.
func TestBadOAEP(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	pub, err := x509.ParsePKIXPublicKey(b.publicKey(t, key))
	must(t, err)
	n := pub.(*rsa.PublicKey).Size()
	for _, a := range []api.EncryptionAlgorithm{api.OAEPSHA1, api.OAEPSHA256} {
		var good api.EncryptResponse
		b.do(t, "Encrypt", key, api.EncryptRequest{Plaintext: []byte("secret"), EncryptionAlgorithm: a}, &good)
		c := good.CiphertextBlob
		refused := func(what string, ciphertext []byte, want api.Code) {
			t.Helper()
			b.refused(t, string(a)+": "+what, "Decrypt", key, api.DecryptRequest{CiphertextBlob: ciphertext, EncryptionAlgorithm: a}, want)
		}
		for i := range n {
			changed := bytes.Clone(c)
			changed[i] ^= 1 << (i % 8)
			refused("changed", changed, api.InvalidCiphertext)
		}
		for _, size := range []int{1, 2, 127, 128, 254, 255} {
			refused("cut", c[:size], api.InvalidCiphertext)
			refused("cut before", c[n-size:], api.InvalidCiphertext)
		}
		for _, size := range []int{1, 2, 128, 256} {
			refused("zeros before", append(make([]byte, size), c...), api.InvalidCiphertext)
			refused("zeros after", append(bytes.Clone(c), make([]byte, size)...), api.InvalidCiphertext)
		}
		for what, ciphertext := range (forger{&rsa.PrivateKey{PublicKey: *pub.(*rsa.PublicKey)}}).numbers(c) {
			refused(what, ciphertext, api.InvalidCiphertext)
		}
		refused("twice", append(bytes.Clone(c), c...), api.InvalidCiphertext)
		refused("empty", []byte{}, api.Validation)
		refused("too long", make([]byte, 6145), api.Validation)
		var out api.DecryptResponse
		b.do(t, "Decrypt", key, api.DecryptRequest{CiphertextBlob: c, EncryptionAlgorithm: a}, &out)
		if string(out.Plaintext) != "secret" {
			t.Error("the good one is not decrypted any more")
		}
	}
}
