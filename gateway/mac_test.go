package gateway_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
)

var macs = map[api.KeySpec]struct {
	algorithm api.MacAlgorithm
	size      int
}{api.HMAC224: {api.HMACSHA224, 28}, api.HMAC256: {api.HMACSHA256, 32}, api.HMAC384: {api.HMACSHA384, 48}, api.HMAC512: {api.HMACSHA512, 64}}

// TestMacs: as long as their hash, the same for the same message, and nothing
// else is good. That the token computes HMAC is shown in package hsm, which knows
// the answers.
func TestMacs(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for spec, c := range macs {
		key := g.CreateKey(spec, api.GenerateVerifyMac)
		at := "/v1/keys/" + key.KeyId
		for _, size := range []int{1, 4096} {
			message := bytes.Repeat([]byte{byte(size)}, size)
			var made, again api.GenerateMacResponse
			g.Call("POST", at+"/generate-mac", api.GenerateMacRequest{Message: message, MacAlgorithm: c.algorithm}, &made)
			g.Call("POST", at+"/generate-mac", api.GenerateMacRequest{Message: message, MacAlgorithm: c.algorithm}, &again)
			if len(made.Mac) != c.size || !bytes.Equal(made.Mac, again.Mac) || made.KeyId != key.Arn || made.MacAlgorithm != c.algorithm || made.KeyVersion != 1 {
				t.Errorf("%s: %+v", spec, made)
			}
			in := api.VerifyMacRequest{Message: message, Mac: made.Mac, MacAlgorithm: c.algorithm}
			var out api.VerifyMacResponse
			g.Call("POST", at+"/verify-mac", in, &out)
			if !out.MacValid || out.KeyId != key.Arn || out.KeyVersion != 1 {
				t.Errorf("%s: %+v", spec, out)
			}
			for _, mac := range [][]byte{flipped(made.Mac, 0), flipped(made.Mac, c.size-1), made.Mac[1:], append(made.Mac[:c.size:c.size], 0), {0}} {
				bad := in
				bad.Mac = mac
				refusal(t, g.Send(g.Admin.Token, "POST", at+"/verify-mac", bad), 400, api.KMSInvalidMac)
			}
			in.Message = flipped(message, 0)
			refusal(t, g.Send(g.Admin.Token, "POST", at+"/verify-mac", in), 400, api.KMSInvalidMac)
		}
		for _, other := range macs {
			if other.algorithm != c.algorithm {
				a := g.Send(g.Admin.Token, "POST", at+"/generate-mac", api.GenerateMacRequest{Message: []byte("m"), MacAlgorithm: other.algorithm})
				refusal(t, a, 400, api.InvalidKeyUsage)
				if want := "Algorithm " + string(other.algorithm) + " is incompatible with key spec " + string(spec); !strings.Contains(string(a.Body), want) {
					t.Errorf("%s", a.Body)
				}
			}
		}
	}
}

// TestVersionsVerifyMacs: the newest makes a MAC, all that have begun verify it,
// and one that is named alone.
func TestVersionsVerifyMacs(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId
	made := map[int][]byte{}
	for version := 1; version <= 2; version++ {
		if version == 2 {
			addSecretVersion(t, g, key, hsm.HMAC256)
		}
		var out api.GenerateMacResponse
		g.Call("POST", "/v1/keys/"+key+"/generate-mac", api.GenerateMacRequest{Message: []byte("m"), MacAlgorithm: api.HMACSHA256}, &out)
		if made[version] = out.Mac; out.KeyVersion != version {
			t.Errorf("version %d makes it, want %d", out.KeyVersion, version)
		}
	}
	for version, mac := range made {
		other := 3 - version
		in := api.VerifyMacRequest{Message: []byte("m"), Mac: mac, MacAlgorithm: api.HMACSHA256}
		var out api.VerifyMacResponse
		g.Call("POST", "/v1/keys/"+key+"/verify-mac", in, &out)
		if out.KeyVersion != version {
			t.Errorf("version %d verifies it, want %d", out.KeyVersion, version)
		}
		in.KeyVersion = &other
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/verify-mac", in), 400, api.KMSInvalidMac)
		in.KeyVersion = &version
		g.Call("POST", "/v1/keys/"+key+"/verify-mac", in, nil)
	}
}

