package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// keeps gives the administrator the access keys of other users, which its role does not.
func keeps(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	noError(t, g.Identities.PutPolicy(t.Context(), "access-keys", document(`{"Effect":"Allow","Action":"hsmgate:*AccessKey*","Resource":"arn:aws:iam::*:user/*"}`), g.Now()))
	noError(t, g.Identities.AttachPolicy(t.Context(), g.Admin.ARN, "access-keys"))
}

// TestAdministratorIsNobodyElse: a key policy that keeps a key from administrators is not
// got around by an access key of who may use it, of which nothing is told either; an
// administrator has his own, and an identity policy gives those of others.
func TestAdministratorIsNobodyElse(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	builder := g.Principal("builder", policy.RoleUser)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Call("PUT", "/v1/keys/"+key+"/policy", map[string]any{"Policy": document(`{"Effect":"Allow","Principal":{"AWS":"` + g.Admin.ARN + `"},"NotAction":["kms:Sign","kms:CreateGrant"],"Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"` + builder.ARN + `"},"Action":["kms:Sign","kms:DescribeKey"],"Resource":"*"}`)}, nil)
	send := func(method, path string, body any) gatewaytest.Answer {
		return g.Send(g.Admin.Token, method, path, body)
	}
	refusal(t, send("POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte("x"), SigningAlgorithm: api.ECDSASHA256}), 403, api.AccessDenied)
	of := func(user string) map[string]any {
		return map[string]any{"UserName": user, "AccessKeyId": builder.AccessKeyID, "Status": "Inactive"}
	}
	refusal(t, send("POST", "/v1/access-keys", map[string]any{"UserName": "builder"}), 403, api.AccessDenied)
	refusal(t, send("GET", "/v1/access-keys?UserName=builder", nil), 403, api.AccessDenied)
	refusal(t, send("POST", "/v1/access-keys/update", of("builder")), 403, api.AccessDenied)
	refusal(t, send("POST", "/v1/access-keys/delete", map[string]any{"UserName": "builder", "AccessKeyId": builder.AccessKeyID}), 403, api.AccessDenied)
	refusal(t, send("POST", "/v1/access-keys/update", of("")), 404, api.NotFound) // his own has another id
	var own api.CreateAccessKeyResponse
	g.Call("POST", "/v1/access-keys", nil, &own)
	if _, p, err := g.Identities.AccessKey(own.AccessKey.AccessKeyId, g.Now()); err != nil || p.ARN != g.Admin.ARN {
		t.Errorf("%v %v", p, err)
	}
	keeps(t, g)
	g.Call("POST", "/v1/access-keys", map[string]any{"UserName": "builder"}, nil)
	if r := g.Records(); r[len(r)-1].Reason != "policy/access-keys/1" {
		t.Errorf("%+v", r[len(r)-1])
	}
}

// TestAccessKeys: whom a policy lets makes, lists, disables and deletes those of a
// user; a policy lets a user manage its own and no others.
func TestAccessKeys(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	keeps(t, g)
	ci := g.Principal("ci", policy.RoleUser)
	g.Principal("other", policy.RoleUser)
	if _, err := g.Identities.CreateRole(t.Context(), "deploy", policy.RoleUser, nil, g.Now()); err != nil {
		t.Fatal(err)
	}
	var made api.CreateAccessKeyResponse
	to := g.Now().Add(time.Hour).Truncate(time.Second)
	g.Call("POST", "/v1/access-keys", map[string]any{"UserName": "ci", "ValidTo": to.Unix()}, &made)
	k := made.AccessKey
	if k.UserName != "ci" || k.Status != "Active" || !k.ValidTo.Equal(to) || len(k.SecretAccessKey) != 40 || !strings.HasPrefix(k.AccessKeyId, "AKIA") {
		t.Errorf("%+v", k)
	}
	if secret, p, err := g.Identities.AccessKey(k.AccessKeyId, g.Now()); err != nil || secret != k.SecretAccessKey || p.ARN != ci.ARN {
		t.Errorf("%v %v", p, err)
	}
	records := g.Records()
	last := records[len(records)-1]
	if last.Operation != "CreateAccessKey" || last.Resource != ci.ARN || last.AccessKeyID != k.AccessKeyId || records[len(records)-2].Phase != "started" ||
		records[len(records)-2].CredentialID != g.Admin.TokenID() {
		t.Errorf("%+v", records)
	}
	if strings.Contains(string(contents(t, g.AuditPath)), k.SecretAccessKey) {
		t.Error("the secret is in the audit log")
	}
	var list api.ListAccessKeysResponse
	a := g.Send(g.Admin.Token, "GET", "/v1/access-keys?UserName=ci", nil)
	decodeTo(t, a, &list)
	if len(list.AccessKeyMetadata) != 2 || strings.Contains(string(a.Body), "Secret") {
		t.Errorf("%s", a.Body)
	}
	change := func(token, path, user, status string) gatewaytest.Answer {
		body := map[string]any{"UserName": user, "AccessKeyId": k.AccessKeyId}
		if status != "" {
			body["Status"] = status
		}
		return g.Send(token, "POST", "/v1/access-keys/"+path, body)
	}
	usable := func() bool { _, _, err := g.Identities.AccessKey(k.AccessKeyId, g.Now()); return err == nil }
	for _, status := range []string{"Inactive", "Active"} {
		decodeTo(t, change(g.Admin.Token, "update", "ci", status), &struct{}{})
		if usable() != (status == "Active") {
			t.Errorf("%s, and usable: %v", status, usable())
		}
	}
	for _, user := range []string{"other", "nobody", "deploy"} {
		refusal(t, change(g.Admin.Token, "update", user, "Inactive"), 404, api.NotFound)
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/access-keys", map[string]any{"UserName": "deploy"}), 404, api.NotFound)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/access-keys", map[string]any{"UserName": "ci", "ValidTo": 1}), 400, api.Validation)

	own := `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "hsmgate:*AccessKey*", "Resource": "arn:aws:iam::*:user/${aws:username}"}}`
	if err := g.Identities.PutPolicy(t.Context(), "own", own, g.Now()); err != nil {
		t.Fatal(err)
	}
	refusal(t, change(ci.Token, "delete", "", ""), 403, api.AccessDenied)
	if err := g.Identities.AttachPolicy(t.Context(), ci.ARN, "own"); err != nil {
		t.Fatal(err)
	}
	refusal(t, change(ci.Token, "update", "other", "Inactive"), 403, api.AccessDenied)
	refusal(t, g.Send(ci.Token, "POST", "/v1/access-keys", map[string]any{"UserName": "admin"}), 403, api.AccessDenied)
	decodeTo(t, g.Send(ci.Token, "GET", "/v1/access-keys", nil), &list)
	if len(list.AccessKeyMetadata) != 2 || !usable() {
		t.Errorf("%+v", list)
	}
	if a := change(ci.Token, "delete", "", ""); a.Status != http.StatusOK || usable() {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestAccessKeysOfOthersChangePermissions, and one's own do not, nor does a look.
func TestAccessKeysOfOthersChangePermissions(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	keeps(t, g)
	ci := g.Principal("ci", policy.RoleUser)
	for user, want := range map[string]bool{"": false, "admin": false, "ci": true} {
		var made api.CreateAccessKeyResponse
		before := len(g.Records())
		g.Call("POST", "/v1/access-keys", map[string]any{"UserName": user}, &made)
		body := map[string]any{"UserName": user, "AccessKeyId": made.AccessKey.AccessKeyId}
		g.Call("POST", "/v1/access-keys/delete", body, nil)
		body["AccessKeyId"], body["Status"] = g.Admin.AccessKeyID, "Active"
		if want {
			body["AccessKeyId"] = ci.AccessKeyID
		}
		g.Call("POST", "/v1/access-keys/update", body, nil)
		records := g.Records()[before:]
		if len(records) != 6 { // each with one of its start
			t.Errorf("%+v", records)
		}
		for _, r := range records {
			if r.PermissionChange != want {
				t.Errorf("%q: %s %s says %v", user, r.Operation, r.Phase, r.PermissionChange)
			}
		}
		if g.Call("GET", "/v1/access-keys?UserName="+user, nil, nil); g.Records()[before+6].PermissionChange {
			t.Error("a look changes permissions")
		}
	}
}

// TestAccessKeysOfAUser are so many: each costs memory and work at a start.
func TestAccessKeysOfAUser(t *testing.T) {
	t.Parallel()
	for most, options := range map[int]gatewaytest.Options{10: {}, 3: {Quotas: gateway.Quotas{AccessKeysPerUser: 3}}} {
		g := gatewaytest.NewWith(t, options) // the administrator has one
		var made api.CreateAccessKeyResponse
		for range most - 1 {
			g.Call("POST", "/v1/access-keys", nil, &made)
		}
		change := func(path string, status string) {
			t.Helper()
			body := map[string]any{"AccessKeyId": made.AccessKey.AccessKeyId}
			if status != "" {
				body["Status"] = status
			}
			g.Call("POST", "/v1/access-keys/"+path, body, nil)
		}
		more := func() gatewaytest.Answer { return g.Send(g.Admin.Token, "POST", "/v1/access-keys", nil) }
		change("update", "Inactive")
		before := len(g.Records())
		refusal(t, more(), 400, api.LimitExceeded)
		if n := len(g.Records()) - before; n != 1 || len(g.Store.AccessKeys(g.Admin.ARN)) != most {
			t.Errorf("%d records, %d access keys", n, len(g.Store.AccessKeys(g.Admin.ARN)))
		}
		change("delete", "")
		g.Call("POST", "/v1/access-keys", nil, nil)
		refusal(t, more(), 400, api.LimitExceeded)
	}
}

// TestAccessKeyChangesAreTakenBack: an access key whose record could not be kept is
// gone, and one that was to go is as it was.
func TestAccessKeyChangesAreTakenBack(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	keeps(t, g)
	ci := g.Principal("ci", policy.RoleUser)
	check := func(path string, body map[string]any) {
		t.Helper()
		body["UserName"] = "ci"
		withoutRecord(t, g, func() gatewaytest.Answer { return g.Send(g.Admin.Token, "POST", "/v1/access-keys"+path, body) })
		secret, p, err := g.Identities.AccessKey(ci.AccessKeyID, g.Now())
		if keys := g.Store.AccessKeys(ci.ARN); len(keys) != 1 || err != nil || secret != ci.SecretAccessKey || p.ARN != ci.ARN {
			t.Errorf("%s: %+v %v", path, keys, err)
		}
	}
	check("", map[string]any{})
	check("/update", map[string]any{"AccessKeyId": ci.AccessKeyID, "Status": "Inactive"})
	check("/delete", map[string]any{"AccessKeyId": ci.AccessKeyID})
}
