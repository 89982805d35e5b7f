package gateway_test

import (
	"bytes"
	"crypto/mlkem"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/cloudflare/circl/kem/mlkem/mlkem512"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
)

// TestDataKeys: as long as asked for, each its own, and the ciphertext holds it.
func TestDataKeys(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	at, context := "/v1/keys/"+key.KeyId, map[string]string{"file": "1"}
	one, most := 1, 1024
	seen := map[string]bool{}
	for _, c := range []struct {
		in   api.GenerateDataKeyRequest
		size int
	}{
		{api.GenerateDataKeyRequest{KeySpec: api.AES256}, 32}, {api.GenerateDataKeyRequest{KeySpec: api.AES256}, 32},
		{api.GenerateDataKeyRequest{KeySpec: api.AES128}, 16}, {api.GenerateDataKeyRequest{NumberOfBytes: &one}, 1}, {api.GenerateDataKeyRequest{NumberOfBytes: &most}, 1024},
	} {
		c.in.EncryptionContext = context
		var out api.GenerateDataKeyResponse
		g.Call("POST", at+"/generate-data-key", c.in, &out)
		if len(out.Plaintext) != c.size || seen[string(out.Plaintext)] || out.KeyId != key.Arn || out.KeyMaterialId != key.CurrentKeyMaterialId || out.KeyVersion != 1 {
			t.Errorf("%+v", out)
		}
		seen[string(out.Plaintext)] = true
		if back := opens(g, out.CiphertextBlob, context); !bytes.Equal(back.Plaintext, out.Plaintext) {
			t.Error("the ciphertext holds another key")
		}
		a := g.Send(g.Admin.Token, "POST", at+"/generate-data-key-without-plaintext", api.GenerateDataKeyWithoutPlaintextRequest{
			EncryptionContext: context, KeySpec: c.in.KeySpec, NumberOfBytes: c.in.NumberOfBytes})
		if a.Status != 200 || strings.Contains(string(a.Body), `"Plaintext"`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		var hidden api.GenerateDataKeyWithoutPlaintextResponse
		decodeInto(t, a, &hidden)
		if back := opens(g, hidden.CiphertextBlob, context); len(back.Plaintext) != c.size || hidden.KeyMaterialId == "" {
			t.Errorf("%d bytes, want %d", len(back.Plaintext), c.size)
		}
	}
	dataKeysRefused(t, g, at)
}

func dataKeysRefused(t *testing.T, g *gatewaytest.Gateway, at string) {
	t.Helper()
	const either = "Please specify either number of bytes or key spec."
	for _, verb := range []string{"/generate-data-key", "/generate-data-key-without-plaintext"} {
		for _, body := range []string{`{}`, `{"KeySpec":"AES_256","NumberOfBytes":32}`} {
			a := g.Send(g.Admin.Token, "POST", at+verb, body, "Content-Type", "application/json")
			refusal(t, a, 400, api.Validation)
			if !strings.Contains(string(a.Body), either) {
				t.Errorf("%s", a.Body)
			}
		}
	}
	recipient := &api.RecipientInfo{KeyEncryptionAlgorithm: "RSAES_OAEP_SHA_256", AttestationDocument: []byte("x")}
	refusal(t, g.Send(g.Admin.Token, "POST", at+"/generate-data-key", api.GenerateDataKeyRequest{KeySpec: api.AES256, Recipient: recipient}), 400, api.UnsupportedOperation)
	for spec, usage := range map[api.KeySpec]api.KeyUsage{api.HMAC256: api.GenerateVerifyMac, api.P256: api.SignVerify, api.RSA2048: api.EncryptDecrypt} {
		key := g.CreateKey(spec, usage).KeyId
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/generate-data-key", api.GenerateDataKeyRequest{KeySpec: api.AES256}), 400, api.InvalidKeyUsage)
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/generate-data-key-pair", api.GenerateDataKeyPairRequest{KeyPairSpec: api.P256}), 400, api.InvalidKeyUsage)
	}
}

// pairSpecs are what OpenSSL says of each pair.
var pairSpecs = map[api.KeySpec]string{
	api.RSA2048: "2048 bit", api.RSA3072: "3072 bit", api.RSA4096: "4096 bit", api.P256: "P-256", api.P384: "P-384", api.P521: "P-521",
	api.P256K1: "secp256k1", api.Ed25519: "ED25519",
}

// TestDataKeyPairs asks OpenSSL about the private key, which has to belong to the
// public one.
func TestDataKeyPairs(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	at, context := "/v1/keys/"+key.KeyId, map[string]string{"pair": "1"}
	for spec, says := range pairSpecs {
		var out api.GenerateDataKeyPairResponse
		g.Call("POST", at+"/generate-data-key-pair", api.GenerateDataKeyPairRequest{KeyPairSpec: spec, EncryptionContext: context}, &out)
		private := file(t, "private.der", out.PrivateKeyPlaintext)
		text := run(t, "openssl", "pkey", "-inform", "DER", "-in", private, "-check", "-noout", "-text")
		if !strings.Contains(text, says) || !strings.Contains(text, "Key is valid") && spec != api.Ed25519 {
			t.Errorf("%s: OpenSSL says %s", spec, text)
		}
		if public := run(t, "openssl", "pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER"); public != string(out.PublicKey) {
			t.Errorf("%s: the public key is another's", spec)
		}
		if spec != api.P256K1 {
			if _, err := x509.ParsePKCS8PrivateKey(out.PrivateKeyPlaintext); err != nil {
				t.Errorf("%s: %v", spec, err)
			}
		}
		if back := opens(g, out.PrivateKeyCiphertextBlob, context); !bytes.Equal(back.Plaintext, out.PrivateKeyPlaintext) || out.KeyPairSpec != spec ||
			out.KeyId != key.Arn || out.KeyMaterialId != key.CurrentKeyMaterialId {
			t.Errorf("%s: %+v", spec, out.KeyPairSpec)
		}
	}
	a := g.Send(g.Admin.Token, "POST", at+"/generate-data-key-pair-without-plaintext", api.GenerateDataKeyPairWithoutPlaintextRequest{KeyPairSpec: api.P256, EncryptionContext: context})
	if a.Status != 200 || strings.Contains(string(a.Body), "PrivateKeyPlaintext") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	var hidden api.GenerateDataKeyPairWithoutPlaintextResponse
	decodeInto(t, a, &hidden)
	if _, err := x509.ParsePKCS8PrivateKey(opens(g, hidden.PrivateKeyCiphertextBlob, context).Plaintext); err != nil {
		t.Error(err)
	}
	refusal(t, g.Send(g.Admin.Token, "POST", at+"/generate-data-key-pair", api.GenerateDataKeyPairRequest{KeyPairSpec: api.SM2}), 400, api.UnsupportedOperation)
}

// TestKEMPairs: what is encapsulated to the public key, the seed in the private
// one recovers.
func TestKEMPairs(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	for _, spec := range []api.KeySpec{api.MLKEM512, api.MLKEM768, api.MLKEM1024} {
		var out api.GenerateDataKeyPairResponse
		g.Call("POST", "/v1/keys/"+key.KeyId+"/generate-data-key-pair", api.GenerateDataKeyPairRequest{KeyPairSpec: spec}, &out)
		public, err := hsm.NewKey(hsm.NewID(), hsm.KeySpec(spec), out.PublicKey)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		ciphertext, want, err := public.Encapsulate()
		if err != nil {
			t.Fatal(err)
		}
		// SEQUENCE, version 0, the algorithm, an OCTET STRING of [0] and the seed (RFC 9935, 6).
		private := out.PrivateKeyPlaintext
		if len(private) != 86 || !bytes.Equal(private[18:22], []byte{0x04, 0x42, 0x80, 0x40}) {
			t.Fatalf("%s: %x", spec, private)
		}
		if got := decapsulated(t, spec, private[22:], ciphertext); !bytes.Equal(got, want) {
			t.Errorf("%s: another secret", spec)
		}
	}
}

func decapsulated(t *testing.T, spec api.KeySpec, seed, ciphertext []byte) (secret []byte) {
	t.Helper()
	var err error
	switch spec {
	case api.MLKEM768:
		key, bad := mlkem.NewDecapsulationKey768(seed)
		if bad != nil {
			t.Fatal(bad)
		}
		secret, err = key.Decapsulate(ciphertext)
	case api.MLKEM1024:
		key, bad := mlkem.NewDecapsulationKey1024(seed)
		if bad != nil {
			t.Fatal(bad)
		}
		secret, err = key.Decapsulate(ciphertext)
	default:
		_, key := mlkem512.Scheme().DeriveKeyPair(seed)
		secret, err = mlkem512.Scheme().Decapsulate(key, ciphertext)
	}
	if err != nil {
		t.Fatal(err)
	}
	return secret
}
