package gateway_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

// TestSessionsOfARoleAreOnePerson, but for those that the rule names.
func TestSessionsOfARoleAreOnePerson(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	role := q.ops()
	session := func(name string) string { return "arn:aws:sts::" + gatewaytest.Account + ":assumed-role/ops/" + name }
	as := func(arn, operation string, fill func(in any)) (any, *api.Error) {
		op, _ := gateway.OpNamed(operation)
		c := &gateway.Call{RequestID: uuid.NewString(), Face: "rest", Principal: policy.Principal{ARN: arn, Role: policy.RoleAdministrator}}
		return q.Service.Do(t.Context(), c, op, func(in any) *api.Error {
			in.(interface{ SetKeyRef(string) }).SetKeyRef(q.key)
			fill(in)
			return nil
		})
	}
	ask := func(arn, message string) api.ApprovalRequested {
		t.Helper()
		out, err := as(arn, "RequestApproval", func(in any) {
			in.(*api.RequestApprovalRequest).Digests = []api.DigestToSign{{Digest: sha(message)}}
		})
		if err != nil {
			t.Fatal(err)
		}
		return *out.(*api.ApprovalRequested)
	}
	vote := func(arn string, r api.ApprovalRequested) *api.Error {
		_, err := as(arn, "ApproveRequest", func(in any) {
			in.(*api.ApproveRequestRequest).ApprovalId, in.(*api.ApproveRequestRequest).Hash = r.ApprovalId, r.Hash
		})
		return err
	}
	signs := func(arn, message string) *api.Error {
		_, err := as(arn, "Sign", func(in any) {
			in.(*api.SignRequest).Message, in.(*api.SignRequest).SigningAlgorithm = []byte(message), api.ECDSASHA256
		})
		return err
	}
	code := func(what string, err *api.Error, want api.Code) {
		t.Helper()
		if err == nil && want != "" || err != nil && err.Code != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	rule := func(approvers ...string) {
		t.Helper()
		r := api.ApprovalRule{Approvers: approvers, Required: 1}
		out, err := as(q.Admin.ARN, "PutApprovalRule", func(in any) { in.(*api.PutApprovalRuleRequest).ApprovalRule = r })
		if err != nil {
			t.Fatal(err)
		}
		if id := out.(*api.ApprovalRequested); id.ApprovalId != "" {
			for _, who := range []gatewaytest.Credentials{q.anna, q.ben} {
				if a := q.vote(who, *id); a.Status != 200 {
					t.Fatalf("%s", a.Body)
				}
			}
		}
	}
	rule(role)
	r := ask(session("a"), "one")
	code("another session of the requester's role", vote(session("b"), r), api.AccessDenied)
	r = ask(q.ci.ARN, "two")
	code("a session of the role", vote(session("a"), r), "")
	code("another one, again", vote(session("b"), r), api.Conflict)
	code("the signature", signs(q.ci.ARN, "two"), "")
	code("a session of another account", vote(strings.Replace(session("a"), gatewaytest.Account, "999999999999", 1), ask(q.ci.ARN, "x")), api.AccessDenied)

	other := newQuorum(t)
	other.ops()
	q.Gateway, q.key, q.ci, q.anna, q.ben = other.Gateway, other.key, other.ci, other.anna, other.ben
	rule(session("a"), session("b"))
	r = ask(session("c"), "one")
	code("a named session for one that is not", vote(session("a"), r), api.AccessDenied)
	r = ask(session("a"), "two")
	code("another named session", vote(session("b"), r), "")
	code("the signature of another session", signs(session("b"), "two"), api.ApprovalRequired)
	code("the signature", signs(session("a"), "two"), "")
	r = ask(session("a"), "three")
	code("another named session", vote(session("b"), r), "")
	out, err := as(q.Admin.ARN, "PutApprovalRule", func(in any) {
		in.(*api.PutApprovalRuleRequest).ApprovalRule = api.ApprovalRule{Approvers: []string{session("b")}, Required: 1}
	})
	if err != nil || out.(*api.ApprovalRequested).ApprovalId == "" {
		t.Errorf("a rule that makes other sessions one holds at once: %+v %v", out, err)
	}
	code("the signature of a session that is not named", signs(session("c"), "three"), api.ApprovalRequired)
}

// TestApprovalIsSpentOnce by two processes that ask for the signature at the same time.
func TestApprovalIsSpentOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		q := quorumOn(t, one)
		const rounds, callers = 4, 4
		until(t, "the other process knows the rule", func() bool { return two.Store.ApprovalRule(q.key) != nil }) // until then it signs without
		for round := range rounds {
			message := strings.Repeat("x", round+1)
			r := q.approve(q.ask(message), q.anna, q.ben)
			var signed atomic.Int64
			var all sync.WaitGroup
			for n := range 2 * callers {
				g := []*gatewaytest.Gateway{one, two}[n%2]
				all.Go(func() {
					a := g.Send(q.ci.Token, "POST", "/v1/keys/"+q.key+"/sign", api.SignRequest{Message: []byte(message), SigningAlgorithm: api.ECDSASHA256})
					switch {
					case a.Status == 200:
						signed.Add(1)
					case a.Status != 403:
						t.Errorf("%d %s", a.Status, a.Body)
					}
				})
			}
			all.Wait()
			if signed.Load() > 1 {
				t.Errorf("%d signatures with one approval", signed.Load())
			}
			if signed.Load() == 0 { // the second may not have heard of it, the first has
				t.Error("no signature at all")
			}
			q.status(r, api.ApprovalSpent)
		}
	})
}

