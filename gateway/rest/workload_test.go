package rest_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

const tag = "refs/tags/v1.2.0"

// workloads is a gateway that trusts an issuer as GitHub's, with the role release
// and a key that this role may use for tags alone.
type workloads struct {
	*gatewaytest.Gateway
	issuer *identitytest.Issuer
	key    string
}

func newWorkloads(t *testing.T) *workloads {
	t.Helper()
	s := identitytest.NewIssuer(t)
	g := gatewaytest.NewWith(t, gatewaytest.Options{Providers: []identity.Provider{{
		Name: "github", Preset: "github", Issuer: s.URL, Audiences: []string{"hsmgate"},
		Rules: []identity.ClaimRule{{Role: "release", Claims: map[string]string{"repository": "example/app"}}},
	}}})
	addRole(t, g, "release")
	w := &workloads{g, s, g.CreateKey(api.P256, api.SignVerify).KeyId}
	setPolicy(g, w.key, `{"StringLike":{"hsmgate:Claim/ref":"refs/tags/*"},"StringEquals":{"aws:PrincipalTag/repository":"example/app"}}`)
	return w
}

func addRole(t *testing.T, g *gatewaytest.Gateway, name string) {
	t.Helper()
	if _, err := g.Identities.CreateRole(t.Context(), name, policy.RoleUser, nil, g.Now()); err != nil {
		t.Fatal(err)
	}
}

