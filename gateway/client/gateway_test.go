package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

func key(ref string) api.KeyTarget { return api.KeyTarget{KeyId: ref} }

// TestEveryOperation calls each operation of the table on a real gateway.
func TestEveryOperation(t *testing.T) {
	g := gatewaytest.New(t)
	c := client.New(g.URL, g.Admin.Token)
	var receipts []string
	c.OnReceipt = func(r string) { receipts = append(receipts, r) }
	ctx := t.Context()
	called := make(map[string]bool)
	ok := func(name string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		called[name] = true
	}

	made, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, Description: "d"})
	ok("CreateKey", err)
	id, arn := made.KeyMetadata.KeyId, made.KeyMetadata.Arn
	_, err = c.CreateAlias(ctx, &api.CreateAliasRequest{AliasName: "alias/team/release", TargetKeyId: id})
	ok("CreateAlias", err)
	for _, ref := range []string{id, arn, "alias/team/release", strings.Replace(arn, "key/"+id, "alias/team/release", 1)} {
		d, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: key(ref)})
		ok("DescribeKey", err)
		if d.KeyMetadata.KeyId != id || d.KeyMetadata.Description != "d" {
			t.Errorf("%s is described as %+v", ref, d.KeyMetadata)
		}
	}
	one := 1
	keys, err := c.ListKeys(ctx, &api.ListKeysRequest{Limit: &one})
	ok("ListKeys", err)
	if len(keys.Keys) != 1 || keys.Keys[0].KeyArn != arn {
		t.Errorf("keys %+v", keys)
	}

	pub, err := c.GetPublicKey(ctx, &api.GetPublicKeyRequest{KeyTarget: key(id)})
	ok("GetPublicKey", err)
	parsed, err := x509.ParsePKIXPublicKey(pub.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("file"))
	signed, err := c.Sign(ctx, &api.SignRequest{KeyTarget: key(id), Message: digest[:], MessageType: api.Digest, SigningAlgorithm: api.ECDSASHA256})
	ok("Sign", err)
	if !ecdsa.VerifyASN1(parsed.(*ecdsa.PublicKey), digest[:], signed.Signature) {
		t.Error("the signature is not good")
	}
	file, err := c.SignFile(ctx, "alias/team/release", "", strings.NewReader("file"))
	ok("Sign", err)
	if file.SigningAlgorithm != api.ECDSASHA256 || !ecdsa.VerifyASN1(parsed.(*ecdsa.PublicKey), digest[:], file.Signature) {
		t.Errorf("the file's signature is not good: %+v", file)
	}
	_, err = c.Verify(ctx, &api.VerifyRequest{KeyTarget: key(id), Message: []byte("file"), Signature: file.Signature, SigningAlgorithm: api.ECDSASHA256})
	ok("Verify", err)
	_, err = c.VerifyFile(ctx, id, "", strings.NewReader("file"), signed.Signature)
	ok("Verify", err)
	if _, err := c.VerifyFile(ctx, id, "", strings.NewReader("other"), signed.Signature); client.Code(err) != api.KMSInvalidSignature {
		t.Errorf("a bad signature: %v", err)
	}

	rotate(t, c, id, ok)
	describe(t, c, id, ok)
	refusedCalls(t, c, id, called)
	_, err = c.DisableKey(ctx, &api.DisableKeyRequest{KeyTarget: key(id)})
	ok("DisableKey", err)
	if _, err := c.SignFile(ctx, id, api.ECDSASHA256, strings.NewReader("file")); client.Code(err) != api.Disabled {
		t.Errorf("a disabled key: %v", err)
	}
	_, err = c.EnableKey(ctx, &api.EnableKeyRequest{KeyTarget: key(id)})
	ok("EnableKey", err)
	days := 7
	_, err = c.ScheduleKeyDeletion(ctx, &api.ScheduleKeyDeletionRequest{KeyTarget: key(id), PendingWindowInDays: &days})
	ok("ScheduleKeyDeletion", err)
	_, err = c.CancelKeyDeletion(ctx, &api.CancelKeyDeletionRequest{KeyTarget: key(id)})
	ok("CancelKeyDeletion", err)

	box, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: api.RSA2048, KeyUsage: api.EncryptDecrypt})
	ok("CreateKey", err)
	sealed, err := c.Encrypt(ctx, &api.EncryptRequest{KeyTarget: key(box.KeyMetadata.KeyId), Plaintext: []byte("secret"), EncryptionAlgorithm: api.OAEPSHA256})
	ok("Encrypt", err)
	opened, err := c.Decrypt(ctx, &api.DecryptRequest{KeyTarget: key(box.KeyMetadata.KeyId), CiphertextBlob: sealed.CiphertextBlob, EncryptionAlgorithm: api.OAEPSHA256})
	ok("Decrypt", err)
	if string(opened.Plaintext) != "secret" {
		t.Errorf("decrypted %q", opened.Plaintext)
	}
	if _, err := c.SignFile(ctx, box.KeyMetadata.KeyId, "", strings.NewReader("file")); client.Code(err) != api.InvalidKeyUsage {
		t.Errorf("a key that does not sign: %v", err)
	}
	listAndUpdateAliases(t, c, id, ok)
	importMaterial(t, c, ok)

	for _, op := range gateway.Ops {
		if !called[op.Name] {
			t.Errorf("the client has no %s, or this test does not call it", op.Name)
		}
	}
	records := g.Records()
	for n, r := range receipts {
		if len(records) == 0 || !strings.Contains(r, ":") {
			t.Fatalf("receipt %d is %q", n, r)
		}
	}
	if want := fmt.Sprintf("%d:", records[len(records)-1].Seq); !strings.HasPrefix(receipts[len(receipts)-1], want) {
		t.Errorf("the last receipt is %s, the last record %s", receipts[len(receipts)-1], want)
	}
}

