package gateway_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// required is what the rule of the key demands; 0 without one.
func (q *quorum) required() int {
	q.t.Helper()
	var out api.GetApprovalRuleResponse
	a := q.send(q.Admin, "GET", "/approval-rule", nil)
	if a.Status == 404 {
		return 0
	}
	decodeTo(q.t, a, &out)
	return out.Required
}

func TestRoundByAWeakerRule(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	dora := q.Principal("dora", policy.RoleUser)
	for what, change := range map[string]func() api.ApprovalRequested{
		"fewer approvals":  func() api.ApprovalRequested { return q.rule(1, q.anna, q.ben, q.cy) },
		"another approver": func() api.ApprovalRequested { return q.rule(2, q.anna, q.ben, q.cy, dora) },
		"others":           func() api.ApprovalRequested { return q.rule(2, q.Admin, dora) },
		"no rule": func() (out api.ApprovalRequested) {
			decodeTo(t, q.send(q.Admin, "DELETE", "/approval-rule", nil), &out)
			return out
		},
	} {
		r := change()
		if r.ApprovalId == "" || q.required() != 2 {
			t.Fatalf("%s is had at once", what)
		}
		q.refuses("one")
		if got := q.describe(r); !got.RuleChange || got.Status != api.ApprovalPending || !strings.Contains(got.Document, `"Replaces":"sha256:`) {
			t.Errorf("%s: %+v", what, got)
		}
		q.approve(r, q.anna)
		if q.required() != 2 {
			t.Errorf("%s holds with one approval", what)
		}
		q.end(q.anna, "/reject", r)
	}
}

// TestAnApprovedRuleHolds with the last approval, which records it.
func TestAnApprovedRuleHolds(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.approve(q.rule(1, q.anna, q.ben), q.anna, q.cy)
	if l := q.last(); l.Operation != "ApproveRequest" || l.ApprovalID != r.ApprovalId || l.Digest != r.Hash {
		t.Errorf("%+v", l)
	}
	if q.required() != 1 {
		t.Errorf("it demands %d", q.required())
	}
	q.status(r, api.ApprovalApplied)
	q.approve(q.ask("one"), q.ben)
	q.signs("one")

	var gone api.ApprovalRequested
	decodeTo(t, q.send(q.Admin, "DELETE", "/approval-rule", nil), &gone)
	q.approve(gone, q.ben)
	if q.required() != 0 {
		t.Error("the rule stays")
	}
	q.signs("two")
	refusal(t, q.send(q.Admin, "DELETE", "/approval-rule", nil), 404, api.NotFound)
	refusal(t, q.send(q.ci, "POST", "/approvals", map[string]any{"Digests": []api.DigestToSign{{Digest: sha("x")}}}), 400, api.UnsupportedOperation)
}

// TestRoundByARuleOfBefore: what was approved to replace one rule does not replace the next.
func TestRoundByARuleOfBefore(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	old := q.approve(q.rule(1, q.anna), q.anna)
	if out := q.rule(3, q.anna, q.ben, q.cy); out.ApprovalId != "" { // stricter: at once
		t.Errorf("%+v", out)
	}
	q.status(old, api.ApprovalCancelled)
	a := q.vote(q.ben, old)
	refusal(t, a, 409, api.Conflict)
	if !strings.Contains(string(a.Body), "has changed since") || q.required() != 3 {
		t.Errorf("%s", a.Body)
	}
}

// TestRoundByOnesOwnWeakerRule: who asks for a change does not approve it, either.
func TestRoundByOnesOwnWeakerRule(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	var out api.ApprovalRequested
	q.approve(q.rule(2, q.anna, q.Admin), q.anna, q.ben)
	decodeTo(t, q.send(q.Admin, "DELETE", "/approval-rule", nil), &out)
	q.approve(out, q.anna)
	refusal(t, q.vote(q.Admin, out), 403, api.AccessDenied)
	if q.required() != 2 {
		t.Error("the rule is gone")
	}
}

