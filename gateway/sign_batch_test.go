package gateway_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// batchOf asks for signatures over n digests.
func batchOf(n int) api.SignBatchRequest {
	in := api.SignBatchRequest{SigningAlgorithm: api.ECDSASHA256, MessageType: api.Digest}
	for i := range n {
		d := sha256.Sum256([]byte(fmt.Sprint("file ", i)))
		in.Items = append(in.Items, api.SignBatchItem{Message: d[:]})
	}
	return in
}

func signBatch(t *testing.T, g *gatewaytest.Gateway, who gatewaytest.Credentials, key string, in any) api.SignBatchResponse {
	t.Helper()
	var out api.SignBatchResponse
	decodeTo(t, g.Send(who.Token, "POST", "/v1/keys/"+key+"/sign-batch", in), &out)
	return out
}

// TestBatchSignsEveryItem: a thousand signatures, each good and each with a record of
// its own, which its receipt names.
func TestBatchSignsEveryItem(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	parsed, err := x509.ParsePKIXPublicKey(publicDER(t, g, id))
	noError(t, err)
	public := parsed.(*ecdsa.PublicKey)
	in := batchOf(api.MaxBatch)
	before, batches := len(g.Records()), g.Audit.Stats().Batches
	out := signBatch(t, g, g.Admin, id, in)
	records := g.Records()[before:]
	if len(out.Results) != len(in.Items) || len(records) != len(in.Items) {
		t.Fatalf("%d results, %d records", len(out.Results), len(records))
	}
	if n := g.Audit.Stats().Batches - batches; n > api.MaxBatch/10 { // how many depends on how busy the machine is
		t.Errorf("%d syncs of the log for one batch", n)
	}
	for i, r := range out.Results {
		if r.Error != nil || !ecdsa.VerifyASN1(public, in.Items[i].Message, r.Signature) || r.KeyVersion != 1 || r.SigningAlgorithm != api.ECDSASHA256 {
			t.Fatalf("item %d: %+v", i, r)
		}
		record := records[i]
		hash := sha256.Sum256(r.Signature)
		if record.Operation != "Sign" || record.Outcome != "allowed" || record.Digest != "sha256:"+hexOf(in.Items[i].Message) || record.SignatureHash != named(hash) ||
			record.RequestID != records[0].RequestID || record.KeyID != id || record.Reason != "role/administrator" || record.LatencyMicros <= 0 {
			t.Fatalf("item %d: %+v", i, record)
		}
		if !strings.HasPrefix(r.AuditRecord, fmt.Sprintf("%d:", record.Seq)) {
			t.Errorf("item %d: %s, want %d", i, r.AuditRecord, record.Seq)
		}
	}
	if use := g.Send(g.Admin.Token, "GET", "/v1/keys/"+id+"/last-usage", nil); !strings.Contains(string(use.Body), `"Operation":"Sign"`) {
		t.Errorf("%s", use.Body)
	}
}

