package vectors

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that algorithms name
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
)

// hexBytes are bytes that a file has in hexadecimal digits.
type hexBytes []byte

// UnmarshalJSON reads them.
func (h *hexBytes) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil {
		*h, err = hex.DecodeString(text)
	}
	return err
}

func (h hexBytes) number() *big.Int { return new(big.Int).SetBytes(h) }

// vector is one of a file. Each file has the members that it needs.
type vector struct {
	Spec      api.KeySpec
	Algorithm string
	Name      string
	Message   hexBytes

	Key, MAC               hexBytes // hmac
	Seed, Public           hexBytes // ed25519; Public also of ecdh
	Signature              hexBytes // ed25519 and RSA
	D, X, Y, R, S          hexBytes // ecdsa
	Peer, Secret           hexBytes // ecdh
	N, E, P, Q, Ciphertext hexBytes // RSA, with D
	Result                 string   // RSA: P where the signature is good
}

// vectorsOf reads a file of testdata.
func vectorsOf(t *testing.T, name string) []vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	var file struct {
		Source  string
		Vectors []vector
	}
	must(t, json.Unmarshal(data, &file))
	if file.Source == "" || len(file.Vectors) == 0 {
		t.Fatalf("%s names no source or has no vectors", name)
	}
	return file.Vectors
}

// curveOIDs name the curves (RFC 5480, 2.1.1.1, and SEC 2).
var curveOIDs = map[api.KeySpec]asn1.ObjectIdentifier{
	api.P256: {1, 2, 840, 10045, 3, 1, 7}, api.P384: {1, 3, 132, 0, 34}, api.P521: {1, 3, 132, 0, 35}, api.P256K1: {1, 3, 132, 0, 10},
}

var oidEC = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// algorithmOf is the AlgorithmIdentifier of a key on a curve.
func algorithmOf(t testing.TB, spec api.KeySpec) pkix.AlgorithmIdentifier {
	t.Helper()
	return pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: der(t, curveOIDs[spec])}}
}

func der(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	must(t, err)
	return b
}

// spkiOf is the SubjectPublicKeyInfo of a point.
func spkiOf(t testing.TB, algorithm pkix.AlgorithmIdentifier, point []byte) []byte {
	t.Helper()
	return der(t, struct {
		Algorithm pkix.AlgorithmIdentifier
		Point     asn1.BitString
	}{algorithm, asn1.BitString{Bytes: point, BitLength: 8 * len(point)}})
}

// pkcs8 is the PKCS#8 of a private key (RFC 5208, 5).
func pkcs8(t testing.TB, algorithm pkix.AlgorithmIdentifier, key []byte) []byte {
	t.Helper()
	return der(t, struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, algorithm, key})
}

// ecPKCS8 is that of a number on a curve (RFC 5915, 3).
func ecPKCS8(t testing.TB, spec api.KeySpec, d []byte) []byte {
	t.Helper()
	return pkcs8(t, algorithmOf(t, spec), der(t, struct {
		Version int
		D       []byte
	}{1, d}))
}

func (v vector) rsaPublic() *rsa.PublicKey {
	return &rsa.PublicKey{N: v.N.number(), E: int(v.E.number().Int64())}
}

func (v vector) rsaPKCS8(t *testing.T) []byte {
	t.Helper()
	k := &rsa.PrivateKey{PublicKey: *v.rsaPublic(), D: v.D.number(), Primes: []*big.Int{v.P.number(), v.Q.number()}}
	k.Precompute()
	out, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	return out
}

// digestOf is what an algorithm makes of a message by itself.
func digestOf(algorithm string, message []byte) []byte {
	h := map[string]crypto.Hash{"224": crypto.SHA224, "256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[len(algorithm)-3:]].New()
	h.Write(message)
	return h.Sum(nil)
}

// fitted is a key of HMAC in the length of its spec (RFC 2104, 2).
func fitted(v vector) []byte {
	size := map[api.KeySpec]int{api.HMAC224: 28, api.HMAC256: 32, api.HMAC384: 48, api.HMAC512: 64}[v.Spec]
	if len(v.Key) > size {
		return digestOf(v.Algorithm, v.Key)
	}
	return append(bytes.Clone(v.Key), make([]byte, size-len(v.Key))...)
}

// TestKnownMACs imports the keys of RFC 4231; the token's MACs are the RFC's.
func TestKnownMACs(t *testing.T) {
	t.Parallel()
	b, keys := newBench(t), map[string]string{}
	for _, v := range vectorsOf(t, "hmac.json") {
		id := string(v.Spec) + string(v.Key)
		if keys[id] == "" {
			keys[id] = b.imported(t, v.Spec, api.GenerateVerifyMac, fitted(v))
		}
		key := keys[id]
		var out api.GenerateMacResponse
		b.do(t, "GenerateMac", key, api.GenerateMacRequest{Message: v.Message, MacAlgorithm: api.MacAlgorithm(v.Algorithm)}, &out)
		if !bytes.Equal(out.Mac, v.MAC) {
			t.Errorf("%s of key %x: %x, the vector has %x", v.Algorithm, v.Key, out.Mac, v.MAC)
		}
		b.do(t, "VerifyMac", key, api.VerifyMacRequest{Message: v.Message, Mac: v.MAC, MacAlgorithm: api.MacAlgorithm(v.Algorithm)}, nil)
	}
}

// TestKnownEd25519 imports the seeds of RFC 8032; the token's signatures are the
// RFC's, since Ed25519 signs without chance.
func TestKnownEd25519(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, v := range vectorsOf(t, "ed25519.json") {
		material, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(v.Seed))
		must(t, err)
		key := b.imported(t, api.Ed25519, api.SignVerify, material)
		if got := b.publicKey(t, key); !bytes.HasSuffix(got, v.Public) {
			t.Errorf("%s: public key %x", v.Name, got)
		}
		if got := b.signs(t, key, api.Ed25519SHA512, api.Raw, v.Message); !bytes.Equal(got, v.Signature) {
			t.Errorf("%s: %x, the RFC has %x", v.Name, got, v.Signature)
		}
		if !b.verifies(t, key, api.Ed25519SHA512, api.Raw, v.Message, v.Signature) {
			t.Errorf("%s: the RFC's signature does not verify", v.Name)
		}
	}
}

