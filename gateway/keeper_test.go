package gateway_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestKeyAdministratorLetsNobody: with the policy of docs/examples/key-administrator, keys are
// made, and nobody is let in, by the policy of a key that is there or of a new one.
func TestKeyAdministratorLetsNobody(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	text, err := os.ReadFile("../docs/examples/key-administrator/key-administrator.json")
	noError(t, err)
	noError(t, a.Identities.PutPolicy(t.Context(), "keeper", string(text), a.Now()))
	noError(t, a.Identities.AttachPolicy(t.Context(), a.user.ARN, "keeper"))
	let := document(byAccount, statement("Allow", "arn:aws:iam::"+gatewaytest.Account+":user/other", "kms:Sign"))
	for _, c := range []struct {
		path, method string
		body         map[string]any
		status       int
	}{
		{"/v1/keys", "POST", map[string]any{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}, http.StatusOK},
		{"/v1/keys", "POST", map[string]any{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Policy": let}, http.StatusBadRequest},
		{"/v1/keys", "POST", map[string]any{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Policy": let, "BypassPolicyLockoutSafetyCheck": true}, http.StatusForbidden},
		{"/v1/keys/" + a.signing + "/policy", "PUT", map[string]any{"Policy": let}, http.StatusForbidden},
		{"/v1/keys/" + a.signing + "/policy", "PUT", map[string]any{"Policy": let, "BypassPolicyLockoutSafetyCheck": true}, http.StatusForbidden},
	} {
		if got := a.Send(a.user.Token, c.method, c.path, c.body); got.Status != c.status {
			t.Errorf("%s %s %v: %d %s", c.method, c.path, c.body, got.Status, strings.TrimSpace(string(got.Body)))
		}
	}
}