// TestBatchFailsByItem: one that is malformed, of another algorithm or denied keeps no
// other from its signature.
func TestBatchFailsByItem(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.attach(a.user, "packages", statement("Allow", "", "kms:Sign", `{"StringLike":{"hsmgate:ArtifactName":"example-*"},"StringEquals":{"hsmgate:SigningContext:stage":"nightly"}}`))
	in := batchOf(7)
	in.SigningContext = map[string]string{"stage": "nightly"}
	for i := range in.Items {
		in.Items[i].Artifact = &api.Artifact{Name: "example-tool", Version: fmt.Sprint(i)}
	}
	in.Items[1].Message = in.Items[1].Message[:31]
	in.Items[2].SigningAlgorithm = api.ECDSASHA384
	in.Items[3].Artifact = &api.Artifact{Name: "other"}
	in.Items[4].SigningContext = map[string]string{"stage": "release"}
	in.Items[5].Message = nil
	out := signBatch(t, a.Gateway, a.user, a.signing, in)
	records := a.Records()[len(a.Records())-len(in.Items):]
	for i, want := range []api.Code{"", api.Validation, api.InvalidKeyUsage, api.AccessDenied, api.AccessDenied, api.Validation, ""} {
		r, got := out.Results[i], api.Code("")
		if r.Error != nil {
			got = r.Error.Code
			if r.Error.Message == "" || r.Signature != nil {
				t.Errorf("item %d: %+v", i, r)
			}
		}
		if want == api.InvalidKeyUsage && got == api.Validation {
			got = want
		}
		if got != want || (r.Signature != nil) != (want == "") || records[i].ErrorCode != strings.Replace(string(got), string(api.InvalidKeyUsage), records[i].ErrorCode, 1) || records[i].Operation != "Sign" {
			t.Errorf("item %d: %+v, %+v, want %s", i, r, records[i], want)
		}
		if want == "" && records[i].ArtifactVersion != fmt.Sprint(i) {
			t.Errorf("item %d: %+v", i, records[i])
		}
	}
	for i := range in.Items {
		in.Items[i].Artifact, in.Items[i].SigningContext, in.Items[i].SigningAlgorithm, in.Items[i].Message = nil, nil, "", in.Items[0].Message
	}
	a.denied("all of them", a.Send(a.user.Token, "POST", "/v1/keys/"+a.signing+"/sign-batch", in), "because no identity-based policy allows the kms:Sign action")
	if r := a.Records(); r[len(r)-1].Outcome != "denied" || r[len(r)-1].Operation != "SignBatch" || r[len(r)-2].Outcome == "denied" || r[len(r)-1].Digest != "" {
		t.Errorf("%+v", r[len(r)-1])
	}
	in.DryRun = true
	in.Items[0].Artifact = &api.Artifact{Name: "example-tool"}
	in.Items = in.Items[:1]
	refusal(t, a.Send(a.user.Token, "POST", "/v1/keys/"+a.signing+"/sign-batch", in), 412, api.DryRunOperation)
}

// TestBatchBounds: what is no batch is refused as a whole.
func TestBatchBounds(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	send := func(body any) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign-batch", body, "Content-Type", "application/json")
	}
	before := len(g.Records())
	refusal(t, send(batchOf(api.MaxBatch+1)), 400, api.Validation)
	refusal(t, send(batchOf(0)), 400, api.Validation)
	refusal(t, send(`{"Items":[{"Message":"aGk="},7]}`), 400, api.Serialization)
	refusal(t, send(`{"Items":[{"Message":"aGk=","KeyId":"x"}]}`), 400, api.Serialization)
	refusal(t, send(`{"Items":{}}`), 400, api.Serialization)
	refusal(t, send(`{"Items":[`+strings.Repeat(" ", 4<<20)+`]}`), 413, api.RequestEntityTooLarge)
	refusal(t, send(`{"Items":[{"Message":"aGk="}]}`), 400, api.Validation) // no algorithm
	if n := len(g.Records()) - before; n != 7 {
		t.Errorf("%d records", n)
	}
	for _, r := range g.Records()[before : before+6] {
		if r.Operation != "SignBatch" || r.Outcome != "invalid" {
			t.Errorf("%+v", r)
		}
	}
}