// setPolicy lets the role release sign under a condition.
func setPolicy(g *gatewaytest.Gateway, key, condition string) {
	const account = "arn:aws:iam::" + gatewaytest.Account
	g.Call("PUT", "/v1/keys/"+key+"/policy", map[string]any{"Policy": `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + account + `:root"},"Action":"kms:*","Resource":"*"},
		{"Sid":"Release","Effect":"Allow","Principal":{"AWS":"` + account + `:role/release"},"Action":["kms:Sign","kms:DescribeKey"],"Resource":"*","Condition":` + condition + `}]}`}, nil)
}

func (w *workloads) claims(ref string) map[string]any {
	return identitytest.GitHub(w.issuer.URL, "hsmgate", "example/app", ref, w.Now())
}

func (w *workloads) sign(token string) gatewaytest.Answer {
	return w.Send(token, "POST", "/v1/keys/"+w.key+"/sign", map[string]any{"Message": "aGVsbG8=", "SigningAlgorithm": "ECDSA_SHA_256"})
}

// TestTokenOfAProvider: a job signs with the token of its run, and what it claims decides.
func TestTokenOfAProvider(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t)
	if a := w.sign(w.issuer.Token(w.claims(tag))); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	records := outcomes(w.Gateway)
	r := records[len(records)-1]
	session := "arn:aws:sts::" + gatewaytest.Account + ":assumed-role/release/example-app@10516830201"
	if r.Operation != "Sign" || r.Outcome != "allowed" || r.Principal != session || r.CredentialID != "" || r.Provider != "github" ||
		r.Subject != "repo:example/app:ref:refs/tags/v1.2.0" || r.Reason != "key-policy/Release" {
		t.Errorf("the record says %+v", r)
	}
	told := refusal(t, w.sign(w.issuer.Token(w.claims("refs/heads/main"))), http.StatusForbidden, api.AccessDenied)
	if !strings.Contains(told, session) {
		t.Error(told)
	}
	records = outcomes(w.Gateway)
	if r := records[len(records)-1]; r.Outcome != "denied" || r.Subject != "repo:example/app:ref:refs/heads/main" {
		t.Errorf("the record says %+v", r)
	}
}

// TestRefusedTokensAnswerAlike: a stranger does not learn why, and an operator does.
func TestRefusedTokensAnswerAlike(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t)
	good := w.claims(tag)
	with := func(name string, value any) string {
		c := maps.Clone(good)
		c[name] = value
		return w.issuer.Token(c)
	}
	token := w.issuer.Token(good)
	w.issuer.AddHiddenKey("hidden", "RS256")
	before, first := len(w.Records()), ""
	for _, test := range []struct{ token, why string }{
		{with("aud", "other"), "audience"},
		{with("iss", "https://other.example.com"), "none that is trusted"},
		{with("exp", w.Now().Add(-time.Hour).Unix()), "good until"},
		{with("nbf", w.Now().Add(time.Hour).Unix()), "not valid yet"},
		{with("exp", nil), "never expires"},
		{with("repository", "example/other"), "no rule fits"},
		{w.issuer.Sign("hidden", good, nil), "no such key"},
		{w.issuer.Sign("hidden", good, map[string]any{"kid": "rsa"}), "signature is wrong"},
		{w.issuer.Sign("rsa", good, map[string]any{"crit": []string{"exp"}}), "crit"},
		{w.issuer.Sign("ec", good, nil), "algorithm ES256"},
		{with("x", strings.Repeat("x", 14<<10)), "more than"},
		{token[:strings.LastIndexByte(token, '.')+1], "signature is wrong"},
		{"eyJhbGciOiJub25lIn0.e30.", "none"},
		{"a.b.c", "not a signed JWT"},
	} {
		a := w.sign(test.token)
		var p map[string]any
		if err := json.Unmarshal(a.Body, &p); err != nil {
			t.Fatal(err)
		}
		delete(p, "requestId")
		said, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(said)
		}
		if a.Status != http.StatusUnauthorized || string(said) != first || a.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %d %s, want %s", test.why, a.Status, said, first)
		}
		lines := w.Lines.FilterMessage("not authenticated").All()
		cause, _ := lines[len(lines)-1].ContextMap()["cause"].(string)
		if !strings.Contains(cause, test.why) {
			t.Errorf("the log says %q, want %q", cause, test.why)
		}
	}
	for _, line := range w.Lines.All() {
		text, err := json.Marshal(line.ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		if _, signature, _ := strings.Cut(token[20:], "."); strings.Contains(string(text), "eyJ") || strings.Contains(string(text), signature) {
			t.Errorf("the log holds a token: %s", text)
		}
	}
	if n := len(w.Records()); n != before {
		t.Errorf("strangers left %d records", n-before)
	}
}

// TestTokenIsDecidedAnew: what changes between two calls with one token, or while
// a file comes, counts.
func TestTokenIsDecidedAnew(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t)
	claims := w.claims(tag)
	token := w.issuer.Token(claims)
	if a := w.sign(token); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	setPolicy(w.Gateway, w.key, `{"StringEquals":{"hsmgate:Claim/ref":"refs/heads/main"}}`)
	refusal(t, w.sign(token), http.StatusForbidden, api.AccessDenied)
	setPolicy(w.Gateway, w.key, `{"StringEquals":{"hsmgate:Claim/ref":"`+tag+`"}}`)

	read, write := io.Pipe()
	go func() {
		_, _ = write.Write([]byte("the first half"))
		w.Advance(12 * time.Minute) // past the token's end
		_ = write.Close()
	}()
	refusal(t, w.Send(token, "PUT", "/v1/keys/"+w.key+"/sign?SigningAlgorithm=ECDSA_SHA_256", read), http.StatusUnauthorized, api.UnrecognizedClient)

	token = w.issuer.Token(w.claims(tag))
	if a := w.sign(token); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if err := w.Identities.DeletePrincipal(t.Context(), w.Identities.RoleARN("release")); err != nil {
		t.Fatal(err)
	}
	refusal(t, w.sign(token), http.StatusUnauthorized, api.UnrecognizedClient)
}

// TestIssuerAway: a token that cannot be checked is no wrong token.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t)
	token := w.issuer.Token(w.claims(tag))
	w.issuer.Close()
	a := w.sign(token)
	refusal(t, a, http.StatusServiceUnavailable, api.ServiceUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("the caller is not told to try again")
	}
}

// TestSessionNamesTheToken: the exchange of a token for a session keeps what the
// token says, for conditions and for the log.
func TestSessionNamesTheToken(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t)
	exchange := func(ref string) string {
		var out api.AssumeRoleWithWebIdentityResponse
		a := w.Send(w.issuer.Token(w.claims(ref)), "POST", "/v1/sessions", map[string]any{"RoleArn": w.Identities.RoleARN("release"), "RoleSessionName": "run"})
		if err := json.Unmarshal(a.Body, &out); a.Status != http.StatusOK || err != nil {
			t.Fatalf("%d %s %v", a.Status, a.Body, err)
		}
		return out.BearerToken
	}
	if a := w.sign(exchange(tag)); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	records := outcomes(w.Gateway)
	if made, r := records[len(records)-2], records[len(records)-1]; made.AccessKeyID == "" || r.CredentialID != made.AccessKeyID || r.Operation != "Sign" || r.Provider != "github" || r.Subject != "repo:example/app:ref:"+tag {
		t.Errorf("the record says %+v", r)
	}
	refusal(t, w.sign(exchange("refs/heads/main")), http.StatusForbidden, api.AccessDenied)
}