// TestSharedSecrets: the token comes to the secret that the peer comes to, by
// OpenSSL and by Go.
func TestSharedSecrets(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for spec, c := range map[api.KeySpec]struct {
		name  string
		curve ecdh.Curve
		size  int
	}{api.P256: {"P-256", ecdh.P256(), 32}, api.P384: {"P-384", ecdh.P384(), 48}, api.P521: {"P-521", ecdh.P521(), 66}} {
		key := g.CreateKey(spec, api.KeyAgreement)
		if len(key.KeyAgreementAlgorithms) != 1 || key.KeyAgreementAlgorithms[0] != api.ECDH {
			t.Errorf("%+v", key.KeyAgreementAlgorithms)
		}
		derive := func(peer []byte) []byte {
			t.Helper()
			var out api.DeriveSharedSecretResponse
			g.Call("POST", "/v1/keys/"+key.KeyId+"/derive-shared-secret", api.DeriveSharedSecretRequest{KeyAgreementAlgorithm: api.ECDH, PublicKey: peer}, &out)
			if out.KeyId != key.Arn || out.KeyOrigin != api.OriginAWSKMS || out.KeyAgreementAlgorithm != api.ECDH || len(out.SharedSecret) != c.size || out.KeyVersion != 1 {
				t.Errorf("%+v", out)
			}
			return out.SharedSecret
		}
		private, secret := filepath.Join(t.TempDir(), "peer.pem"), filepath.Join(t.TempDir(), "secret")
		run(t, "openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+c.name, "-out", private)
		peer := run(t, "openssl", "pkey", "-in", private, "-pubout", "-outform", "DER")
		run(t, "openssl", "pkeyutl", "-derive", "-inkey", private, "-peerkey", publicPEM(t, g, key.KeyId), "-out", secret)
		want, err := os.ReadFile(secret)
		if err != nil {
			t.Fatal(err)
		}
		if got := derive([]byte(peer)); !bytes.Equal(got, want) {
			t.Errorf("%s: OpenSSL comes to another secret", spec)
		}
		ours, err := c.curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(ours.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		if got := derive(spki); !bytes.Equal(got, goSecret(t, ours, publicDER(t, g, key.KeyId))) {
			t.Errorf("%s: Go comes to another secret", spec)
		}
	}
}

func goSecret(t *testing.T, ours *ecdh.PrivateKey, spki []byte) []byte {
	t.Helper()
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := parsed.(interface {
		ECDH() (*ecdh.PublicKey, error)
	}).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := ours.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestBadPeers: what is no key on the curve is refused as malformed, before the
// token.
func TestBadPeers(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, signing := g.CreateKey(api.P256, api.KeyAgreement).KeyId, g.CreateKey(api.P256, api.SignVerify).KeyId
	good := publicDER(t, g, signing)
	for name, peer := range map[string][]byte{
		"not DER": []byte("x"), "cut": good[:len(good)-1], "long": append(good[:len(good):len(good)], 0), "off the curve": flipped(good, len(good)-1),
		"on another curve": publicDER(t, g, g.CreateKey(api.P384, api.KeyAgreement).KeyId), "RSA": publicDER(t, g, g.CreateKey(api.RSA2048, api.SignVerify).KeyId),
	} {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/derive-shared-secret", api.DeriveSharedSecretRequest{KeyAgreementAlgorithm: api.ECDH, PublicKey: peer})
		if a.Status != 400 || a.Code() != string(api.Validation) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	in := api.DeriveSharedSecretRequest{KeyAgreementAlgorithm: api.ECDH, PublicKey: good}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+signing+"/derive-shared-secret", in), 400, api.InvalidKeyUsage)
	in.Recipient = &api.RecipientInfo{AttestationDocument: []byte("x")}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/derive-shared-secret", in), 400, api.UnsupportedOperation)
}

// TestEncapsulation: SoftHSM makes no such keys and says so; what the gateway does
// with a public key works, and its length is checked before the token is asked.
func TestEncapsulation(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	symmetric := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	for spec, size := range map[api.KeySpec]int{api.MLKEM512: 768, api.MLKEM768: 1088, api.MLKEM1024: 1568} {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: spec, KeyUsage: api.EncapsulateDecapsulate})
		refusal(t, a, 400, api.UnsupportedOperation)
		var pair api.GenerateDataKeyPairResponse
		g.Call("POST", "/v1/keys/"+symmetric+"/generate-data-key-pair", api.GenerateDataKeyPairRequest{KeyPairSpec: spec}, &pair)
		key := adopt(t, g, spec, api.EncapsulateDecapsulate, pair.PublicKey)
		var out api.EncapsulateResponse
		g.Call("POST", "/v1/keys/"+key+"/encapsulate", api.EncapsulateRequest{EncapsulationAlgorithm: api.MLKEM}, &out)
		if len(out.SharedSecret) != 32 || len(out.SharedSecretCiphertextBlob) != size || out.EncapsulationAlgorithm != api.MLKEM {
			t.Errorf("%s: %+v", spec, out)
		}
		if got := decapsulated(t, spec, pair.PrivateKeyPlaintext[22:], out.SharedSecretCiphertextBlob); !bytes.Equal(got, out.SharedSecret) {
			t.Errorf("%s: the holder of the private key comes to another secret", spec)
		}
		in := api.DecapsulateRequest{EncapsulationAlgorithm: api.MLKEM, SharedSecretCiphertextBlob: out.SharedSecretCiphertextBlob[1:]}
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/decapsulate", in), 400, api.InvalidCiphertext)
		in.SharedSecretCiphertextBlob = out.SharedSecretCiphertextBlob
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/decapsulate", in), 400, api.UnsupportedOperation)
		in.DryRun = true
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/decapsulate", in), 400, api.UnsupportedOperation)
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+symmetric+"/encapsulate", api.EncapsulateRequest{EncapsulationAlgorithm: api.MLKEM}), 400, api.InvalidKeyUsage)
}

// TestRandom: as many bytes as asked for, and other ones each time.
func TestRandom(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	seen := map[string]bool{}
	for _, n := range []int{1, 8, 32, 32, 1024, 1024} {
		var out api.GenerateRandomResponse
		g.Call("POST", "/v1/random", api.GenerateRandomRequest{NumberOfBytes: &n}, &out)
		if len(out.Plaintext) != n || n > 8 && seen[string(out.Plaintext)] {
			t.Errorf("%d bytes, want %d", len(out.Plaintext), n)
		}
		seen[string(out.Plaintext)] = true
	}
	a := g.Send(g.Admin.Token, "POST", "/v1/random", `{}`, "Content-Type", "application/json")
	refusal(t, a, 400, api.Validation)
	if !strings.Contains(string(a.Body), "NumberOfBytes is required.") {
		t.Errorf("%s", a.Body)
	}
	n := 32
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/random", api.GenerateRandomRequest{NumberOfBytes: &n, CustomKeyStoreId: "cks-none"}), 404, api.CustomKeyStoreNotFound)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/random", api.GenerateRandomRequest{NumberOfBytes: &n, Recipient: &api.RecipientInfo{}}), 400, api.UnsupportedOperation)
}
