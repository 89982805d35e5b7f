package client_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

func key(ref string) api.KeyTarget { return api.KeyTarget{KeyId: ref} }

// TestEveryOperation calls each operation of the table on a real gateway.
func TestEveryOperation(t *testing.T) {
	g := gatewaytest.NewWith(t, gatewaytest.Options{Tree: &gateway.Tree{Origin: "log.example.com/test", Interval: 50 * time.Millisecond}, Regions: []string{"eu-west-1"}, KeyStores: map[string]hsm.Config{"second": hsmtest.NewToken(t)}})
	c := client.New(g.URL, g.Admin.Token)
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
	batch, err := c.SignBatch(ctx, &api.SignBatchRequest{KeyTarget: key(id), SigningAlgorithm: api.ECDSASHA256, Items: []api.SignBatchItem{{Message: digest[:], MessageType: api.Digest}, {}}})
	ok("SignBatch", err)
	if !ecdsa.VerifyASN1(parsed.(*ecdsa.PublicKey), digest[:], batch.Results[0].Signature) || batch.Results[1].Error == nil {
		t.Errorf("%+v", batch)
	}
	file, err := c.SignFile(ctx, "alias/team/release", "", strings.NewReader("file"))
	ok("Sign", err)
	if file.SigningAlgorithm != api.ECDSASHA256 || !ecdsa.VerifyASN1(parsed.(*ecdsa.PublicKey), digest[:], file.Signature) {
		t.Errorf("the file's signature is not good: %+v", file)
	}
	_, err = c.SignFileAs(ctx, &api.SignRequest{KeyTarget: key(id), SigningContext: map[string]string{"stage": "nightly"}, Artifact: &api.Artifact{Name: "app"}}, strings.NewReader("file"))
	ok("Sign", err)
	if r := g.Records(); r[len(r)-1].SigningContext["stage"] != "nightly" || r[len(r)-1].ArtifactName != "app" || r[len(r)-1].ArtifactDigest != "sha256:"+hex.EncodeToString(digest[:]) {
		t.Errorf("stated: %+v", r[len(r)-1])
	}
	_, err = c.Verify(ctx, &api.VerifyRequest{KeyTarget: key(id), Message: []byte("file"), Signature: file.Signature, SigningAlgorithm: api.ECDSASHA256})
	ok("Verify", err)
	_, err = c.VerifyFile(ctx, id, "", strings.NewReader("file"), signed.Signature)
	ok("Verify", err)
	if _, err := c.VerifyFile(ctx, id, "", strings.NewReader("other"), signed.Signature); client.Code(err) != api.KMSInvalidSignature {
		t.Errorf("a bad signature: %v", err)
	}

	_, err = c.PublishKey(ctx, &api.PublishKeyRequest{KeyTarget: key(id), Name: "release"})
	ok("PublishKey", err)
	published, err := c.ListPublications(ctx, &api.ListPublicationsRequest{})
	ok("ListPublications", err)
	if len(published.Publications) != 1 || published.Publications[0].KeyId != arn || published.Publications[0].Name != "release" {
		t.Errorf("%+v", published)
	}
	_, err = c.UnpublishKey(ctx, &api.UnpublishKeyRequest{KeyTarget: key(id)})
	ok("UnpublishKey", err)
	rotate(t, c, id, ok)
	describe(t, c, id, ok)
	accessTo(t, c, id, g.Admin.ARN, ok)
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
	secrets(t, c, ok)
	listAndUpdateAliases(t, c, id, ok)
	storesAndRegions(t, c, ok)

	importMaterial(t, c, ok)
	approvals(t, g, c, ok)
	accessKeys(t, c, ok)

	for _, op := range gateway.Ops {
		if !called[op.Name] {
			t.Errorf("the client has no %s, or this test does not call it", op.Name)
		}
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

// accessTo says who may use a key.
func accessTo(t *testing.T, c *client.Client, id, who string, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	names, err := c.ListKeyPolicies(ctx, &api.ListKeyPoliciesRequest{KeyTarget: key(id)})
	ok("ListKeyPolicies", err)
	old, err := c.GetKeyPolicy(ctx, &api.GetKeyPolicyRequest{KeyTarget: key(id), PolicyName: names.PolicyNames[0]})
	ok("GetKeyPolicy", err)
	text := strings.Replace(old.Policy, "Enable IAM", "Enable the IAM", 1)
	_, err = c.PutKeyPolicy(ctx, &api.PutKeyPolicyRequest{KeyTarget: key(id), Policy: text})
	ok("PutKeyPolicy", err)
	now, err := c.GetKeyPolicy(ctx, &api.GetKeyPolicyRequest{KeyTarget: key(id)})
	ok("GetKeyPolicy", err)
	if now.Policy != text || text == old.Policy {
		t.Errorf("the policy is %s", now.Policy)
	}
	why, err := c.ExplainAccess(ctx, &api.ExplainAccessRequest{Principal: who, Action: "kms:PutKeyPolicy", KeyId: id})
	ok("ExplainAccess", err)
	if !why.Allowed || len(why.Decisions) != 1 || why.Decisions[0].Statement != "role/administrator" || len(why.Decisions[0].Steps) != 2 {
		t.Errorf("%+v", why)
	}
	_, err = c.GetUsage(ctx, &api.GetUsageRequest{KeyId: id})
	ok("GetUsage", err)
	receipt, err := c.GetReceipt(ctx, &api.GetReceiptRequest{RecordNumber: 1})
	for i := 0; client.Code(err) == api.ServiceUnavailable && i < 500; i++ { // until a checkpoint covers it
		time.Sleep(20 * time.Millisecond)
		receipt, err = c.GetReceipt(ctx, &api.GetReceiptRequest{RecordNumber: 1})
	}
	ok("GetReceipt", err)
	if !strings.Contains(receipt.Record, `"CreateLogKey"`) || !strings.HasPrefix(receipt.Proof, "c2sp.org/tlog-proof@v1\n") {
		t.Errorf("%+v", receipt)
	}
	grant := &api.CreateGrantRequest{KeyTarget: key(id), GranteePrincipal: who, RetiringPrincipal: who, Operations: []api.GrantOperation{api.GrantSign}}
	first, err := c.CreateGrant(ctx, grant)
	ok("CreateGrant", err)
	second, err := c.CreateGrant(ctx, grant)
	ok("CreateGrant", err)
	_, err = c.RetireGrant(ctx, &api.RetireGrantRequest{GrantToken: first.GrantToken})
	ok("RetireGrant", err)
	retirable, err := c.ListRetirableGrants(ctx, &api.ListRetirableGrantsRequest{RetiringPrincipal: who})
	ok("ListRetirableGrants", err)
	if len(retirable.Grants) != 1 || retirable.Grants[0].GrantId != second.GrantId {
		t.Errorf("%+v", retirable)
	}
	_, err = c.RevokeGrant(ctx, &api.RevokeGrantRequest{KeyTarget: key(id), GrantId: second.GrantId})
	ok("RevokeGrant", err)
	list, err := c.ListGrants(ctx, &api.ListGrantsRequest{KeyTarget: key(id)})
	ok("ListGrants", err)
	if len(list.Grants) != 0 {
		t.Errorf("%+v", list)
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

func storesAndRegions(t *testing.T, c *client.Client, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	made, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, MultiRegion: true, CustomKeyStoreId: "second"})
	ok("CreateKey", err)
	id := made.KeyMetadata.KeyId
	replica, err := c.ReplicateKey(ctx, &api.ReplicateKeyRequest{KeyTarget: key(id), ReplicaRegion: "eu-west-1"})
	ok("ReplicateKey", err)
	_, err = c.UpdatePrimaryRegion(ctx, &api.UpdatePrimaryRegionRequest{KeyTarget: key(id), PrimaryRegion: "eu-west-1"})
	ok("UpdatePrimaryRegion", err)
	c.Region = "eu-west-1"
	there, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: key(id)})
	ok("DescribeKey", err)
	if there.KeyMetadata.Arn != replica.ReplicaKeyMetadata.Arn || there.KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType != api.Primary {
		t.Errorf("in the other region: %+v", there.KeyMetadata)
	}
	c.Region = "eu-west-9"
	if _, err := c.ListKeys(ctx, &api.ListKeysRequest{}); client.Code(err) != api.Validation || !strings.Contains(err.Error(), "eu-central-1, eu-west-1") {
		t.Errorf("a region that is not served: %v", err)
	}
	c.Region = ""

	list, err := c.DescribeCustomKeyStores(ctx, &api.DescribeCustomKeyStoresRequest{})
	ok("DescribeCustomKeyStores", err)
	if n := len(list.CustomKeyStores); n != 2 || list.CustomKeyStores[1].CustomKeyStoreId != "second" || list.CustomKeyStores[1].ConnectionState != api.Connected {
		t.Errorf("%+v", list)
	}
	_, err = c.ConnectCustomKeyStore(ctx, &api.ConnectCustomKeyStoreRequest{CustomKeyStoreId: "second"})
	ok("ConnectCustomKeyStore", err)
	_, err = c.DisconnectCustomKeyStore(ctx, &api.DisconnectCustomKeyStoreRequest{CustomKeyStoreId: "second"})
	ok("DisconnectCustomKeyStore", err)
	refused := func(name string, err error) {
		t.Helper()
		if client.Code(err) != api.UnsupportedOperation || !strings.Contains(err.Error(), "key_stores") {
			t.Errorf("%s: %v", name, err)
		}
		ok(name, nil)
	}
	_, err = c.CreateCustomKeyStore(ctx, &api.CreateCustomKeyStoreRequest{CustomKeyStoreName: "third"})
	refused("CreateCustomKeyStore", err)
	_, err = c.UpdateCustomKeyStore(ctx, &api.UpdateCustomKeyStoreRequest{CustomKeyStoreId: "second", KeyStorePassword: "1234567"})
	refused("UpdateCustomKeyStore", err)
	_, err = c.DeleteCustomKeyStore(ctx, &api.DeleteCustomKeyStoreRequest{CustomKeyStoreId: "second"})
	refused("DeleteCustomKeyStore", err)
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

// secrets calls what symmetric keys, HMAC keys and agreement keys do.
func secrets(t *testing.T, c *client.Client, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	made := func(spec api.KeySpec, usage api.KeyUsage) api.KeyTarget {
		t.Helper()
		out, err := c.CreateKey(ctx, &api.CreateKeyRequest{KeySpec: spec, KeyUsage: usage})
		ok("CreateKey", err)
		return api.KeyTarget{KeyId: out.KeyMetadata.KeyId}
	}
	box, mac, agreeing := made(api.Symmetric, api.EncryptDecrypt), made(api.HMAC256, api.GenerateVerifyMac), made(api.P256, api.KeyAgreement)
	context := map[string]string{"a": "b"}
	data, err := c.GenerateDataKey(ctx, &api.GenerateDataKeyRequest{KeyTarget: box, KeySpec: api.AES256, EncryptionContext: context})
	ok("GenerateDataKey", err)
	moved, err := c.ReEncrypt(ctx, &api.ReEncryptRequest{CiphertextBlob: data.CiphertextBlob, SourceEncryptionContext: context, DestinationKeyId: box.KeyId})
	ok("ReEncrypt", err)
	opened, err := c.Decrypt(ctx, &api.DecryptRequest{CiphertextBlob: moved.CiphertextBlob})
	ok("Decrypt", err)
	if len(data.Plaintext) != 32 || !bytes.Equal(opened.Plaintext, data.Plaintext) {
		t.Error("the data key is another one when it comes back")
	}
	_, err = c.GenerateDataKeyWithoutPlaintext(ctx, &api.GenerateDataKeyWithoutPlaintextRequest{KeyTarget: box, KeySpec: api.AES128})
	ok("GenerateDataKeyWithoutPlaintext", err)
	pair, err := c.GenerateDataKeyPair(ctx, &api.GenerateDataKeyPairRequest{KeyTarget: box, KeyPairSpec: api.P256})
	ok("GenerateDataKeyPair", err)
	_, err = c.GenerateDataKeyPairWithoutPlaintext(ctx, &api.GenerateDataKeyPairWithoutPlaintextRequest{KeyTarget: box, KeyPairSpec: api.P256})
	ok("GenerateDataKeyPairWithoutPlaintext", err)
	tag, err := c.GenerateMac(ctx, &api.GenerateMacRequest{KeyTarget: mac, Message: []byte("m"), MacAlgorithm: api.HMACSHA256})
	ok("GenerateMac", err)
	_, err = c.VerifyMac(ctx, &api.VerifyMacRequest{KeyTarget: mac, Message: []byte("m"), Mac: tag.Mac, MacAlgorithm: api.HMACSHA256})
	ok("VerifyMac", err)
	shared, err := c.DeriveSharedSecret(ctx, &api.DeriveSharedSecretRequest{KeyTarget: agreeing, KeyAgreementAlgorithm: api.ECDH, PublicKey: pair.PublicKey})
	ok("DeriveSharedSecret", err)
	n := 7
	random, err := c.GenerateRandom(ctx, &api.GenerateRandomRequest{NumberOfBytes: &n})
	ok("GenerateRandom", err)
	if len(shared.SharedSecret) != 32 || len(random.Plaintext) != n {
		t.Errorf("%d and %d bytes", len(shared.SharedSecret), len(random.Plaintext))
	}
	// No key of SoftHSM encapsulates, so that these come to a refusal that is theirs.
	_, err = c.Encapsulate(ctx, &api.EncapsulateRequest{KeyTarget: agreeing, EncapsulationAlgorithm: api.MLKEM})
	ok("Encapsulate", unless(err, api.InvalidKeyUsage))
	_, err = c.Decapsulate(ctx, &api.DecapsulateRequest{KeyTarget: agreeing, EncapsulationAlgorithm: api.MLKEM, SharedSecretCiphertextBlob: []byte("x")})
	ok("Decapsulate", unless(err, api.InvalidKeyUsage))
}

// unless is nil for an error of that code.
func unless(err error, code api.Code) error {
	if client.Code(err) == code {
		return nil
	}
	return fmt.Errorf("%w, not %s", err, code)
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

// accessKeys manages those of the caller.
func accessKeys(t *testing.T, c *client.Client, ok func(string, error)) {
	t.Helper()
	ctx := t.Context()
	made, err := c.CreateAccessKey(ctx, &api.CreateAccessKeyRequest{})
	ok("CreateAccessKey", err)
	id := made.AccessKey.AccessKeyId
	_, err = c.UpdateAccessKey(ctx, &api.UpdateAccessKeyRequest{AccessKeyId: id, Status: api.AccessKeyInactive})
	ok("UpdateAccessKey", err)
	list, err := c.ListAccessKeys(ctx, &api.ListAccessKeysRequest{})
	ok("ListAccessKeys", err)
	if !slices.ContainsFunc(list.AccessKeyMetadata, func(k api.AccessKeyMetadata) bool { return k.AccessKeyId == id && k.Status == api.AccessKeyInactive }) {
		t.Errorf("%+v", list)
	}
	_, err = c.DeleteAccessKey(ctx, &api.DeleteAccessKeyRequest{AccessKeyId: id})
	ok("DeleteAccessKey", err)
}
