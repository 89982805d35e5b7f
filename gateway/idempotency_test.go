package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

func once(idempotencyKey, message string) api.SignRequest {
	return api.SignRequest{Message: []byte(message), SigningAlgorithm: api.ECDSASHA256, IdempotencyKey: idempotencyKey}
}

// recordsUnder are the records of signatures made under an idempotency key.
func recordsUnder(g *gatewaytest.Gateway, idempotencyKey string) (all []audit.Record) {
	for _, r := range g.Records() {
		if r.IdempotencyKey == idempotencyKey && r.Outcome == "allowed" && r.Phase == "" {
			all = append(all, r)
		}
	}
	return all
}

func (a onceSigned) same(t *testing.T, what string, b onceSigned) {
	t.Helper()
	if !bytes.Equal(a.Signature, b.Signature) || a.KeyVersion != b.KeyVersion || a.receipt != b.receipt || a.receipt == "" {
		t.Errorf("%s: %+v, and first %+v", what, b, a)
	}
}

// onceSigned is a signature with the receipt that came with it.
type onceSigned struct {
	api.SignResponse
	receipt string
}

func signOnce(t *testing.T, g *gatewaytest.Gateway, who gatewaytest.Credentials, key string, body any, header ...string) (out onceSigned) {
	t.Helper()
	a := g.Send(who.Token, "POST", "/v1/keys/"+key+"/sign", body, header...)
	decodeTo(t, a, &out.SignResponse)
	out.receipt = a.Header.Get("Hsmgate-Audit-Record")
	return out
}

// TestRepeatGivesTheSameSignature, and one record; another request, caller or key is
// another signature or none.
func TestRepeatGivesTheSameSignature(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Rotation: gateway.Rotation{Overlap: -1}})
	id, other := g.CreateKey(api.P256, api.SignVerify).KeyId, g.CreateKey(api.P256, api.SignVerify).KeyId
	second := g.Principal("second", policy.RoleUser, id)
	first := signOnce(t, g, g.Admin, id, once("k 1", "m"))
	first.same(t, "at once", signOnce(t, g, g.Admin, id, once("k 1", "m")))
	noError(t, g.Service.Flush(t.Context()))
	first.same(t, "after its record was noted", signOnce(t, g, g.Admin, id, once("k 1", "m")))
	g.Call("POST", "/v1/keys/"+id+"/rotate", nil, nil)
	first.same(t, "after a rotation", signOnce(t, g, g.Admin, id, once("k 1", "m")))
	if r := recordsUnder(g, "k 1"); len(r) != 1 || !strings.HasPrefix(first.receipt, fmt.Sprintf("%d:", r[0].Seq)) {
		t.Errorf("%d records", len(r))
	}
	for what, in := range map[string]api.SignRequest{
		"another message":  once("k 1", "n"),
		"another type":     {Message: digest(hashOf(api.ECDSASHA256), []byte("m")), MessageType: api.Digest, SigningAlgorithm: api.ECDSASHA256, IdempotencyKey: "k 1"},
		"another artifact": {Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256, IdempotencyKey: "k 1", Artifact: &api.Artifact{Name: "x"}},
		"another context":  {Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256, IdempotencyKey: "k 1", SigningContext: map[string]string{"a": "b"}},
	} {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", in)
		if a.Status != 409 || a.Code() != string(api.IdempotencyKeyReused) {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	if s := signOnce(t, g, second, id, once("k 1", "m")); s.KeyVersion != 2 || bytes.Equal(s.Signature, first.Signature) {
		t.Error("another caller is given the signature of the first")
	}
	if s := signOnce(t, g, g.Admin, other, once("k 1", "m")); bytes.Equal(s.Signature, first.Signature) {
		t.Error("another key gives the signature of the first")
	}
	g.Call("POST", "/v1/keys/"+id+"/disable", nil, nil)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", once("k 1", "m")), 409, api.Disabled)
	g.Call("POST", "/v1/keys/"+id+"/enable", nil, nil)
	noError(t, g.Store.DeletePrincipal(t.Context(), second.ARN))
	refusal(t, g.Send(second.Token, "POST", "/v1/keys/"+id+"/sign", once("k 1", "m")), 401, api.UnrecognizedClient)
	dry := once("k 1", "m")
	dry.DryRun = true
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", dry), 412, api.DryRunOperation)
}

// TestIdempotencyHeader: for files, and beside JSON.
func TestIdempotencyHeader(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	first := signOnce(t, g, g.Admin, id, "a file", "Idempotency-Key", "build-7")
	first.same(t, "a file", signOnce(t, g, g.Admin, id, "a file", "Idempotency-Key", "build-7"))
	send := func(path string, body any, key string) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+path, body, "Idempotency-Key", key)
	}
	refusal(t, send("/sign", "another file", "build-7"), 409, api.IdempotencyKeyReused)
	refusal(t, send("/sign", once("one", "m"), "two"), 400, api.Validation)
	refusal(t, send("/sign", "a file", strings.Repeat("x", 129)), 400, api.Validation)
	refusal(t, send("/sign", once("a\tb", "m"), "a\tb"), 400, api.Validation)
	refusal(t, send("/sign-batch", batchOf(1), "x"), 400, api.Validation)
	refusal(t, send("/disable", nil, "x"), 400, api.Validation)
}

