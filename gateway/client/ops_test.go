package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// routes are where the operations are on REST.
var routes = map[string]string{
	"CreateKey":                           "POST /v1/keys",
	"ListKeys":                            "GET /v1/keys",
	"DescribeKey":                         "GET /v1/keys/{key}",
	"GetPublicKey":                        "GET /v1/keys/{key}/public-key",
	"Sign":                                "POST /v1/keys/{key}/sign",
	"SignBatch":                           "POST /v1/keys/{key}/sign-batch",
	"Verify":                              "POST /v1/keys/{key}/verify",
	"Encrypt":                             "POST /v1/keys/{key}/encrypt",
	"Decrypt":                             "POST /v1/keys/{key}/decrypt",
	"EnableKey":                           "POST /v1/keys/{key}/enable",
	"DisableKey":                          "POST /v1/keys/{key}/disable",
	"ScheduleKeyDeletion":                 "POST /v1/keys/{key}/schedule-deletion",
	"CancelKeyDeletion":                   "POST /v1/keys/{key}/cancel-deletion",
	"CreateAlias":                         "POST /v1/aliases",
	"UpdateAlias":                         "PUT /v1/aliases/{alias}",
	"DeleteAlias":                         "DELETE /v1/aliases/{alias}",
	"ListAliases":                         "GET /v1/aliases",
	"ReEncrypt":                           "POST /v1/re-encrypt",
	"GenerateDataKey":                     "POST /v1/keys/{key}/generate-data-key",
	"GenerateDataKeyWithoutPlaintext":     "POST /v1/keys/{key}/generate-data-key-without-plaintext",
	"GenerateDataKeyPair":                 "POST /v1/keys/{key}/generate-data-key-pair",
	"GenerateDataKeyPairWithoutPlaintext": "POST /v1/keys/{key}/generate-data-key-pair-without-plaintext",
	"GenerateMac":                         "POST /v1/keys/{key}/generate-mac",
	"VerifyMac":                           "POST /v1/keys/{key}/verify-mac",
	"DeriveSharedSecret":                  "POST /v1/keys/{key}/derive-shared-secret",
	"Encapsulate":                         "POST /v1/keys/{key}/encapsulate",
	"Decapsulate":                         "POST /v1/keys/{key}/decapsulate",
	"GenerateRandom":                      "POST /v1/random",
	"UpdateKeyDescription":                "PUT /v1/keys/{key}/description",
	"GetKeyLastUsage":                     "GET /v1/keys/{key}/last-usage",
	"TagResource":                         "POST /v1/keys/{key}/tags",
	"UntagResource":                       "POST /v1/keys/{key}/untag",
	"ListResourceTags":                    "GET /v1/keys/{key}/tags",
	"PutApprovalRule":                     "PUT /v1/keys/{key}/approval-rule",
	"DeleteApprovalRule":                  "DELETE /v1/keys/{key}/approval-rule",
	"GetApprovalRule":                     "GET /v1/keys/{key}/approval-rule",
	"RequestApproval":                     "POST /v1/keys/{key}/approvals",
	"PublishKey":                          "PUT /v1/keys/{key}/publication",
	"UnpublishKey":                        "DELETE /v1/keys/{key}/publication",
	"ListPublications":                    "GET /v1/publications",
	"ListApprovals":                       "GET /v1/keys/{key}/approvals",
	"DescribeApproval":                    "GET /v1/keys/{key}/approval",
	"ApproveRequest":                      "POST /v1/keys/{key}/approve",
	"RejectRequest":                       "POST /v1/keys/{key}/reject",
	"CancelApproval":                      "POST /v1/keys/{key}/cancel-approval",
	"PutKeyPolicy":                        "PUT /v1/keys/{key}/policy",
	"GetKeyPolicy":                        "GET /v1/keys/{key}/policy",
	"ListKeyPolicies":                     "GET /v1/keys/{key}/policies",
	"CreateGrant":                         "POST /v1/keys/{key}/grants",
	"ListGrants":                          "GET /v1/keys/{key}/grants",
	"RevokeGrant":                         "POST /v1/keys/{key}/revoke-grant",
	"RetireGrant":                         "POST /v1/grants/retire",
	"ListRetirableGrants":                 "GET /v1/grants",
	"EnableKeyRotation":                   "PUT /v1/keys/{key}/rotation",
	"DisableKeyRotation":                  "DELETE /v1/keys/{key}/rotation",
	"GetKeyRotationStatus":                "GET /v1/keys/{key}/rotation",
	"ListKeyRotations":                    "GET /v1/keys/{key}/rotations",
	"RotateKeyOnDemand":                   "POST /v1/keys/{key}/rotate",
	"ListPublicKeys":                      "GET /v1/keys/{key}/public-keys",
	"GetKeyHistory":                       "GET /v1/keys/{key}/history",
	"GetParametersForImport":              "POST /v1/keys/{key}/import-parameters",
	"ImportKeyMaterial":                   "POST /v1/keys/{key}/import",
	"DeleteImportedKeyMaterial":           "POST /v1/keys/{key}/delete-imported",
	"GetReceipt":                          "GET /v1/log/receipt",
	"GetUsage":                            "GET /v1/usage",
	"ExplainAccess":                       "POST /v1/explain-access",
	"ReplicateKey":                        "POST /v1/keys/{key}/replicate",
	"UpdatePrimaryRegion":                 "PUT /v1/keys/{key}/primary-region",
	"CreateAccessKey":                     "POST /v1/access-keys",
	"ListAccessKeys":                      "GET /v1/access-keys",
	"UpdateAccessKey":                     "POST /v1/access-keys/update",
	"DeleteAccessKey":                     "POST /v1/access-keys/delete",
	"CreateCustomKeyStore":                "POST /v1/custom-key-stores",
	"DescribeCustomKeyStores":             "GET /v1/custom-key-stores",
	"UpdateCustomKeyStore":                "POST /v1/custom-key-stores/update",
	"DeleteCustomKeyStore":                "POST /v1/custom-key-stores/delete",
	"ConnectCustomKeyStore":               "POST /v1/custom-key-stores/connect",
	"DisconnectCustomKeyStore":            "POST /v1/custom-key-stores/disconnect",
}

