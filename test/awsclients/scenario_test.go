package awsclients

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// bench is a client with a gateway of its own.
type bench struct {
	client
	*gatewaytest.Gateway
	admin access
}

func (b *bench) create(t *testing.T, spec, usage string) (id, arn string) {
	t.Helper()
	m := b.must(t, b.admin, "CreateKey", params{"KeySpec": spec, "KeyUsage": usage}).object(t, "KeyMetadata")
	return m.str(t, "KeyId"), m.str(t, "Arn")
}

// TestClients plays every operation with every client.
func TestClients(t *testing.T) {
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{"eu-west-1"}, KeyStores: map[string]hsm.Config{"second": hsmtest.NewToken(t)}})
			b := &bench{client: c, Gateway: g, admin: accessOf(g, g.Admin)}
			t.Run("keys", b.testKeys)
			t.Run("sign", b.testSign)
			t.Run("verify", b.testVerify)
			t.Run("encrypt", b.testEncrypt)
			t.Run("envelope", b.testEnvelope)
			t.Run("aliases", b.testAliases)
			t.Run("pages", b.testPages)
			t.Run("life", b.testLife)
			t.Run("regions", b.testRegions)
			t.Run("tags", b.testTags)
			t.Run("rotation", b.testRotation)
			t.Run("key stores", b.testKeyStores)
			t.Run("policies", b.testPolicies)
			t.Run("grants", b.testGrants)
			t.Run("unsupported", b.testUnsupported)
			t.Run("errors", b.testErrors)
			t.Run("authentication", b.testAuthentication)
			t.Run("audit", b.testAudit)
		})
	}
}

// testKeys makes a key and reads back what the client understood of it.
func (b *bench) testKeys(t *testing.T) {
	before := time.Now().Add(-2 * time.Second)
	made := b.must(t, b.admin, "CreateKey", params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Description": "größer & <schöner>"}).object(t, "KeyMetadata")
	id, arn := made.str(t, "KeyId"), made.str(t, "Arn")
	if _, err := uuid.Parse(id); err != nil || arn != "arn:aws:kms:eu-central-1:111122223333:key/"+id {
		t.Errorf("key id %s, ARN %s", id, arn)
	}
	b.must(t, b.admin, "CreateAlias", params{"AliasName": "alias/keys/described", "TargetKeyId": arn})
	for _, reference := range affordable(b, []string{id, arn, "alias/keys/described", "arn:aws:kms:eu-central-1:111122223333:alias/keys/described"}, 2) {
		m := b.must(t, b.admin, "DescribeKey", params{"KeyId": reference}).object(t, "KeyMetadata")
		for member, want := range map[string]any{
			"KeyId": id, "Arn": arn, "AWSAccountId": gatewaytest.Account, "Description": "größer & <schöner>", "Enabled": true,
			"KeyState": "Enabled", "KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256", "CustomerMasterKeySpec": "ECC_NIST_P256",
			"Origin": "AWS_KMS", "KeyManager": "CUSTOMER", "MultiRegion": false,
		} {
			if m[member] != want {
				t.Errorf("by %s: %s is %v, want %v", reference, member, m[member], want)
			}
		}
		if got := m.list(t, "SigningAlgorithms"); len(got) != 1 || got[0] != "ECDSA_SHA_256" {
			t.Errorf("SigningAlgorithms %v", got)
		}
		if at := m.time(t, "CreationDate"); at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("CreationDate %s", at)
		}
	}
	public := b.must(t, b.admin, "GetPublicKey", params{"KeyId": arn})
	if public.str(t, "KeyId") != arn || public.str(t, "KeyUsage") != "SIGN_VERIFY" {
		t.Errorf("public key %v", public)
	}
	text, err := openssl(t, map[string][]byte{"spki": public.blob(t, "PublicKey")}, "pkey", "-pubin", "-inform", "DER", "-in", "spki", "-noout", "-text", "-out", "OUT")
	if err != nil || !strings.Contains(string(text), "P-256") {
		t.Errorf("OpenSSL on the public key: %v: %s", err, text)
	}
}

// specs are the key specs that sign, with what each client has time for.
func (b *bench) specs() []string {
	if b.fast {
		return []string{"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"}
	}
	return []string{"RSA_2048"}
}

// affordable leaves a slow client the first few of a list: the AWS CLI takes up
// to a second of CPU a call.
func affordable[E any](b *bench, all []E, few int) []E {
	if b.fast {
		return all
	}
	return all[:min(few, len(all))]
}