// TestRepeatsAtTheSameTime: one signature, one record, one use of a grant.
func TestRepeatsAtTheSameTime(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	user := g.Principal("user", policy.RoleUser)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	uses := 1
	g.Call("POST", "/v1/keys/"+id+"/grants", api.CreateGrantRequest{GranteePrincipal: user.ARN, Operations: []api.GrantOperation{api.GrantSign, api.GrantDescribeKey}, Uses: &uses}, nil)
	answers := make([]gatewaytest.Answer, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = g.Send(user.Token, "POST", "/v1/keys/"+id+"/sign", once("together", "m")) })
	}
	all.Wait()
	signatures := map[string]int{}
	for _, a := range answers {
		var out api.SignResponse
		if a.Status == 200 && json.Unmarshal(a.Body, &out) == nil {
			signatures[string(out.Signature)]++
		} else if a.Code() != string(api.AccessDenied) { // whoever was decided on after the grant was used up
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if len(signatures) != 1 || len(recordsUnder(g, "together")) != 1 {
		t.Errorf("%d signatures, %d records", len(signatures), len(recordsUnder(g, "together")))
	}
}

// TestTwoProcessesSignOnce: the database decides whose signature is the one.
func TestTwoProcessesSignOnce(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	beside := gatewaytest.NewWith(t, gatewaytest.Options{Beside: g, Name: "two"})
	for _, p := range []*gatewaytest.Gateway{g, beside} {
		p.Store.Watch(t.Context())
	}
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	until(t, "the other process sees the key", func() bool { _, ok := beside.Store.Key(gatewaytest.Region, id); return ok })
	for n := range 10 {
		name := fmt.Sprint("run ", n)
		var got [2]onceSigned
		var both sync.WaitGroup
		for i, p := range []*gatewaytest.Gateway{g, beside} {
			both.Go(func() {
				a := p.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", once(name, "m"))
				if err := json.Unmarshal(a.Body, &got[i].SignResponse); err != nil || a.Status != 200 {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				got[i].receipt = a.Header.Get("Hsmgate-Audit-Record")
			})
		}
		both.Wait()
		got[0].same(t, name, got[1])
		if here, there := len(recordsUnder(g, name)), len(recordsUnder(beside, name)); here+there != 1 {
			t.Errorf("%d records here and %d there", here, there)
		}
	}
}

// TestBatchRepeats: items are repeated one by one.
func TestBatchRepeats(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	in := batchOf(20)
	for i := range in.Items {
		in.Items[i].IdempotencyKey = fmt.Sprint("item ", i)
	}
	first := signBatch(t, g, g.Admin, id, in)
	records := len(g.Records())
	single := signOnce(t, g, g.Admin, id, api.SignRequest{Message: in.Items[3].Message, MessageType: api.Digest, SigningAlgorithm: api.ECDSASHA256, IdempotencyKey: "item 3"})
	if !bytes.Equal(single.Signature, first.Results[3].Signature) || single.receipt != first.Results[3].AuditRecord {
		t.Error("Sign does not know what SignBatch made")
	}
	in.Items[5].Message = in.Items[6].Message
	in.Items[7].IdempotencyKey = "item 8"
	in.Items[9].IdempotencyKey = ""
	again := signBatch(t, g, g.Admin, id, in)
	for i, r := range again.Results {
		switch {
		case i == 5:
			if r.Error == nil || r.Error.Code != api.IdempotencyKeyReused {
				t.Errorf("item %d: %+v", i, r)
			}
		case i == 7: // whose message is not that of item 8
			if r.Error == nil || r.Error.Code != api.IdempotencyKeyReused {
				t.Errorf("item %d: %+v", i, r)
			}
		case i == 8:
			if r.Error == nil || r.Error.Code != api.Validation || !strings.Contains(r.Error.Message, "item 8") {
				t.Errorf("item %d: %+v", i, r)
			}
		case i == 9:
			if bytes.Equal(r.Signature, first.Results[i].Signature) {
				t.Error("an item without an idempotency key is repeated")
			}
		case !bytes.Equal(r.Signature, first.Results[i].Signature) || r.AuditRecord != first.Results[i].AuditRecord:
			t.Errorf("item %d: %+v, and first %+v", i, r, first.Results[i])
		}
	}
	if n := len(g.Records()) - records; n != 4 { // three errors and one signature
		t.Errorf("%d records", n)
	}
}

// TestAnswersAreForgotten after their time, and those beyond the number of a caller.
func TestAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Idempotency: gateway.Idempotency{Keep: time.Hour, PerPrincipal: 2}})
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	first := signOnce(t, g, g.Admin, id, once("k", "m"))
	g.Advance(59 * time.Minute)
	g.Service.Round(t.Context())
	first.same(t, "before the time is over", signOnce(t, g, g.Admin, id, once("k", "m")))
	g.Advance(2 * time.Minute)
	again := signOnce(t, g, g.Admin, id, once("k", "other")) // also before it is removed
	if again.receipt == first.receipt {
		t.Error("an answer is given after its time")
	}
	for i := range 3 {
		g.Advance(time.Second)
		signOnce(t, g, g.Admin, id, once(fmt.Sprint("n", i), "m"))
	}
	g.Service.Round(t.Context())
	found, err := g.Store.Answers(t.Context(), g.Admin.ARN, again.KeyId, []string{"k", "n0", "n1", "n2"}, time.Time{}.Add(time.Hour))
	if err != nil || len(found) != 2 || found["n1"] == nil || found["n2"] == nil {
		t.Errorf("%v, %v", found, err)
	}
}

