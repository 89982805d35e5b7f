package vectors

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/cloudflare/circl/kem"
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// These tests walk the enumerations of AWS KMS. What the gateway takes has to be
// checked by somebody else's arithmetic, in both directions; what it takes nowhere
// stands in nowhere with the reason. So a new algorithm, message type or key spec
// fails here until it has a check.

// nowhere are the values that no key takes.
var nowhere = map[string]string{
	"SM2": "China Regions only", "SM2DSA": "China Regions only", "SM2PKE": "China Regions only",
}

// kinds are the message types that an algorithm takes. ML-DSA's EXTERNAL_MU is
// refused with a reason, since PKCS#11 has no mechanism for it.
func kinds(a string) []string {
	switch a {
	case "ED25519_SHA_512", "ML_DSA_SHAKE_256":
		return []string{"RAW"}
	case "ED25519_PH_SHA_512":
		return []string{"DIGEST"}
	}
	return []string{"RAW", "DIGEST"}
}

// lattice are the specs that SoftHSM does not make.
func lattice(spec string) bool { return strings.HasPrefix(spec, "ML_") }

func usageOf(t *testing.T, b *bench, usage string) (specs []string) {
	t.Helper()
	for _, spec := range api.Values("KeySpec") {
		r := b.ask(t, "rest", "CreateKey", "", api.CreateKeyRequest{KeySpec: api.KeySpec(spec), KeyUsage: api.KeyUsage(usage), Origin: api.OriginExternal})
		switch {
		case r.status == 200:
			specs = append(specs, spec)
		case r.code() == api.UnsupportedOperation && (nowhere[spec] != "" || lattice(spec)):
		case r.code() != api.Validation:
			t.Errorf("a key of %s for %s: %d %s", spec, usage, r.status, r.body)
		}
	}
	return specs
}

// TestEverySignature: each signing algorithm by each message type and key spec.
func TestEverySignature(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	message := []byte("who signs this, and who verifies it?")
	taken := map[string]bool{}
	for _, spec := range usageOf(t, b, "SIGN_VERIFY") {
		p := newPair(t, hsmtest.MaterialOf(t, hsm.KeySpec(spec), hsm.UseSign))
		key := b.imported(t, api.KeySpec(spec), api.SignVerify, p.Value)
		for _, a := range api.Values("SigningAlgorithmSpec") {
			for _, kind := range api.Values("MessageType") {
				if b.signature(t, p, key, a, kind, message) {
					taken[a+" "+kind] = true
				}
			}
		}
	}
	for _, spec := range []string{"ML_DSA_44", "ML_DSA_65", "ML_DSA_87"} {
		b.mldsa(t, api.KeySpec(spec), message)
		taken["ML_DSA_SHAKE_256 RAW"] = true
	}
	for _, a := range api.Values("SigningAlgorithmSpec") {
		for _, kind := range api.Values("MessageType") {
			if want := nowhere[a] == "" && slices.Contains(kinds(a), kind); want != taken[a+" "+kind] {
				t.Errorf("%s by %s: taken and checked is %v, want %v", a, kind, taken[a+" "+kind], want)
			}
		}
	}
}

// signature has OpenSSL verify what the gateway signs, and the gateway what OpenSSL
// signs. False: the key does not take the algorithm with the message type.
func (b *bench) signature(t *testing.T, p pair, key, algorithm, kind string, message []byte) bool {
	t.Helper()
	a, what := api.SigningAlgorithm(algorithm), string(p.Spec)+" "+algorithm+" "+kind
	in := message
	if kind == "DIGEST" && nowhere[algorithm] == "" && a != api.MLDSASHAKE256 {
		in = digestOf(algorithm, message)
	}
	if kind == "EXTERNAL_MU" {
		in = make([]byte, 64)
	}
	r := b.ask(t, "rest", "Sign", key, api.SignRequest{Message: in, MessageType: api.MessageType(kind), SigningAlgorithm: a})
	switch {
	case a == api.Ed25519PHSHA512 && r.code() == api.UnsupportedOperation: // SoftHSM has no Ed25519ph; Verify needs no token
		b.ed25519ph(t, p, key, in)
		return true
	case r.code() == api.InvalidKeyUsage, r.code() == api.Validation:
		return false
	case r.status != 200 || kind == "EXTERNAL_MU":
		t.Errorf("%s: %d %s", what, r.status, r.body)
		return false
	}
	var made api.SignResponse
	must(t, json.Unmarshal(r.body, &made))
	signature := made.Signature
	if !p.verify(t, algorithm, message, signature) {
		t.Errorf("%s: OpenSSL does not verify it", what)
	}
	theirs, other := p.sign(t, algorithm, message), bytes.Clone(in)
	other[0] ^= 1
	if !b.verifies(t, key, a, api.MessageType(kind), in, theirs) {
		t.Errorf("%s: OpenSSL's signature does not verify", what)
	}
	if b.verifies(t, key, a, api.MessageType(kind), other, theirs) {
		t.Errorf("%s: OpenSSL's signature verifies over another message", what)
	}
	return true
}