// TestKnownEd25519ph verifies the vector of RFC 8032. The operation hashes what it
// is given once more, as AWS KMS does, so that the RFC's message is out of its
// reach: the token layer is given it, and the operation a signature by Go.
func TestKnownEd25519ph(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, v := range vectorsOf(t, "ed25519ph.json") {
		spki, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(v.Public))
		must(t, err)
		k, err := hsm.NewKey(hsm.NewID(), hsm.Edwards25519, spki)
		must(t, err)
		m := hsm.SignMechanism{Scheme: hsm.Ed25519ph, Hash: crypto.SHA512}
		hash := sha512.Sum512(v.Message)
		must(t, k.Verify(m, hash[:], v.Signature))
		if k.Verify(hsm.SignMechanism{Scheme: hsm.Ed25519}, v.Message, v.Signature) == nil {
			t.Error("a signature of Ed25519ph is taken for one of Ed25519")
		}

		key := b.adopted(t, api.Ed25519, api.SignVerify, spki)
		again := sha512.Sum512(hash[:])
		signature, err := ed25519.NewKeyFromSeed(v.Seed).Sign(nil, again[:], crypto.SHA512)
		must(t, err)
		if !b.verifies(t, key, api.Ed25519PHSHA512, api.Digest, hash[:], signature) {
			t.Error("Go's signature over the digest does not verify")
		}
		if b.verifies(t, key, api.Ed25519PHSHA512, api.Digest, hash[:], v.Signature) {
			t.Error("a signature over the message is taken for one over its digest")
		}
	}
}

// TestKnownECDSA imports the private keys of RFC 6979 and others: the public keys
// agree, their signatures verify, and the token's verify by Go. A token's own are
// made with chance, so they are not the vectors'.
func TestKnownECDSA(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, v := range vectorsOf(t, "ecdsa.json") {
		a := api.SigningAlgorithm(v.Algorithm)
		key := b.imported(t, v.Spec, api.SignVerify, ecPKCS8(t, v.Spec, v.D))
		point := append(append([]byte{4}, v.X...), v.Y...)
		spki := spkiOf(t, algorithmOf(t, v.Spec), point)
		if got := b.publicKey(t, key); !bytes.Equal(got, spki) {
			t.Errorf("%s: public key %x, the vector has %x", v.Spec, got, spki)
		}
		signature := der(t, struct{ R, S *big.Int }{v.R.number(), v.S.number()})
		digest := digestOf(v.Algorithm, v.Message)
		if !b.verifies(t, key, a, api.Raw, v.Message, signature) || !b.verifies(t, key, a, api.Digest, digest, signature) {
			t.Errorf("%s: the vector's signature does not verify", v.Spec)
		}
		if b.verifies(t, key, a, api.Raw, append(v.Message, 0), signature) {
			t.Errorf("%s: the vector's signature verifies over another message", v.Spec)
		}
		if curve := map[api.KeySpec]elliptic.Curve{api.P256: elliptic.P256(), api.P384: elliptic.P384(), api.P521: elliptic.P521()}[v.Spec]; curve != nil {
			pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
			must(t, err)
			if !ecdsa.VerifyASN1(pub, digest, b.signs(t, key, a, api.Raw, v.Message)) {
				t.Errorf("%s: Go does not verify the token's signature", v.Spec)
			}
		}
	}
}