// TestBatchIsCounted: limits, uses of a grant and approvals by item.
func TestBatchIsCounted(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Limits: gateway.Limits{Key: gateway.Limit{RequestsPerSecond: 0.001, Burst: 5}}})
	kinds := func(out api.SignBatchResponse) map[api.Code]int {
		n := map[api.Code]int{}
		for _, r := range out.Results {
			if r.Error != nil {
				n[r.Error.Code]++
				if (r.Error.Code == api.Throttling) != (r.Error.RetryAfterSeconds > 0) {
					t.Errorf("%+v", r.Error)
				}
			} else {
				n[""]++
			}
		}
		return n
	}
	limited := g.CreateKey(api.P256, api.SignVerify).KeyId
	if n := kinds(signBatch(t, g, g.Admin, limited, batchOf(8))); n[""] != 5 || n[api.Throttling] != 3 {
		t.Errorf("a limit of 5: %v", n)
	}
	g = gatewaytest.New(t)
	user := g.Principal("user", policy.RoleUser)
	granted := g.CreateKey(api.P256, api.SignVerify).KeyId
	uses := 3
	g.Call("POST", "/v1/keys/"+granted+"/grants", api.CreateGrantRequest{GranteePrincipal: user.ARN, Operations: []api.GrantOperation{api.GrantSign}, Uses: &uses}, nil)
	if n := kinds(signBatch(t, g, user, granted, batchOf(4))); n[""] != 3 || n[api.AccessDenied] != 1 {
		t.Errorf("a grant of 3 uses: %v", n)
	}
	ruled := g.CreateKey(api.P256, api.SignVerify).KeyId
	asker := g.Principal("asker", policy.RoleUser, ruled)
	g.Call("PUT", "/v1/keys/"+ruled+"/approval-rule", api.ApprovalRule{Approvers: []string{g.Admin.ARN}, Required: 1}, nil)
	in := batchOf(3)
	var asked api.ApprovalRequested
	decodeTo(t, g.Send(asker.Token, "POST", "/v1/keys/"+ruled+"/approvals", map[string]any{"SigningAlgorithm": api.ECDSASHA256, "Digests": []api.DigestToSign{
		{Digest: "sha256:" + hexOf(in.Items[0].Message)}, {Digest: "sha256:" + hexOf(in.Items[2].Message)}}}), &asked)
	g.Call("POST", "/v1/keys/"+ruled+"/approve", map[string]any{"ApprovalId": asked.ApprovalId, "Hash": asked.Hash}, nil)
	out := signBatch(t, g, asker, ruled, in)
	if n := kinds(out); n[""] != 2 || n[api.ApprovalRequired] != 1 || out.Results[1].Error == nil {
		t.Errorf("two approvals: %v", n)
	}
	for i, r := range signBatch(t, g, asker, ruled, batchOf(3)).Results { // all refused, each for its own digest
		if r.Error == nil || r.Error.Code != api.ApprovalRequired || !strings.Contains(r.Error.Message, "sha256:"+hexOf(in.Items[i].Message)) {
			t.Errorf("item %d without an approval: %+v", i, r.Error)
		}
	}
}

// TestBatchWithoutLog: nothing leaves, and nothing is told of what was made.
func TestBatchWithoutLog(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	noError(t, g.Audit.Close())
	a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign-batch", batchOf(3))
	if a.Status != http.StatusServiceUnavailable || strings.Contains(string(a.Body), "Signature") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestBatchStarvesNobody: while batches of one caller run, the single calls of another
// are answered between their items, not after them.
func TestBatchStarvesNobody(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	greedy := g.CreateKey(api.RSA4096, api.SignVerify).KeyId // slow enough to be seen
	single := g.CreateKey(api.P256, api.SignVerify).KeyId
	other := g.Principal("other", policy.RoleUser, single)
	in := batchOf(200)
	in.SigningAlgorithm = api.PKCS1SHA256
	var batches sync.WaitGroup
	done := make(chan struct{})
	batches.Go(func() {
		defer close(done)
		a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+greedy+"/sign-batch", in)
		var out api.SignBatchResponse
		if err := json.Unmarshal(a.Body, &out); err != nil || a.Status != 200 || len(out.Results) != len(in.Items) {
			t.Errorf("%d %.200s", a.Status, a.Body)
		}
	})
	for g.Token.Stats().Busy == 0 {
		time.Sleep(time.Millisecond)
	}
	during := 0
	for range 3 {
		if a := g.Send(other.Token, "POST", "/v1/keys/"+single+"/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		select {
		case <-done:
		default:
			during++
		}
	}
	batches.Wait()
	if during != 3 {
		t.Errorf("%d of 3 single calls were answered during the batch", during)
	}
}
