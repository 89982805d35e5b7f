package gateway_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// encrypt encrypts over REST as the administrator, with a symmetric key.
func encrypt(g *gatewaytest.Gateway, key string, plaintext []byte, context map[string]string) []byte {
	var out api.EncryptResponse
	g.Call("POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: plaintext, EncryptionContext: context}, &out)
	return out.CiphertextBlob
}

// opens decrypts over REST as the administrator, without naming the key.
func opens(g *gatewaytest.Gateway, ciphertext []byte, context map[string]string) api.DecryptResponse {
	var out api.DecryptResponse
	g.Call("POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: ciphertext, EncryptionContext: context}, &out)
	return out
}

// TestSymmetricRoundTrip: what was encrypted comes back by key, alias or nothing
// at all, in every size; no two ciphertexts are alike.
func TestSymmetricRoundTrip(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/box", TargetKeyId: key.KeyId}, nil)
	context := map[string]string{"tenant": "ä", "": "empty name", "empty": ""}
	seen := map[string]bool{}
	for _, size := range []int{1, 15, 16, 17, 4096} {
		plain := bytes.Repeat([]byte{7}, size)
		ciphertext := encrypt(g, key.KeyId, plain, context)
		if len(ciphertext) > size+54 || seen[string(ciphertext)] {
			t.Errorf("%d bytes become %d", size, len(ciphertext))
		}
		seen[string(ciphertext)] = true
		out := opens(g, ciphertext, context)
		if !bytes.Equal(out.Plaintext, plain) || out.KeyId != key.Arn || out.EncryptionAlgorithm != api.SymmetricDefault ||
			out.KeyMaterialId != key.CurrentKeyMaterialId || out.KeyVersion != 1 {
			t.Errorf("%d bytes: %+v", size, out)
		}
		for _, name := range []string{key.KeyId, key.Arn, "alias/box"} {
			g.Call("POST", "/v1/decrypt", api.DecryptRequest{KeyTarget: api.KeyTarget{KeyId: name}, CiphertextBlob: ciphertext, EncryptionContext: context}, &out)
			if !bytes.Equal(out.Plaintext, plain) {
				t.Errorf("by %s: something else", name)
			}
		}
	}
	again := map[string]bool{}
	for range 50 {
		again[string(encrypt(g, key.KeyId, []byte("same"), nil))] = true
	}
	if len(again) != 50 {
		t.Error("two ciphertexts are alike")
	}
	for _, r := range g.Records() {
		if r.Operation == "Decrypt" && (r.KeyID != key.KeyId || r.KeyVersion != 1 || r.Algorithm != "SYMMETRIC_DEFAULT" || r.EncryptionContext["tenant"] != "ä") {
			t.Errorf("%+v", r)
		}
	}
}

// TestBadSymmetricCiphertextsAnswerAlike: a changed byte anywhere, another
// context and anything else that is no ciphertext of the key have one answer.
func TestBadSymmetricCiphertextsAnswerAlike(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	good := encrypt(g, key.KeyId, []byte("secret"), map[string]string{"a": "b"})
	send := func(ciphertext []byte, context map[string]string) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/decrypt", api.DecryptRequest{CiphertextBlob: ciphertext, EncryptionContext: context})
	}
	answers := map[string]int{}
	bad := func(ciphertext []byte, context map[string]string) {
		t.Helper()
		a := send(ciphertext, context)
		refusal(t, a, 400, api.InvalidCiphertext)
		answers[strings.ReplaceAll(string(a.Body), a.Header.Get("X-Request-Id"), "")]++
	}
	for i := range good {
		if i < 1 || i >= 17 { // between them stands the key
			bad(flipped(good, i), map[string]string{"a": "b"})
		}
	}
	for _, context := range []map[string]string{nil, {"a": "c"}, {"b": "a"}, {"a": "b", "c": ""}, {"A": "b"}, {"ab": ""}} {
		bad(good, context)
	}
	for _, ciphertext := range [][]byte{{1}, good[:20], good[:len(good)-1], good[:33], append(good[:len(good):len(good)], 0), make([]byte, 6144), bytes.Repeat([]byte{1}, 256)} {
		bad(ciphertext, map[string]string{"a": "b"})
	}
	if len(answers) != 1 {
		t.Errorf("bad ciphertexts answer in %d ways: %v", len(answers), answers)
	}
	refusal(t, send(flipped(good, 1), map[string]string{"a": "b"}), 400, api.IncorrectKey)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: good[:20]}), 400, api.InvalidCiphertext)
	if out := opens(g, good, map[string]string{"a": "b"}); string(out.Plaintext) != "secret" {
		t.Error("the good one is not decrypted")
	}
}

