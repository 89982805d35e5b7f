package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// explain asks as the administrator.
func explain(t *testing.T, g *gatewaytest.Gateway, in map[string]any) (out api.ExplainAccessResponse) {
	t.Helper()
	g.Call("POST", "/v1/explain-access", in, &out)
	return out
}

// last is the decision that the call ends with.
func last(t *testing.T, out api.ExplainAccessResponse) api.AccessDecision {
	t.Helper()
	if len(out.Decisions) == 0 {
		t.Fatalf("nothing is decided: %+v", out)
	}
	return out.Decisions[len(out.Decisions)-1]
}

// TestExplainIsWhatDecides walks the table of operations: of a call that is denied and
// of one that is allowed, ExplainAccess says what the record of the call says.
func TestExplainIsWhatDecides(t *testing.T) {
	t.Parallel()
	p := newParts(t)
	all := examples(p)
	for _, op := range gateway.Ops {
		p.prepare()
		e := all[op.Name]
		in := map[string]any{"Action": op.Permission()}
		request := map[string]any{}
		if e.good != nil {
			text, err := json.Marshal(e.good)
			noError(t, err)
			noError(t, json.Unmarshal(text, &request))
		}
		switch {
		case strings.Contains(op.Path, "{key}"):
			in["KeyId"] = p.key(op)
		case strings.Contains(op.Path, "{alias}"):
			request["AliasName"] = "alias/old"
		}
		in["Request"] = request
		if op.BeyondKMS() && op.Name != "ExplainAccess" { // they ask for GetPublicKey, whose request is another
			continue
		}
		for _, who := range []gatewaytest.Credentials{p.user, p.g.Admin} {
			in["Principal"] = who.ARN
			explained := explain(t, p.g, in)
			a, r := p.call(t, op, who, e.good, e.query)
			d := last(t, explained)
			if d.Statement != r.Reason || explained.Allowed != (r.Outcome != "denied") || d.Allowed != explained.Allowed || len(d.Steps) == 0 && d.Allowed {
				t.Errorf("%s of %s: explained as %+v, and it was %+v", op.Name, who.ARN, explained, r)
			}
			var told struct{ Detail string }
			_ = json.Unmarshal(a.Body, &told)
			if !explained.Allowed && (told.Detail == "" || !strings.HasSuffix(explained.Message, told.Detail)) {
				t.Errorf("%s: told %q, and explained as %q", op.Name, told.Detail, explained.Message)
			}
		}
	}
}