// ed25519ph: OpenSSL 3.0 has none, so Go signs.
func (b *bench) ed25519ph(t *testing.T, p pair, key string, digest []byte) {
	t.Helper()
	k, err := x509.ParsePKCS8PrivateKey(p.Value)
	must(t, err)
	hash := sha512.Sum512(digest)
	signature, err := k.(ed25519.PrivateKey).Sign(nil, hash[:], crypto.SHA512)
	must(t, err)
	if !b.verifies(t, key, api.Ed25519PHSHA512, api.Digest, digest, signature) {
		t.Error("Go's signature of Ed25519ph does not verify")
	}
}

// mldsa: another implementation signs, for a key of a public half alone. That the
// token of a newer NSS signs, and that Verify agrees, is shown in package gateway.
func (b *bench) mldsa(t *testing.T, spec api.KeySpec, message []byte) {
	t.Helper()
	scheme := map[api.KeySpec]sign.Scheme{api.MLDSA44: mldsa44.Scheme(), api.MLDSA65: mldsa65.Scheme(), api.MLDSA87: mldsa87.Scheme()}[spec]
	parameters := map[api.KeySpec]mldsa.Parameters{api.MLDSA44: mldsa.MLDSA44(), api.MLDSA65: mldsa.MLDSA65(), api.MLDSA87: mldsa.MLDSA87()}[spec]
	public, private, err := scheme.GenerateKey()
	must(t, err)
	encoded, err := public.MarshalBinary()
	must(t, err)
	pub, err := mldsa.NewPublicKey(parameters, encoded)
	must(t, err)
	spki, err := mldsax509.MarshalPKIXPublicKey(pub)
	must(t, err)
	key := b.adopted(t, spec, api.SignVerify, spki)
	signature := scheme.Sign(private, message, nil)
	if !b.verifies(t, key, api.MLDSASHAKE256, api.Raw, message, signature) {
		t.Errorf("%s: the signature does not verify", spec)
	}
	if b.verifies(t, key, api.MLDSASHAKE256, api.Raw, []byte("another"), signature) {
		t.Errorf("%s: the signature verifies over another message", spec)
	}
	in := api.VerifyRequest{Message: message, Signature: signature, SigningAlgorithm: api.MLDSASHAKE256}
	for _, i := range []int{0, len(signature) / 2, len(signature) - 1} {
		in.Signature = bytes.Clone(signature)
		in.Signature[i] ^= 1
		b.refused(t, "changed", "Verify", key, in, api.KMSInvalidSignature)
	}
	in.Signature = signature[:len(signature)-1]
	b.refused(t, "cut", "Verify", key, in, api.KMSInvalidSignature)
	in.Signature = append(bytes.Clone(signature), 0)
	b.refused(t, "long", "Verify", key, in, api.KMSInvalidSignature)
	// Nothing here verifies a mu, so a signature over one is not called bad.
	in.Message, in.MessageType, in.Signature = make([]byte, 64), api.ExternalMu, signature
	b.refused(t, "EXTERNAL_MU", "Verify", key, in, api.UnsupportedOperation)
	in.DryRun = true
	b.refused(t, "EXTERNAL_MU, dry run", "Verify", key, in, api.UnsupportedOperation)
	in.Message, in.MessageType = make([]byte, 64), api.Digest
	b.refused(t, "DIGEST", "Verify", key, in, api.Validation)
}

