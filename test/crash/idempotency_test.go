package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// TestKillBetweenRepeats kills the daemon at random moments, most of them between two steps of a signature with an idempotency key, and
// repeats every request after that. Who had a signature is given the same one, and the log holds one record of each that was ever given out.
func TestKillBetweenRepeats(t *testing.T) {
	s := newState(t, daemon.Options{})
	p := start(t, s)
	k, err := newKey(p, "ECC_NIST_P256")
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]*api.SignResponse{} // by idempotency key; nil: no answer came
	for round := range 12 {
		var mu sync.Mutex
		var all sync.WaitGroup
		for n := range clients {
			all.Go(func() {
				for i := 0; ; i++ {
					names := []string{fmt.Sprintf("%d-%d-%d", round, n, i)}
					sign := signUnder
					if n%2 == 1 { // items of a batch, which are decided on together
						names, sign = []string{names[0] + "a", names[0] + "b", names[0] + "c"}, batchUnder
					}
					out, err := sign(p, k.id, names...)
					mu.Lock()
					for j, name := range names {
						answers[name] = nil
						if err == nil {
							answers[name] = out[j]
						}
					}
					mu.Unlock()
					if err != nil { // it was killed
						return
					}
				}
			})
		}
		time.Sleep(200*time.Millisecond + time.Duration(rand.IntN(200))*time.Millisecond)
		p.Kill()
		all.Wait()
		p = start(t, s)
	}
	unanswered := 0
	for name, first := range answers {
		all, err := signUnder(p, k.id, name) // an item's, too: it was a call of Sign
		if err != nil {
			t.Fatal(err)
		}
		again := all[0]
		if first == nil {
			unanswered++
		} else if !bytes.Equal(first.Signature, again.Signature) {
			t.Errorf("%s: the repeat is another signature", name)
		}
		answers[name] = again
	}
	records := map[string][]audit.Record{}
	for _, r := range readLog(t, s.AuditLog()) {
		if r.IdempotencyKey != "" && r.Outcome == string(api.Allowed) {
			records[r.IdempotencyKey] = append(records[r.IdempotencyKey], r)
		}
	}
	for name, out := range answers {
		if all := records[name]; len(all) != 1 || all[0].SignatureHash != signatureHash(out.Signature) {
			t.Errorf("%s has %d records: %+v", name, len(all), all)
		}
	}
	if unanswered == 0 {
		t.Error("no request was under way at a kill")
	}
	t.Logf("%d requests, %d of them under way at a kill", len(answers), unanswered)
	verifyLog(t, s, nil)
}

// signUnder signs what only its name tells from others.
func signUnder(p *daemon.Process, key string, names ...string) ([]*api.SignResponse, error) {
	out := new(api.SignResponse)
	err := post(p, "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte(names[0]), SigningAlgorithm: api.ECDSASHA256, IdempotencyKey: names[0]}, out)
	return []*api.SignResponse{out}, err
}

// batchUnder is signUnder for the items of one batch.
func batchUnder(p *daemon.Process, key string, names ...string) (all []*api.SignResponse, err error) {
	in := api.SignBatchRequest{SigningAlgorithm: api.ECDSASHA256}
	for _, name := range names {
		in.Items = append(in.Items, api.SignBatchItem{Message: []byte(name), IdempotencyKey: name})
	}
	var out api.SignBatchResponse
	if err := post(p, "/v1/keys/"+key+"/sign-batch", in, &out); err != nil {
		return nil, err
	}
	for i, r := range out.Results {
		if r.Error != nil {
			return nil, fmt.Errorf("item %d: %+v", i, r.Error)
		}
		all = append(all, &api.SignResponse{KeyId: out.KeyId, Signature: r.Signature, KeyVersion: r.KeyVersion})
	}
	return all, nil
}

func post(p *daemon.Process, path string, in, out any) error {
	a, err := p.Do(context.Background(), http.DefaultClient, "POST", path, in)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("%d %s", a.Status, a.Body)
	}
	return json.Unmarshal(a.Body, out)
}

func signatureHash(signature []byte) string {
	sum := sha256.Sum256(signature)
	return "sha256:" + hex.EncodeToString(sum[:])
}
