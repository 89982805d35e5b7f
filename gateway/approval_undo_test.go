package gateway_test

import (
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestUnrecordedStepsAreTakenBack: without its record no step of an approval counts. But
// an approval that was spent stays so, as does a request that was ended.
func TestUnrecordedStepsAreTakenBack(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	undone := 0
	lost := func(what string, call func() gatewaytest.Answer) {
		t.Helper()
		withoutRecord(t, q.Gateway, call)
		if undone++; q.Lines.FilterMessage("a change without an audit record was taken back").Len() != undone {
			t.Errorf("%s is not taken back", what)
		}
	}
	lost("a stricter rule", func() gatewaytest.Answer {
		return q.send(q.Admin, "PUT", "/approval-rule", api.ApprovalRule{Approvers: []string{q.anna.ARN, q.ben.ARN, q.cy.ARN}, Required: 3})
	})
	if q.required() != 2 {
		t.Error("the rule stays")
	}
	lost("a request", func() gatewaytest.Answer {
		return q.send(q.ci, "POST", "/approvals", map[string]any{"Digests": []api.DigestToSign{{Digest: sha("lost")}}})
	})
	if left := q.Store.Approvals(q.key).Requests; len(left) != 1 || left[0].Ended != string(api.ApprovalCancelled) {
		t.Errorf("%+v", left)
	}
	r := q.approve(q.ask("one"), q.anna)
	lost("a vote", func() gatewaytest.Answer { return q.vote(q.ben, r) })
	q.refuses("one")
	q.approve(r, q.ben)
	q.signs("one")
	for verb, want := range map[string]api.ApprovalStatus{"/reject": api.ApprovalRejected, "/cancel-approval": api.ApprovalCancelled} {
		r := q.approve(q.ask("ended"), q.anna, q.ben)
		withoutRecord(t, q.Gateway, func() gatewaytest.Answer { return q.end(q.cy, verb, r) })
		q.status(r, want)
		q.refuses("ended")
	}

	weaker := q.approve(q.rule(1, q.anna), q.anna)
	lost("the vote that changes a rule", func() gatewaytest.Answer { return q.vote(q.ben, weaker) })
	if q.required() != 2 {
		t.Error("the rule has changed")
	}
	q.status(weaker, api.ApprovalPending)
	lost("a request to change a rule", func() gatewaytest.Answer { return q.send(q.Admin, "DELETE", "/approval-rule", nil) })

	r = q.approve(q.ask("two"), q.anna, q.ben)
	withoutRecord(t, q.Gateway, func() gatewaytest.Answer { return q.sign(q.ci, "two") })
	q.status(r, api.ApprovalSpent)
	q.refuses("two")
	if n := q.Lines.FilterMessage("a change without an audit record was taken back").Len(); n != undone {
		t.Errorf("%d changes were taken back, and %d were made", n, undone)
	}
}