// describe says what a key is for, and asks it.
func describe(t *testing.T, c *client.Client, id string, ok func(string, error)) {
	t.Helper()
	ctx, text := t.Context(), "another"
	_, err := c.UpdateKeyDescription(ctx, &api.UpdateKeyDescriptionRequest{KeyTarget: key(id), Description: &text})
	ok("UpdateKeyDescription", err)
	_, err = c.TagResource(ctx, &api.TagResourceRequest{KeyTarget: key(id), Tags: []api.Tag{{TagKey: "a", TagValue: "1"}, {TagKey: "b"}}})
	ok("TagResource", err)
	_, err = c.UntagResource(ctx, &api.UntagResourceRequest{KeyTarget: key(id), TagKeys: []string{"b"}})
	ok("UntagResource", err)
	tags, err := c.ListResourceTags(ctx, &api.ListResourceTagsRequest{KeyTarget: key(id)})
	ok("ListResourceTags", err)
	if len(tags.Tags) != 1 || tags.Tags[0] != (api.Tag{TagKey: "a", TagValue: "1"}) {
		t.Errorf("tags %+v", tags)
	}
	use, err := c.GetKeyLastUsage(ctx, &api.GetKeyLastUsageRequest{KeyTarget: key(id)})
	ok("GetKeyLastUsage", err)
	if use.KeyLastUsage == nil || use.KeyLastUsage.Operation != "Verify" && use.KeyLastUsage.Operation != "Sign" {
		t.Errorf("last use %+v", use)
	}
}

// refusedCalls are those that the gateway does not offer.
func refusedCalls(t *testing.T, c *client.Client, id string, called map[string]bool) {
	t.Helper()
	ctx := t.Context()
	errs := make(map[string]error)
	_, errs["GetKeyPolicy"] = c.GetKeyPolicy(ctx, &api.GetKeyPolicyRequest{KeyTarget: key(id)})
	_, errs["PutKeyPolicy"] = c.PutKeyPolicy(ctx, &api.PutKeyPolicyRequest{KeyTarget: key(id), Policy: "{}"})
	_, errs["ListKeyPolicies"] = c.ListKeyPolicies(ctx, &api.ListKeyPoliciesRequest{KeyTarget: key(id)})
	_, errs["CreateGrant"] = c.CreateGrant(ctx, &api.CreateGrantRequest{KeyTarget: key(id), Operations: []api.GrantOperation{api.GrantSign}})
	_, errs["ListGrants"] = c.ListGrants(ctx, &api.ListGrantsRequest{KeyTarget: key(id)})
	_, errs["RevokeGrant"] = c.RevokeGrant(ctx, &api.RevokeGrantRequest{KeyTarget: key(id), GrantId: "g"})
	_, errs["RetireGrant"] = c.RetireGrant(ctx, &api.RetireGrantRequest{GrantToken: "t"})
	_, errs["ListRetirableGrants"] = c.ListRetirableGrants(ctx, &api.ListRetirableGrantsRequest{RetiringPrincipal: "arn"})
	for name, err := range errs {
		if client.Code(err) != api.UnsupportedOperation {
			t.Errorf("%s: %v", name, err)
		}
		called[name] = true
	}
}