// testSign signs with every algorithm, RAW and DIGEST, and asks OpenSSL.
func (b *bench) testSign(t *testing.T) {
	message := []byte("hsmgate-1.0_amd64.deb\x00\xff")
	for _, spec := range b.specs() {
		_, arn := b.create(t, spec, "SIGN_VERIFY")
		public := b.must(t, b.admin, "GetPublicKey", params{"KeyId": arn})
		spki, algorithms := public.blob(t, "PublicKey"), public.list(t, "SigningAlgorithms")
		if len(algorithms) == 0 {
			t.Errorf("%s has no algorithms", spec)
		}
		for _, a := range affordable(b, algorithms, 1) {
			algorithm := a.(string)
			for _, messageType := range messageTypes(algorithm) {
				b.signOnce(t, arn, spki, algorithm, messageType, message)
			}
		}
	}
}

// messageTypes of an algorithm that OpenSSL can verify: 3.0 has no Ed25519ph.
func messageTypes(algorithm string) []string {
	switch algorithm {
	case "ED25519_SHA_512":
		return []string{"RAW"}
	case "ED25519_PH_SHA_512":
		return nil
	}
	return []string{"RAW", "DIGEST"}
}

func (b *bench) signOnce(t *testing.T, arn string, spki []byte, algorithm, messageType string, message []byte) {
	t.Helper()
	in := params{"KeyId": arn, "SigningAlgorithm": algorithm, "MessageType": messageType, "Message": message}
	if messageType == "DIGEST" {
		in["Message"] = digest(schemes[algorithm].hash, message)
	}
	out := b.must(t, b.admin, "Sign", in)
	signature := out.blob(t, "Signature")
	if out.str(t, "KeyId") != arn || out.str(t, "SigningAlgorithm") != algorithm {
		t.Errorf("%v", out)
	}
	if err := opensslVerifies(t, algorithm, spki, message, signature); err != nil {
		t.Errorf("%s %s: %v", algorithm, messageType, err)
	}
	if opensslVerifies(t, algorithm, spki, append(slices.Clone(message), '!'), signature) == nil {
		t.Errorf("OpenSSL takes %s %s for another message", algorithm, messageType)
	}
	in["Signature"] = signature
	if verified := b.must(t, b.admin, "Verify", in); verified["SignatureValid"] != true || verified.str(t, "KeyId") != arn {
		t.Errorf("Verify: %v", verified)
	}
	in["Signature"] = append([]byte{signature[0] ^ 1}, signature[1:]...)
	if err := b.refused(t, b.admin, "Verify", in); err.code != "KMSInvalidSignatureException" {
		t.Errorf("Verify of a changed signature: %v", err)
	}
}

