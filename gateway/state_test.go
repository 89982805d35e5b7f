package gateway_test

import (
	"net/http"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TestKeyStates is the key-state table of the AWS KMS developer guide, for the
// operations and the states that there are.
func TestKeyStates(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	signing, decrypting, other := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.RSA2048, api.EncryptDecrypt), g.CreateKey(api.P256, api.SignVerify)
	message := map[string]any{"Message": []byte("m"), "SigningAlgorithm": api.ECDSASHA256}
	signature := sign(t, g, signing.KeyId, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	oaepMembers := map[string]any{"EncryptionAlgorithm": api.OAEPSHA1}
	symmetric, hmac, agreeing := g.CreateKey(api.Symmetric, api.EncryptDecrypt), g.CreateKey(api.HMAC256, api.GenerateVerifyMac), g.CreateKey(api.P256, api.KeyAgreement)
	sealed, peer := encrypt(g, symmetric.KeyId, []byte("m"), nil), publicDER(t, g, signing.KeyId)
	macMembers := map[string]any{"Message": []byte("m"), "MacAlgorithm": api.HMACSHA256}
	const ok, disabled, invalid = api.Code(""), api.Disabled, api.KMSInvalidState
	rows := []struct {
		name, method, path                      string
		key                                     *api.KeyMetadata
		body                                    map[string]any
		whenEnabled, whenDisabled, whilePending api.Code
	}{
		{"DescribeKey", "GET", "/v1/keys/{key}", signing, nil, ok, ok, ok},
		{"GetPublicKey", "GET", "/v1/keys/{key}/public-key", signing, nil, ok, disabled, invalid},
		{"Sign", "POST", "/v1/keys/{key}/sign", signing, message, ok, disabled, invalid},
		{"Verify", "POST", "/v1/keys/{key}/verify", signing, with(message, "Signature", signature), ok, disabled, invalid},
		{"Encrypt", "POST", "/v1/keys/{key}/encrypt", decrypting, with(oaepMembers, "Plaintext", []byte("m")), ok, disabled, invalid},
		{"Decrypt", "POST", "/v1/keys/{key}/decrypt", decrypting, with(oaepMembers, "CiphertextBlob", make([]byte, 256)), api.InvalidCiphertext, disabled, invalid},
		{"Encrypt, symmetric", "POST", "/v1/keys/{key}/encrypt", symmetric, map[string]any{"Plaintext": []byte("m")}, ok, disabled, invalid},
		{"Decrypt, symmetric", "POST", "/v1/decrypt", symmetric, map[string]any{"CiphertextBlob": sealed}, ok, disabled, invalid},
		{"ReEncrypt", "POST", "/v1/re-encrypt", symmetric, map[string]any{"CiphertextBlob": sealed, "DestinationKeyId": symmetric.KeyId}, ok, disabled, invalid},
		{"GenerateDataKey", "POST", "/v1/keys/{key}/generate-data-key", symmetric, map[string]any{"KeySpec": "AES_256"}, ok, disabled, invalid},
		{"GenerateDataKeyWithoutPlaintext", "POST", "/v1/keys/{key}/generate-data-key-without-plaintext", symmetric, map[string]any{"KeySpec": "AES_256"}, ok, disabled, invalid},
		{"GenerateDataKeyPair", "POST", "/v1/keys/{key}/generate-data-key-pair", symmetric, map[string]any{"KeyPairSpec": api.P256}, ok, disabled, invalid},
		{"GenerateDataKeyPairWithoutPlaintext", "POST", "/v1/keys/{key}/generate-data-key-pair-without-plaintext", symmetric, map[string]any{"KeyPairSpec": api.P256}, ok, disabled, invalid},
		{"GenerateMac", "POST", "/v1/keys/{key}/generate-mac", hmac, macMembers, ok, disabled, invalid},
		{"VerifyMac", "POST", "/v1/keys/{key}/verify-mac", hmac, with(macMembers, "Mac", []byte("x")), api.KMSInvalidMac, disabled, invalid},
		{"DeriveSharedSecret", "POST", "/v1/keys/{key}/derive-shared-secret", agreeing, map[string]any{"PublicKey": peer, "KeyAgreementAlgorithm": "ECDH"}, ok, disabled, invalid},
		{"EnableKey", "POST", "/v1/keys/{key}/enable", signing, nil, ok, ok, invalid},
		{"DisableKey", "POST", "/v1/keys/{key}/disable", signing, nil, ok, ok, invalid},
		{"ScheduleKeyDeletion", "POST", "/v1/keys/{key}/schedule-deletion", signing, nil, ok, ok, invalid},
		{"CancelKeyDeletion", "POST", "/v1/keys/{key}/cancel-deletion", signing, nil, invalid, invalid, ok},
		{"CreateAlias", "POST", "/v1/aliases", signing, map[string]any{"AliasName": "alias/new", "TargetKeyId": signing.KeyId}, ok, ok, invalid},
		{"UpdateAlias to it", "PUT", "/v1/aliases/alias/moving", signing, map[string]any{"TargetKeyId": signing.KeyId}, ok, ok, invalid},
		{"UpdateAlias away from it", "PUT", "/v1/aliases/alias/old", signing, map[string]any{"TargetKeyId": other.KeyId}, ok, ok, ok},
		{"DeleteAlias", "DELETE", "/v1/aliases/alias/old", signing, nil, ok, ok, ok},
		{"ListAliases", "GET", "/v1/aliases?KeyId={key}", signing, nil, ok, ok, ok},
	}
	for _, row := range rows {
		for state, want := range map[string]api.Code{store.StateEnabled: row.whenEnabled, store.StateDisabled: row.whenDisabled, store.StatePendingDeletion: row.whilePending} {
			t.Run(row.name+"/"+state, func(t *testing.T) {
				for _, name := range []string{"new", "old", "moving"} {
					g.Send(g.Admin.Token, "DELETE", "/v1/aliases/alias/"+name, nil)
				}
				setState(t, g, signing.KeyId, store.StateEnabled)
				g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/old", TargetKeyId: signing.KeyId}, nil)
				g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/moving", TargetKeyId: other.KeyId}, nil)
				setState(t, g, row.key.KeyId, state)
				var body any
				if row.body != nil {
					body = row.body
				}
				a := g.Send(g.Admin.Token, row.method, onKey(row.path, row.key.KeyId), body)
				if want == ok {
					if a.Status != http.StatusOK {
						t.Errorf("%d %s", a.Status, a.Body)
					}
					return
				}
				refusal(t, a, want.RESTStatus(), want)
			})
		}
	}
}

// with adds a member to a body.
func with(members map[string]any, name string, value any) map[string]any {
	all := map[string]any{name: value}
	for n, v := range members {
		all[n] = v
	}
	return all
}
