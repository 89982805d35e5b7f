package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

const noKey = "00000000-0000-4000-8000-000000000000"

// TestDeniedBatchTellsNothing: a malformed item beside a denied one gives the caller no
// other answer for a key that is there than for one that is not, and costs its owner nothing.
func TestDeniedBatchTellsNothing(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Limits: gateway.Limits{Key: gateway.Limit{RequestsPerSecond: 0.001, Burst: 2}}})
	id := g.CreateKey(api.P256, api.SignVerify).KeyId // the alias costs it one of two calls
	g.Call("POST", "/v1/aliases", map[string]any{"AliasName": "alias/there", "TargetKeyId": id}, nil)
	owner, stranger := g.Principal("owner", policy.RoleUser, id), g.Principal("stranger", policy.RoleUser)
	in := batchOf(2)
	in.Items[0].Message = nil
	for _, pair := range [][2]string{{id, noKey}, {"alias/there", "alias/other"}} {
		var answers [2]string
		for i, name := range pair {
			begun := time.Now()
			a := g.Send(stranger.Token, "POST", "/v1/keys/"+url.PathEscape(name)+"/sign-batch", in)
			refusal(t, a, 403, api.AccessDenied)
			if took := time.Since(begun); took < 5*time.Millisecond {
				t.Errorf("%s: the denial comes after %s", name, took)
			}
			var problem struct{ Detail string }
			noError(t, json.Unmarshal(a.Body, &problem))
			answers[i] = strings.ReplaceAll(problem.Detail, name, "")
		}
		if answers[0] != answers[1] || answers[0] == "" {
			t.Errorf("%q and %q", answers[0], answers[1])
		}
	}
	if a := g.Send(owner.Token, "POST", "/v1/keys/"+id+"/sign", once("", "m")); a.Status != 200 {
		t.Errorf("a stranger has used up the key's limit: %d %s", a.Status, a.Body)
	}
}

// TestPartlyDeniedBatchIsHeld: a denial is held beside a signature, too.
func TestPartlyDeniedBatchIsHeld(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.attach(a.user, "one", statement("Allow", "", "kms:Sign", `{"StringEquals":{"hsmgate:ArtifactName":"mine"}}`))
	in := batchOf(2)
	in.Items[1].Artifact = &api.Artifact{Name: "mine"}
	for range 5 {
		begun := time.Now()
		out := signBatch(t, a.Gateway, a.user, a.signing, in)
		if took := time.Since(begun); took < 5*time.Millisecond || !strings.Contains(out.KeyId, a.signing) || out.Results[1].Error != nil ||
			out.Results[0].Error == nil || out.Results[0].Error.Code != api.AccessDenied {
			t.Fatalf("after %s: %+v", took, out)
		}
	}
}

// TestFailedBatchIsOneRecord: whoever may not sign makes the log grow by one record with
// one request, however many items it has.
func TestFailedBatchIsOneRecord(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	stranger := g.Principal("stranger", policy.RoleUser)
	malformed := batchOf(100)
	for i := range malformed.Items {
		malformed.Items[i].Message = nil
	}
	for _, c := range []struct {
		who  gatewaytest.Credentials
		key  string
		in   api.SignBatchRequest
		code api.Code
	}{
		{stranger, id, batchOf(100), api.AccessDenied},
		{stranger, noKey, batchOf(100), api.AccessDenied},
		{g.Admin, noKey, batchOf(100), api.NotFound},
		{g.Admin, id, malformed, api.Validation},
	} {
		before := len(g.Records())
		a := g.Send(c.who.Token, "POST", "/v1/keys/"+c.key+"/sign-batch", c.in)
		records := g.Records()[before:]
		if a.Code() != string(c.code) || len(records) != 1 || records[0].Operation != "SignBatch" || records[0].ErrorCode != string(c.code) || !strings.Contains(records[0].Resource, c.key) {
			t.Errorf("%d %s, %d records, the first %+v", a.Status, a.Body, len(records), records[0])
		}
	}
	if r := g.Records(); r[len(r)-4].KeyID != id || r[len(r)-4].Reason == "" {
		t.Errorf("%+v", r[len(r)-4])
	}
}

// TestItemsAreCountedFirst: an item is a call of its caller before anything is decided.
func TestItemsAreCountedFirst(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Limits: gateway.Limits{Principal: gateway.Limit{RequestsPerSecond: 0.001, Burst: 20}}})
	stranger := g.Principal("stranger", policy.RoleUser)
	refusal(t, g.Send(stranger.Token, "POST", "/v1/keys/"+noKey+"/sign-batch", batchOf(20)), 403, api.AccessDenied)
	refusal(t, g.Send(stranger.Token, "POST", "/v1/keys/"+noKey+"/sign-batch", batchOf(1)), 429, api.Throttling)
}

// TestBatchRecordsNameTheirItem, also of items that were decided on together.
func TestBatchRecordsNameTheirItem(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	in := batchOf(4)
	for i := range in.Items {
		in.Items[i].IdempotencyKey = fmt.Sprint("item ", i)
	}
	out := signBatch(t, g, g.Admin, id, in)
	for i, r := range out.Results {
		of := recordsUnder(g, in.Items[i].IdempotencyKey)
		if len(of) != 1 || !strings.HasPrefix(r.AuditRecord, fmt.Sprintf("%d:", of[0].Seq)) {
			t.Errorf("item %d: %+v", i, of)
		}
	}
}

// TestRepeatCostsNoGrantUse: the signature that is given again was paid for.
func TestRepeatCostsNoGrantUse(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	user := g.Principal("user", policy.RoleUser)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	uses := 2
	g.Call("POST", "/v1/keys/"+id+"/grants", api.CreateGrantRequest{GranteePrincipal: user.ARN, Operations: []api.GrantOperation{api.GrantSign}, Uses: &uses}, nil)
	first := signOnce(t, g, user, id, once("a", "m"))
	for range 3 {
		first.same(t, "a repeat", signOnce(t, g, user, id, once("a", "m")))
	}
	if other := signOnce(t, g, user, id, once("b", "m")); other.receipt == first.receipt {
		t.Error("another idempotency key gives the same signature")
	}
	refusal(t, g.Send(user.Token, "POST", "/v1/keys/"+id+"/sign", once("c", "m")), 403, api.AccessDenied)
}