// TestRoutes: the client has a method for each, which calls it where it
// is and loses no member on the way.
func TestRoutes(t *testing.T) {
	t.Parallel()
	var called *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called = r
		body, _ = io.ReadAll(r.Body)
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	c := reflect.ValueOf(client.New(server.URL, "token"))
	for name, types := range api.Types {
		method := c.MethodByName(name)
		if !method.IsValid() {
			t.Errorf("the client has no %s", name)
			continue
		}
		in := reflect.New(types.Request)
		fill(in.Elem())
		results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
		if err := results[1].Interface(); err != nil || results[0].Type().Elem() != types.Response {
			t.Fatalf("%s: %s %v", name, results[0].Type(), err)
		}
		path := strings.NewReplacer("{key}", "text", "{alias}", "text").Replace(routes[name])
		if got := called.Method + " " + called.URL.Path; got != path {
			t.Errorf("%s is called at %s, want %s", name, got, path)
		}
		switch {
		case called.Method == http.MethodGet:
			inQuery(t, name, types.Request, called.URL.Query())
		case called.Method == http.MethodDelete: // all of it in the path
			if len(body)+len(called.URL.RawQuery) != 0 {
				t.Errorf("%s: %s %s", name, called.URL, body)
			}
		default:
			got := reflect.New(types.Request)
			if err := api.Decode(body, got.Interface(), true); err != nil || !reflect.DeepEqual(got.Interface(), in.Interface()) {
				t.Errorf("%s: %v\n%+v\n%+v", name, err, got.Elem(), in.Elem())
			}
		}
	}
	for _, op := range gateway.Ops {
		if routes[op.Name] != op.Method+" "+op.Path {
			t.Errorf("%s is at %s %s, and called at %s", op.Name, op.Method, op.Path, routes[op.Name])
		}
	}
}

// TestDecryptWithoutKey: a symmetric ciphertext names its key.
func TestDecryptWithoutKey(t *testing.T) {
	t.Parallel()
	path, body := "", []byte(nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		body, _ = io.ReadAll(r.Body)
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	if _, err := client.New(server.URL, "token").Decrypt(t.Context(), &api.DecryptRequest{CiphertextBlob: []byte("c")}); err != nil {
		t.Fatal(err)
	}
	if path != "/v1/decrypt" || strings.Contains(string(body), "KeyId") {
		t.Errorf("%s %s", path, body)
	}
}

// inQuery compares a query with the members of a request, each of which fill set.
func inQuery(t *testing.T, name string, request reflect.Type, got url.Values) {
	t.Helper()
	want := url.Values{}
	for _, f := range reflect.VisibleFields(request) {
		switch {
		case f.Anonymous, f.Name == "KeyId" && strings.Contains(routes[name], "{key}"):
		case f.Type.Kind() == reflect.Slice:
			want[f.Name] = []string{"text"}
		case f.Type.Kind() == reflect.Pointer, f.Type.Kind() == reflect.Int:
			want[f.Name] = []string{"7"}
		default:
			want[f.Name] = []string{"text"}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: query %v, want %v", name, got, want)
	}
}

// fill gives every member a value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Uint8:
		v.SetUint('x')
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("text"), element)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf("text"))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[api.Time]() {
			v.Set(reflect.ValueOf(api.Time{Time: time.Unix(7, 0).UTC()}))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}
