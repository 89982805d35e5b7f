package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each verb makes its call, with what its flags say.
func TestCalls(t *testing.T) {
	var path, body string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet { // the algorithms of a key
			fmt.Fprint(w, `{"KeyMetadata":{"KeyId":"id","EncryptionAlgorithms":["RSAES_OAEP_SHA_1","RSAES_OAEP_SHA_256"]}}`)
			return
		}
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		text, err := json.Marshal(in)
		if err != nil {
			t.Error(err)
		}
		path, body = r.Method+" "+r.URL.Path, string(text)
		fmt.Fprint(w, `{}`)
	}))
	defer gateway.Close()
	t.Setenv("HSMGATE_URL", gateway.URL)
	t.Setenv("HSMGATE_TOKEN", "hsmgate_t")
	dir := t.TempDir()
	file, out, public := filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "pub.pem")
	for name, text := range map[string]string{file: "c!", public: "-----BEGIN PUBLIC KEY-----\nYyE=\n-----END PUBLIC KEY-----\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ args, path, body string }{
		{"key move-primary id --to eu-west-1", "PUT /v1/keys/id/primary-region", `{"KeyId":"id","PrimaryRegion":"eu-west-1"}`},
		{"re-encrypt --key k --from f --from-algorithm RSAES_OAEP_SHA_1 --from-context a=b --context c=d -o OUT IN", "POST /v1/re-encrypt",
			`{"CiphertextBlob":"YyE=","DestinationEncryptionAlgorithm":"RSAES_OAEP_SHA_256","DestinationEncryptionContext":{"c":"d"},"DestinationKeyId":"k","SourceEncryptionAlgorithm":"RSAES_OAEP_SHA_1","SourceEncryptionContext":{"a":"b"},"SourceKeyId":"f"}`},
		{"data-key-pair --key k --spec RSA_2048 --context a=b --encrypted OUT -o OUT", "POST /v1/keys/k/generate-data-key-pair", `{"EncryptionContext":{"a":"b"},"KeyId":"k","KeyPairSpec":"RSA_2048"}`},
		{"data-key-pair --key k --spec RSA_2048 --without-plaintext --encrypted OUT", "POST /v1/keys/k/generate-data-key-pair-without-plaintext", `{"KeyId":"k","KeyPairSpec":"RSA_2048"}`},
		{"secret derive --key k -o OUT PEM", "POST /v1/keys/k/derive-shared-secret", `{"KeyAgreementAlgorithm":"ECDH","KeyId":"k","PublicKey":"YyE="}`},
		{"secret encapsulate --key k --encrypted OUT -o OUT", "POST /v1/keys/k/encapsulate", `{"EncapsulationAlgorithm":"ML_KEM","KeyId":"k"}`},
		{"secret decapsulate --key k --key-version 2 -o OUT IN", "POST /v1/keys/k/decapsulate", `{"EncapsulationAlgorithm":"ML_KEM","KeyId":"k","KeyVersion":2,"SharedSecretCiphertextBlob":"YyE="}`},
	} {
		path, body = "", ""
		root := newRoot()
		root.SetArgs(strings.Fields(strings.NewReplacer("OUT", out, "IN", file, "PEM", public).Replace(test.args)))
		if err := root.ExecuteContext(t.Context()); err != nil || path != test.path || body != test.body {
			t.Errorf("%s: %v\n got %s %s\nwant %s %s", test.args, err, path, body, test.path, test.body)
		}
	}
}