// TestTheRecordNamesWhatIsSpent, also where another process has spent the approval that
// this one has begun with.
func TestTheRecordNamesWhatIsSpent(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		q := quorumOn(t, one)
		first, second := q.approve(q.ask("one"), q.anna, q.ben), q.approve(q.ask("one"), q.anna, q.ben)
		noError(t, two.Store.Follow(t.Context()))
		q.signs("one")
		q.status(first, api.ApprovalSpent)
		a := two.Send(q.ci.Token, "POST", "/v1/keys/"+q.key+"/sign", api.SignRequest{Message: []byte("one"), SigningAlgorithm: api.ECDSASHA256})
		if a.Status != 200 {
			t.Fatalf("%s", a.Body)
		}
		all := two.Records()
		if began, ended := all[len(all)-2], all[len(all)-1]; began.Phase != "started" || began.Operation != "Sign" || ended.ApprovalID != second.ApprovalId || began.ApprovalID != second.ApprovalId {
			t.Errorf("%+v %+v", began, ended)
		}
		a = two.Send(q.ci.Token, "POST", "/v1/keys/"+q.key+"/sign", api.SignRequest{Message: []byte("one"), SigningAlgorithm: api.ECDSASHA256})
		refusal(t, a, 403, api.ApprovalRequired)
		if text := string(a.Body); !strings.Contains(text, "needs 2 approvals") {
			t.Error(text)
		}
	})
}

// TestARuleNamesNobodyWhoIsGone: another process has just deleted him.
func TestARuleNamesNobodyWhoIsGone(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		q := quorumOn(t, one)
		eve := q.Principal("eve", policy.RoleUser)
		noError(t, two.Store.Follow(t.Context()))
		noError(t, one.Identities.DeletePrincipal(t.Context(), eve.ARN))
		for _, required := range []int{1, 2} {
			a := two.Send(two.Admin.Token, "PUT", "/v1/keys/"+q.key+"/approval-rule", api.ApprovalRule{Approvers: []string{q.anna.ARN, q.ben.ARN, eve.ARN}, Required: required})
			refusal(t, a, 400, api.InvalidArn)
		}
		if n := one.Store.ApprovalCount(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestRoundByACrash: what is spent before a crash is spent after it, with a record that
// the signature was begun.
func TestRoundByACrash(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.approve(q.ask("one"), q.anna, q.ben)
	next := gatewaytest.NewWith(t, gatewaytest.Options{Name: "two", Beside: q.Gateway})
	noError(t, q.Token.Close()) // the process is at its end between spending and signing
	refusal(t, q.sign(q.ci, "one"), 503, api.KeyUnavailable)
	began := q.Records()[len(q.Records())-2]
	if began.Operation != "Sign" || began.Phase != "started" || began.ApprovalID != r.ApprovalId {
		t.Errorf("%+v", began)
	}
	noError(t, next.Store.Follow(t.Context()))
	q.Gateway = next
	q.refuses("one")
	q.status(r, api.ApprovalSpent)
	q.approve(q.ask("two"), q.anna, q.ben)
	q.signs("two")
}

// TestRoundByADatabaseThatIsAway: what cannot be spent is not signed.
func TestRoundByADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	server := storetest.New(t)
	q := quorumOn(t, gatewaytest.NewWith(t, gatewaytest.Options{StoreDSN: server.DSN(t), StaleLimit: time.Hour}))
	q.Store.Watch(t.Context())
	q.approve(q.ask("one"), q.anna, q.ben)
	free := q.CreateKey(api.P256, api.SignVerify).KeyId
	noError(t, server.Stop())
	until(t, "it is noticed", func() bool { return q.Store.Ready() != nil })
	sign(t, q.Gateway, free, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}) // keys without a rule go on
	a := q.sign(q.ci, "one")
	refusal(t, a, 503, api.ServiceUnavailable)
	if !strings.Contains(string(a.Body), "approvals are spent") {
		t.Errorf("%s", a.Body)
	}
	refusal(t, q.vote(q.cy, api.ApprovalRequested{ApprovalId: uuid.NewString(), Hash: sha("x")}), 503, api.ServiceUnavailable)
}
