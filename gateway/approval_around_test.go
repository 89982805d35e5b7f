package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// Each way round an approval has a test of its own here.

func TestRoundByApprovingOnesOwnRequest(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	noError(t, q.Store.SetPrincipalKeys(t.Context(), q.anna.ARN, []string{q.key})) // an approver who may sign
	q.ci = q.anna
	r := q.ask("one")
	refusal(t, q.vote(q.anna, r), 403, api.AccessDenied)
	if l := q.last(); l.Outcome != "denied" || l.Reason != "approval-rule" || l.ApprovalID != r.ApprovalId {
		t.Errorf("%+v", l)
	}
	q.approve(r, q.ben)
	q.refuses("one")
	// Nor does a vote count that got there some other way.
	noError(t, q.Store.ChangeApprovals(t.Context(), q.key, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) {
		a := now.Find(r.ApprovalId).Clone()
		a.Votes = append(a.Votes, store.Vote{Approver: q.anna.ARN})
		return a, now.Rule, nil
	}))
	q.refuses("one")
	q.approve(r, q.cy)
	q.signs("one")
}

func TestRoundByApprovingTwice(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.approve(q.ask("one"), q.anna)
	refusal(t, q.vote(q.anna, r), 409, api.Conflict)
	q.refuses("one")
}

func TestRoundByAnApproverWhoIsNone(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.approve(q.ask("one"), q.anna)
	refusal(t, q.vote(q.Principal("dora", policy.RoleUser), r), 403, api.AccessDenied)
	refusal(t, q.vote(q.Admin, r), 403, api.AccessDenied) // whom the policy allows everything
	q.refuses("one")
}

func TestRoundByReplay(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.approve(q.ask("one"), q.anna, q.ben)
	q.signs("one")
	if text := string(q.refuses("one").Body); !strings.Contains(text, r.ApprovalId) || !strings.Contains(text, "SPENT") {
		t.Error(text)
	}
	refusal(t, q.vote(q.cy, r), 409, api.Conflict) // no new consent brings it back
	q.refuses("one")
}

// TestSignaturesPerDigest: as many as were asked for, and no more.
func TestSignaturesPerDigest(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	two := 2
	q.approve(q.request(api.RequestApprovalRequest{Digests: []api.DigestToSign{{Digest: sha("one")}, {Digest: sha("two")}}, SignaturesPerDigest: &two}), q.anna, q.ben)
	q.signs("one")
	q.signs("one")
	if text := string(q.refuses("one").Body); !strings.Contains(text, "all signatures over this digest were made") {
		t.Error(text)
	}
	q.signs("two")
}

func TestRoundByAnotherDigest(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	q.approve(q.ask("one"), q.anna, q.ben)
	q.refuses("other")
	q.signs("one")
}

func TestRoundByAnotherPrincipal(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	q.approve(q.ask("one"), q.anna, q.ben)
	refusal(t, q.sign(q.Admin, "one"), 403, api.ApprovalRequired)
	refusal(t, q.sign(q.Principal("other", policy.RoleUser, q.key), "one"), 403, api.ApprovalRequired)
	q.signs("one")
}

func TestRoundByAnotherKey(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	other := *q
	other.key = q.CreateKey(api.P256, api.SignVerify).KeyId
	other.rule(2, q.anna, q.ben)
	noError(t, q.Store.SetPrincipalKeys(t.Context(), q.ci.ARN, []string{q.key, other.key}))
	r := q.approve(q.ask("one"), q.anna, q.ben)
	other.refuses("one")
	refusal(t, other.vote(q.anna, r), 404, api.NotFound)
	q.signs("one")
}

func TestRoundByExpiry(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	q.approve(q.ask("one"), q.anna, q.ben)
	pending := q.approve(q.ask("two"), q.anna)
	q.Advance(24*time.Hour - time.Minute)
	q.signs("one")
	q.Advance(2 * time.Minute)
	approved := q.approve(q.ask("three"), q.anna, q.ben)
	q.status(pending, api.ApprovalExpired)
	refusal(t, q.vote(q.ben, pending), 409, api.Conflict)
	q.refuses("two")
	q.Advance(25 * time.Hour)
	if text := string(q.refuses("three").Body); !strings.Contains(text, "EXPIRED") {
		t.Error(text)
	}
	q.status(approved, api.ApprovalExpired)
	// They are forgotten in the end.
	q.Service.Round(t.Context())
	left := func(want int) {
		t.Helper()
		if n := q.Store.ApprovalCount(); n != want {
			t.Errorf("%d requests, not %d", n, want)
		}
		q.Advance(24 * time.Hour)
		q.Service.Round(t.Context())
	}
	left(2) // an expired one is not gone at once
	left(1) // the one that gave a signature
	q.Advance(29 * 24 * time.Hour)
	q.Service.Round(t.Context())
	left(0)
}

