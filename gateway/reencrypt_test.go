package gateway_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/hsm"
)

// reEncrypt calls ReEncrypt as somebody.
func reEncrypt(g *gatewaytest.Gateway, who gatewaytest.Credentials, in api.ReEncryptRequest) gatewaytest.Answer {
	return g.Send(who.Token, "POST", "/v1/re-encrypt", in)
}

// TestReEncrypt moves a ciphertext from key to key, from context to context, from
// version to version, and between kinds of keys.
func TestReEncrypt(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	from, to := g.CreateKey(api.Symmetric, api.EncryptDecrypt), g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	rsa := g.CreateKey(api.RSA2048, api.EncryptDecrypt)
	old, young := map[string]string{"a": "1"}, map[string]string{"b": "2"}
	sealed := encrypt(g, from.KeyId, []byte("secret"), old)
	var out api.ReEncryptResponse
	g.Call("POST", "/v1/re-encrypt", api.ReEncryptRequest{CiphertextBlob: sealed, SourceEncryptionContext: old, DestinationKeyId: to.Arn, DestinationEncryptionContext: young}, &out)
	if out.SourceKeyId != from.Arn || out.KeyId != to.Arn || out.SourceKeyMaterialId != from.CurrentKeyMaterialId || out.DestinationKeyMaterialId != to.CurrentKeyMaterialId ||
		out.SourceEncryptionAlgorithm != api.SymmetricDefault || out.DestinationEncryptionAlgorithm != api.SymmetricDefault || out.SourceKeyVersion != 1 || out.KeyVersion != 1 {
		t.Errorf("%+v", out)
	}
	for _, key := range []string{from.KeyId, to.KeyId} { // GetKeyLastUsage tells of both
		if u := lastUse(g, key).KeyLastUsage; u.Operation != "ReEncrypt" {
			t.Errorf("the last use of %s is %+v", key, u)
		}
	}
	if back := opens(g, out.CiphertextBlob, young); string(back.Plaintext) != "secret" || back.KeyId != to.Arn {
		t.Errorf("%+v", back)
	}
	records := g.Records()
	r := records[len(records)-1]
	for r.Operation != "ReEncrypt" {
		records = records[:len(records)-1]
		r = records[len(records)-1]
	}
	if r.Operation != "ReEncrypt" || r.KeyARN != to.Arn || r.SourceKeyARN != from.Arn || r.KeyVersion != 1 || r.SourceVersion != 1 ||
		r.EncryptionContext["b"] != "2" || r.SourceContext["a"] != "1" || r.Algorithm != "SYMMETRIC_DEFAULT" {
		t.Errorf("%+v", r)
	}
	g.Call("POST", "/v1/re-encrypt", api.ReEncryptRequest{CiphertextBlob: sealed, SourceKeyId: from.KeyId, SourceEncryptionContext: old,
		DestinationKeyId: rsa.KeyId, DestinationEncryptionAlgorithm: api.OAEPSHA256}, &out)
	if len(out.CiphertextBlob) != 256 || out.DestinationEncryptionAlgorithm != api.OAEPSHA256 {
		t.Errorf("%+v", out)
	}
	addSecretVersion(t, g, from.KeyId, hsm.Symmetric)
	back := api.ReEncryptRequest{CiphertextBlob: out.CiphertextBlob, SourceKeyId: rsa.KeyId, SourceEncryptionAlgorithm: api.OAEPSHA256, DestinationKeyId: from.KeyId}
	g.Call("POST", "/v1/re-encrypt", back, &out)
	if got := opens(g, out.CiphertextBlob, nil); string(got.Plaintext) != "secret" || got.KeyVersion != 2 || out.KeyVersion != 2 {
		t.Errorf("%+v", got)
	}
	refused(t, g, from, to, rsa, sealed, old)
}

// refused are ReEncrypt calls that have something wrong with one of their keys.
func refused(t *testing.T, g *gatewaytest.Gateway, from, to, rsa *api.KeyMetadata, sealed []byte, context map[string]string) {
	t.Helper()
	good := api.ReEncryptRequest{CiphertextBlob: sealed, SourceEncryptionContext: context, DestinationKeyId: to.KeyId}
	long := good
	long.CiphertextBlob, long.DestinationKeyId, long.DestinationEncryptionAlgorithm = encrypt(g, from.KeyId, bytes.Repeat([]byte{1}, 191), context), rsa.KeyId, api.OAEPSHA256
	refusal(t, reEncrypt(g, g.Admin, long), 400, api.Validation)
	wrong := good
	wrong.SourceEncryptionContext = nil
	refusal(t, reEncrypt(g, g.Admin, wrong), 400, api.InvalidCiphertext)
	wrong = good
	wrong.SourceKeyId = to.KeyId
	refusal(t, reEncrypt(g, g.Admin, wrong), 400, api.IncorrectKey)
	wrong = good
	wrong.DestinationKeyId = "alias/none"
	refusal(t, reEncrypt(g, g.Admin, wrong), 404, api.NotFound)
	wrong.DestinationKeyId, wrong.DestinationEncryptionAlgorithm = rsa.KeyId, api.SymmetricDefault
	refusal(t, reEncrypt(g, g.Admin, wrong), 400, api.InvalidKeyUsage)
}

// TestReEncryptNeedsBothKeys: a caller needs a permission on each, and the record
// of a denial names both.
func TestReEncryptNeedsBothKeys(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	from, to := g.CreateKey(api.Symmetric, api.EncryptDecrypt), g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	in := api.ReEncryptRequest{CiphertextBlob: encrypt(g, from.KeyId, []byte("secret"), nil), DestinationKeyId: to.KeyId}
	last := func(code api.Code) {
		t.Helper()
		records := g.Records()
		if r := records[len(records)-1]; r.Operation != "ReEncrypt" || r.SourceKeyARN != from.Arn || !strings.HasSuffix(r.Resource, to.KeyId) || r.ErrorCode != string(code) || r.Reason == "" || r.SourceReason == "" {
			t.Errorf("%+v", r)
		}
	}
	source, destination := g.Principal("source", policy.RoleUser, from.KeyId), g.Principal("destination", policy.RoleUser, to.KeyId)
	both := g.Principal("both", policy.RoleUser, from.KeyId, to.KeyId)
	a := reEncrypt(g, source, in)
	refusal(t, a, 403, api.AccessDenied)
	if !strings.Contains(string(a.Body), "kms:ReEncryptTo on resource: "+to.Arn) {
		t.Errorf("%s", a.Body)
	}
	last(api.AccessDenied)
	refusal(t, reEncrypt(g, destination, in), 403, api.AccessDenied)
	last(api.AccessDenied)
	in.SourceKeyId = from.KeyId
	a = reEncrypt(g, destination, in)
	refusal(t, a, 403, api.AccessDenied)
	if !strings.Contains(string(a.Body), "kms:ReEncryptFrom on resource: "+from.Arn) {
		t.Errorf("%s", a.Body)
	}
	last(api.AccessDenied)
	if a := reEncrypt(g, both, in); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	last("")
	for _, key := range []string{from.KeyId, to.KeyId} {
		g.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
		a = reEncrypt(g, both, in)
		refusal(t, a, 409, api.Disabled)
		if !strings.Contains(string(a.Body), key+" is disabled.") {
			t.Errorf("%s", a.Body)
		}
		last(api.Disabled)
		g.Call("POST", "/v1/keys/"+key+"/enable", nil, nil)
	}
}
