package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// aBigRequest is almost as long as a request may be.
func aBigRequest() (in api.RequestApprovalRequest) {
	for i := range 1000 {
		in.Digests = append(in.Digests, api.DigestToSign{Digest: sha(fmt.Sprint(i)), Artifact: fmt.Sprintf("%0130d", i)})
	}
	return in
}

// TestRequestsAreBounded: who asks and cancels does not fill the memory, and what was
// signed stays while anything else can go.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	signed := q.approve(q.ask("one"), q.anna, q.ben)
	q.signs("one")
	open := q.approve(q.ask("two"), q.anna, q.ben)
	in := aBigRequest()
	length := 0
	for range 45 {
		r := q.request(in)
		if a := q.end(q.ci, "/cancel-approval", r); a.Status != 200 {
			t.Fatalf("%s", a.Body)
		}
	}
	all := q.Store.Approvals(q.key).Requests
	for _, a := range all {
		length += len(a.Document)
	}
	if length > 9<<20 || len(all) < 30 || len(all) == 47 {
		t.Errorf("%d requests of %d bytes", len(all), length)
	}
	q.status(signed, api.ApprovalSpent)
	q.signs("two")
	q.status(open, api.ApprovalSpent)
}

// TestOpenRequestsDoNotGiveWay: another one is refused, with a rule change, too.
func TestOpenRequestsDoNotGiveWay(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	first := q.request(api.RequestApprovalRequest{Digests: []api.DigestToSign{{Digest: sha("one")}}, Reason: strings.Repeat("y", 1000)})
	text := q.describe(first).Document
	for n := range 8 { // longer than a caller can make them, and full with the first
		id := fmt.Sprintf("%sx%d", first.ApprovalId[:34], n)
		a := store.NewApproval(strings.Replace(text, first.ApprovalId, id, 1) + strings.Repeat(" ", 1<<20-100-len(text)))
		noError(t, q.Store.ChangeApprovals(t.Context(), q.key, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) { return a, now.Rule, nil }))
	}
	count := q.Store.ApprovalCount()
	for _, a := range []func() (int, string){
		func() (int, string) {
			a := q.send(q.ci, "POST", "/approvals", map[string]any{"Digests": []api.DigestToSign{{Digest: sha("two")}}})
			return a.Status, string(a.Body)
		},
		func() (int, string) {
			a := q.send(q.Admin, "DELETE", "/approval-rule", nil)
			return a.Status, string(a.Body)
		},
	} {
		if status, body := a(); status != 400 || !strings.Contains(body, "as many open requests") || !strings.Contains(body, string(api.LimitExceeded)) {
			t.Errorf("%d %s", status, body)
		}
	}
	if n := q.Store.ApprovalCount(); n != count {
		t.Errorf("%d requests, not %d", n, count)
	}
	q.approve(first, q.anna, q.ben)
	q.signs("one") // which ends it
	q.ask("two")
}
