package client_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestIdentityOfTheEnvironment: the token of a workload is found, and becomes one session
// for many calls.
func TestIdentityOfTheEnvironment(t *testing.T) {
	issuer := identitytest.NewIssuer(t)
	g := gatewaytest.NewWith(t, gatewaytest.Options{Providers: []identity.Provider{{
		Name: "ci", Issuer: issuer.URL, Audiences: []string{"hsmgate"}, Rules: []identity.ClaimRule{{Role: "deploy", Claims: map[string]string{"sub": "job"}}},
	}}})
	if _, err := g.Identities.CreateRole(t.Context(), "deploy", policy.RoleAdministrator, nil, g.Now()); err != nil {
		t.Fatal(err)
	}
	token := issuer.Token(map[string]any{"iss": issuer.URL, "sub": "job", "aud": "hsmgate", "exp": g.Now().Add(time.Hour).Unix()})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gitHub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer job-secret" || r.URL.Query().Get("audience") != "hsmgate" || r.URL.Query().Get("api-version") != "2.0" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"value": token})
	}))
	defer gitHub.Close()
	all := []string{"HSMGATE_TOKEN", "HSMGATE_TOKEN_FILE", "HSMGATE_CERT_FILE", "HSMGATE_KEY_FILE", "HSMGATE_CA_FILE", "HSMGATE_REGION", "HSMGATE_ROLE", "HSMGATE_AUDIENCE",
		"HSMGATE_ID_TOKEN", "HSMGATE_ID_TOKEN_FILE", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"}
	for _, test := range []struct {
		name string
		env  map[string]string
		want api.Code // of the first call
		text string   // of the error
	}{
		{"GitLab", map[string]string{"HSMGATE_ID_TOKEN": token}, "", ""},
		{"a projected file", map[string]string{"HSMGATE_ID_TOKEN_FILE": file}, "", ""},
		{"AWS's variable", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": file}, "", ""},
		{"GitHub", map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": gitHub.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job-secret"}, "", ""},
		{"a role", map[string]string{"HSMGATE_ID_TOKEN": token, "HSMGATE_ROLE": "arn:aws:iam::" + gatewaytest.Account + ":role/deploy"}, "", ""},
		{"the first in order", map[string]string{"HSMGATE_ID_TOKEN": token, "HSMGATE_ID_TOKEN_FILE": "none"}, "", ""},
		{"another role", map[string]string{"HSMGATE_ID_TOKEN": token, "HSMGATE_ROLE": "arn:aws:iam::" + gatewaytest.Account + ":role/other"}, api.AccessDenied, ""},
		{"no token", map[string]string{"HSMGATE_ID_TOKEN": "x.y.z"}, api.InvalidIdentityToken, ""},
		{"no file", map[string]string{"HSMGATE_ID_TOKEN_FILE": file + "x"}, "", "no such file"},
		{"GitHub refuses", map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": gitHub.URL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "other-secret"}, "", "403 Forbidden"},
	} {
		for _, name := range all {
			t.Setenv(name, test.env[name])
		}
		t.Setenv("HSMGATE_URL", g.URL)
		c, err := client.FromEnv()
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		before := len(g.Records())
		for range 3 {
			_, err = c.ListKeys(t.Context(), &api.ListKeysRequest{})
		}
		if test.want != "" || test.text != "" {
			if err == nil || client.Code(err) != test.want || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		records := g.Records()[before:]
		if len(records) != 4 || records[0].Operation != "AssumeRoleWithWebIdentity" || !strings.HasSuffix(records[3].Principal, "assumed-role/deploy/job") {
			t.Errorf("%s: %d records, the last %+v", test.name, len(records), records[len(records)-1])
		}
	}
}
