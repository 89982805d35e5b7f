package rest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

const jsonType = "application/json"

func b64(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

// TestMalformedRequests shows that every malformed request is refused as the
// caller's mistake, with a text that says what is wrong, and leaves one record.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	at := "/v1/keys/" + key
	long := strings.Repeat("x", 9000)
	good := `"Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"`
	cases := []struct {
		method, path, body string
		status             int
		text               string // in the answer
	}{
		{"POST", at + "/sign", `{}`, 400, "2 validation errors detected: Value null at 'message' failed to satisfy constraint: Member must not be null; Value null at 'signingAlgorithm' failed"},
		{"POST", at + "/sign", `{"SigningAlgorithm":"ECDSA_SHA_256"}`, 400, "Value null at 'message'"},
		{"POST", at + "/sign", `{"Message":null,"SigningAlgorithm":"ECDSA_SHA_256"}`, 400, "Value null at 'message'"},
		{"POST", at + "/sign", `{"Message":"AAAA"}`, 400, "Value null at 'signingAlgorithm'"},
		{"POST", at + "/sign", `{"Message":"","SigningAlgorithm":"ECDSA_SHA_256"}`, 400, "Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"POST", at + "/sign", `{"Message":"` + b64(4097) + `","SigningAlgorithm":"ECDSA_SHA_256"}`, 400, "Member must have length less than or equal to 4096"},
		{"POST", at + "/sign", `{"Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_1"}`, 400, "Value 'ECDSA_SHA_1' at 'signingAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [RSASSA_PSS_SHA_256,"},
		{"POST", at + "/sign", `{"Message":"AAAA","SigningAlgorithm":"ecdsa_sha_256"}`, 400, "enum value set"},
		{"POST", at + "/sign", `{"Message":"AAAA","SigningAlgorithm":"` + long + `"}`, 400, "Value at 'signingAlgorithm' failed"},
		{"POST", at + "/sign", `{` + good + `,"MessageType":"HASH"}`, 400, "Value 'HASH' at 'messageType' failed to satisfy constraint: Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]"},
		{"POST", at + "/sign", `{` + good + `,"MessageType":"EXTERNAL_MU"}`, 400, "EXTERNAL_MU is for ML-DSA keys"},
		{"POST", at + "/sign", `{` + good + `,"GrantTokens":["a","b","c","d","e","f","g","h","i","j","k"]}`, 400, "'grantTokens'"},
		{"POST", at + "/sign", `{` + good + `,"GrantTokens":["a"]}`, 400, "No grant has this token"},
		{"POST", at + "/sign", `{"Message":5,"SigningAlgorithm":"ECDSA_SHA_256"}`, 400, "Message must be a string in base64"},
		{"POST", at + "/sign", `{"Message":"not base64!","SigningAlgorithm":"ECDSA_SHA_256"}`, 400, "in base64"},
		{"POST", at + "/sign", `{"Message":"AAA_","SigningAlgorithm":"ECDSA_SHA_256"}`, 400, "in base64"},
		{"POST", at + "/sign", `{` + good + `,"DryRun":"yes"}`, 400, "DryRun must be true or false"},
		{"POST", at + "/sign", `{` + good + `,"KeyId":5}`, 400, "KeyId must be a string"},
		{"POST", at + "/sign", `{` + good + `,"GrantTokens":"a"}`, 400, "GrantTokens must be a list of strings"},
		{"POST", at + "/sign", `{` + good + `,"Mesage":"AAAA"}`, 400, `no member "Mesage"`},
		{"POST", at + "/sign", `{` + good + `} {}`, 400, "not one JSON object"},
		{"POST", at + "/sign", `{` + good + `}x`, 400, "not one JSON object"},
		{"POST", at + "/sign", `{` + good, 400, "not one JSON object"},
		{"POST", at + "/sign", `[]`, 400, "not one JSON object"},
		{"POST", at + "/sign", `"x"`, 400, "not one JSON object"},
		{"POST", at + "/sign", strings.Repeat("[", 100_000), 400, ""},
		{"POST", at + "/sign", `{"Message":"AAAA","SigningAlgorithm":"` + "\xff" + `"}`, 400, "not UTF-8"},
		{"POST", at + "/sign", "\xef\xbb\xbf{}", 400, "not one JSON object"},
		{"POST", at + "/sign", `{` + good + `,"KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab"}`, 400, "KeyId in the request is not the one in the path"},
		{"POST", at + "/sign?DryRun=true", `{` + good + `}`, 400, "not in the query"},
		{"POST", at + "/sign", `{"Message":"` + b64(300_000) + `"}`, 413, "at most 262144 bytes"},
		{"POST", at + "/verify", `{}`, 400, "3 validation errors detected"},
		{"POST", at + "/verify", `{` + good + `,"Signature":""}`, 400, "Value at 'signature' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"POST", at + "/verify", `{` + good + `,"Signature":"` + b64(6145) + `"}`, 400, "less than or equal to 6144"},
		{"POST", at + "/encrypt", `{}`, 400, "Value null at 'plaintext'"},
		{"POST", at + "/encrypt", `{"Plaintext":"` + b64(4097) + `"}`, 400, "Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		{"POST", at + "/encrypt", `{"Plaintext":"AAAA","EncryptionAlgorithm":"RSA"}`, 400, "[SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]"},
		{"POST", at + "/decrypt", `{}`, 400, "Value null at 'ciphertextBlob'"},
		{"POST", at + "/decrypt", `{"CiphertextBlob":"` + b64(6145) + `"}`, 400, "less than or equal to 6144"},
		{"POST", at + "/decrypt", `{"CiphertextBlob":"AAAA","DryRunModifiers":["x"]}`, 400, "'dryRunModifiers'"},
		{"POST", at + "/schedule-deletion", `{"PendingWindowInDays":6}`, 400, "Value '6' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 7"},
		{"POST", at + "/schedule-deletion", `{"PendingWindowInDays":31}`, 400, "less than or equal to 30"},
		{"POST", at + "/schedule-deletion", `{"PendingWindowInDays":7.5}`, 400, "PendingWindowInDays must be a whole number"},
		{"POST", at + "/schedule-deletion", `{"PendingWindowInDays":99999999999999999999}`, 400, "PendingWindowInDays must be a whole number"},
		{"POST", at + "/sign", `{"message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}`, 400, `no member "message"`},
		{"POST", at + "/enable", `{"Force":true}`, 400, `no member "Force"`},
		{"POST", "/v1/keys", `{"KeySpec":"SM2","KeyUsage":"SIGN_VERIFY"}`, 400, "SM2 is not supported. Choose one of RSA_2048"},
		{"POST", "/v1/keys", `{"KeySpec":"RSA_1024","KeyUsage":"SIGN"}`, 400, "2 validation errors detected"},
		{"POST", "/v1/keys", `{"KeySpec":"RSA_2048"}`, 400, "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		{"POST", "/v1/keys", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"ENCRYPT_DECRYPT"}`, 400, "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256"},
		{"POST", "/v1/keys", `{"KeySpec":"RSA_2048","KeyUsage":"KEY_AGREEMENT"}`, 400, "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"},
		{"POST", "/v1/keys", `{"KeySpec":"RSA_2048","CustomerMasterKeySpec":"RSA_2048"}`, 400, "You cannot specify KeySpec and CustomerMasterKeySpec in the same request."},
		{"POST", "/v1/keys", `{"KeySpec":"ML_DSA_44","KeyUsage":"SIGN_VERIFY"}`, 400, "The token cannot do this: ML_DSA_44: the token has no such keys"},
		{"POST", "/v1/keys", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","Description":"` + long + `"}`, 400, "Value at 'description' failed to satisfy constraint: Member must have length less than or equal to 8192"},
		{"POST", "/v1/keys", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","Origin":"EXTERNAL_KEY_STORE"}`, 400, "made inside the token"},
		{"POST", "/v1/keys", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","Policy":"{}"}`, 400, "the policy has no Statement"},
		{"POST", "/v1/keys", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","Tags":[{"TagKey":"aws:a","TagValue":"b"}]}`, 400, "Tags beginning with aws: are reserved"},
		{"POST", "/v1/keys", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","CustomKeyStoreId":"nowhere"}`, 404, "no custom key store"},
		{"GET", "/v1/keys?Limit=0", "", 400, "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"GET", "/v1/keys?Limit=1001", "", 400, "less than or equal to 1000"},
		{"GET", "/v1/keys?Limit=ten", "", 400, `Limit must be a whole number, not "ten"`},
		{"GET", "/v1/keys?Limit=", "", 400, "Limit must be a whole number"},
		{"GET", "/v1/keys?Limit=1&Limit=2", "", 400, "stands in the query 2 times"},
		{"GET", "/v1/keys?Marker=x", "", 400, "is not a NextMarker of ListKeys"},
		{"GET", "/v1/keys?Marker=" + long, "", 400, "'marker'"},
		{"GET", "/v1/keys?limit=5", "", 400, `no member "limit"`},
		{"GET", "/v1/keys?Size=5", "", 400, `no member "Size"`},
		{"GET", "/v1/keys?Limit=5;Marker=x", "", 400, "query cannot be read"},
		{"GET", "/v1/keys?Marker=%zz", "", 400, "query cannot be read"},
		{"GET", "/v1/keys?Marker=%ff", "", 400, "not UTF-8"},
		{"GET", "/v1/aliases?Limit=101", "", 400, "less than or equal to 100"},
		{"GET", "/v1/aliases?Marker=x", "", 400, "is not a NextMarker of ListAliases"},
		{"GET", "/v1/aliases?KeyId=x", "", 404, "Invalid keyId 'x'"},
		{"GET", at + "?KeyId=1234abcd-12ab-34cd-56ef-1234567890ab", "", 400, "not the one in the path"},
		{"POST", "/v1/aliases", `{}`, 400, "2 validation errors detected: Value null at 'aliasName'"},
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d %.40s", i, c.text), func(t *testing.T) {
			before := len(outcomes(g))
			a := g.Send(g.Admin.Token, c.method, c.path, c.body, "Content-Type", jsonType)
			text := detail(t, a)
			if a.Status != c.status || !strings.Contains(text, c.text) {
				t.Errorf("%s %.80s %.80s:\n%d %.600s\nwant %d %s", c.method, c.path, c.body, a.Status, a.Body, c.status, c.text)
			}
			records := outcomes(g)[before:]
			if len(records) != 1 || records[0].Outcome != "invalid" || records[0].RequestID != a.Header.Get("X-Request-Id") {
				t.Errorf("records: %+v", records)
			}
			if strings.HasPrefix(c.path, at) && !strings.Contains(records[0].Resource, key) {
				t.Errorf("the record does not name the key: %+v", records[0])
			}
		})
	}
}

// TestDigestLengths offers every wrong digest length to every algorithm.
func TestDigestLengths(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	lengths := map[api.SigningAlgorithm]int{
		api.PKCS1SHA256: 32, api.PKCS1SHA384: 48, api.PKCS1SHA512: 64, api.PSSSHA256: 32, api.PSSSHA384: 48, api.PSSSHA512: 64,
		api.ECDSASHA256: 32, api.ECDSASHA384: 48, api.ECDSASHA512: 64, api.Ed25519PHSHA512: 64,
	}
	for _, spec := range []api.KeySpec{api.RSA2048, api.P256, api.P384, api.P521, api.P256K1, api.Ed25519} {
		key := g.CreateKey(spec, api.SignVerify)
		for _, algorithm := range append(key.SigningAlgorithms, api.Ed25519PHSHA512) {
			if want, ok := lengths[algorithm]; ok && (algorithm != api.Ed25519PHSHA512 || spec == api.Ed25519) {
				for _, n := range []int{1, 20, 28, want - 1, want + 1, 32, 48, 64, 128, 4096} {
					if n == want {
						continue
					}
					for _, path := range []string{"/sign", "/verify"} {
						body, _ := json.Marshal(map[string]any{"Message": make([]byte, n), "MessageType": "DIGEST", "SigningAlgorithm": algorithm})
						if path == "/verify" {
							body = append(body[:len(body)-1], []byte(`,"Signature":"AAAA"}`)...)
						}
						a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+path, body, "Content-Type", jsonType)
						text := refusal(t, a, 400, api.Validation)
						if text != "Digest is invalid length for algorithm "+string(algorithm)+"." {
							t.Errorf("%s %d: %s", algorithm, n, text)
						}
					}
				}
			}
		}
	}
}

// TestAlgorithmsThatDoNotFit offers each key the algorithms of the others.
func TestAlgorithmsThatDoNotFit(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	fits := map[api.KeySpec]string{api.RSA2048: "RSASSA", api.P256: "ECDSA_SHA_256", api.P384: "ECDSA_SHA_384", api.Ed25519: "ED25519"}
	for spec, prefix := range fits {
		key := g.CreateKey(spec, api.SignVerify).KeyId
		for _, algorithm := range []string{"RSASSA_PSS_SHA_256", "RSASSA_PKCS1_V1_5_SHA_512", "ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512", "ED25519_SHA_512", "ED25519_PH_SHA_512", "SM2DSA", "ML_DSA_SHAKE_256"} {
			if strings.HasPrefix(algorithm, prefix) {
				continue
			}
			a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": algorithm})
			if text := refusal(t, a, 400, api.InvalidKeyUsage); text != fmt.Sprintf("Algorithm %s is incompatible with key spec %s.", algorithm, spec) {
				t.Error(text)
			}
		}
		a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/encrypt", map[string]any{"Plaintext": []byte("m"), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"})
		if text := refusal(t, a, 400, api.InvalidKeyUsage); !strings.Contains(text, "key usage is SIGN_VERIFY which is not valid for Encrypt.") {
			t.Error(text)
		}
	}
	key := g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "RSASSA_PSS_SHA_256"})
	if text := refusal(t, a, 400, api.InvalidKeyUsage); !strings.Contains(text, "key usage is ENCRYPT_DECRYPT which is not valid for Sign.") {
		t.Error(text)
	}
	for _, algorithm := range []string{"", "SYMMETRIC_DEFAULT", "SM2PKE"} {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/encrypt", map[string]any{"Plaintext": []byte("m"), "EncryptionAlgorithm": algorithm})
		refusal(t, a, 400, api.InvalidKeyUsage)
	}
	a = g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/encrypt", map[string]any{"Plaintext": []byte("m"), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256", "EncryptionContext": map[string]string{"a": "b"}})
	if text := refusal(t, a, 400, api.Validation); !strings.Contains(text, "EncryptionContext") {
		t.Error(text)
	}
}

// TestMediaTypes refuses bodies that are not declared as JSON.
func TestMediaTypes(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for contentType, status := range map[string]int{"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json; charset=utf-8": 400, "application/json": 400} {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys", `{"KeySpec":"RSA_2048"}`, "Content-Type", contentType)
		if a.Status != status {
			t.Errorf("%q: %d %s", contentType, a.Status, a.Body)
		}
	}
}
