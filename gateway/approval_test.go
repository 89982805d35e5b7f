package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// quorum is a key that signs what two of three have approved.
type quorum struct {
	*gatewaytest.Gateway
	t                 *testing.T
	key               string
	ci, anna, ben, cy gatewaytest.Credentials // who may sign, and who approve
}

func newQuorum(t *testing.T) *quorum {
	t.Helper()
	return quorumOn(t, gatewaytest.New(t))
}

func quorumOn(t *testing.T, g *gatewaytest.Gateway) *quorum {
	t.Helper()
	q := &quorum{Gateway: g, t: t, key: g.CreateKey(api.P256, api.SignVerify).KeyId}
	q.ci = g.Principal("ci", policy.RoleUser, q.key)
	q.anna, q.ben, q.cy = g.Principal("anna", policy.RoleUser), g.Principal("ben", policy.RoleUser), g.Principal("cy", policy.RoleUser)
	if r := q.rule(2, q.anna, q.ben, q.cy); r.ApprovalId != "" {
		t.Fatalf("a first rule needs approval: %+v", r)
	}
	return q
}

// send sends a call on the key.
func (q *quorum) send(as gatewaytest.Credentials, method, verb string, body any) gatewaytest.Answer {
	q.t.Helper()
	return q.Send(as.Token, method, "/v1/keys/"+q.key+verb, body)
}

// rule puts a rule as the administrator.
func (q *quorum) rule(required int, who ...gatewaytest.Credentials) (out api.ApprovalRequested) {
	q.t.Helper()
	r := api.ApprovalRule{Required: required}
	for _, c := range who {
		r.Approvers = append(r.Approvers, c.ARN)
	}
	decodeTo(q.t, q.send(q.Admin, "PUT", "/approval-rule", r), &out)
	return out
}

// ops makes a role, and returns its ARN.
func (q *quorum) ops() string {
	q.t.Helper()
	role, err := q.Identities.CreateRole(q.t.Context(), "ops", policy.RoleUser, nil, q.Now())
	noError(q.t, err)
	return role.ARN
}

