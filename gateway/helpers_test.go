package gateway_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// run runs a command and returns what it printed; the test fails with it.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// refuses runs a command that must fail.
func refuses(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err == nil {
		t.Fatalf("%s %v was content:\n%s", name, args, out)
	}
}

// file writes a file of the test's own.
func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicPEM downloads a public key into a file, as PEM.
func publicPEM(t testing.TB, g *gatewaytest.Gateway, key string) string {
	t.Helper()
	a := g.Send(g.Admin.Token, "GET", "/v1/keys/"+key+"/public-key", nil, "Accept", "application/x-pem-file")
	if a.Status != 200 || !bytes.HasPrefix(a.Body, []byte("-----BEGIN PUBLIC KEY-----\n")) {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return file(t, "public.pem", a.Body)
}

// publicDER gets a public key as a DER SubjectPublicKeyInfo.
func publicDER(t testing.TB, g *gatewaytest.Gateway, key string) []byte {
	t.Helper()
	var out api.GetPublicKeyResponse
	g.Call("GET", "/v1/keys/"+key+"/public-key", nil, &out)
	return out.PublicKey
}

// sign signs over REST as the administrator.
func sign(t testing.TB, g *gatewaytest.Gateway, key string, in api.SignRequest) []byte {
	t.Helper()
	var out api.SignResponse
	g.Call("POST", "/v1/keys/"+key+"/sign", in, &out)
	return out.Signature
}

// refusal checks that an answer is a problem document with that status and code.
func refusal(t testing.TB, a gatewaytest.Answer, status int, code api.Code) {
	t.Helper()
	if a.Status != status || a.Code() != string(code) {
		t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, code)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the refusal comes as %q", got)
	}
}

// onKey puts a key into a route.
func onKey(path, key string) string { return strings.ReplaceAll(path, "{key}", key) }

// decodeTo reads the answer of a call that has to be a success.
func decodeTo(t testing.TB, a gatewaytest.Answer, out any) {
	t.Helper()
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		t.Fatal(err)
	}
}

// decodeInto reads the JSON of an answer.
func decodeInto(t testing.TB, a gatewaytest.Answer, out any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, out); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
}

// contents reads a file.
func contents(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// admin is the administrator as the pipeline sees him.
func admin(g *gatewaytest.Gateway) policy.Principal {
	return policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// isExpiry finds the record of an expiry of a key's material.
func isExpiry(key string) func(audit.Record) bool {
	return func(r audit.Record) bool {
		return r.Operation == "ExpireKeyMaterial" && r.Outcome == "allowed" && r.KeyID == key && r.KeyVersion == 1
	}
}