// TestDecryptFindsItsKey: the call is decided on the key that the ciphertext
// names, and a stranger does not learn whether there is one.
func TestDecryptFindsItsKey(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, other := g.CreateKey(api.Symmetric, api.EncryptDecrypt), g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	good := encrypt(g, key.KeyId, []byte("secret"), nil)
	unknown := flipped(good, 3)
	mine := g.Principal("mine", policy.RoleUser, key.KeyId)
	stranger := g.Principal("stranger", policy.RoleUser, other.KeyId)
	const foreign = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
	for name, c := range map[string]struct {
		who        gatewaytest.Credentials
		ciphertext []byte
	}{"another's key": {stranger, good}, "no key": {stranger, unknown}, "no key, administrator": {g.Admin, unknown}} {
		a := g.Send(c.who.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: c.ciphertext})
		refusal(t, a, 403, api.AccessDenied)
		if !strings.Contains(string(a.Body), foreign) {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	if a := g.Send(mine.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: good}); a.Status != 200 {
		t.Errorf("its user: %d %s", a.Status, a.Body)
	}
	a := g.Send(g.Admin.Token, "POST", "/v1/decrypt", api.DecryptRequest{KeyTarget: api.KeyTarget{KeyId: other.KeyId}, CiphertextBlob: good})
	refusal(t, a, 400, api.IncorrectKey)
	if !strings.Contains(string(a.Body), "The key ID in the request does not identify a CMK that can perform this operation.") {
		t.Errorf("%s", a.Body)
	}
	two := 2
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: good, KeyVersion: &two}), 400, api.IncorrectKey)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: good, EncryptionAlgorithm: api.OAEPSHA1}), 400, api.Validation)
	g.Call("POST", "/v1/keys/"+key.KeyId+"/disable", nil, nil)
	refusal(t, g.Send(mine.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: good}), 409, api.Disabled)
	records := g.Records()
	if r := records[len(records)-1]; r.KeyID != key.KeyId || r.Resource != key.Arn || r.ErrorCode != string(api.Disabled) {
		t.Errorf("%+v", r)
	}
}

// TestVersionsDecrypt: a new version encrypts, and what the old one encrypted is
// decrypted by it.
func TestVersionsDecrypt(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	old := encrypt(g, key.KeyId, []byte("old"), nil)
	addSecretVersion(t, g, key.KeyId, hsm.Symmetric)
	young := encrypt(g, key.KeyId, []byte("young"), nil)
	for want, ciphertext := range map[int][]byte{1: old, 2: young} {
		if out := opens(g, ciphertext, nil); out.KeyVersion != want || string(out.Plaintext) != map[int]string{1: "old", 2: "young"}[want] {
			t.Errorf("%+v, want version %d", out, want)
		}
	}
	forged := append([]byte(nil), old...)
	forged[20] = 2
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: forged}), 400, api.InvalidCiphertext)
	forged[20] = 3
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/decrypt", api.DecryptRequest{CiphertextBlob: forged}), 400, api.InvalidCiphertext)
}

// addSecretVersion makes the next version of a secret key, which begins at once.
func addSecretVersion(t *testing.T, g *gatewaytest.Gateway, id string, spec hsm.KeySpec) {
	t.Helper()
	k, _ := g.Store.Key(gatewaytest.Region, id)
	v := store.Version{Number: len(k.Versions) + 1, ObjectID: hsm.NewID(), CreatedAt: time.Now(), CurrentAt: time.Now(), MaterialID: strings.Repeat("ab", 32)}
	err := g.Store.PendObject(t.Context(), store.PendingObject{ObjectID: v.ObjectID, KeyID: id, Since: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if v.Check, err = g.Token.GenerateSecret(t.Context(), spec, v.ObjectID, id); err == nil {
		err = g.Store.AddVersion(t.Context(), id, v, time.Time{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestContextIsBounded, since it goes into the audit record.
func TestContextIsBounded(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	most := map[string]string{"k": strings.Repeat("v", 8191)}
	ciphertext := encrypt(g, key.KeyId, []byte("m"), most)
	if out := opens(g, ciphertext, most); string(out.Plaintext) != "m" {
		t.Error("the longest context does not decrypt")
	}
	most["k"] += "v"
	a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/encrypt", api.EncryptRequest{Plaintext: []byte("m"), EncryptionContext: most})
	refusal(t, a, 400, api.Validation)
	if !strings.Contains(string(a.Body), "'encryptionContext'") {
		t.Errorf("%s", a.Body)
	}
	records := g.Records()
	if r := records[len(records)-1]; r.EncryptionContext != nil {
		t.Error("a context that is too long is recorded")
	}
}