// TestAKeyWithThePolicyOfAWS says what it lacks for a rule, to who may put one elsewhere.
func TestAKeyWithThePolicyOfAWS(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	q.key = q.CreateKey(api.P256, api.SignVerify).KeyId
	policyOf := func(actions string) {
		q.Call("PUT", "/v1/keys/"+q.key+"/policy", map[string]any{"Policy": document(`{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::` + gatewaytest.Account + `:root"}, "Action": ` + actions + `, "Resource": "*"}`)}, nil)
	}
	put := func(as gatewaytest.Credentials) gatewaytest.Answer {
		return q.send(as, "PUT", "/approval-rule", api.ApprovalRule{Required: 1, Approvers: []string{q.anna.ARN}})
	}
	policyOf(`"kms:*"`)
	const hint = "kms:* in the key policy does not mean it"
	a := put(q.Admin)
	refusal(t, a, 403, api.AccessDenied)
	if !strings.Contains(string(a.Body), hint) {
		t.Errorf("%s", a.Body)
	}
	if a := put(q.ci); a.Status != 403 || strings.Contains(string(a.Body), hint) {
		t.Errorf("a stranger is told of the key policy: %s", a.Body)
	}
	policyOf(`["kms:*", "hsmgate:*"]`)
	if a := put(q.Admin); a.Status != 200 {
		t.Errorf("%s", a.Body)
	}
	refusal(t, q.sign(q.Admin, "one"), 403, api.ApprovalRequired)
}

// TestRulesThatCannotBe are refused with a reason.
func TestRulesThatCannotBe(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	role, session := q.ops(), "arn:aws:sts::"+gatewaytest.Account+":assumed-role/ops/anna"
	for _, c := range []struct {
		approvers []string
		required  int
		code      api.Code
		says      string
	}{
		{nil, 1, api.Validation, "approvers"},
		{[]string{q.anna.ARN}, 0, api.Validation, "required"},
		{[]string{q.anna.ARN}, 2, api.Validation, "requires 2 approvals and names 1"},
		{[]string{q.anna.ARN, q.anna.ARN}, 1, api.Validation, "twice"},
		{[]string{"anna"}, 1, api.InvalidArn, "ARN of a principal"},
		{[]string{q.anna.ARN + "x"}, 1, api.InvalidArn, "no principal"},
		{[]string{"arn:aws:iam::" + gatewaytest.Account + ":root"}, 1, api.InvalidArn, "cannot approve"},
		{[]string{"arn:aws:iam::999999999999:user/anna"}, 1, api.InvalidArn, "cannot approve"},
		{[]string{role, session}, 1, api.Validation, "nobody approves twice"},
		{slices.Repeat([]string{q.anna.ARN}, 51), 1, api.Validation, "50"},
	} {
		a := q.send(q.Admin, "PUT", "/approval-rule", map[string]any{"Approvers": c.approvers, "Required": c.required})
		if a.Status != 400 || a.Code() != string(c.code) || !strings.Contains(string(a.Body), c.says) {
			t.Errorf("%v: %d %s", c, a.Status, a.Body)
		}
	}
	for spec, usage := range map[api.KeySpec]api.KeyUsage{api.HMAC256: api.GenerateVerifyMac, api.Symmetric: api.EncryptDecrypt, api.P384: api.KeyAgreement, api.RSA2048: api.EncryptDecrypt} {
		a := q.Send(q.Admin.Token, "PUT", "/v1/keys/"+q.CreateKey(spec, usage).KeyId+"/approval-rule", api.ApprovalRule{Approvers: []string{q.anna.ARN}, Required: 1})
		if a.Status != 400 || a.Code() != string(api.InvalidKeyUsage) || !strings.Contains(string(a.Body), "key usage is "+string(usage)) {
			t.Errorf("%s: %d %s", usage, a.Status, a.Body)
		}
	}
}

