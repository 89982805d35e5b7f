package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// TestTime: seconds with at most three decimals, the form that every SDK reads.
func TestTime(t *testing.T) {
	t.Parallel()
	for wire, instant := range map[string]time.Time{
		"1700000000":     time.Unix(1700000000, 0),
		"1700000000.123": time.Unix(1700000000, 123_000_000),
		"0":              time.Unix(0, 0),
		"-1.500":         time.Unix(-2, 500_000_000),
	} {
		written, err := json.Marshal(api.Time{Time: instant})
		if err != nil || string(written) != wire {
			t.Errorf("%s: %s %v", wire, written, err)
		}
		var read api.Time
		if err := json.Unmarshal([]byte(wire), &read); err != nil || !read.Equal(instant) {
			t.Errorf("%s: %v %v", wire, read, err)
		}
	}
	var read api.Time
	for wire, want := range map[string]int64{"1.7e9": 1700000000, "1700000000.0004": 1700000000} {
		if err := json.Unmarshal([]byte(wire), &read); err != nil || read.Unix() != want {
			t.Errorf("%s: %v %v", wire, read, err)
		}
	}
	for _, wire := range []string{`"2026-01-01T00:00:00Z"`, "true", "{}", "1e300", "-1e12"} {
		if err := json.Unmarshal([]byte(wire), &read); err == nil {
			t.Errorf("%s is taken for a time", wire)
		}
	}
	if api.NewTime(time.Time{}) != nil {
		t.Error("the zero time is written")
	}
}

// TestCheckTexts are the words of AWS, in which no binary and no long value
// stands.
func TestCheckTexts(t *testing.T) {
	t.Parallel()
	limit := func(n int) *int { return &n }
	key := api.KeyTarget{KeyId: "k"}
	for want, in := range map[string]interface{ Check(*api.Checker) }{
		"": &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}, Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256},
		"1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null": &api.EnableKeyRequest{},
		"2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; " +
			"Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096": &api.EncryptRequest{Plaintext: make([]byte, 4097)},
		"1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1":                            &api.ListKeysRequest{Limit: limit(0)},
		"1 validation error detected: Value at 'keyId' failed to satisfy constraint: Member must have length less than or equal to 2048":                               &api.DescribeKeyRequest{KeyTarget: api.KeyTarget{KeyId: strings.Repeat("secret", 400)}},
		"1 validation error detected: Value 'RAWW' at 'messageType' failed to satisfy constraint: Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]":      &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: "k"}, Message: []byte("m"), MessageType: "RAWW", SigningAlgorithm: api.ECDSASHA256},
		"1 validation error detected: Value 'alias/ü' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$": &api.DeleteAliasRequest{AliasName: "alias/ü"},
		"1 validation error detected: Value null at 'tags.2.member.tagKey' failed to satisfy constraint: Member must not be null": &api.TagResourceRequest{
			KeyTarget: key, Tags: []api.Tag{{TagKey: "a"}, {}}},
		"1 validation error detected: Value '[Sign, Fly]' at 'operations' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [Decrypt, Encrypt, " +
			"GenerateDataKey, GenerateDataKeyWithoutPlaintext, ReEncryptFrom, ReEncryptTo, Sign, Verify, GetPublicKey, CreateGrant, RetireGrant, DescribeKey, GenerateDataKeyPair, " +
			"GenerateDataKeyPairWithoutPlaintext, GenerateMac, VerifyMac, DeriveSharedSecret, Encapsulate, Decapsulate]]": &api.CreateGrantRequest{
			KeyTarget: key, Operations: []api.GrantOperation{api.GrantSign, "Fly"}},
		"1 validation error detected: Value at 'constraints.encryptionContextSubset' failed to satisfy constraint: Member must have length less than or equal to 8": &api.CreateGrantRequest{
			KeyTarget: key, Operations: []api.GrantOperation{api.GrantDecrypt}, Constraints: &api.GrantConstraints{EncryptionContextSubset: pairs(9, 1)}},
		"1 validation error detected: Value at 'constraints.encryptionContextEquals' failed to satisfy constraint: " +
			"Member must have at most 384 characters in its keys and values together, not 392": &api.CreateGrantRequest{
			KeyTarget: key, Operations: []api.GrantOperation{api.GrantDecrypt}, Constraints: &api.GrantConstraints{EncryptionContextEquals: pairs(8, 48)}},
		"1 validation error detected: Value '0' at 'keyVersion' failed to satisfy constraint: Member must have value greater than or equal to 1": &api.GetPublicKeyRequest{
			KeyTarget: key, KeyVersion: limit(0)},
	} {
		var c api.Checker
		in.Check(&c)
		err := c.Err()
		switch {
		case want == "" && err != nil, want != "" && (err == nil || err.Code != api.Validation || err.Message != want):
			t.Errorf("%+v\nwant %s", err, want)
		}
	}
}