func TestRoundByARevokedApproval(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	for what, end := range map[string]func(api.ApprovalRequested) gatewaytest.Answer{
		"cancelled by the requester": func(r api.ApprovalRequested) gatewaytest.Answer { return q.end(q.ci, "/cancel-approval", r) },
		"cancelled by an approver":   func(r api.ApprovalRequested) gatewaytest.Answer { return q.end(q.cy, "/cancel-approval", r) },
		"rejected":                   func(r api.ApprovalRequested) gatewaytest.Answer { return q.end(q.cy, "/reject", r) },
	} {
		r := q.approve(q.ask(what), q.anna, q.ben)
		refusal(t, q.end(q.Principal("x"+r.ApprovalId, policy.RoleUser), "/cancel-approval", r), 403, api.AccessDenied)
		refusal(t, q.end(q.Admin, "/cancel-approval", r), 403, api.AccessDenied)
		if a := end(r); a.Status != 200 {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		if l := q.last(); l.ApprovalID != r.ApprovalId || l.Outcome != "allowed" || l.Digest != r.Hash {
			t.Errorf("%+v", l)
		}
		q.refuses(what)
		refusal(t, q.vote(q.cy, r), 409, api.Conflict)
		refusal(t, end(r), 409, api.Conflict)
	}
	refusal(t, q.end(q.ci, "/reject", q.ask("one")), 403, api.AccessDenied) // only approvers reject
}

func TestRoundByAnApproverWhoIsNoneAnyMore(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.approve(q.ask("one"), q.anna, q.ben)
	if out := q.rule(2, q.ben, q.cy); out.ApprovalId != "" { // stricter: at once
		t.Errorf("%+v", out)
	}
	q.refuses("one")
	if got := q.describeAs(q.ben, r); len(got.Approvers) != 1 || got.Approvers[0] != q.ben.ARN || got.Status != api.ApprovalPending {
		t.Errorf("%+v", got)
	}
	refusal(t, q.vote(q.anna, r), 403, api.AccessDenied)
	q.approve(r, q.cy)
	q.signs("one")
}

// TestRoundByADeletedPrincipal: neither the votes nor the requests of a name pass to
// the next of that name.
func TestRoundByADeletedPrincipal(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	q.approve(q.ask("one"), q.anna, q.ben)
	noError(t, q.Identities.DeletePrincipal(t.Context(), q.anna.ARN))
	q.refuses("one")
	again := q.Principal("anna", policy.RoleUser)
	refusal(t, q.vote(again, q.ask("two")), 403, api.AccessDenied)
	q.refuses("one")

	r := q.approve(q.ask("three"), q.ben, q.cy)
	noError(t, q.Identities.DeletePrincipal(t.Context(), q.ci.ARN))
	q.ci = q.Principal("ci", policy.RoleUser, q.key)
	q.refuses("three")
	refusal(t, q.send(q.ben, "GET", "/approval?ApprovalId="+r.ApprovalId, nil), 404, api.NotFound)
}

// TestRoundByARuleThatNamesTheDeleted: nor does a place in a rule that is asked for.
func TestRoundByARuleThatNamesTheDeleted(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	eve := q.Principal("eve", policy.RoleUser)
	r := q.approve(q.rule(1, q.anna, q.ben, eve), q.anna)
	noError(t, q.Identities.DeletePrincipal(t.Context(), eve.ARN))
	eve = q.Principal("eve", policy.RoleUser)
	refusal(t, q.vote(q.ben, r), 409, api.Conflict)
	q.status(r, api.ApprovalCancelled)
	refusal(t, q.vote(eve, q.ask("one")), 403, api.AccessDenied)
	if q.required() != 2 {
		t.Error("the rule has changed")
	}
}

func TestRoundByAChangedRequest(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	seen, other := q.ask("one"), q.ask("other")
	a := q.send(q.anna, "POST", "/approve", map[string]any{"ApprovalId": other.ApprovalId, "Hash": seen.Hash})
	refusal(t, a, 400, api.Validation)
	if got := q.describe(other); len(got.Approvers) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestRoundByDenial: a policy that denies is stronger than the rule, and whoever may
// not sign may not ask.
func TestRoundByDenial(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.ask("one")
	q.send(q.Admin, "PUT", "/policy", map[string]any{"Policy": `{"Statement": [
		{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::` + gatewaytest.Account + `:root"}, "Action": "*", "Resource": "*"},
		{"Sid": "NotAnna", "Effect": "Deny", "Principal": {"AWS": "` + q.anna.ARN + `"}, "Action": "hsmgate:ApproveRequest", "Resource": "*"}]}`})
	refusal(t, q.vote(q.anna, r), 403, api.AccessDenied)
	if l := q.last(); l.Reason != "key-policy/NotAnna" {
		t.Errorf("%+v", l)
	}
	q.approve(r, q.ben, q.cy)
	refusal(t, q.send(q.ben, "POST", "/approvals", map[string]any{"Digests": []api.DigestToSign{{Digest: sha("x")}}}), 403, api.AccessDenied)
	refusal(t, q.sign(q.ben, "one"), 403, api.AccessDenied) // told nothing of approvals
	refusal(t, q.send(q.ben, "PUT", "/approval-rule", api.ApprovalRule{Approvers: []string{q.ben.ARN}, Required: 1}), 403, api.AccessDenied)
}
