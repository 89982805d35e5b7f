package awsclients

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// sdkOnly are the operations that older clients do not know, or that a slow one
// is not asked for.
var sdkOnly = []string{"Encapsulate", "DeriveSharedSecret", "GenerateRandom", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
	"GenerateDataKeyWithoutPlaintext", "ReEncrypt",
	"EnableKeyRotation", "DisableKeyRotation", "GetKeyRotationStatus", "RotateKeyOnDemand", "ListKeyRotations"}

// elsewhere are the operations that SoftHSM has no keys for, and those that a test
// of their own plays.
var elsewhere = []string{"Decapsulate", "GetParametersForImport", "ImportKeyMaterial", "DeleteImportedKeyMaterial"}

// asked says whether the scenario asks a client for an operation.
func (b *bench) asked(op string) bool {
	if slices.Contains(elsewhere, op) || !b.fast && slices.Contains(fastOnly, op) || b.name != "go-sdk" && (op == lastUsage || slices.Contains(sdkOnly, op)) {
		return false
	}
	one := bench{client: client{fast: true}, Gateway: b.Gateway}
	return b.fast || one.unsupported("")[op] == nil || b.unsupported("")[op] != nil
}

// testEnvelope encrypts a file's key, as every client does: with a context, and
// without naming the key again.
func (b *bench) testEnvelope(t *testing.T) {
	_, arn := b.create(t, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	context := map[string]string{"file": "db.dump", "team": "a"}
	made := b.must(t, b.admin, "GenerateDataKey", params{"KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": context})
	key := made.blob(t, "Plaintext")
	if len(key) != 32 || made.str(t, "KeyId") != arn {
		t.Errorf("%v", made)
	}
	back := b.must(t, b.admin, "Decrypt", params{"CiphertextBlob": made.blob(t, "CiphertextBlob"), "EncryptionContext": context})
	if !bytes.Equal(back.blob(t, "Plaintext"), key) || back.str(t, "KeyId") != arn || back.str(t, "EncryptionAlgorithm") != "SYMMETRIC_DEFAULT" {
		t.Errorf("%v", back)
	}
	wrong := params{"CiphertextBlob": made.blob(t, "CiphertextBlob"), "EncryptionContext": map[string]string{"file": "db.dump"}}
	wantError(t, b.refused(t, b.admin, "Decrypt", wrong), "InvalidCiphertextException", "The ciphertext was not made for this key, algorithm and encryption context, or was changed.")
	sealed := b.must(t, b.admin, "Encrypt", params{"KeyId": arn, "Plaintext": []byte("secret"), "EncryptionContext": context})
	if sealed.str(t, "KeyId") != arn || sealed.str(t, "EncryptionAlgorithm") != "SYMMETRIC_DEFAULT" {
		t.Errorf("%v", sealed)
	}
	_, mac := b.create(t, "HMAC_256", "GENERATE_VERIFY_MAC")
	in := params{"KeyId": mac, "Message": []byte("m"), "MacAlgorithm": "HMAC_SHA_256"}
	in["Mac"] = b.must(t, b.admin, "GenerateMac", in).blob(t, "Mac")
	if out := b.must(t, b.admin, "VerifyMac", in); out["MacValid"] != true || out.str(t, "KeyId") != mac || out.str(t, "MacAlgorithm") != "HMAC_SHA_256" {
		t.Errorf("%v", out)
	}
	in["Mac"] = []byte("another")
	if err := b.refused(t, b.admin, "VerifyMac", in); err.code != "KMSInvalidMacException" {
		t.Errorf("%v", err)
	}
	if b.name == "go-sdk" {
		b.testDataKeys(t, arn, context)
		b.testReEncrypt(t, arn)
		b.testPairs(t, arn, context)
		b.testAgreement(t)
		b.testRefusedSecrets(t, arn, mac)
	}
}

func (b *bench) testDataKeys(t *testing.T, arn string, context map[string]string) {
	out := b.must(t, b.admin, "GenerateDataKey", params{"KeyId": arn, "NumberOfBytes": 64, "EncryptionContext": context})
	if len(out.blob(t, "Plaintext")) != 64 || len(out.str(t, "KeyMaterialId")) != 64 {
		t.Errorf("%v", out)
	}
	out = b.must(t, b.admin, "GenerateDataKeyWithoutPlaintext", params{"KeyId": arn, "KeySpec": "AES_128", "EncryptionContext": context})
	back := b.must(t, b.admin, "Decrypt", params{"KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "CiphertextBlob": out.blob(t, "CiphertextBlob"), "EncryptionContext": context})
	if len(back.blob(t, "Plaintext")) != 16 || out.str(t, "KeyId") != arn || back.str(t, "KeyMaterialId") != out.str(t, "KeyMaterialId") {
		t.Errorf("%v, %v", out, back)
	}
	random := b.must(t, b.admin, "GenerateRandom", params{"NumberOfBytes": 1024})
	if len(random.blob(t, "Plaintext")) != 1024 {
		t.Errorf("%v", random)
	}
	wantError(t, b.refused(t, b.admin, "GenerateRandom", params{}), "ValidationException", "NumberOfBytes is required.")
	wantError(t, b.refused(t, b.admin, "GenerateDataKey", params{"KeyId": arn}), "ValidationException", "Please specify either number of bytes or key spec.")
}

func (b *bench) testReEncrypt(t *testing.T, from string) {
	_, to := b.create(t, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	old, young := map[string]string{"a": "1"}, map[string]string{"b": "2"}
	sealed := b.must(t, b.admin, "Encrypt", params{"KeyId": from, "Plaintext": []byte("secret"), "EncryptionContext": old}).blob(t, "CiphertextBlob")
	out := b.must(t, b.admin, "ReEncrypt", params{
		"CiphertextBlob": sealed, "SourceKeyId": from, "SourceEncryptionContext": old, "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
		"DestinationKeyId": to, "DestinationEncryptionContext": young, "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
	})
	for member, want := range map[string]string{"SourceKeyId": from, "KeyId": to, "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT"} {
		if out.str(t, member) != want {
			t.Errorf("%s is %v, want %s", member, out[member], want)
		}
	}
	if len(out.str(t, "SourceKeyMaterialId")) != 64 || out.str(t, "SourceKeyMaterialId") == out.str(t, "DestinationKeyMaterialId") {
		t.Errorf("%v", out)
	}
	back := b.must(t, b.admin, "Decrypt", params{"CiphertextBlob": out.blob(t, "CiphertextBlob"), "EncryptionContext": young})
	if string(back.blob(t, "Plaintext")) != "secret" || back.str(t, "KeyId") != to {
		t.Errorf("%v", back)
	}
	wantError(t, b.refused(t, b.admin, "Decrypt", params{"KeyId": from, "CiphertextBlob": out.blob(t, "CiphertextBlob")}), "IncorrectKeyException",
		"The key ID in the request does not identify a CMK that can perform this operation.")
}

func (b *bench) testPairs(t *testing.T, arn string, context map[string]string) {
	in := params{"KeyId": arn, "KeyPairSpec": "ECC_NIST_P384", "EncryptionContext": context}
	out := b.must(t, b.admin, "GenerateDataKeyPair", in)
	text, err := openssl(t, map[string][]byte{"key": out.blob(t, "PrivateKeyPlaintext")}, "pkey", "-inform", "DER", "-in", "key", "-pubout", "-outform", "DER", "-out", "OUT")
	if err != nil || !bytes.Equal(text, out.blob(t, "PublicKey")) || out.str(t, "KeyPairSpec") != "ECC_NIST_P384" || out.str(t, "KeyId") != arn || len(out.str(t, "KeyMaterialId")) != 64 {
		t.Errorf("%v: %v", err, out)
	}
	back := b.must(t, b.admin, "Decrypt", params{"CiphertextBlob": out.blob(t, "PrivateKeyCiphertextBlob"), "EncryptionContext": context})
	if !bytes.Equal(back.blob(t, "Plaintext"), out.blob(t, "PrivateKeyPlaintext")) {
		t.Error("the private key is another when it comes back")
	}
	in["KeyPairSpec"] = "RSA_2048"
	out = b.must(t, b.admin, "GenerateDataKeyPairWithoutPlaintext", in)
	if len(out.blob(t, "PublicKey")) < 256 || out["PrivateKeyPlaintext"] != nil {
		t.Errorf("%v", out)
	}
}

// testAgreement agrees with a key of OpenSSL's, and encapsulates to one of the
// gateway's making: SoftHSM has no ML-KEM keys of its own.
func (b *bench) testAgreement(t *testing.T) {
	_, arn := b.create(t, "ECC_NIST_P256", "KEY_AGREEMENT")
	peer := newOpenSSLKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	out := b.must(t, b.admin, "DeriveSharedSecret", params{"KeyId": arn, "KeyAgreementAlgorithm": "ECDH", "PublicKey": peer.spki})
	public := b.must(t, b.admin, "GetPublicKey", params{"KeyId": arn})
	if !bytes.Equal(out.blob(t, "SharedSecret"), peer.derive(t, public.blob(t, "PublicKey"))) || out.str(t, "KeyOrigin") != "AWS_KMS" ||
		out.str(t, "KeyAgreementAlgorithm") != "ECDH" || out.str(t, "KeyId") != arn || len(public.list(t, "KeyAgreementAlgorithms")) != 1 {
		t.Errorf("%v", out)
	}
	kem := b.adoptLattice(t)
	out = b.must(t, b.admin, "Encapsulate", params{"KeyId": kem, "EncapsulationAlgorithm": "ML_KEM"})
	ciphertext := out.blob(t, "SharedSecretCiphertextBlob")
	if len(out.blob(t, "SharedSecret")) != 32 || len(ciphertext) != 1088 || out.str(t, "EncapsulationAlgorithm") != "ML_KEM" || out.str(t, "KeyId") != kem {
		t.Errorf("%v", out)
	}
	in := params{"KeyId": kem, "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": ciphertext}
	if err := b.refused(t, b.admin, "Decapsulate", in); err.code != "UnsupportedOperationException" {
		t.Errorf("%v", err)
	}
}

// adoptLattice adopts the public half of a pair that the gateway made for others.
func (b *bench) adoptLattice(t *testing.T) (arn string) {
	t.Helper()
	_, under := b.create(t, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	made := b.must(t, b.admin, "GenerateDataKeyPair", params{"KeyId": under, "KeyPairSpec": lattice})
	return b.adopt(t, opensslKey{spki: made.blob(t, "PublicKey")}, lattice, "ENCAPSULATE_DECAPSULATE")
}

// testRefusedSecrets: the refusals that all of them have.
func (b *bench) testRefusedSecrets(t *testing.T, box, mac string) {
	recipient := map[string]any{"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": []byte("x")}
	for op, in := range map[string]params{
		"GenerateDataKey":     {"KeyId": box, "KeySpec": "AES_256"},
		"GenerateDataKeyPair": {"KeyId": box, "KeyPairSpec": "ECC_NIST_P256"},
		"GenerateRandom":      {"NumberOfBytes": 1},
	} {
		in["Recipient"] = recipient
		if err := b.refused(t, b.admin, op, in); err.code != "UnsupportedOperationException" || !strings.Contains(err.message, "Recipient") {
			t.Errorf("%s: %v", op, err)
		}
	}
	for op, in := range map[string]params{
		"Encrypt":         {"KeyId": box, "Plaintext": []byte("m")},
		"GenerateDataKey": {"KeyId": box, "KeySpec": "AES_256"},
		"GenerateMac":     {"KeyId": mac, "Message": []byte("m"), "MacAlgorithm": "HMAC_SHA_256"},
	} {
		in["DryRun"] = true
		wantError(t, b.refused(t, b.admin, op, in), "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
		in["GrantTokens"] = []string{"x"}
		if err := b.refused(t, b.admin, op, in); err.code != "InvalidGrantTokenException" {
			t.Errorf("%s: %v", op, err)
		}
	}
	wantError(t, b.refused(t, b.admin, "GenerateMac", params{"KeyId": mac, "Message": []byte("m"), "MacAlgorithm": "HMAC_SHA_512"}), "InvalidKeyUsageException",
		"Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256.")
	wantError(t, b.refused(t, b.admin, "GenerateDataKey", params{"KeyId": mac, "KeySpec": "AES_256"}), "InvalidKeyUsageException",
		mac+" key usage is GENERATE_VERIFY_MAC which is not valid for GenerateDataKey.")
}