// TestExplainCircumstances: conditions find what the question says of the call, after
// the defaults that a call gets, and the defaults where it says nothing.
func TestExplainCircumstances(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.Call("POST", "/v1/aliases", map[string]any{"AliasName": "alias/s", "TargetKeyId": a.signing}, nil)
	deny := func(condition string) string { return statement("Deny", "*", "kms:Sign", condition) }
	allow := statement("Allow", a.user.ARN, "kms:*")
	named := func(more map[string]any) map[string]any {
		in := map[string]any{"Principal": "user", "Action": "kms:Sign", "KeyId": a.signing}
		for k, v := range more {
			in[k] = v
		}
		return in
	}
	for _, c := range []struct {
		deny   string
		more   map[string]any // that makes the denial apply
		others map[string]any // that do not
	}{
		{`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, map[string]any{"SourceAddress": "203.0.113.7"}, nil},
		{`{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`, nil, map[string]any{"SourceAddress": "203.0.113.7"}},
		{`{"DateLessThan":{"aws:CurrentTime":"2020-01-01"}}`, map[string]any{"Time": 1500000000}, nil},
		{`{"StringEquals":{"aws:PrincipalTag/team":"red"}}`, map[string]any{"PrincipalTags": map[string]string{"team": "red"}}, map[string]any{"PrincipalTags": map[string]string{"team": "blue"}}},
		{`{"StringEquals":{"hsmgate:Claim/repository":"acme/app"}}`, map[string]any{"Claims": map[string]any{"repository": []string{"acme/app"}}}, map[string]any{"Claims": map[string]any{"repository": []string{"x"}}}},
		{`{"StringEquals":{"hsmgate:CertificateSubject":"CN=b"}}`, map[string]any{"CertificateSubject": "CN=b"}, map[string]any{"CertificateSubject": "CN=c"}},
		{`{"ForAnyValue:StringEquals":{"hsmgate:CertificateSAN":"dns:b"}}`, map[string]any{"CertificateSANs": []string{"dns:a", "dns:b"}}, map[string]any{"CertificateSANs": []string{"dns:c"}}},
		{`{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256"}}`, nil, map[string]any{"Request": map[string]any{"SigningAlgorithm": "ECDSA_SHA_384"}}}, // the first of the key
		{`{"StringEquals":{"kms:MessageType":"DIGEST"}}`, map[string]any{"Request": map[string]any{"MessageType": "DIGEST"}}, nil},
		{`{"StringEquals":{"kms:RequestAlias":"alias/s"}}`, map[string]any{"KeyId": "alias/s"}, nil},
	} {
		a.put(a.signing, byAccount, allow, deny(c.deny))
		if out := explain(t, a.Gateway, named(c.more)); out.Allowed || last(t, out).Statement != "key-policy/3" || last(t, out).Reason != "with an explicit deny in a resource-based policy" {
			t.Errorf("%s with %v: %+v", c.deny, c.more, out)
		}
		if out := explain(t, a.Gateway, named(c.others)); !out.Allowed || last(t, out).Statement != "key-policy/2" || out.Message != "" {
			t.Errorf("%s with %v: %+v", c.deny, c.others, out)
		}
	}
	steps := last(t, explain(t, a.Gateway, named(nil))).Steps
	if len(steps) != 4 || steps[2].Effect != "Deny" || !strings.Contains(steps[2].Why, "StringEquals kms:RequestAlias") || steps[3].Statement != "role/user" {
		t.Errorf("%+v", steps)
	}
	context := map[string]any{"Principal": a.user.ARN, "Action": "kms:Decrypt", "KeyId": a.sealing, "Request": map[string]any{"EncryptionContext": map[string]string{"tenant": "one"}}}
	a.put(a.sealing, byAccount, statement("Allow", a.user.ARN, "kms:Decrypt", `{"StringEquals":{"kms:EncryptionContext:tenant":"one"}}`))
	if out := explain(t, a.Gateway, context); !out.Allowed {
		t.Errorf("%+v", out)
	}
}

// TestExplainStates: what would be allowed and fail all the same says so.
func TestExplainStates(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.Call("POST", "/v1/aliases", map[string]any{"AliasName": "alias/s", "TargetKeyId": a.signing}, nil)
	a.Call("POST", "/v1/keys/"+a.signing+"/disable", nil, nil)
	in := map[string]any{"Principal": "admin", "Action": "kms:Sign", "KeyId": "alias/s"}
	if out := explain(t, a.Gateway, in); !out.Allowed || !strings.Contains(out.Message, "is disabled") {
		t.Errorf("%+v", out)
	}
	in["KeyId"] = "alias/none"
	if out := explain(t, a.Gateway, in); !out.Allowed || !strings.Contains(out.Message, "is not found") {
		t.Errorf("%+v", out)
	}
	in["Principal"] = "other"
	if out := explain(t, a.Gateway, in); out.Allowed || !strings.HasPrefix(out.Message, "There is no key alias/none. AccessDeniedException: User: ") {
		t.Errorf("%+v", out)
	}
	in["Principal"] = "admin"
	in["Action"], in["KeyId"] = "kms:EnableKey", "alias/s" // which takes no alias
	if out := explain(t, a.Gateway, in); !out.Allowed || out.Message != "" || !strings.HasSuffix(last(t, out).Resource, a.signing) {
		t.Errorf("%+v", out)
	}
	tagged := map[string]any{"Principal": "user", "Action": "hsmgate:GetMetrics", "PrincipalTags": map[string]string{"Team": "red"}}
	noError(t, a.Identities.TagPrincipal(t.Context(), a.user.ARN, []store.Tag{{Name: "team", Value: "blue"}, {Name: "cost", Value: "1"}}, nil))
	a.attach(a.user, "red", statement("Allow", "", "hsmgate:GetMetrics", `{"StringEquals":{"aws:PrincipalTag/team":"red","aws:PrincipalTag/cost":"1"}}`))
	if out := explain(t, a.Gateway, tagged); !out.Allowed || last(t, out).Statement != "policy/red/1" || last(t, out).Resource != "*" {
		t.Errorf("%+v", out)
	}
	delete(tagged, "PrincipalTags")
	if out := explain(t, a.Gateway, tagged); out.Allowed {
		t.Errorf("%+v", out)
	}
	in["Action"], in["KeyId"] = "kms:EnableKey", a.signing
	explain(t, a.Gateway, in)
	records := a.Records()
	if r := records[len(records)-1]; r.Operation != "ExplainAccess" || r.KeyID != a.signing || r.Outcome != "allowed" || r.Principal != a.Admin.ARN {
		t.Errorf("%+v", r)
	}
}

// TestExplainRefuses: who may not ask is told nothing, and what is no question is
// refused with what would be one.
func TestExplainRefuses(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	question := map[string]any{"Principal": "user", "Action": "kms:Sign", "KeyId": a.signing}
	a.denied("a user", a.Send(a.user.Token, "POST", "/v1/explain-access", question), "because no identity-based policy allows the hsmgate:ExplainAccess action")
	a.attach(a.user, "auditor", statement("Allow", "", "hsmgate:ExplainAccess"))
	a.allowed("an auditor", a.Send(a.user.Token, "POST", "/v1/explain-access", question), "policy/auditor/1")
	// A reference that is none is decided as it is written, as of a call, and refused after that.
	none := map[string]any{"Principal": "admin", "Action": "kms:Sign", "KeyId": "arn:aws:s3:::x"}
	if out := explain(t, a.Gateway, none); !out.Allowed || !strings.HasPrefix(out.Message, "InvalidArnException") {
		t.Errorf("%+v", out)
	}
	for _, c := range []struct {
		name   string
		value  any
		status int
		code   api.Code
		text   string
	}{
		{"Principal", "nobody", 404, api.NotFound, "There is no principal arn:aws:iam::" + gatewaytest.Account + ":user/nobody."},
		{"Principal", "arn:aws:iam::999999999999:user/user", 404, api.NotFound, "There is no principal"},
		{"Principal", "", 400, api.Validation, "'principal'"},
		{"Action", "kms:Sgin", 400, api.Validation, "No call asks for kms:Sgin."},
		{"Action", "kms:SynchronizeMultiRegionKey", 400, api.Validation, "No call asks for"},
		{"Action", "kms:ReEncrypt", 400, api.Validation, "No call asks for"},
		{"Action", "kms:*", 400, api.Validation, "'action'"},
		{"Action", "kms:ListKeys", 400, api.Validation, "kms:ListKeys is about no key"},
		{"Request", map[string]any{"Nonsense": 1}, 400, api.Serialization, "no member \"Nonsense\""},
		{"Request", map[string]any{"SigningAlgorithm": "X"}, 400, api.Validation, "'signingAlgorithm'"},
		{"Request", "text", 400, api.Serialization, "Request"},
		{"SourceAddress", "nowhere", 400, api.Validation, "'sourceAddress'"},
		{"SourceAddress", "1.2.3", 400, api.Validation, "is not an address"},
		{"Nonsense", 1, 400, api.Serialization, "Nonsense"},
	} {
		got := a.Send(a.Admin.Token, "POST", "/v1/explain-access", withChanged(question, c.name, c.value))
		refusal(t, got, c.status, c.code)
		var told struct{ Detail string }
		decodeInto(t, got, &told)
		if !strings.Contains(told.Detail, c.text) {
			t.Errorf("%s %v: %s, want %s", c.name, c.value, told.Detail, c.text)
		}
	}
}

// TestExplainOfReEncrypt: a call that needs two decisions has both.
func TestExplainOfReEncrypt(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.put(a.sealing, byAccount, statement("Allow", a.user.ARN, "kms:ReEncryptFrom"))
	in := map[string]any{"Principal": "user", "Action": "kms:ReEncryptTo", "Request": map[string]any{"SourceKeyId": a.sealing, "DestinationKeyId": a.sealing}}
	out := explain(t, a.Gateway, in)
	if len(out.Decisions) != 2 || !out.Decisions[0].Allowed || out.Decisions[0].Action != "kms:ReEncryptFrom" || out.Decisions[1].Allowed || out.Allowed {
		t.Errorf("%+v", out)
	}
}

// TestDryRunExplains: who could ask is told what allowed the call; nobody else, and no
// AWS client.
func TestDryRunExplains(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.put(a.signing, byAccount, statement("Allow", a.user.ARN, "kms:Sign"))
	dry := func(who gatewaytest.Credentials) string {
		got := a.signWith(who, a.signing, map[string]any{"DryRun": true})
		refusal(t, got, 412, api.DryRunOperation)
		var told struct{ Detail string }
		decodeInto(t, got, &told)
		return told.Detail
	}
	const plain = "The request would have succeeded, but the DryRun option is set."
	if got := dry(a.Admin); got != plain+" It is allowed by role/administrator." {
		t.Error(got)
	}
	if got := dry(a.user); got != plain {
		t.Error(got)
	}
	a.attach(a.user, "auditor", statement("Allow", "", "hsmgate:ExplainAccess"))
	if got := dry(a.user); got != plain+" It is allowed by key-policy/2." {
		t.Error(got)
	}
	if a.reason() != "key-policy/2" {
		t.Errorf("recorded as decided by %s", a.reason())
	}
	sealed := encrypt(a.Gateway, a.sealing, []byte("m"), nil)
	got := a.Send(a.Admin.Token, "POST", "/v1/re-encrypt", map[string]any{"CiphertextBlob": sealed, "DestinationKeyId": a.sealing, "DryRun": true})
	if !strings.Contains(string(got.Body), "It is allowed by role/administrator and role/administrator.") {
		t.Errorf("%s", got.Body)
	}
	op, _ := gateway.OpNamed("Sign")
	c := &gateway.Call{RequestID: "r", Face: "aws", Principal: policy.Principal{ARN: a.Admin.ARN, Role: policy.RoleAdministrator}}
	_, err := a.Service.Do(t.Context(), c, op, func(in any) *api.Error {
		r := in.(*api.SignRequest)
		r.KeyId, r.Message, r.SigningAlgorithm, r.DryRun = a.signing, []byte("m"), api.ECDSASHA256, true
		return nil
	})
	if err == nil || err.Message != plain {
		t.Error(err)
	}
}

// TestExplainAsks: what is explained is a call that could be, and a name is one that there is.
func TestExplainAsks(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	_, err := q.Identities.CreateRole(t.Context(), "deploy", policy.RoleUser, nil, q.Now())
	noError(t, err)
	for _, c := range []struct {
		principal, action string
		status            int
		says              string
	}{
		{"ci", "kms:Sign", 400, "kms:Sign is about a key. Name it with KeyId."},
		{"ci", "kms:Decrypt", 400, "kms:Decrypt is about a key."},
		{"deploy", "kms:ListKeys", 404, "There is no user deploy, but a role: arn:aws:iam::" + gatewaytest.Account + ":role/deploy."},
		{"nobody", "kms:ListKeys", 404, "There is no principal arn:aws:iam::" + gatewaytest.Account + ":user/nobody."},
		{"ci", "kms:ListAliases", 200, "is not authorized"},
	} {
		a := q.Send(q.Admin.Token, "POST", "/v1/explain-access", map[string]any{"Principal": c.principal, "Action": c.action})
		if a.Status != c.status || !strings.Contains(string(a.Body), c.says) {
			t.Errorf("%s %s: %d %s", c.principal, c.action, a.Status, a.Body)
		}
	}
	in := map[string]any{"Principal": "ci", "Action": "kms:Sign", "KeyId": q.key}
	if out := explain(t, q.Gateway, in); !out.Allowed || !strings.Contains(out.Message, "needs 2 approvals") {
		t.Errorf("with a rule: %+v", out)
	}
	in["Action"] = "kms:Verify"
	if out := explain(t, q.Gateway, in); !out.Allowed || out.Message != "" {
		t.Errorf("Verify with a rule: %+v", out)
	}
}
