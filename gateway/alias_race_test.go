package gateway_test

import (
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestAliasMovesWhileInUse: an answer by an alias is wholly of one key, the one
// before or the one after, and its record says so.
func TestAliasMovesWhileInUse(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	keys := []*api.KeyMetadata{g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.P256, api.SignVerify)}
	public := map[string][]byte{keys[0].Arn: publicDER(t, g, keys[0].KeyId), keys[1].Arn: publicDER(t, g, keys[1].KeyId)}
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/moving", TargetKeyId: keys[0].KeyId}, nil)
	before := len(g.Records())

	const callers, each = 8, 40
	var signed, described sync.Map // request id -> answer
	var done atomic.Int64
	var calls, moves sync.WaitGroup
	for range callers {
		calls.Go(func() {
			for range each {
				a := g.Send(g.Admin.Token, "POST", "/v1/keys/alias/moving/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
				var s api.SignResponse
				if a.Status != 200 || json.Unmarshal(a.Body, &s) != nil {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				signed.Store(a.Header.Get("X-Request-Id"), s)
				a = g.Send(g.Admin.Token, "GET", "/v1/keys/alias/moving", nil)
				var d api.DescribeKeyResponse
				if a.Status != 200 || json.Unmarshal(a.Body, &d) != nil {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				described.Store(a.Header.Get("X-Request-Id"), *d.KeyMetadata)
				done.Add(1)
			}
		})
	}
	moves.Go(func() {
		for i := 1; done.Load() < callers*each; i++ {
			g.Call("PUT", "/v1/aliases/alias/moving", map[string]string{"TargetKeyId": keys[i%2].KeyId}, nil)
		}
	})
	calls.Wait()
	moves.Wait()

	seen := make(map[string]int)
	for _, r := range g.Records()[before:] {
		if s, ok := signed.Load(r.RequestID); ok {
			ofOneKey(t, r, s.(api.SignResponse).KeyId)
			goodSignature(t, public, s.(api.SignResponse))
			seen[r.KeyARN]++
		}
		if d, ok := described.Load(r.RequestID); ok {
			ofOneKey(t, r, d.(api.KeyMetadata).Arn)
		}
	}
	if len(seen) != 2 || seen[keys[0].Arn]+seen[keys[1].Arn] != callers*each {
		t.Errorf("the keys were used %v times", seen)
	}
}

// TestAliasMovesDuringAnUpload: what was decided on one key is done with that key.
func TestAliasMovesDuringAnUpload(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	first, second := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.P256, api.SignVerify)
	public := map[string][]byte{first.Arn: publicDER(t, g, first.KeyId), second.Arn: publicDER(t, g, second.KeyId)}
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/moving", TargetKeyId: first.KeyId}, nil)
	body, file := io.Pipe()
	answered := make(chan gatewaytest.Answer, 1)
	go func() { answered <- g.Send(g.Admin.Token, "PUT", "/v1/keys/alias/moving/sign", body) }()
	content := make([]byte, 8<<20) // more than lies in buffers, so that the call is under way
	if _, err := file.Write(content); err != nil {
		t.Fatal(err)
	}
	g.Call("PUT", "/v1/aliases/alias/moving", map[string]string{"TargetKeyId": second.KeyId}, nil)
	file.Close()
	a := <-answered
	var s api.SignResponse
	if a.Status != 200 || json.Unmarshal(a.Body, &s) != nil || s.KeyId != first.Arn {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	goAccepts(t, api.P256, public[s.KeyId], api.ECDSASHA256, content, s.Signature)
	for _, r := range g.Records() {
		if r.Operation == "Sign" {
			ofOneKey(t, r, first.Arn)
		}
	}
}

func ofOneKey(t *testing.T, r audit.Record, arn string) {
	t.Helper()
	if r.KeyARN != arn || arn[len(arn)-len(r.KeyID):] != r.KeyID || r.Outcome != "allowed" {
		t.Errorf("the answer is of %s, the record %+v", arn, r)
	}
}

// goodSignature checks a signature under the key that its answer names.
func goodSignature(t *testing.T, public map[string][]byte, s api.SignResponse) {
	t.Helper()
	goAccepts(t, api.P256, public[s.KeyId], api.ECDSASHA256, []byte("m"), s.Signature)
}
