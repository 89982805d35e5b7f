package rest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestStrangersLeaveNoRecord: a call that was not authenticated is refused
// before anything else, whatever it asks for, and does not make the log grow.
func TestStrangersLeaveNoRecord(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Advance(-11 * 365 * 24 * time.Hour) // longer than a credential lives
	expired := g.Principal("expired", policy.RoleAdministrator).Token
	g.Advance(11 * 365 * 24 * time.Hour)
	wrongSecret := g.Admin.Token[:len(g.Admin.Token)-1] + "a"
	if wrongSecret == g.Admin.Token {
		wrongSecret = g.Admin.Token[:len(g.Admin.Token)-1] + "b"
	}
	before := len(g.Records())
	for _, c := range []struct {
		authorization string
		code          api.Code
	}{
		{"", api.MissingAuthentication},
		{"Bearer", api.MissingAuthentication},
		{"Bearer ", api.MissingAuthentication},
		{"Basic " + g.Admin.Token, api.MissingAuthentication},
		{"AWS4-HMAC-SHA256 Credential=x", api.IncompleteSignature},
		{g.Admin.Token, api.MissingAuthentication},
		{"Bearer x", api.UnrecognizedClient},
		{"Bearer  " + g.Admin.Token, api.UnrecognizedClient},
		{"Bearer " + g.Admin.Token + " ", ""}, // net/http trims the value of a header
		{"bearer " + g.Admin.Token, ""},
		{"Bearer " + strings.ToUpper(g.Admin.Token), api.UnrecognizedClient},
		{"Bearer " + g.Admin.Token + "a", api.UnrecognizedClient},
		{"Bearer " + wrongSecret, api.UnrecognizedClient},
		{"Bearer " + strings.Repeat("x", 100_000), api.UnrecognizedClient},
		{"Bearer " + expired, api.ExpiredToken},
	} {
		a := g.Send("", "GET", "/v1/keys/"+key, nil, "Authorization", c.authorization)
		if c.code == "" {
			if a.Status != 200 {
				t.Errorf("%.40s: %d %s", c.authorization, a.Status, a.Body)
			}
			before++
			continue
		}
		refusal(t, a, 401, c.code)
		if a.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%.40s: no WWW-Authenticate", c.authorization)
		}
	}
	for _, path := range []string{"/v1/keys", "/v1/keys/" + key + "/sign", "/v1/keys/x/sign", "/v1/none", "/none", "/metrics", "/v1/", "/healthz/x", "//v1/keys", "/"} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
			if a := g.Send("", method, path, nil); a.Status != 401 && a.Status != 400 {
				t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
		}
	}
	if now := len(g.Records()); now != before {
		t.Errorf("strangers left %d records", now-before)
	}
	two, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/v1/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	two.Header["Authorization"] = []string{"Bearer " + g.Admin.Token, "Bearer x"}
	answer, err := http.DefaultClient.Do(two)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("two headers Authorization: %d", answer.StatusCode)
	}
}

// TestUnknownRoutesLeaveOneRecord of an authenticated caller.
func TestUnknownRoutesLeaveOneRecord(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for _, c := range []struct {
		method, path string
		status       int
		code         api.Code
	}{
		{"GET", "/v1/none", 404, api.UnknownOperation},
		{"GET", "/", 405, api.MethodNotAllowed},
		{"GET", "/V1/keys", 404, api.UnknownOperation},
		{"GET", "//v1/keys", 404, api.UnknownOperation},
		{"POST", "/v1/keys/a/b/c/sign", 404, api.UnknownOperation},
		{"DELETE", "/v1/keys", 405, api.MethodNotAllowed},
		{"PATCH", "/v1/keys", 405, api.MethodNotAllowed},
		{"OPTIONS", "/v1/keys", 405, api.MethodNotAllowed},
		{"OPTIONS", "/", 405, api.MethodNotAllowed},
		{"HEAD", "/v1/keys", 405, ""},
		{"POST", "/metrics", 405, api.MethodNotAllowed},
	} {
		before := len(outcomes(g))
		a := g.Send(g.Admin.Token, c.method, c.path, nil)
		if a.Status != c.status || c.code != "" && a.Code() != string(c.code) {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Body)
		}
		if c.status == 405 && a.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
		records := outcomes(g)[before:]
		if len(records) == 1 && !strings.HasPrefix(a.Header.Get("Hsmgate-Audit-Record"), fmt.Sprint(records[0].Seq, ":")) {
			t.Errorf("%s %s: the answer names record %q, not %d", c.method, c.path, a.Header.Get("Hsmgate-Audit-Record"), records[0].Seq)
		}
		if len(records) != 1 || records[0].Outcome != "invalid" || records[0].Operation != "UnknownOperation" || records[0].Resource != c.method+" "+c.path || records[0].Principal != g.Admin.ARN {
			t.Errorf("%s %s: %+v", c.method, c.path, records)
		}
	}
}
