package awsclients

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestLatticeKeysByTheGoSDK: what SoftHSM has no mechanisms for, with a token that has
// them: the SDK gets a shared secret back, and a signature that verifies.
func TestLatticeKeysByTheGoSDK(t *testing.T) {
	lib := hsmtest.NewerNSS(t)
	if !hsmtest.Alone(t, "LD_LIBRARY_PATH="+filepath.Dir(lib)) {
		return
	}
	g := gatewaytest.NewOn(t, hsmtest.NSSToken(t, lib))
	b := &bench{client: goSDK(), Gateway: g, admin: accessOf(g, g.Admin)}

	_, arn := b.create(t, "ML_KEM_768", "ENCAPSULATE_DECAPSULATE")
	kem := params{"KeyId": arn, "EncapsulationAlgorithm": "ML_KEM"}
	sent := b.must(t, b.admin, "Encapsulate", kem)
	got := b.must(t, b.admin, "Decapsulate", with(kem, params{"SharedSecretCiphertextBlob": sent.blob(t, "SharedSecretCiphertextBlob")}))
	if secret := got.blob(t, "SharedSecret"); len(secret) != 32 || !bytes.Equal(secret, sent.blob(t, "SharedSecret")) {
		t.Error("the secrets are not the same")
	}

	_, arn = b.create(t, "ML_DSA_65", "SIGN_VERIFY")
	sign := params{"KeyId": arn, "Message": []byte("a message"), "SigningAlgorithm": "ML_DSA_SHAKE_256"}
	signature := b.must(t, b.admin, "Sign", sign).blob(t, "Signature")
	if out := b.must(t, b.admin, "Verify", with(sign, params{"Signature": signature})); out["SignatureValid"] != true {
		t.Errorf("%v", out)
	}
	signature[0] ^= 1
	wantError(t, b.refused(t, b.admin, "Verify", with(sign, params{"Signature": signature})), "KMSInvalidSignatureException", "")
}
