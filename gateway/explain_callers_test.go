package gateway_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestExplainOfCallers: calls about a role or a user, and calls by a session.
func TestExplainOfCallers(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	if _, err := a.Identities.CreateRole(t.Context(), "deploy", policy.RoleUser, nil, a.Now()); err != nil {
		t.Fatal(err)
	}
	const account = "arn:aws:iam::" + gatewaytest.Account
	a.attach(a.user, "callers",
		`{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/deploy"}`,
		`{"Effect":"Allow","Action":"hsmgate:*AccessKey*","Resource":"arn:aws:iam::*:user/${aws:username}"}`)
	session := "arn:aws:sts::" + gatewaytest.Account + ":assumed-role/deploy/one"
	a.put(a.signing, byAccount, statement("Allow", account+":role/deploy", "kms:Sign", `{"StringEquals":{"hsmgate:Claim/repository":"acme/app"}}`))
	for _, c := range []struct {
		who, action string
		more        map[string]any
		resource    string
		allowed     bool
		by          string
	}{
		{"user", "sts:AssumeRole", map[string]any{"Request": map[string]any{"RoleArn": account + ":role/deploy"}}, account + ":role/deploy", true, "policy/callers/1"},
		{"user", "sts:AssumeRole", map[string]any{"Request": map[string]any{"RoleArn": account + ":role/other"}}, account + ":role/other", false, "default"},
		{"user", "hsmgate:CreateAccessKey", nil, a.user.ARN, true, "policy/callers/2"},
		{"user", "hsmgate:DeleteAccessKey", map[string]any{"Request": map[string]any{"UserName": "other"}}, a.other.ARN, false, "default"},
		{session, "kms:Sign", map[string]any{"KeyId": a.signing, "Claims": map[string]any{"repository": []string{"acme/app"}}}, "", true, "key-policy/2"},
		{session, "kms:Sign", map[string]any{"KeyId": a.signing}, "", false, "default"},
	} {
		in := map[string]any{"Principal": c.who, "Action": c.action}
		maps.Copy(in, c.more)
		out := explain(t, a.Gateway, in)
		d := last(t, out)
		if out.Allowed != c.allowed || d.Statement != c.by || c.resource != "" && d.Resource != c.resource || c.who == session && out.Principal != session {
			t.Errorf("%v: %+v", in, out)
		}
	}
	for _, c := range []struct {
		in     map[string]any
		status int
		want   string
	}{
		{map[string]any{"Principal": "user", "Action": "sts:AssumeRole"}, 400, "sts:AssumeRole is about a role. Name it in Request, by the member RoleArn."},
		{map[string]any{"Principal": "user", "Action": "sts:AssumeRole", "KeyId": a.signing}, 400, "about"},
		{map[string]any{"Principal": "user", "Action": "sts:GetCallerIdentity"}, 400, "No call asks for sts:GetCallerIdentity"},
		{map[string]any{"Principal": "arn:aws:sts::" + gatewaytest.Account + ":assumed-role/none/one", "Action": "kms:ListKeys"}, 404, "There is no principal"},
		{map[string]any{"Principal": "arn:aws:sts::999999999999:assumed-role/deploy/one", "Action": "kms:ListKeys"}, 404, "There is no principal"},
		{map[string]any{"Principal": session + "/x:", "Action": "kms:ListKeys"}, 404, "There is no principal"},
	} {
		if got := a.Send(a.Admin.Token, "POST", "/v1/explain-access", c.in); got.Status != c.status || !strings.Contains(string(got.Body), c.want) {
			t.Errorf("%v: %d %s", c.in, got.Status, got.Body)
		}
	}
}
