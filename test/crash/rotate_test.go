package crash

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// perKey is how often AWS KMS, and so the daemon, lets a key be rotated on demand.
const perKey = 25

// rotated is a key that one client rotates again and again while others sign with it.
type rotated struct {
	id       string
	answered int // rotations that the client was told of
	before   int // versions at the last look
}

// signature that a client has.
type signature struct {
	key                string
	message, signature []byte
}

// rotating is clients that rotate keys and sign with them, until the daemon is killed.
type rotating struct {
	p        *daemon.Process
	all      sync.WaitGroup
	stop     atomic.Bool
	mu       sync.Mutex
	signed   []signature
	progress atomic.Int64 // rotations that were answered
	wrong    []error
}

func startRotating(p *daemon.Process, keys []*rotated) *rotating {
	r := &rotating{p: p}
	for _, k := range keys {
		r.all.Go(func() { r.rotate(k) })
		for range 2 {
			r.all.Go(func() { r.sign(k.id) })
		}
	}
	return r
}

func (r *rotating) rotate(k *rotated) {
	for !r.stop.Load() && k.before+k.answered < perKey {
		a, err := r.p.Do(context.Background(), http.DefaultClient, "POST", "/v1/keys/"+k.id+"/rotate", nil)
		if err != nil {
			return // the daemon was killed
		}
		switch a.Status {
		case http.StatusOK:
			k.answered++
			r.progress.Add(1)
		case http.StatusConflict: // the version before is not used yet
			time.Sleep(time.Millisecond)
		default:
			r.fail(fmt.Errorf("rotate: %d %s", a.Status, a.Body))
			return
		}
	}
}

func (r *rotating) sign(key string) {
	for n := 0; !r.stop.Load(); n++ {
		message := fmt.Appendf(nil, "%s %d %d", key, n, rand.Uint64())
		a, err := r.p.Do(context.Background(), http.DefaultClient, "POST", "/v1/keys/"+key+"/sign",
			api.SignRequest{Message: message, SigningAlgorithm: api.ECDSASHA256})
		if err != nil {
			return
		}
		var out api.SignResponse
		if err := json.Unmarshal(a.Body, &out); err != nil || a.Status != http.StatusOK {
			r.fail(fmt.Errorf("sign: %d %s", a.Status, a.Body))
			return
		}
		r.mu.Lock()
		r.signed = append(r.signed, signature{key, message, out.Signature})
		r.mu.Unlock()
	}
}

func (r *rotating) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, err)
}

// TestKillDuringRotations kills the daemon at random moments while clients rotate keys and sign with them. A rotation that was answered has
// brought one version, one that was cut off one or none; every signature that a client has verifies with a published key; and the token
// holds one pair for each version and nothing else.
func TestKillDuringRotations(t *testing.T) {
	s := newState(t, daemon.Options{Overlap: 5 * time.Millisecond})
	p := start(t, s)
	var all, keys []*rotated
	var signed []signature
	more, cut := 0, 0
	for n := range kills {
		if n%5 == 0 { // a key can be rotated so many times only
			keys = newRotated(t, p)
			all = append(all, keys...)
		}
		r := startRotating(p, keys)
		eventually(t, time.Minute, "a key is rotated", func() error {
			if r.progress.Load() == 0 {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // the random moment
		p.Kill()
		r.stop.Store(true)
		r.all.Wait()
		for _, err := range r.wrong {
			t.Errorf("kill %d: %v", n+1, err)
		}
		signed = append(signed, r.signed...)
		p = start(t, s)
		for _, k := range keys {
			now := versions(t, p, k.id)
			switch surplus := now - k.before - k.answered; surplus {
			case 0:
				more++
			case 1:
				cut++
			default:
				t.Errorf("kill %d: %d versions of key %s, %d before and %d rotations answered", n+1, now, k.id, k.before, k.answered)
			}
			k.before, k.answered = now, 0
		}
	}
	t.Logf("%d kills, %d signatures; of the last rotations %d left nothing and %d a version", kills, len(signed), more, cut)
	published(t, p, signed)
	want := map[string]int{}
	for _, k := range all {
		want[k.id] = k.before
	}
	if code, err := p.Stop(time.Minute); code != 0 || err != nil {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	verifyLog(t, s, nil)
	for _, class := range []string{"privkey", "pubkey"} {
		held := tokenKeys(t, s, class)
		if fmt.Sprint(held) != fmt.Sprint(want) {
			t.Errorf("the token holds %v of class %s, the database knows %v", held, class, want)
		}
	}
}

// newRotated makes the keys of some kills: one version each.
func newRotated(t *testing.T, p *daemon.Process) []*rotated {
	t.Helper()
	var keys []*rotated
	for range 2 {
		k, err := newKey(p, api.P256)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, &rotated{id: k.id, before: 1})
	}
	return keys
}

// versions counts those that the daemon lists of a key, which are numbered without a gap.
func versions(t *testing.T, p *daemon.Process, key string) int {
	t.Helper()
	var out api.ListKeyRotationsResponse
	if err := p.Call("GET", "/v1/keys/"+key+"/rotations?Limit=1000&IncludeKeyMaterial=ALL_KEY_MATERIAL", nil, &out); err != nil {
		t.Fatal(err)
	}
	for n, r := range out.Rotations {
		if r.KeyVersion != n+1 {
			t.Errorf("version %d of key %s comes after %d others", r.KeyVersion, key, n)
		}
	}
	return len(out.Rotations)
}

// published checks each signature with the public keys that are published of its key.
func published(t *testing.T, p *daemon.Process, signed []signature) {
	t.Helper()
	public := map[string][]*ecdsa.PublicKey{}
	for _, s := range signed {
		if public[s.key] != nil {
			continue
		}
		var out api.ListPublicKeysResponse
		if err := p.Call("GET", "/v1/keys/"+s.key+"/public-keys", nil, &out); err != nil {
			t.Fatal(err)
		}
		for _, k := range out.Keys {
			parsed, err := x509.ParsePKIXPublicKey(k.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			public[s.key] = append(public[s.key], parsed.(*ecdsa.PublicKey))
		}
	}
	strange := 0
	for _, s := range signed {
		sum, good := sha256.Sum256(s.message), false
		for _, k := range public[s.key] {
			good = good || ecdsa.VerifyASN1(k, sum[:], s.signature)
		}
		if !good {
			strange++
		}
	}
	if strange > 0 {
		t.Errorf("%d of %d signatures verify with no published key", strange, len(signed))
	}
}