// TestRequestsThatCannotBe are refused with a reason.
func TestRequestsThatCannotBe(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	many := make([]api.DigestToSign, 1000)
	for i := range many {
		many[i].Digest = sha(string(rune(i)) + "x")
	}
	later := func(days int) int64 { return q.Now().AddDate(0, 0, days).Unix() }
	for body, says := range map[string]string{
		`{}`: "Digests, or for those in a Window",
		`{"Digests":[{"Digest":"` + sha("a") + `"}],"Window":{"NotAfter":1,"Count":1}}`:       "Digests, or for those in a Window",
		`{"Digests":[{"Digest":"` + sha("a") + `"},{"Digest":"` + sha("a") + `"}]}`:           "twice",
		`{"Digests":[{"Digest":"sha256:00"}]}`:                                                "digests.1.member.digest",
		`{"Digests":[{"Digest":"` + strings.ToUpper(sha("a")) + `"}]}`:                        "digests.1.member.digest",
		`{"Digests":[{"Digest":"sha512:` + strings.Repeat("0", 128) + `"}]}`:                  "does not fit ECDSA_SHA_256",
		`{"SigningAlgorithm":"RSASSA_PSS_SHA_256","Digests":[{"Digest":"` + sha("a") + `"}]}`: "incompatible with key spec",
		`{"Digests":[{"Digest":"` + sha("a") + `"}],"ValidForSeconds":59}`:                    "validForSeconds",
		`{"Digests":[{"Digest":"` + sha("a") + `"}],"SignaturesPerDigest":0}`:                 "signaturesPerDigest",
		`{"Window":{"Count":1}}`:                                                  "window.notAfter",
		`{"Window":{"NotAfter":1,"Count":1}}`:                                     "over before it begins",
		`{"Window":{"NotAfter":` + jsonNumber(uint64(later(31))) + `,"Count":1}}`: "more than 30 days",
		`{"Window":{"NotAfter":` + jsonNumber(uint64(later(1))) + `,"Count":0}}`:  "window.count",
		`{"Window":{"NotBefore":` + jsonNumber(uint64(later(2))) + `,"NotAfter":` + jsonNumber(uint64(later(1))) + `,"Count":1}}`:             "over before it begins",
		`{"Window":{"NotAfter":` + jsonNumber(uint64(later(1))) + `,"Count":1},"ValidForSeconds":60}`:                                         "go with Digests",
		`{"Digests":` + encoded(t, append(slices.Clone(many), api.DigestToSign{Digest: sha("more")})) + `}`:                                   "1000",
		`{"Digests":[{"Digest":"` + sha("a") + `","Artifact":"` + strings.Repeat("x", 257) + `"}],"Reason":"` + strings.Repeat("y", 5) + `"}`: "artifact",
	} {
		a := q.Send(q.ci.Token, "POST", "/v1/keys/"+q.key+"/approvals", body, "Content-Type", "application/json")
		if a.Status != 400 || !strings.Contains(string(a.Body), says) {
			t.Errorf("%.100s: %d %s", body, a.Status, a.Body)
		}
	}
	q.approve(q.request(api.RequestApprovalRequest{Digests: many}), q.anna, q.ben)
	q.signs("\x01x")
	q.signs("\u03e7x") // the last of them
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	noError(t, err)
	return string(b)
}

// TestARuleThatIsDroppedOnTheMachine holds until that is recorded.
func TestARuleThatIsDroppedOnTheMachine(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	noError(t, q.Store.ChangeApprovals(t.Context(), q.key, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) {
		dropped := *now.Rule
		dropped.DroppedAt = q.Now()
		return nil, &dropped, nil
	}))
	q.refuses("one")
	q.Service.Round(t.Context())
	if l := q.last(); l.Operation != "DropApprovalRule" || l.KeyID != q.key || l.Face != "internal" || l.Outcome != "allowed" {
		t.Errorf("%+v", l)
	}
	q.signs("one")
	before := len(q.Records())
	q.Service.Round(t.Context())
	if len(q.Records()) != before {
		t.Error("it is recorded twice")
	}
}
