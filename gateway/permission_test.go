package gateway_test

import (
	"maps"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TestPermissionChangesAreMarked: a tag or an alias that a policy asks for changes who
// may use the key, and its record says so, also the one from before the change. So do
// those of policies and grants; any other tag or alias changes nothing.
func TestPermissionChangesAreMarked(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.put(a.sealing, byAccount, statement("Allow", a.user.ARN, "kms:Encrypt", `{"StringEquals":{"aws:ResourceTag/Purpose":"release"}}`))
	tag := func(key, name string) func() {
		return func() {
			a.Call("POST", "/v1/keys/"+key+"/tags", map[string]any{"Tags": []map[string]string{{"TagKey": name, "TagValue": "x"}}}, nil)
		}
	}
	untag := func(key, name string) func() {
		return func() { a.Call("POST", "/v1/keys/"+key+"/untag", map[string]any{"TagKeys": []string{name}}, nil) }
	}
	alias := func(method, name string, body any) func() {
		path := "/v1/aliases/alias%2F" + name
		if method == "POST" {
			path, body = "/v1/aliases", map[string]any{"AliasName": "alias/" + name, "TargetKeyId": a.signing}
		}
		return func() { a.Call(method, path, body, nil) }
	}
	again := func() { a.put(a.signing, byAccount) }
	grant := func() {
		a.Call("POST", "/v1/keys/"+a.signing+"/grants", map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}}, nil)
	}
	check := func(what string, want bool, do func()) {
		t.Helper()
		before := len(a.Records())
		do()
		for _, r := range a.Records()[before:] {
			if r.PermissionChange != want || r.Outcome != "allowed" && r.Phase != "started" {
				t.Errorf("%s: %+v", what, r)
			}
		}
		if n := len(a.Records()) - before; n != 2 {
			t.Errorf("%s: %d records", what, n)
		}
	}
	check("the tag that the key's policy asks for", true, tag(a.sealing, "purpose")) // in any case
	check("another tag", false, tag(a.sealing, "cost"))
	check("the tag off another key", false, untag(a.signing, "purpose"))
	check("the tag off", true, untag(a.sealing, "Purpose"))
	check("an alias that nothing asks for", false, alias("POST", "one", nil))
	check("a policy", true, again)
	check("a grant", true, grant)

	a.attach(a.user, "team", statement("Allow", "", "kms:Sign", `{"StringEquals":{"kms:SigningAlgorithm":"${aws:ResourceTag/team}"}}`))
	check("a tag that a variable asks for, in an identity policy", true, tag(a.signing, "team"))
	check("the alias still", false, alias("DELETE", "one", nil))
	a.attach(a.user, "aliases", statement("Allow", "", "kms:Sign", `{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/release"}}`))
	check("an alias that one asks for", true, alias("POST", "release", nil))
	check("pointed elsewhere", true, alias("PUT", "release", map[string]any{"TargetKeyId": a.signing}))
	check("taken away", true, alias("DELETE", "release", nil))

	before := len(a.Records())
	a.denied("the user", a.Send(a.user.Token, "POST", "/v1/keys/"+a.sealing+"/untag", map[string]any{"TagKeys": []string{"purpose"}}), "kms:UntagResource")
	if r := a.Records()[before]; r.PermissionChange {
		t.Errorf("a denied call has changed nothing: %+v", r)
	}
}