// TestRefusedRecordIsMadeUp: an answer that was kept, and whose record was refused, is
// recorded when it is asked for again.
func TestRefusedRecordIsMadeUp(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	signOnce(t, g, g.Admin, id, once("before", "m"))
	move(t, g.AuditPath, g.AuditPath+".away")
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", once("k", "m")), 503, api.ServiceUnavailable)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", once("k", "m")), 503, api.ServiceUnavailable)
	move(t, g.AuditPath+".away", g.AuditPath)
	until(t, "the log is back", func() bool { return g.Audit.Ready() == nil })
	found, err := g.Store.Answers(t.Context(), g.Admin.ARN, "arn:aws:kms:"+gatewaytest.Region+":"+gatewaytest.Account+":key/"+id, []string{"k"}, g.Now().Add(-time.Hour))
	if err != nil || found["k"] == nil || found["k"].Record != "" {
		t.Fatalf("%+v, %v", found["k"], err)
	}
	first := signOnce(t, g, g.Admin, id, once("k", "m"))
	if !bytes.Equal(first.Signature, found["k"].Signature) {
		t.Error("it was signed anew")
	}
	first.same(t, "after that", signOnce(t, g, g.Admin, id, once("k", "m")))
	if n := len(recordsUnder(g, "k")); n != 1 {
		t.Errorf("%d records", n)
	}
	intact(t, g)
}
