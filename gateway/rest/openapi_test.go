package rest_test

import (
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/rest"
)

// beside are routes that are no operations of the table.
var beside = []string{"SignUpload", "DecryptByCiphertext", "GetMetrics", "Timestamp", "ReadCheckpoint", "ReadLogKey", "ReadTile", "ReadLog", "Healthz", "Readyz", "OpenAPI",
	"PublicKey", "KeyDirectory", "KeyDirectoryOfDomain", "KeyDirectoryPolicy", "KeyDirectoryPolicyOfDomain"}

// documented are all operations that REST has.
func documented() []*gateway.Op {
	return append(slices.Clone(gateway.Ops), gateway.AssumeRoleWithWebIdentity)
}

func document(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(rest.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDocumentNamesEveryOperation and no other, at its path and with its method.
func TestDocumentNamesEveryOperation(t *testing.T) {
	t.Parallel()
	doc := document(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Error(doc.OpenAPI)
	}
	found := make(map[string]string)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			found[op.OperationID] = method + " " + path
		}
	}
	for _, op := range documented() {
		if got := found[op.Name]; got != op.Method+" "+op.Path {
			t.Errorf("%s is documented at %q, and is at %s %s", op.Name, got, op.Method, op.Path)
		}
		delete(found, op.Name)
	}
	for _, name := range beside {
		if found[name] == "" {
			t.Errorf("%s is not documented", name)
		}
		delete(found, name)
	}
	if len(found) != 0 {
		t.Errorf("documented, and not there: %v", found)
	}
}

// TestDocumentNamesEveryMember compares the document with the Go types: the
// bodies, the answers, and for GET the query.
func TestDocumentNamesEveryMember(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for _, op := range documented() {
		item := doc.Paths.Value(op.Path)
		if item == nil {
			t.Fatalf("%s: no path %s", op.Name, op.Path)
		}
		if len(item.Parameters) != 1 || item.Parameters[0].Ref != "#/components/parameters/Region" {
			t.Errorf("%s: the path lacks the parameter Region", op.Path)
		}
		described := item.GetOperation(op.Method)
		response := api.Types[op.Name].Response
		if op == gateway.AssumeRoleWithWebIdentity {
			response = reflect.TypeFor[api.AssumeRoleWithWebIdentityResponse]()
		}
		compare(t, op.Name+"'s answer", described.Responses.Status(200).Value.Content.Get("application/json").Schema, response)
		request := reflect.TypeOf(op.New()).Elem()
		if op.Method == http.MethodGet || described.RequestBody == nil {
			inPlaceOfBody(t, op, described, request)
			continue
		}
		schema := described.RequestBody.Value.Content.Get("application/json").Schema
		compare(t, op.Name+"'s request", schema, request)
		for _, name := range schema.Value.Required {
			if schema.Value.Properties[name] == nil {
				t.Errorf("%s requires %s, which it does not have", op.Name, name)
			}
		}
	}
}

// inPlaceOfBody compares the parameters of a path and a query with the members
// that a caller could otherwise send in a body.
func inPlaceOfBody(t *testing.T, op *gateway.Op, described *openapi3.Operation, request reflect.Type) {
	t.Helper()
	pathMembers := map[string]string{"key": "KeyId", "alias": "AliasName"}
	var got []string
	for _, p := range described.Parameters {
		if name, ok := pathMembers[p.Value.Name]; ok {
			got = append(got, name)
		} else {
			got = append(got, p.Value.Name)
		}
	}
	want := slices.Collect(maps.Keys(members(request)))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: the document has %v, the type %v", op.Name, got, want)
	}
}

// members are the JSON members of a struct.
func members(t reflect.Type) map[string]reflect.Type {
	all := make(map[string]reflect.Type)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous:
			maps.Copy(all, members(f.Type))
		case name != "":
			all[name] = f.Type
		default:
			all[f.Name] = f.Type
		}
	}
	return all
}

func compare(t *testing.T, what string, schema *openapi3.SchemaRef, typ reflect.Type) {
	t.Helper()
	if schema == nil {
		t.Errorf("%s has no schema", what)
		return
	}
	want := members(typ)
	for name := range schema.Value.Properties {
		if want[name] == nil {
			t.Errorf("%s: %s is documented, and does not exist", what, name)
		}
	}
	for name, member := range want {
		property := schema.Value.Properties[name]
		if property == nil {
			t.Errorf("%s: %s is not documented", what, name)
			continue
		}
		compareMember(t, what+"."+name, property, member)
	}
}