// adopt puts a public key of OpenSSL's into the store, so that operations with
// the public key, which the gateway performs itself, meet OpenSSL's private key.
func (b *bench) adopt(t *testing.T, k opensslKey, spec, usage string) (arn string) {
	t.Helper()
	id, now := uuid.NewString(), time.Now()
	v := store.Version{Number: 1, ObjectID: hsm.NewID(), CreatedAt: now, CurrentAt: now}
	err := b.Store.InsertKey(t.Context(), &store.Key{Region: gatewaytest.Region, ID: id, State: store.StateCreating, CreatedAt: now,
		Line: store.Line{Spec: spec, Usage: usage, Versions: []store.Version{v}}})
	if err == nil {
		v.PublicKey = k.spki
		err = b.Store.ActivateKey(t.Context(), gatewaytest.Region, id, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "arn:aws:kms:" + gatewaytest.Region + ":" + gatewaytest.Account + ":key/" + id
}

// testVerify has signatures of OpenSSL verified by the gateway.
func (b *bench) testVerify(t *testing.T) {
	keys := map[string]struct {
		generate   []string
		algorithms []string
	}{
		"RSA_2048": {[]string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, []string{
			"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512", "RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512"}},
		"ECC_NIST_P256":         {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, []string{"ECDSA_SHA_256"}},
		"ECC_NIST_P384":         {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}, []string{"ECDSA_SHA_384"}},
		"ECC_NIST_P521":         {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"}, []string{"ECDSA_SHA_512"}},
		"ECC_SECG_P256K1":       {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, []string{"ECDSA_SHA_256"}},
		"ECC_NIST_EDWARDS25519": {[]string{"-algorithm", "ED25519"}, []string{"ED25519_SHA_512"}},
	}
	message := []byte("signed elsewhere")
	for spec, k := range keys {
		if !slices.Contains(b.specs(), spec) {
			continue
		}
		key := newOpenSSLKey(t, k.generate...)
		arn := b.adopt(t, key, spec, "SIGN_VERIFY")
		for _, algorithm := range affordable(b, k.algorithms, 1) {
			in := params{"KeyId": arn, "SigningAlgorithm": algorithm, "Message": message, "Signature": key.sign(t, algorithm, message)}
			if out := b.must(t, b.admin, "Verify", in); out["SignatureValid"] != true {
				t.Errorf("%s: %v", algorithm, out)
			}
			in["Message"] = []byte("signed elsewherf")
			if err := b.refused(t, b.admin, "Verify", in); err.code != "KMSInvalidSignatureException" {
				t.Errorf("%s over another message: %v", algorithm, err)
			}
			if s := schemes[algorithm]; s.digest != "" {
				in["Message"], in["MessageType"] = digest(s.hash, message), "DIGEST"
				if out := b.must(t, b.admin, "Verify", in); out["SignatureValid"] != true {
					t.Errorf("%s over a digest: %v", algorithm, out)
				}
			}
		}
	}
}

// testEncrypt goes from OpenSSL into the token and from the gateway to OpenSSL.
func (b *bench) testEncrypt(t *testing.T) {
	_, arn := b.create(t, "RSA_2048", "ENCRYPT_DECRYPT")
	public := b.must(t, b.admin, "GetPublicKey", params{"KeyId": arn})
	elsewhere := newOpenSSLKey(t, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	adopted := b.adopt(t, elsewhere, "RSA_2048", "ENCRYPT_DECRYPT")
	sizes := map[string]int{"RSAES_OAEP_SHA_1": sha1.Size, "RSAES_OAEP_SHA_256": sha256.Size}
	for _, algorithm := range affordable(b, []string{"RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"}, 1) {
		longest := make([]byte, 256-2*sizes[algorithm]-2)
		_, _ = rand.Read(longest)
		for _, plaintext := range affordable(b, [][]byte{longest, {0}}, 1) {
			in := params{"KeyId": arn, "EncryptionAlgorithm": algorithm, "CiphertextBlob": opensslEncrypt(t, algorithm, public.blob(t, "PublicKey"), plaintext)}
			if got := b.must(t, b.admin, "Decrypt", in).blob(t, "Plaintext"); !bytes.Equal(got, plaintext) {
				t.Errorf("%s: OpenSSL's ciphertext is decrypted to %x, want %x", algorithm, got, plaintext)
			}
			out := b.must(t, b.admin, "Encrypt", params{"KeyId": adopted, "EncryptionAlgorithm": algorithm, "Plaintext": plaintext})
			if got := elsewhere.decrypt(t, algorithm, out.blob(t, "CiphertextBlob")); !bytes.Equal(got, plaintext) {
				t.Errorf("%s: OpenSSL decrypts to %x, want %x", algorithm, got, plaintext)
			}
			out = b.must(t, b.admin, "Encrypt", params{"KeyId": arn, "EncryptionAlgorithm": algorithm, "Plaintext": plaintext})
			back := b.must(t, b.admin, "Decrypt", params{"KeyId": arn, "EncryptionAlgorithm": algorithm, "CiphertextBlob": out.blob(t, "CiphertextBlob")})
			if !bytes.Equal(back.blob(t, "Plaintext"), plaintext) || back.str(t, "KeyId") != arn || back.str(t, "EncryptionAlgorithm") != algorithm {
				t.Errorf("%s: there and back: %v", algorithm, back)
			}
		}
	}
}

// testAliases makes, reads, moves and removes a name.
func (b *bench) testAliases(t *testing.T) {
	first, _ := b.create(t, "ECC_NIST_P256", "SIGN_VERIFY")
	second, secondARN := b.create(t, "ECC_NIST_P256", "SIGN_VERIFY")
	if out := b.must(t, b.admin, "CreateAlias", params{"AliasName": "alias/release", "TargetKeyId": first}); len(out) != 0 {
		t.Errorf("CreateAlias answers %v", out)
	}
	out := b.must(t, b.admin, "ListAliases", params{"KeyId": first})
	if names := out.strings(t, "Aliases", "AliasName"); !slices.Equal(names, []string{"alias/release"}) {
		t.Fatalf("aliases %v", names)
	}
	entry := result(out.list(t, "Aliases")[0].(map[string]any))
	if entry.str(t, "TargetKeyId") != first || entry.str(t, "AliasArn") != "arn:aws:kms:eu-central-1:111122223333:alias/release" {
		t.Errorf("entry %v", entry)
	}
	if age := time.Since(entry.time(t, "CreationDate")); age < -time.Second || age > time.Hour {
		t.Errorf("created %s ago", age)
	}
	b.must(t, b.admin, "UpdateAlias", params{"AliasName": "alias/release", "TargetKeyId": second})
	signed := b.must(t, b.admin, "Sign", params{"KeyId": "alias/release", "SigningAlgorithm": "ECDSA_SHA_256", "Message": []byte("x")})
	if signed.str(t, "KeyId") != secondARN {
		t.Errorf("the alias signs with %v", signed)
	}
	b.must(t, b.admin, "DeleteAlias", params{"AliasName": "alias/release"})
	if err := b.refused(t, b.admin, "DescribeKey", params{"KeyId": "alias/release"}); err.code != "NotFoundException" {
		t.Errorf("a deleted alias: %v", err)
	}
}

// testPages follows pages with the client's own paginator.
func (b *bench) testPages(t *testing.T) {
	var made []string
	for range 3 {
		id, _ := b.create(t, "ECC_NIST_P256", "SIGN_VERIFY")
		made = append(made, id)
		b.must(t, b.admin, "CreateAlias", params{"AliasName": "alias/page/" + id, "TargetKeyId": id})
	}
	all := b.must(t, b.admin, "ListKeys", params{}).strings(t, "Keys", "KeyId")
	paged := b.must(t, b.admin, "ListKeys", params{"PageSize": 2}).strings(t, "Keys", "KeyId")
	if !slices.Equal(all, paged) || len(all) < 3 {
		t.Errorf("two by two %v, at once %v", paged, all)
	}
	for _, id := range made {
		if !slices.Contains(paged, id) {
			t.Errorf("%s is on no page", id)
		}
	}
	names := b.must(t, b.admin, "ListAliases", params{"PageSize": 2}).strings(t, "Aliases", "AliasName")
	for _, id := range made {
		if n := len(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s != "alias/page/"+id })); n != 1 {
			t.Errorf("alias/page/%s is listed %d times", id, n)
		}
	}
}

// testLife takes a key through its states.
func (b *bench) testLife(t *testing.T) {
	id, arn := b.create(t, "ECC_NIST_P256", "SIGN_VERIFY")
	sign := params{"KeyId": id, "SigningAlgorithm": "ECDSA_SHA_256", "Message": []byte("x")}
	state := func(want string) {
		t.Helper()
		if got := b.must(t, b.admin, "DescribeKey", params{"KeyId": id}).object(t, "KeyMetadata").str(t, "KeyState"); got != want {
			t.Errorf("state %s, want %s", got, want)
		}
	}
	b.must(t, b.admin, "DisableKey", params{"KeyId": id})
	state("Disabled")
	wantError(t, b.refused(t, b.admin, "Sign", sign), "DisabledException", arn+" is disabled.")
	b.must(t, b.admin, "EnableKey", params{"KeyId": id})
	state("Enabled")
	out := b.must(t, b.admin, "ScheduleKeyDeletion", params{"KeyId": id, "PendingWindowInDays": 7})
	if days := time.Until(out.time(t, "DeletionDate")).Hours() / 24; days < 6.9 || days > 7.1 || out.str(t, "KeyId") != arn || out["PendingWindowInDays"] != 7.0 {
		t.Errorf("ScheduleKeyDeletion: %v", out)
	}
	state("PendingDeletion")
	wantError(t, b.refused(t, b.admin, "Sign", sign), "KMSInvalidStateException", arn+" is pending deletion.")
	if out := b.must(t, b.admin, "CancelKeyDeletion", params{"KeyId": id}); out.str(t, "KeyId") != arn {
		t.Errorf("CancelKeyDeletion: %v", out)
	}
	state("Disabled")
	wantError(t, b.refused(t, b.admin, "CancelKeyDeletion", params{"KeyId": id}), "KMSInvalidStateException", arn+" is not pending deletion.")
}

// testAudit looks whether the log has each operation, as made by this client.
func (b *bench) testAudit(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range b.Records() {
		if r.Face != "aws" || r.SourceAddress != "127.0.0.1" || r.UserAgent == "" || r.RequestID == "" || !strings.HasPrefix(r.CredentialID, "AKIA") {
			t.Errorf("record %+v", r)
		}
		if r.Outcome == "allowed" || r.ErrorCode == "UnsupportedOperationException" && b.unsupported("")[r.Operation] != nil {
			seen[r.Operation] = true
		}
	}
	for _, op := range gateway.Ops {
		if !seen[op.Name] && !op.BeyondKMS() && b.asked(op.Name) {
			t.Errorf("%s was never called with success by %s", op.Name, b.name)
		}
	}
}
