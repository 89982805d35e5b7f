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
					name := fmt.Sprintf("%d-%d-%d", round, n, i)
					out, err := signUnder(p, k.id, name)
					mu.Lock()
					answers[name] = out
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
		again, err := signUnder(p, k.id, name)
		if err != nil {
			t.Fatal(err)
		}
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
func signUnder(p *daemon.Process, key, name string) (*api.SignResponse, error) {
	a, err := p.Do(context.Background(), http.DefaultClient, "POST", "/v1/keys/"+key+"/sign",
		api.SignRequest{Message: []byte(name), SigningAlgorithm: api.ECDSASHA256, IdempotencyKey: name})
	if err != nil {
		return nil, err
	}
	out := new(api.SignResponse)
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("%d %s", a.Status, a.Body)
	}
	return out, json.Unmarshal(a.Body, out)
}

func signatureHash(signature []byte) string {
	sum := sha256.Sum256(signature)
	return "sha256:" + hex.EncodeToString(sum[:])
}