func sha(message string) string {
	sum := sha256.Sum256([]byte(message))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ask asks for one signature over each message.
func (q *quorum) ask(messages ...string) api.ApprovalRequested {
	q.t.Helper()
	in := api.RequestApprovalRequest{}
	for _, m := range messages {
		in.Digests = append(in.Digests, api.DigestToSign{Digest: sha(m), Artifact: m + ".tar.gz"})
	}
	return q.request(in)
}

func (q *quorum) request(in api.RequestApprovalRequest) (out api.ApprovalRequested) {
	q.t.Helper()
	decodeTo(q.t, q.send(q.ci, "POST", "/approvals", in), &out)
	return out
}

func (q *quorum) vote(as gatewaytest.Credentials, r api.ApprovalRequested) gatewaytest.Answer {
	q.t.Helper()
	return q.send(as, "POST", "/approve", map[string]any{"ApprovalId": r.ApprovalId, "Hash": r.Hash})
}

// approve has them approve, which succeeds.
func (q *quorum) approve(r api.ApprovalRequested, who ...gatewaytest.Credentials) api.ApprovalRequested {
	q.t.Helper()
	for _, c := range who {
		if a := q.vote(c, r); a.Status != http.StatusOK {
			q.t.Fatalf("%s: %d %s", c.ARN, a.Status, a.Body)
		}
	}
	return r
}

func (q *quorum) end(as gatewaytest.Credentials, verb string, r api.ApprovalRequested) gatewaytest.Answer {
	q.t.Helper()
	return q.send(as, "POST", verb, map[string]any{"ApprovalId": r.ApprovalId})
}

func (q *quorum) sign(as gatewaytest.Credentials, message string) gatewaytest.Answer {
	q.t.Helper()
	return q.send(as, "POST", "/sign", api.SignRequest{Message: []byte(message), SigningAlgorithm: api.ECDSASHA256})
}

// signs wants a signature, refuses none; the refusal says ApprovalRequired.
func (q *quorum) signs(message string) {
	q.t.Helper()
	if a := q.sign(q.ci, message); a.Status != http.StatusOK {
		q.t.Errorf("%q is not signed: %d %s", message, a.Status, a.Body)
	}
}

func (q *quorum) refuses(message string) gatewaytest.Answer {
	q.t.Helper()
	a := q.sign(q.ci, message)
	refusal(q.t, a, http.StatusForbidden, api.ApprovalRequired)
	return a
}

func (q *quorum) describe(r api.ApprovalRequested) api.DescribeApprovalResponse {
	q.t.Helper()
	return q.describeAs(q.ben, r)
}

func (q *quorum) describeAs(as gatewaytest.Credentials, r api.ApprovalRequested) (out api.DescribeApprovalResponse) {
	q.t.Helper()
	decodeTo(q.t, q.send(as, "GET", "/approval?ApprovalId="+r.ApprovalId, nil), &out)
	return out
}

func (q *quorum) status(r api.ApprovalRequested, want api.ApprovalStatus) {
	q.t.Helper()
	if got := q.describe(r); got.Status != want {
		q.t.Errorf("it is %s, not %s: %+v", got.Status, want, got)
	}
}

// last is the outcome record of the last call.
func (q *quorum) last() audit.Record {
	all := q.Records()
	return all[len(all)-1]
}

// TestSignWithApproval: asked for, approved by two, and signed once; all of it in
// the audit log.
func TestSignWithApproval(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	if r := q.last(); r.Operation != "PutApprovalRule" || r.Digest == "" || r.Outcome != "allowed" || r.Reason != "role/administrator" {
		t.Errorf("%+v", r)
	}
	if text := string(q.refuses("one").Body); !strings.Contains(text, "needs 2 approvals") || !strings.Contains(text, "RequestApproval") {
		t.Error(text)
	}
	if r := q.last(); r.Operation != "Sign" || r.Outcome != "denied" || r.ErrorCode != string(api.ApprovalRequired) || r.Reason != "approval-rule" || r.SignatureHash != "" {
		t.Errorf("%+v", r)
	}
	r := q.ask("one", "two")
	if l := q.last(); l.Operation != "RequestApproval" || l.ApprovalID != r.ApprovalId || l.Digest != r.Hash || l.Digests != 2 || l.Principal != q.ci.ARN {
		t.Errorf("%+v", l)
	}
	q.approve(r, q.anna)
	if l := q.last(); l.Operation != "ApproveRequest" || l.ApprovalID != r.ApprovalId || l.Digest != r.Hash || l.Principal != q.anna.ARN || l.Reason != "grant/approval-rule" {
		t.Errorf("%+v", l)
	}
	if text := string(q.refuses("one").Body); !strings.Contains(text, r.ApprovalId+" has 1 and is PENDING") {
		t.Error(text)
	}
	q.approve(r, q.cy)
	q.signs("one")
	if l := q.last(); l.Operation != "Sign" || l.ApprovalID != r.ApprovalId || l.Digest != sha("one") || l.SignatureHash == "" {
		t.Errorf("%+v", l)
	}
	if got := q.describe(r); got.Status != api.ApprovalApproved || got.SignaturesLeft != 1 || len(got.Approvers) != 2 || got.Required != 2 || got.Digests != 2 {
		t.Errorf("%+v", got)
	}
	q.signs("two")
	q.status(r, api.ApprovalSpent)
}

// TestWhatIsApproved: the document says it all, and the hash is of its bytes.
func TestWhatIsApproved(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	r := q.request(api.RequestApprovalRequest{Digests: []api.DigestToSign{{Digest: sha("one"), Artifact: "app.tar.gz"}}, Reason: "release 1"})
	got := q.describe(r)
	var doc api.ApprovalDocument
	if err := json.Unmarshal([]byte(got.Document), &doc); err != nil {
		t.Fatal(err)
	}
	if sha(got.Document) != r.Hash || got.Hash != r.Hash {
		t.Errorf("%s %s %s", sha(got.Document), got.Hash, r.Hash)
	}
	if doc.ApprovalId != r.ApprovalId || doc.KeyId != q.key || doc.Requester != q.ci.ARN || doc.SigningAlgorithm != api.ECDSASHA256 || doc.Reason != "release 1" ||
		doc.SignaturesPerDigest != 1 || doc.Digests[0] != (api.DigestToSign{Digest: sha("one"), Artifact: "app.tar.gz"}) || doc.ExpirationDate.Sub(doc.CreationDate.Time) != 24*time.Hour {
		t.Errorf("%+v", doc)
	}
}

// TestListOfApprovals: in pages, and by status.
func TestListOfApprovals(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	var ids []string
	for _, m := range []string{"a", "b", "c"} {
		ids = append(ids, q.ask(m).ApprovalId)
	}
	list := func(as gatewaytest.Credentials, query string) (out api.ListApprovalsResponse) {
		t.Helper()
		decodeTo(t, q.send(as, "GET", "/approvals"+query, nil), &out)
		return out
	}
	first := list(q.ben, "?Limit=2")
	second := list(q.ci, "?Limit=2&Marker="+first.NextMarker)
	if len(first.Approvals) != 2 || !first.Truncated || len(second.Approvals) != 1 || second.Truncated || first.Approvals[0].ApprovalId != ids[0] || second.Approvals[0].ApprovalId != ids[2] {
		t.Errorf("%+v %+v", first, second)
	}
	q.end(q.ci, "/cancel-approval", api.ApprovalRequested{ApprovalId: ids[1]})
	if got := list(q.Admin, "?Status=CANCELLED"); len(got.Approvals) != 1 || got.Approvals[0].ApprovalId != ids[1] || got.Approvals[0].EndedBy != q.ci.ARN {
		t.Errorf("%+v", got)
	}
	refusal(t, q.send(q.Admin, "GET", "/approvals?Marker=x", nil), 400, api.InvalidMarker)
	refusal(t, q.send(q.Admin, "GET", "/approval?ApprovalId="+strings.Repeat("0", 36), nil), 404, api.NotFound)
	stranger := q.Principal("stranger", policy.RoleUser)
	refusal(t, q.send(stranger, "GET", "/approvals", nil), 403, api.AccessDenied)
}