// TestKnownSecrets imports the private keys of NIST's vectors for ECDH; the token
// comes to their secrets.
func TestKnownSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, v := range vectorsOf(t, "ecdh.json") {
		key := b.imported(t, v.Spec, api.KeyAgreement, ecPKCS8(t, v.Spec, v.D))
		if got, want := b.publicKey(t, key), spkiOf(t, algorithmOf(t, v.Spec), v.Public); !bytes.Equal(got, want) {
			t.Errorf("%s: public key %x, the vector has %x", v.Spec, got, want)
		}
		if got := b.derives(t, key, spkiOf(t, algorithmOf(t, v.Spec), v.Peer)); !bytes.Equal(got, v.Secret) {
			t.Errorf("%s: %x, the vector has %x", v.Spec, got, v.Secret)
		}
	}
}

// TestSecretsKeepLeadingZeros: a secret is as long as the field, whatever it
// begins with.
func TestSecretsKeepLeadingZeros(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := vectorsOf(t, "ecdh.json")[0]
	key := b.imported(t, v.Spec, api.KeyAgreement, ecPKCS8(t, v.Spec, v.D))
	own, err := ecdh.P256().NewPrivateKey(v.D)
	must(t, err)
	for n, found := int64(1), 0; found < 2; n++ { // one in 256
		d := big.NewInt(n).FillBytes(make([]byte, 32))
		peer, err := ecdh.P256().NewPrivateKey(d)
		must(t, err)
		want, err := own.ECDH(peer.PublicKey())
		must(t, err)
		if want[0] != 0 {
			continue
		}
		found++
		if got := b.derives(t, key, spkiOf(t, algorithmOf(t, v.Spec), peer.PublicKey().Bytes())); !bytes.Equal(got, want) {
			t.Errorf("peer %d: %x, Go has %x", n, got, want)
		}
	}
}

func (b *bench) derives(t *testing.T, key string, peer []byte) []byte {
	t.Helper()
	var out api.DeriveSharedSecretResponse
	b.do(t, "DeriveSharedSecret", key, api.DeriveSharedSecretRequest{KeyAgreementAlgorithm: api.ECDH, PublicKey: peer}, &out)
	return out.SharedSecret
}

// TestKnownPKCS1 imports the keys of NIST's vectors; the token's signatures are
// theirs, since PKCS #1 v1.5 signs without chance. Their bad ones are refused.
func TestKnownPKCS1(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, v := range vectorsOf(t, "pkcs1.json") {
		a := api.SigningAlgorithm(v.Algorithm)
		if v.Result != "P" {
			b.bad(t, v)
			continue
		}
		key := b.imported(t, v.Spec, api.SignVerify, v.rsaPKCS8(t))
		for kind, message := range map[api.MessageType][]byte{api.Raw: v.Message, api.Digest: digestOf(v.Algorithm, v.Message)} {
			if got := b.signs(t, key, a, kind, message); !bytes.Equal(got, v.Signature) {
				t.Errorf("%s %s %s: %x, the vector has %x", v.Spec, a, kind, got, v.Signature)
			}
			if !b.verifies(t, key, a, kind, message, v.Signature) {
				t.Errorf("%s %s %s: the vector's signature does not verify", v.Spec, a, kind)
			}
		}
	}
}

// bad is a signature that its vector calls bad.
func (b *bench) bad(t *testing.T, v vector) {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(v.rsaPublic())
	must(t, err)
	key := b.adopted(t, v.Spec, api.SignVerify, spki)
	in := api.VerifyRequest{Message: v.Message, Signature: v.Signature, SigningAlgorithm: api.SigningAlgorithm(v.Algorithm)}
	b.refused(t, v.Algorithm+" "+v.Result, "Verify", key, in, api.KMSInvalidSignature)
}

// TestKnownPSS: NIST's vectors have shorter salts than the hash, which is not
// what AWS KMS takes, so that even the good ones are bad here.
func TestKnownPSS(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, v := range vectorsOf(t, "pss.json") {
		if v.Result == "P" {
			h := crypto.SHA256
			if strings.HasSuffix(v.Algorithm, "384") {
				h = crypto.SHA384
			} else if strings.HasSuffix(v.Algorithm, "512") {
				h = crypto.SHA512
			}
			must(t, rsa.VerifyPSS(v.rsaPublic(), h, digestOf(v.Algorithm, v.Message), v.Signature, &rsa.PSSOptions{SaltLength: 10}))
		}
		b.bad(t, v)
	}
}

// TestKnownOAEP imports the keys and decrypts the vectors in the token.
func TestKnownOAEP(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	keys := map[string]string{}
	for _, v := range vectorsOf(t, "oaep.json") {
		id := string(v.N)
		if keys[id] == "" {
			keys[id] = b.imported(t, v.Spec, api.EncryptDecrypt, v.rsaPKCS8(t))
		}
		var out api.DecryptResponse
		b.do(t, "Decrypt", keys[id], api.DecryptRequest{CiphertextBlob: v.Ciphertext, EncryptionAlgorithm: api.EncryptionAlgorithm(v.Algorithm)}, &out)
		if !bytes.Equal(out.Plaintext, v.Message) {
			t.Errorf("%s: %x, the vector has %x", v.Algorithm, out.Plaintext, v.Message)
		}
	}
}