// listAndUpdateAliases goes on with the key that alias/team/release names.
func listAndUpdateAliases(t *testing.T, c *client.Client, id string, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	second, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify})
	ok("CreateKey", err)
	other := second.KeyMetadata.KeyId
	_, err = c.UpdateAlias(ctx, &api.UpdateAliasRequest{AliasName: "alias/team/release", TargetKeyId: other})
	ok("UpdateAlias", err)
	_, err = c.CreateAlias(ctx, &api.CreateAliasRequest{AliasName: "alias/a", TargetKeyId: id})
	ok("CreateAlias", err)
	one := 1
	page, err := c.ListAliases(ctx, &api.ListAliasesRequest{Limit: &one})
	ok("ListAliases", err)
	if len(page.Aliases) != 1 || !page.Truncated || page.Aliases[0].AliasName != "alias/a" {
		t.Fatalf("first page %+v", page)
	}
	page, err = c.ListAliases(ctx, &api.ListAliasesRequest{Limit: &one, Marker: page.NextMarker})
	ok("ListAliases", err)
	if len(page.Aliases) != 1 || page.Truncated || page.Aliases[0].TargetKeyId != other {
		t.Errorf("second page %+v", page)
	}
	page, err = c.ListAliases(ctx, &api.ListAliasesRequest{KeyId: id})
	ok("ListAliases", err)
	if len(page.Aliases) != 1 || page.Aliases[0].AliasName != "alias/a" {
		t.Errorf("aliases of the key %+v", page)
	}
	_, err = c.DeleteAlias(ctx, &api.DeleteAliasRequest{AliasName: "alias/team/release"})
	ok("DeleteAlias", err)
	if _, err := c.DeleteAlias(ctx, &api.DeleteAliasRequest{AliasName: "alias/team/release"}); client.Code(err) != api.NotFound {
		t.Errorf("an alias that is gone: %v", err)
	}
}

// TestPublicKeyForms: what the gateway makes of a public key.
func TestPublicKeyForms(t *testing.T) {
	g := gatewaytest.New(t)
	c := client.New(g.URL, g.Admin.Token)
	id := g.CreateKey(api.RSA2048, api.SignVerify).KeyId
	der, err := c.PublicKeyAs(t.Context(), id, "application/octet-stream")
	if err != nil {
		t.Fatal(err)
	}
	if k, err := x509.ParsePKIXPublicKey(der); err != nil {
		t.Error(err)
	} else if _, ok := k.(*rsa.PublicKey); !ok {
		t.Errorf("a %T", k)
	}
	for mediaType, want := range map[string]string{
		"application/x-pem-file": "-----BEGIN PUBLIC KEY-----\n", "application/jwk+json": `{`, "text/x-ssh-public-key": "ssh-rsa ",
	} {
		text, err := c.PublicKeyAs(t.Context(), id, mediaType)
		if err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: %.60q, %v", mediaType, text, err)
		}
	}
	if _, err := c.PublicKeyAs(t.Context(), "alias/nope", "application/jwk+json"); client.Code(err) != api.NotFound {
		t.Errorf("an unknown key: %v", err)
	}
}

