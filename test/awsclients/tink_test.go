package awsclients

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestTink: Google's Tink wraps its keys with a key of the gateway, in both ways
// that it has: an envelope for each message, and a keyset that is kept encrypted
// under an encryption context. What was wrapped before a rotation opens after it.
func TestTink(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	b := &bench{client: goSDK(), Gateway: g, admin: accessOf(g, g.Admin)}
	id, arn := b.create(t, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	remote, err := awskms.NewAEADWithContext(t.Context(), arn, awskms.WithKMS(newGoClient(b.admin)))
	must(t, err)
	template := aead.AES256GCMKeyTemplate()
	envelope, err := aead.NewKMSEnvelopeAEADWithContext(template, remote)
	must(t, err)
	handle, err := keyset.NewHandle(template)
	must(t, err)
	inside, err := aead.New(handle)
	must(t, err)

	type sealed struct{ message, keyset, byKeyset []byte }
	seal := func() (s sealed) {
		var err error
		s.message, err = envelope.EncryptWithContext(t.Context(), []byte("a message"), []byte("its name"))
		must(t, err)
		var kept bytes.Buffer
		must(t, handle.WriteWithContext(t.Context(), keyset.NewBinaryWriter(&kept), remote, []byte("tenant a")))
		s.keyset = kept.Bytes()
		s.byKeyset, err = inside.Encrypt([]byte("another"), nil)
		must(t, err)
		return s
	}
	open := func(s sealed) {
		t.Helper()
		plain, err := envelope.DecryptWithContext(t.Context(), s.message, []byte("its name"))
		must(t, err)
		kept, err := keyset.ReadWithContext(t.Context(), keyset.NewBinaryReader(bytes.NewReader(s.keyset)), remote, []byte("tenant a"))
		must(t, err)
		primitive, err := aead.New(kept)
		must(t, err)
		other, err := primitive.Decrypt(s.byKeyset, nil)
		must(t, err)
		if string(plain) != "a message" || string(other) != "another" {
			t.Errorf("opened: %q and %q", plain, other)
		}
		_, err = keyset.ReadWithContext(t.Context(), keyset.NewBinaryReader(bytes.NewReader(s.keyset)), remote, []byte("tenant b"))
		if err == nil || !strings.Contains(err.Error(), "InvalidCiphertextException") {
			t.Errorf("under another context: %v", err)
		}
	}
	before := seal()
	open(before)
	b.must(t, b.admin, "RotateKeyOnDemand", params{"KeyId": id})
	after := seal()
	open(before)
	open(after)

	contexts := map[int]string{} // of the keysets, by the version that encrypted
	for _, r := range g.Records() {
		if name := r.EncryptionContext["associatedData"]; r.Operation == "Encrypt" && name != "" {
			contexts[r.KeyVersion] = name
		}
	}
	if want := "74656e616e742061"; contexts[1] != want || contexts[2] != want { // "tenant a"
		t.Errorf("the contexts in the records are %v", contexts)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
