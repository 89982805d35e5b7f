package client_test

import (
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestSession: a token of an identity provider becomes a session, whose bearer
// token calls.
func TestSession(t *testing.T) {
	t.Parallel()
	issuer := identitytest.NewIssuer(t)
	g := gatewaytest.NewWith(t, gatewaytest.Options{Providers: []identity.Provider{{
		Name: "ci", Issuer: issuer.URL, Audiences: []string{"hsmgate"}, Rules: []identity.ClaimRule{{Role: "deploy", Claims: map[string]string{"sub": "job"}}},
	}}})
	if _, err := g.Identities.CreateRole(t.Context(), "deploy", policy.RoleAdministrator, nil, g.Now()); err != nil {
		t.Fatal(err)
	}
	token := issuer.Token(map[string]any{"iss": issuer.URL, "sub": "job", "aud": "hsmgate", "exp": g.Now().Add(time.Hour).Unix()})
	seconds := 900
	out, err := client.New(g.URL, token).AssumeRoleWithWebIdentity(t.Context(), &api.AssumeRoleWithWebIdentityRequest{
		SessionDuration: api.SessionDuration{DurationSeconds: &seconds}})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(out.Credentials.Expiration.Time); left > 15*time.Minute || left < 10*time.Minute {
		t.Errorf("good for %s", left)
	}
	if _, err := client.New(g.URL, out.BearerToken).ListKeys(t.Context(), &api.ListKeysRequest{}); err != nil {
		t.Error(err)
	}
	if _, err = client.New(g.URL, "x.y.z").AssumeRoleWithWebIdentity(t.Context(), &api.AssumeRoleWithWebIdentityRequest{}); client.Code(err) != api.InvalidIdentityToken {
		t.Error(err)
	}
}
