package gateway_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// On a token without AES-GCM, symmetric keys are what the setting says: refused, or made and used like any other.
func TestTokenWithoutGCM(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaults(t)
	f.tell("no-gcm")
	token := hsmtest.TokenIn(t, f.library)
	refuses := gatewaytest.NewOn(t, token)
	answer := refuses.Send(refuses.Admin.Token, http.MethodPost, "/v1/keys", api.CreateKeyRequest{KeySpec: api.Symmetric})
	refusal(t, answer, http.StatusBadRequest, api.UnsupportedOperation)
	if !strings.Contains(string(answer.Body), "without_gcm: derive") {
		t.Errorf("%s", answer.Body)
	}

	token.WithoutGCM = "derive"
	g := gatewaytest.NewWith(t, gatewaytest.Options{Token: token, Imports: inMemory.Imports})
	key, text, context := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId, []byte("a plaintext"), map[string]string{"tenant": "one"}
	old := encrypt(g, key, text, context)
	addSecretVersion(t, g, key, hsm.Symmetric)
	for version, ciphertext := range [][]byte{old, encrypt(g, key, text, context)} {
		if out := opens(g, ciphertext, context); !bytes.Equal(out.Plaintext, text) || out.KeyVersion != version+1 {
			t.Errorf("version %d: %+v", version+1, out)
		}
		for at := range ciphertext {
			changed := bytes.Clone(ciphertext)
			changed[at] ^= 1
			a := g.Send(g.Admin.Token, http.MethodPost, "/v1/decrypt", api.DecryptRequest{CiphertextBlob: changed, EncryptionContext: context})
			if namesKey := at >= 1 && at <= 16; namesKey {
				refusal(t, a, http.StatusForbidden, api.AccessDenied)
			} else {
				refusal(t, a, http.StatusBadRequest, api.InvalidCiphertext)
			}
		}
	}

	foreign := external(t, g, api.Symmetric, api.EncryptDecrypt).KeyId
	bring(t, g, foreign, parameters(t, g, foreign, api.WrapOAEPSHA256, api.WrappingRSA2048).request(t, bytes.Repeat([]byte{7}, 32)))
	if out := opens(g, encrypt(g, foreign, text, nil), nil); !bytes.Equal(out.Plaintext, text) {
		t.Errorf("with imported material: %+v", out)
	}
}
