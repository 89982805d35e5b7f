package gateway_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestDryRun: everything is checked and nothing done; what would fail fails as
// without it.
func TestDryRun(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	signing, decrypting := g.CreateKey(api.P256, api.SignVerify).KeyId, g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	signature := sign(t, g, signing, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	_ = g.Token.Close() // a dry run does not need it
	message := map[string]any{"DryRun": true, "Message": []byte("m"), "SigningAlgorithm": api.ECDSASHA256}
	oaepMembers := map[string]any{"DryRun": true, "EncryptionAlgorithm": api.OAEPSHA256}
	for _, c := range []struct {
		path string
		good map[string]any
		bad  string // the member that is then changed
		to   any
		code api.Code
	}{
		{"/v1/keys/" + signing + "/sign", message, "SigningAlgorithm", "ECDSA_SHA_384", api.InvalidKeyUsage},
		{"/v1/keys/" + signing + "/verify", with(message, "Signature", signature), "MessageType", "DIGEST", api.Validation},
		{"/v1/keys/" + decrypting + "/encrypt", with(oaepMembers, "Plaintext", []byte("m")), "Plaintext", make([]byte, 191), api.Validation},
		{"/v1/keys/" + decrypting + "/decrypt", with(oaepMembers, "DryRunModifiers", []string{"IGNORE_CIPHERTEXT"}), "EncryptionAlgorithm", "SYMMETRIC_DEFAULT", api.InvalidKeyUsage},
	} {
		a := g.Send(g.Admin.Token, "POST", c.path, c.good)
		refusal(t, a, 412, api.DryRunOperation)
		if !strings.Contains(string(a.Body), "The request would have succeeded, but the DryRun option is set.") {
			t.Errorf("%s", a.Body)
		}
		refusal(t, g.Send(g.Admin.Token, "POST", c.path, withChanged(c.good, c.bad, c.to)), 400, c.code)
		refusal(t, g.Send(g.Admin.Token, "POST", c.path, withChanged(c.good, "GrantTokens", []string{"x"})), 400, api.InvalidGrantToken)
	}
	for _, path := range []string{"/v1/keys/" + signing + "/verify", "/v1/keys/" + decrypting + "/decrypt"} { // a version that is not there
		members := map[string]any{"DryRun": true, "KeyVersion": 9, "Message": []byte("m"), "SigningAlgorithm": api.ECDSASHA256, "Signature": signature}
		if strings.HasSuffix(path, "decrypt") {
			members = map[string]any{"DryRun": true, "KeyVersion": 9, "EncryptionAlgorithm": api.OAEPSHA256, "CiphertextBlob": make([]byte, 256)}
		}
		refusal(t, g.Send(g.Admin.Token, "POST", path, members), 404, api.NotFound)
	}
	for _, r := range g.Records() {
		if r.ErrorCode == string(api.DryRunOperation) && (r.SignatureHash != "" || r.Outcome != "invalid") {
			t.Errorf("%+v", r)
		}
	}
}

func withChanged(members map[string]any, name string, value any) map[string]any {
	all := with(members, name, value)
	all[name] = value
	return all
}

// TestDryRunKnowsTheToken: what the token cannot do would not have succeeded.
func TestDryRunKnowsTheToken(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Ed25519, api.SignVerify)
	in := api.SignRequest{Message: make([]byte, 64), MessageType: api.Digest, SigningAlgorithm: api.Ed25519PHSHA512, DryRun: true}
	a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", in)
	if slices.Contains(key.SigningAlgorithms, api.Ed25519PHSHA512) {
		refusal(t, a, 412, api.DryRunOperation)
		return
	}
	refusal(t, a, 400, api.UnsupportedOperation)
	in.DryRun = false
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", in), 400, api.UnsupportedOperation)
}

// TestDryRunOfSecrets: what gives out a plaintext, a secret or a ciphertext gives
// out nothing, and a bad ciphertext is found out unless it is to be ignored.
func TestDryRunOfSecrets(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	symmetric, mac := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId, g.CreateKey(api.HMAC384, api.GenerateVerifyMac).KeyId
	agreeing := g.CreateKey(api.P384, api.KeyAgreement).KeyId
	sealed, peer := encrypt(g, symmetric, []byte("m"), nil), publicDER(t, g, agreeing)
	uses, _ := g.Store.Key(gatewaytest.Region, symmetric)
	at, bad := "/v1/keys/"+symmetric, flipped(sealed, len(sealed)-1)
	macMembers := map[string]any{"Message": []byte("m"), "MacAlgorithm": api.HMACSHA384}
	for _, c := range []struct {
		path string
		in   map[string]any
		code api.Code // "": the dry run's
	}{
		{at + "/encrypt", map[string]any{"Plaintext": []byte("m")}, ""},
		{at + "/decrypt", map[string]any{"CiphertextBlob": sealed}, ""},
		{at + "/decrypt", map[string]any{"CiphertextBlob": bad}, api.InvalidCiphertext},
		{at + "/decrypt", map[string]any{"CiphertextBlob": bad, "DryRunModifiers": []string{"IGNORE_CIPHERTEXT"}}, ""},
		{at + "/decrypt", map[string]any{"DryRunModifiers": []string{"IGNORE_CIPHERTEXT"}}, ""},
		{"/v1/decrypt", map[string]any{"DryRunModifiers": []string{"IGNORE_CIPHERTEXT"}}, api.Validation},
		{"/v1/re-encrypt", map[string]any{"CiphertextBlob": sealed, "DestinationKeyId": symmetric}, ""},
		{"/v1/re-encrypt", map[string]any{"CiphertextBlob": bad, "DestinationKeyId": symmetric}, api.InvalidCiphertext},
		{"/v1/re-encrypt", map[string]any{"SourceKeyId": symmetric, "DestinationKeyId": symmetric, "DryRunModifiers": []string{"IGNORE_CIPHERTEXT"}}, ""},
		{at + "/generate-data-key", map[string]any{"KeySpec": "AES_128"}, ""},
		{at + "/generate-data-key", map[string]any{}, api.Validation},
		{at + "/generate-data-key-without-plaintext", map[string]any{"KeySpec": "AES_128"}, ""},
		{at + "/generate-data-key-pair", map[string]any{"KeyPairSpec": "RSA_4096"}, ""},
		{at + "/generate-data-key-pair", map[string]any{"KeyPairSpec": "SM2"}, api.UnsupportedOperation},
		{at + "/generate-data-key-pair-without-plaintext", map[string]any{"KeyPairSpec": "RSA_4096"}, ""},
		{"/v1/keys/" + mac + "/generate-mac", macMembers, ""},
		{"/v1/keys/" + mac + "/verify-mac", with(macMembers, "Mac", []byte("x")), ""},
		{"/v1/keys/" + agreeing + "/derive-shared-secret", map[string]any{"PublicKey": peer, "KeyAgreementAlgorithm": "ECDH"}, ""},
		{"/v1/keys/" + agreeing + "/derive-shared-secret", map[string]any{"PublicKey": peer[1:], "KeyAgreementAlgorithm": "ECDH"}, api.Validation},
	} {
		a := g.Send(g.Admin.Token, "POST", c.path, with(c.in, "DryRun", true))
		if c.code == "" {
			refusal(t, a, 412, api.DryRunOperation)
			continue
		}
		refusal(t, a, 400, c.code)
	}
	if now, _ := g.Store.Key(gatewaytest.Region, symmetric); now.Versions[0].Uses != uses.Versions[0].Uses {
		t.Error("a dry run counts as an encryption")
	}
}