// TestKeysMadeOpenAreMarked: a new key or a replica that brings a policy, or a tag that
// a policy asks for, is open to others from its beginning, and its records say so.
func TestKeysMadeOpenAreMarked(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Regions: []string{west}})
	a.attach(a.user, "team", statement("Allow", "", "kms:Sign", `{"StringEquals":{"aws:ResourceTag/team":"x"}}`))
	tags := func(name string) []map[string]string { return []map[string]string{{"TagKey": name, "TagValue": "x"}} }
	create := func(want bool, with map[string]any) string {
		t.Helper()
		body := map[string]any{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "MultiRegion": true}
		maps.Copy(body, with)
		var out api.CreateKeyResponse
		before := len(a.Records())
		a.Call("POST", "/v1/keys", body, &out)
		a.marked(want, before)
		return out.KeyMetadata.KeyId
	}
	replicate := func(key string, want bool, with map[string]any) {
		t.Helper()
		body := map[string]any{"ReplicaRegion": west}
		maps.Copy(body, with)
		before := len(a.Records())
		a.Call("POST", "/v1/keys/"+key+"/replicate", body, nil)
		a.marked(want, before)
	}
	closed := create(false, nil)
	open := create(true, map[string]any{"Tags": tags("team")})
	other := create(false, map[string]any{"Tags": tags("cost")})
	create(true, map[string]any{"Policy": document(byAccount)})
	create(true, map[string]any{"Tags": tags("purpose"), "Policy": document(byAccount, statement("Allow", a.user.ARN, "kms:Sign", `{"StringEquals":{"aws:ResourceTag/purpose":"x"}}`))})
	create(true, map[string]any{"Tags": tags("team"), "Origin": "EXTERNAL"})

	if got := a.signWith(a.user, open, nil); got.Status != 200 {
		t.Errorf("the tagged key: %d %s", got.Status, got.Body)
	}
	a.denied("the other key", a.signWith(a.user, closed, nil), "kms:Sign")
	replicate(closed, true, map[string]any{"Tags": tags("Team")})
	if got := a.signWith(a.user, closed, nil, "Hsmgate-Region", west); got.Status != 200 {
		t.Errorf("its replica: %d %s", got.Status, got.Body)
	}
	replicate(open, false, nil) // which copies no tag
	replicate(other, true, map[string]any{"Policy": document(byAccount)})
}

// marked checks the records since then: the beginning and the end of one call.
func (a *asked) marked(want bool, before int) {
	a.t.Helper()
	records := a.Records()[before:]
	if len(records) != 2 {
		a.t.Errorf("%d records", len(records))
	}
	for _, r := range records {
		if r.PermissionChange != want || r.Outcome != "allowed" && r.Phase != "started" {
			a.t.Errorf("want permissionChange %v: %+v", want, r)
		}
	}
}

// TestApprovalRulesAreMarked: what makes or changes a rule, when it holds and not when
// it is asked for.
func TestApprovalRulesAreMarked(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	check := func(what string, want bool, do func()) {
		t.Helper()
		before := len(q.Records())
		do()
		for _, r := range q.Records()[before:] {
			if r.PermissionChange != want {
				t.Errorf("%s: %+v", what, r)
			}
		}
	}
	if r := q.last(); r.Operation != "PutApprovalRule" || !r.PermissionChange {
		t.Errorf("the first rule: %+v", r)
	}
	var r api.ApprovalRequested
	check("a stricter rule", true, func() { q.rule(2, q.anna, q.ben) })
	check("a rule that is asked for", false, func() { r = q.rule(1, q.anna, q.ben) })
	check("the first vote", false, func() { q.approve(r, q.anna) })
	check("a vote that is refused", false, func() { refusal(t, q.vote(q.anna, r), 409, api.Conflict) })
	check("the last vote", true, func() { q.approve(r, q.ben) })
	check("a signature", false, func() { q.approve(q.ask("one"), q.anna); q.signs("one") })
	check("a rule that is to go", false, func() { decodeTo(t, q.send(q.Admin, "DELETE", "/approval-rule", nil), &r) })
	check("a rule that is gone", true, func() { q.approve(r, q.anna) })
	q.rule(1, q.anna)
	noError(t, q.Store.ChangeApprovals(t.Context(), q.key, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) {
		dropped := *now.Rule
		dropped.DroppedAt = q.Now()
		return nil, &dropped, nil
	}))
	check("a rule that is dropped", true, func() { q.Service.Round(t.Context()) })
}