// TestEveryEncryption: each encryption algorithm with each key spec.
func TestEveryEncryption(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	plaintext, taken := []byte("who encrypts this, and who decrypts it?"), map[string]bool{}
	for _, spec := range usageOf(t, b, "ENCRYPT_DECRYPT") {
		use := hsm.UseDecrypt
		if spec == "SYMMETRIC_DEFAULT" {
			use = hsm.UseCipher
		}
		p := newPair(t, hsmtest.MaterialOf(t, hsm.KeySpec(spec), use))
		key := b.imported(t, api.KeySpec(spec), api.EncryptDecrypt, p.Value)
		for _, a := range api.Values("EncryptionAlgorithmSpec") {
			r := b.ask(t, "rest", "Encrypt", key, api.EncryptRequest{Plaintext: plaintext, EncryptionAlgorithm: api.EncryptionAlgorithm(a)})
			if r.code() == api.InvalidKeyUsage {
				continue
			}
			taken[a] = true
			var made api.EncryptResponse
			must(t, json.Unmarshal(r.body, &made))
			decrypt, encrypt := p.decrypt, p.encrypt
			if use == hsm.UseCipher {
				f := foreign{p.Value, key, 1}
				decrypt = func(_ testing.TB, _ string, ciphertext []byte) []byte { return f.open(t, ciphertext, nil) }
				encrypt = func(_ testing.TB, _ string, plaintext []byte) []byte { return f.seal(t, 12, plaintext, nil) }
			}
			if got := decrypt(t, a, made.CiphertextBlob); !bytes.Equal(got, plaintext) {
				t.Errorf("%s %s: decrypted elsewhere, it is %q", spec, a, got)
			}
			var opened api.DecryptResponse
			b.do(t, "Decrypt", key, api.DecryptRequest{CiphertextBlob: encrypt(t, a, plaintext), EncryptionAlgorithm: api.EncryptionAlgorithm(a)}, &opened)
			if !bytes.Equal(opened.Plaintext, plaintext) {
				t.Errorf("%s %s: what was encrypted elsewhere decrypts to %q", spec, a, opened.Plaintext)
			}
		}
	}
	whole(t, "EncryptionAlgorithmSpec", taken)
}

// TestEveryMAC: each MAC algorithm with each key spec.
func TestEveryMAC(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	message, taken := []byte("who is sure of this?"), map[string]bool{}
	for _, spec := range usageOf(t, b, "GENERATE_VERIFY_MAC") {
		m := hsmtest.MaterialOf(t, hsm.KeySpec(spec), hsm.UseMAC)
		key := b.imported(t, api.KeySpec(spec), api.GenerateVerifyMac, m.Value)
		for _, a := range api.Values("MacAlgorithmSpec") {
			r := b.ask(t, "rest", "GenerateMac", key, api.GenerateMacRequest{Message: message, MacAlgorithm: api.MacAlgorithm(a)})
			if r.code() == api.InvalidKeyUsage {
				continue
			}
			taken[a] = true
			want := hsmtest.OpenSSL(t, message, "dgst", "-sha"+a[len(a)-3:], "-binary", "-mac", "HMAC", "-macopt", "hexkey:"+hexOf(m.Value))
			var made api.GenerateMacResponse
			must(t, json.Unmarshal(r.body, &made))
			if !bytes.Equal(made.Mac, want) {
				t.Errorf("%s %s: %x, OpenSSL has %x", spec, a, made.Mac, want)
			}
			b.do(t, "VerifyMac", key, api.VerifyMacRequest{Message: message, Mac: want, MacAlgorithm: api.MacAlgorithm(a)}, nil)
		}
	}
	whole(t, "MacAlgorithmSpec", taken)
}

// TestEveryAgreement: each key agreement algorithm with each key spec.
func TestEveryAgreement(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	taken := map[string]bool{}
	for _, spec := range usageOf(t, b, "KEY_AGREEMENT") {
		own, peer := newPair(t, hsmtest.MaterialOf(t, hsm.KeySpec(spec), hsm.UseAgree)), newPair(t, hsmtest.MaterialOf(t, hsm.KeySpec(spec), hsm.UseAgree))
		key := b.imported(t, api.KeySpec(spec), api.KeyAgreement, own.Value)
		for _, a := range api.Values("KeyAgreementAlgorithmSpec") {
			taken[a] = true
			var out api.DeriveSharedSecretResponse
			b.do(t, "DeriveSharedSecret", key, api.DeriveSharedSecretRequest{KeyAgreementAlgorithm: api.KeyAgreementAlgorithm(a), PublicKey: peer.Public}, &out)
			if ours, theirs := own.derive(t, peer.Public), peer.derive(t, own.Public); !bytes.Equal(out.SharedSecret, ours) || !bytes.Equal(ours, theirs) {
				t.Errorf("%s %s: %x, OpenSSL has %x and %x", spec, a, out.SharedSecret, ours, theirs)
			}
		}
	}
	whole(t, "KeyAgreementAlgorithmSpec", taken)
}