func compareMember(t *testing.T, what string, schema *openapi3.SchemaRef, typ reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	is := func(kind string) {
		if !schema.Value.Type.Is(kind) {
			t.Errorf("%s is documented as %v, and is %s", what, schema.Value.Type, kind)
		}
	}
	switch {
	case typ == reflect.TypeFor[api.Time]():
		is("number")
	case typ == reflect.TypeFor[[]byte](), typ.Kind() == reflect.String:
		is("string")
	case typ.Kind() == reflect.Bool:
		is("boolean")
	case typ.Kind() == reflect.Int:
		is("integer")
	case typ.Kind() == reflect.Slice:
		is("array")
		compareMember(t, what+"[]", schema.Value.Items, typ.Elem())
	case typ.Kind() == reflect.Map:
		is("object")
	case typ.Kind() == reflect.Struct && typ == reflect.TypeFor[api.RecipientInfo]():
		is("object") // not supported, so not described
	case typ.Kind() == reflect.Struct:
		compare(t, what, schema, typ)
	default:
		t.Errorf("%s: this test does not know %s", what, typ)
	}
}

// TestDocumentNamesEveryValue compares the enumerations with what the gateway
// offers for its keys.
func TestDocumentNamesEveryValue(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for name, want := range map[string][]any{
		"KeySpec": {"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519",
			"SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"},
		"KeyUsage":            {string(api.SignVerify), string(api.EncryptDecrypt), string(api.GenerateVerifyMac), string(api.KeyAgreement), string(api.EncapsulateDecapsulate)},
		"KeyState":            {string(api.Enabled), string(api.DisabledState), string(api.PendingDeletion), string(api.PendingReplicaDeletion), string(api.Unavailable)},
		"MessageType":         {string(api.Raw), string(api.Digest)},
		"EncryptionAlgorithm": {string(api.SymmetricDefault), string(api.OAEPSHA1), string(api.OAEPSHA256)},
		"SigningAlgorithm": {string(api.PKCS1SHA256), string(api.PKCS1SHA384), string(api.PKCS1SHA512), string(api.PSSSHA256), string(api.PSSSHA384), string(api.PSSSHA512),
			string(api.ECDSASHA256), string(api.ECDSASHA384), string(api.ECDSASHA512), string(api.Ed25519SHA512), string(api.Ed25519PHSHA512), string(api.MLDSASHAKE256)},
	} {
		if got := doc.Components.Schemas[name].Value.Enum; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestEveryErrorCodeIsWhole: a status for each face, an outcome and a title.
func TestEveryErrorCodeIsWhole(t *testing.T) {
	t.Parallel()
	codes := api.Codes()
	if len(codes) < 30 {
		t.Fatalf("only %d codes", len(codes))
	}
	name := regexp.MustCompile(`^[A-Z][A-Za-z]+Exception$`)
	for _, c := range codes {
		if !name.MatchString(string(c)) || c.Title() == "" || c.RESTStatus() < 400 || c.RESTStatus() > 599 || c.AWSStatus() != 400 && c.AWSStatus() < 500 {
			t.Errorf("%s: %q %d %d", c, c.Title(), c.RESTStatus(), c.AWSStatus())
		}
		if (c.RESTStatus() >= 500 || c == api.Throttling) != (c.Outcome() == api.Failed) {
			t.Errorf("%s: %d is recorded as %s", c, c.RESTStatus(), c.Outcome())
		}
		if (c.RESTStatus() == 401 || c.RESTStatus() == 403) != (c.Outcome() == api.Denied) {
			t.Errorf("%s: %d is recorded as %s", c, c.RESTStatus(), c.Outcome())
		}
	}
}

// TestEveryOperationIsWhole: a route of its own, found by its name.
func TestEveryOperationIsWhole(t *testing.T) {
	t.Parallel()
	routes := make(map[string]bool)
	for _, op := range gateway.Ops {
		if found, ok := gateway.OpNamed(op.Name); !ok || found != op {
			t.Errorf("%s is not found by its name", op.Name)
		}
		permission := "kms:" + op.Name
		if op.Name == "ReEncrypt" { // of the key that encrypts; the other's is kms:ReEncryptFrom
			permission = "kms:ReEncryptTo"
		}
		if routes[op.Method+op.Path] || !strings.HasPrefix(op.Path, "/v1/") || !op.BeyondKMS() && op.Permission() != permission {
			t.Errorf("%s: %s %s %s", op.Name, op.Method, op.Path, op.Permission())
		}
		routes[op.Method+op.Path] = true
	}
	if _, ok := gateway.OpNamed("GetMetrics"); ok {
		t.Error("GetMetrics has an AWS target")
	}
}