// TestRefusals: each kind of refusal arrives with its code.
func TestRefusals(t *testing.T) {
	g := gatewaytest.New(t)
	ctx := t.Context()
	stranger := client.New(g.URL, "hsmgate_nobody")
	if _, err := stranger.ListKeys(ctx, &api.ListKeysRequest{}); client.Code(err) != api.UnrecognizedClient {
		t.Errorf("a stranger: %v", err)
	}
	user := client.New(g.URL, g.Principal("ci", "user").Token)
	if _, err := user.ListKeys(ctx, &api.ListKeysRequest{}); client.Code(err) != api.AccessDenied {
		t.Errorf("a user: %v", err)
	}
	admin := client.New(g.URL, g.Admin.Token)
	big := 1001
	if _, err := admin.ListKeys(ctx, &api.ListKeysRequest{Limit: &big}); client.Code(err) != api.Validation {
		t.Errorf("a page too large: %v", err)
	}
	if _, err := admin.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: "RSA_1024", KeyUsage: api.SignVerify}); client.Code(err) != api.Validation {
		t.Errorf("a key spec that there is not: %v", err)
	}
}

func rotate(t *testing.T, c *client.Client, id string, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	_, err := c.EnableKeyRotation(ctx, &api.EnableKeyRotationRequest{KeyTarget: key(id)})
	ok("EnableKeyRotation", err)
	status, err := c.GetKeyRotationStatus(ctx, &api.GetKeyRotationStatusRequest{KeyTarget: key(id)})
	ok("GetKeyRotationStatus", err)
	if !status.KeyRotationEnabled || status.RotationPeriodInDays != 365 {
		t.Errorf("%+v", status)
	}
	_, err = c.DisableKeyRotation(ctx, &api.DisableKeyRotationRequest{KeyTarget: key(id)})
	ok("DisableKeyRotation", err)
	_, err = c.RotateKeyOnDemand(ctx, &api.RotateKeyOnDemandRequest{KeyTarget: key(id)})
	ok("RotateKeyOnDemand", err)
	list, err := c.ListKeyRotations(ctx, &api.ListKeyRotationsRequest{KeyTarget: key(id), IncludeKeyMaterial: api.AllKeyMaterial})
	ok("ListKeyRotations", err)
	keys, err := c.ListPublicKeys(ctx, &api.ListPublicKeysRequest{KeyTarget: key(id)})
	ok("ListPublicKeys", err)
	history, err := c.GetKeyHistory(ctx, &api.GetKeyHistoryRequest{KeyTarget: key(id)})
	ok("GetKeyHistory", err)
	if len(list.Rotations) != 2 || len(keys.Keys) != 2 || history.Signature == "" {
		t.Errorf("%+v %+v %+v", list, keys, history)
	}
}

// importMaterial brings a key pair in and takes it away.
func importMaterial(t *testing.T, c *client.Client, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	made, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, Origin: api.OriginExternal})
	ok("CreateKey", err)
	id := made.KeyMetadata.KeyId
	params, err := c.GetParametersForImport(ctx, &api.GetParametersForImportRequest{KeyTarget: key(id), WrappingAlgorithm: api.WrapOAEPSHA1, WrappingKeySpec: api.WrappingRSA2048})
	ok("GetParametersForImport", err)
	pub, err := x509.ParsePKIXPublicKey(params.PublicKey)
	ok("GetParametersForImport", err)
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok("GenerateKey", err)
	material, err := x509.MarshalPKCS8PrivateKey(pair)
	ok("MarshalPKCS8PrivateKey", err)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, pub.(*rsa.PublicKey), material, nil)
	ok("EncryptOAEP", err)
	in, err := c.ImportKeyMaterial(ctx, &api.ImportKeyMaterialRequest{KeyTarget: key(id), ImportToken: params.ImportToken, EncryptedKeyMaterial: wrapped,
		ExpirationModel: api.KeyMaterialDoesNotExpire, KeyMaterialDescription: "from a test"})
	ok("ImportKeyMaterial", err)
	signed, err := c.SignFile(ctx, id, "", strings.NewReader("file"))
	ok("Sign", err)
	digest := sha256.Sum256([]byte("file"))
	if !ecdsa.VerifyASN1(&pair.PublicKey, digest[:], signed.Signature) {
		t.Error("the signature is not one of the key that was imported")
	}
	out, err := c.DeleteImportedKeyMaterial(ctx, &api.DeleteImportedKeyMaterialRequest{KeyTarget: key(id), KeyMaterialId: in.KeyMaterialId})
	ok("DeleteImportedKeyMaterial", err)
	if out.KeyMaterialId != in.KeyMaterialId {
		t.Errorf("%+v", out)
	}
}
