package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

const (
	roles    = "arn:aws:iam::" + gatewaytest.Account + ":role/"
	sessions = "arn:aws:sts::" + gatewaytest.Account + ":assumed-role/"
)

// workloads is a gateway that trusts an issuer: a token whose role claim is r has
// the role r.
type workloads struct {
	*gatewaytest.Gateway
	issuer *identitytest.Issuer
	t      testing.TB
}

func newWorkloads(t testing.TB, names ...string) *workloads {
	t.Helper()
	w := &workloads{issuer: identitytest.NewIssuer(t), t: t}
	p := identity.Provider{Name: "ci", Issuer: w.issuer.URL, Audiences: []string{"hsmgate"}, Tags: map[string]string{"team": "team"}}
	for _, name := range names {
		p.Rules = append(p.Rules, identity.ClaimRule{Role: name, Claims: map[string]string{"role": name}})
	}
	w.Gateway = gatewaytest.NewWith(t, gatewaytest.Options{Providers: []identity.Provider{p}})
	for _, name := range names {
		if _, err := w.Identities.CreateRole(t.Context(), name, policy.RoleUser, nil, w.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *workloads) token(role, subject, team string) string {
	return w.issuer.Token(map[string]any{"iss": w.issuer.URL, "aud": "hsmgate", "sub": subject, "role": role, "team": team,
		"iat": w.Now().Unix(), "exp": w.Now().Add(time.Minute).Unix()})
}

// session is the bearer token of a session.
func (w *workloads) session(role, subject, team string) string {
	w.t.Helper()
	var out api.AssumeRoleWithWebIdentityResponse
	decodeTo(w.t, w.Send(w.token(role, subject, team), "POST", "/v1/sessions", nil), &out)
	if out.AssumedRoleUser.Arn != sessions+role+"/"+subject || !strings.HasPrefix(out.BearerToken, "hsmgate_session_") {
		w.t.Fatalf("%+v", out)
	}
	return out.BearerToken
}

// TestAccessOfSessions: key policies and grants name a role or one of its sessions,
// and mean nobody else by it; identity policies are those of the role.
func TestAccessOfSessions(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t, "build", "deploy")
	key := w.CreateKey(api.P256, api.SignVerify).KeyId
	one, two, other := w.session("build", "one", "web"), w.session("build", "two", "web"), w.session("deploy", "one", "core")
	may := func(why string, want ...bool) {
		t.Helper()
		for i, token := range []string{one, two, other} {
			a := w.Send(token, "POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte("x"), SigningAlgorithm: api.ECDSASHA256})
			if a.Status != http.StatusOK && a.Status != http.StatusForbidden || (a.Status == http.StatusOK) != want[i] {
				t.Errorf("%s: session %d: %d %s", why, i, a.Status, a.Body)
			}
		}
	}
	keyPolicy := func(statements string) {
		t.Helper()
		text := `{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "` + gatewaytest.Account + `"}, "Action": "kms:*", "Resource": "*"}` + statements + `]}`
		w.Call("PUT", "/v1/keys/"+key+"/policy", map[string]string{"Policy": text}, nil)
	}
	may("nothing allows", false, false, false)
	for principal, want := range map[string][]bool{roles + "build": {true, true, false}, sessions + "build/one": {true, false, false}} {
		keyPolicy(`, {"Effect": "Allow", "Principal": {"AWS": "` + principal + `"}, "Action": "kms:Sign", "Resource": "*"}`)
		may("key policy for "+principal, want...)
		keyPolicy("")
		may("without it", false, false, false)
		var grant api.CreateGrantResponse
		w.Call("POST", "/v1/keys/"+key+"/grants", api.CreateGrantRequest{GranteePrincipal: principal, Operations: []api.GrantOperation{api.GrantSign}}, &grant)
		may("grant for "+principal, want...)
		w.Call("POST", "/v1/keys/"+key+"/revoke-grant", map[string]string{"GrantId": grant.GrantId}, nil)
		may("without it", false, false, false)
	}
	for _, principal := range []string{roles + "none", sessions + "none/one"} {
		refusal(t, w.Send(w.Admin.Token, "POST", "/v1/keys/"+key+"/grants", api.CreateGrantRequest{GranteePrincipal: principal, Operations: []api.GrantOperation{api.GrantSign}}),
			400, api.InvalidArn)
	}
	keyPolicy(`, {"Effect": "Allow", "Principal": "*", "Action": "kms:Sign", "Resource": "*", "Condition": {"StringEquals": {"hsmgate:Claim/sub": "two"}}}`)
	may("a claim", false, true, false)
	keyPolicy(`, {"Effect": "Deny", "Principal": {"AWS": "` + sessions + `build/two"}, "Action": "kms:Sign", "Resource": "*"}`)
	text := `{"Statement": {"Effect": "Allow", "Action": "kms:Sign", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "web"}}}}`
	ctx := t.Context()
	for _, err := range []error{w.Identities.PutPolicy(ctx, "web", text, w.Now()),
		w.Identities.AttachPolicy(ctx, roles+"build", "web"), w.Identities.AttachPolicy(ctx, roles+"deploy", "web")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	may("an identity policy of both roles, for a tag, and a denial", true, false, false)
	if err := w.Identities.TagPrincipal(ctx, roles+"build", []store.Tag{{Name: "team", Value: "core"}}, nil); err != nil {
		t.Fatal(err)
	}
	may("the tag of a session counts before that of its role", true, false, false)
	if err := w.Identities.DetachPolicy(ctx, roles+"build", "web"); err != nil {
		t.Fatal(err)
	}
	may("taken from the role", false, false, false)
}

// TestSessionOnREST: the exchange, its refusals, and the end of the bearer token.
func TestSessionOnREST(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t, "build")
	ask := func(token string, body any) gatewaytest.Answer { return w.Send(token, "POST", "/v1/sessions", body) }
	token := w.token("build", "job", "")
	before := len(w.Records())
	var out api.AssumeRoleWithWebIdentityResponse
	decodeTo(t, ask(token, map[string]any{"RoleArn": roles + "build", "DurationSeconds": 900}), &out)
	records := w.Records()[before:]
	if len(records) != 1 || records[0].Principal != sessions+"build/job" || records[0].Face != "rest" || records[0].Outcome != "allowed" || records[0].Provider != "ci" {
		t.Errorf("%+v", records)
	}
	if left := out.Credentials.Expiration.Sub(w.Now()); left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("good for %s", left)
	}
	refusal(t, ask("", nil), 401, api.MissingAuthentication)
	refusal(t, ask("x", nil), 401, api.InvalidIdentityToken)
	refusal(t, ask(w.Admin.Token, nil), 401, api.InvalidIdentityToken)
	refusal(t, ask(out.BearerToken, nil), 401, api.InvalidIdentityToken)
	refusal(t, ask(token, map[string]any{"WebIdentityToken": token}), 400, api.Serialization)
	refusal(t, ask(token, map[string]any{"RoleArn": "x"}), 400, api.Validation)
	if n := len(w.Records()) - before; n != 1 {
		t.Errorf("strangers leave %d records", n-1)
	}
	refusal(t, ask(token, map[string]any{"RoleArn": roles + "other"}), 403, api.AccessDenied)
	refusal(t, ask(token, map[string]any{"DurationSeconds": 7200}), 400, api.Validation)
	if n := len(w.Records()) - before; n != 2 { // no rule fits another role
		t.Errorf("%d records", n)
	}

	list := func() gatewaytest.Answer { return w.Send(out.BearerToken, "GET", "/v1/keys", nil) }
	refusal(t, list(), 403, api.AccessDenied) // it is known who calls, who may not do this
	w.Advance(15 * time.Minute)
	refusal(t, list(), 401, api.ExpiredToken)
	decodeTo(t, ask(w.token("build", "job", ""), nil), &out)
	refusal(t, list(), 403, api.AccessDenied)
	if err := w.Identities.EndSessions(t.Context(), roles+"build", w.Now()); err != nil {
		t.Fatal(err)
	}
	refusal(t, list(), 401, api.UnrecognizedClient)
}

// TestTokenTooLongForASession: who is in very many groups is told which claim is too long,
// and calls by the token itself.
func TestTokenTooLongForASession(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t, "build")
	var groups []string
	for i := range 120 {
		groups = append(groups, fmt.Sprintf("example-company/department-%03d/team", i))
	}
	token := w.issuer.Token(map[string]any{"iss": w.issuer.URL, "aud": "hsmgate", "sub": "job", "role": "build", "groups_direct": groups,
		"iat": w.Now().Unix(), "exp": w.Now().Add(time.Minute).Unix()})
	said := string(w.Send(token, "POST", "/v1/sessions", nil).Body)
	refusal(t, w.Send(token, "POST", "/v1/sessions", nil), 400, api.Validation)
	if !strings.Contains(said, `of at most 4096, the claim \"groups_direct\" most of them: have the provider leave it out, or send the token itself`) {
		t.Error(said)
	}
	refusal(t, w.Send(token, "GET", "/v1/keys", nil), 403, api.AccessDenied) // it is known who calls
}

// TestSessionsOfTwoProcesses: one makes a session, the other takes it, and hears of
// its end.
func TestSessionsOfTwoProcesses(t *testing.T) {
	t.Parallel()
	w := newWorkloads(t, "build")
	other := gatewaytest.NewWith(t, gatewaytest.Options{Beside: w.Gateway, Name: "two"})
	bearer := w.session("build", "job", "")
	refusal(t, other.Send(bearer, "GET", "/v1/keys", nil), 403, api.AccessDenied)
	if err := w.Identities.EndSessions(t.Context(), roles+"build", w.Now()); err != nil {
		t.Fatal(err)
	}
	if err := other.Store.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	refusal(t, other.Send(bearer, "GET", "/v1/keys", nil), 401, api.UnrecognizedClient)
}