// pairs makes n pairs with keys of one character and values of size.
func pairs(n, size int) map[string]string {
	made := make(map[string]string)
	for i := range n {
		made[string(rune('a'+i))] = strings.Repeat("x", size)
	}
	return made
}

// TestSourceOfDecryption: a ciphertext that does not name its key needs one
// beside it, and only a dry run may ignore the ciphertext.
func TestSourceOfDecryption(t *testing.T) {
	t.Parallel()
	const noKey, noCiphertext = "'keyId'", "'ciphertextBlob'"
	ignore := []api.DryRunModifier{api.IgnoreCiphertext}
	for _, c := range []struct {
		in   api.DecryptRequest
		want []string
	}{
		{api.DecryptRequest{CiphertextBlob: []byte("c")}, nil},
		{api.DecryptRequest{CiphertextBlob: []byte("c"), EncryptionAlgorithm: api.SymmetricDefault}, nil},
		{api.DecryptRequest{CiphertextBlob: []byte("c"), EncryptionAlgorithm: api.OAEPSHA256}, []string{noKey}},
		{api.DecryptRequest{}, []string{noCiphertext}},
		{api.DecryptRequest{DryRunModifiers: ignore}, []string{noCiphertext}},
		{api.DecryptRequest{DryRunModifiers: ignore, DryRun: true}, []string{noKey}},
		{api.DecryptRequest{DryRunModifiers: ignore, DryRun: true, KeyTarget: api.KeyTarget{KeyId: "k"}}, nil},
	} {
		var checker api.Checker
		c.in.Check(&checker)
		err := checker.Err()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v, want %v", c.in, err, c.want)
		}
		for _, text := range c.want {
			if err != nil && !strings.Contains(err.Message, "1 validation error detected: Value null at "+text) {
				t.Errorf("%+v: %v, want %s", c.in, err, text)
			}
		}
	}
}

// TestSecretsStayHidden in errors and in whatever is printed.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	const secret = "hunter"
	for _, in := range []interface{ Check(*api.Checker) }{
		&api.CreateCustomKeyStoreRequest{KeyStorePassword: secret, XksProxyAuthenticationCredential: &api.XksProxyAuthenticationCredential{AccessKeyId: secret, RawSecretAccessKey: secret}},
		&api.UpdateCustomKeyStoreRequest{KeyStorePassword: secret, XksProxyAuthenticationCredential: &api.XksProxyAuthenticationCredential{AccessKeyId: secret, RawSecretAccessKey: secret}},
		&api.RetireGrantRequest{GrantToken: strings.Repeat(secret, 2000)},
		&api.DescribeKeyRequest{GrantTokens: []string{secret, ""}},
	} {
		var c api.Checker
		in.Check(&c)
		if err := c.Err(); err == nil || strings.Contains(err.Message, secret) {
			t.Errorf("%T: %v", in, err)
		}
	}
	store := api.UpdateCustomKeyStoreRequest{KeyStorePassword: secret}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(format, store); strings.Contains(text, secret) || strings.Contains(text, "68756e746572") {
			t.Errorf("%s: %s", format, text)
		}
	}
	if wire, err := json.Marshal(store); err != nil || !strings.Contains(string(wire), secret) {
		t.Errorf("%s %v", wire, err) // the client sends it
	}
}

// TestErrorKeepsItsCause for the log, and out of the message.
func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("the disk is full")
	err := &api.Error{Code: api.Internal, Message: "An internal error occurred.", Cause: cause}
	if !errors.Is(err, cause) || strings.Contains(err.Error(), "disk") || err.Error() != "KMSInternalException: An internal error occurred." {
		t.Error(err)
	}
	if text := (&api.Error{Code: api.InvalidCiphertext}).Error(); text != "InvalidCiphertextException" {
		t.Error(text)
	}
}