// TestEveryEncapsulation: another implementation decapsulates what the gateway
// encapsulates. ML-KEM-512 has the one that the gateway has, too. That the token of
// a newer NSS decapsulates is shown in package gateway.
func TestEveryEncapsulation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	symmetric := b.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	schemes := map[api.KeySpec]kem.Scheme{api.MLKEM512: mlkem512.Scheme(), api.MLKEM768: mlkem768.Scheme(), api.MLKEM1024: mlkem1024.Scheme()}
	taken := map[string]bool{}
	for _, spec := range api.Values("KeySpec") {
		scheme := schemes[api.KeySpec(spec)]
		if scheme == nil {
			continue
		}
		var made api.GenerateDataKeyPairResponse
		b.do(t, "GenerateDataKeyPair", symmetric, api.GenerateDataKeyPairRequest{KeyPairSpec: api.KeySpec(spec)}, &made)
		seed := made.PrivateKeyPlaintext[len(made.PrivateKeyPlaintext)-64:] // RFC 9935: the last thing in it
		public, private := scheme.DeriveKeyPair(seed)
		encoded, err := public.MarshalBinary()
		must(t, err)
		if !bytes.HasSuffix(made.PublicKey, encoded) {
			t.Errorf("%s: the seed has another public key", spec)
		}
		key := b.adopted(t, api.KeySpec(spec), api.EncapsulateDecapsulate, made.PublicKey)
		for _, a := range api.Values("EncapsulationAlgorithmSpec") {
			taken[a] = true
			var out api.EncapsulateResponse
			b.do(t, "Encapsulate", key, api.EncapsulateRequest{EncapsulationAlgorithm: api.EncapsulationAlgorithm(a)}, &out)
			got, err := scheme.Decapsulate(private, out.SharedSecretCiphertextBlob)
			if err != nil || !bytes.Equal(got, out.SharedSecret) {
				t.Errorf("%s: %x, decapsulated %x (%v)", spec, out.SharedSecret, got, err)
			}
		}
	}
	whole(t, "EncapsulationAlgorithmSpec", taken)
}

// TestEveryDataKeyPair: OpenSSL reads each pair, and its halves go together.
func TestEveryDataKeyPair(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	symmetric, taken := b.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId, map[string]bool{}
	for _, spec := range api.Values("DataKeyPairSpec") {
		r := b.ask(t, "rest", "GenerateDataKeyPair", symmetric, api.GenerateDataKeyPairRequest{KeyPairSpec: api.KeySpec(spec)})
		if r.code() == api.UnsupportedOperation {
			continue
		}
		taken[spec] = true
		if lattice(spec) { // in TestEveryEncapsulation
			continue
		}
		var made api.GenerateDataKeyPairResponse
		must(t, json.Unmarshal(r.body, &made))
		if got := hsmtest.OpenSSL(t, made.PrivateKeyPlaintext, "pkey", "-inform", "DER", "-pubout", "-outform", "DER"); !bytes.Equal(got, made.PublicKey) {
			t.Errorf("%s: OpenSSL has the public key %x, not %x", spec, got, made.PublicKey)
		}
	}
	whole(t, "DataKeyPairSpec", taken)
}

// whole wants each value of an enumeration to be taken, or to be in nowhere.
func whole(t *testing.T, enumeration string, taken map[string]bool) {
	t.Helper()
	for _, value := range api.Values(enumeration) {
		if taken[value] == (nowhere[value] != "") {
			t.Errorf("%s: taken and checked is %v", value, taken[value])
		}
	}
	if len(api.Values(enumeration)) == 0 {
		t.Errorf("there is no enumeration %s", enumeration)
	}
}
