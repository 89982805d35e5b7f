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
		{"/v1/keys/" + decrypting + "/decrypt", with(oaepMembers, "CiphertextBlob", make([]byte, 256)), "EncryptionAlgorithm", "SYMMETRIC_DEFAULT", api.InvalidKeyUsage},
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
