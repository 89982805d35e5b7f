package awsclients

import (
	"testing"
	"time"
)

// fastOnly are the operations that only quick clients are asked for: what another
// operation of the same shape shows already.
var fastOnly = []string{"DescribeCustomKeyStores", "ConnectCustomKeyStore", "DisconnectCustomKeyStore"}

// testRotation rotates a symmetric key, as clients of AWS KMS know it: what was
// encrypted before is decrypted after. Older clients do not know all of it.
func (b *bench) testRotation(t *testing.T) {
	if b.name != "go-sdk" {
		return
	}
	id, arn := b.create(t, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	sealed := b.must(t, b.admin, "Encrypt", params{"KeyId": arn, "Plaintext": []byte("before")})
	before := b.must(t, b.admin, "DescribeKey", params{"KeyId": id}).object(t, "KeyMetadata").str(t, "CurrentKeyMaterialId")
	b.must(t, b.admin, "EnableKeyRotation", params{"KeyId": id, "RotationPeriodInDays": 90})
	status := b.must(t, b.admin, "GetKeyRotationStatus", params{"KeyId": id})
	if next := status.time(t, "NextRotationDate"); status["KeyRotationEnabled"] != true || time.Until(next) < 89*24*time.Hour || time.Until(next) > 91*24*time.Hour {
		t.Errorf("%v", status)
	}
	if out := b.must(t, b.admin, "RotateKeyOnDemand", params{"KeyId": id}); out.str(t, "KeyId") != arn {
		t.Errorf("%v", out)
	}
	list := b.must(t, b.admin, "ListKeyRotations", params{"KeyId": id}).list(t, "Rotations")
	if len(list) != 1 {
		t.Errorf("%v", list)
	}
	after := b.must(t, b.admin, "DescribeKey", params{"KeyId": id}).object(t, "KeyMetadata").str(t, "CurrentKeyMaterialId")
	if len(after) != 64 || after == before {
		t.Errorf("the material is %s, and was %s", after, before)
	}
	if out := b.must(t, b.admin, "Decrypt", params{"CiphertextBlob": sealed.blob(t, "CiphertextBlob")}); string(out.blob(t, "Plaintext")) != "before" {
		t.Errorf("%v", out)
	}
	b.must(t, b.admin, "DisableKeyRotation", params{"KeyId": id})
}

// testKeyStores makes a key in a token that is asked for by name.
func (b *bench) testKeyStores(t *testing.T) {
	if !b.fast {
		return
	}
	state := func() string {
		list := b.must(t, b.admin, "DescribeCustomKeyStores", params{"CustomKeyStoreId": "second"}).strings(t, "CustomKeyStores", "ConnectionState")
		return list[0]
	}
	comes := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); state() != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the key store is %s, not %s", state(), want)
			}
		}
	}
	comes("CONNECTED")
	m := b.must(t, b.admin, "CreateKey", params{"CustomKeyStoreId": "second", "Origin": "AWS_CLOUDHSM"}).object(t, "KeyMetadata")
	id := m.str(t, "KeyId")
	sealed := b.must(t, b.admin, "Encrypt", params{"KeyId": id, "Plaintext": []byte("x")}).blob(t, "CiphertextBlob")
	b.must(t, b.admin, "DisconnectCustomKeyStore", params{"CustomKeyStoreId": "second"})
	comes("DISCONNECTED")
	wantError(t, b.refused(t, b.admin, "Decrypt", params{"CiphertextBlob": sealed}), "KMSInvalidStateException", m.str(t, "Arn")+" is unavailable.")
	wantError(t, b.refused(t, b.admin, "GenerateRandom", params{"NumberOfBytes": 1, "CustomKeyStoreId": "second"}), "CustomKeyStoreInvalidStateException", "Custom key store second is DISCONNECTED.")
	b.must(t, b.admin, "ConnectCustomKeyStore", params{"CustomKeyStoreId": "second"})
	comes("CONNECTED")
	b.must(t, b.admin, "Decrypt", params{"CiphertextBlob": sealed})
}
