package hsm_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestObserve: who observes is told of each call with its context, what it was, how long it waited and how long it took.
func TestObserve(t *testing.T) {
	t.Parallel()
	token := hsmtest.Open(t, hsmtest.NewToken(t))
	type mark struct{}
	var mu sync.Mutex
	var seen []hsm.Timing
	token.Observe(func(ctx context.Context, timing hsm.Timing) {
		if ctx.Value(mark{}) != nil {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, timing)
		}
	})
	ctx, begun := context.WithValue(context.Background(), mark{}, true), time.Now()
	id := hsm.NewID()
	spki, err := token.Generate(ctx, hsm.NISTP256, hsm.UseSign, id, "observed")
	if err != nil {
		t.Fatal(err)
	}
	key, err := hsm.NewKey(id, hsm.NISTP256, spki)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("a message"))
	m := hsm.SignMechanism{Scheme: hsm.ECDSA, Hash: crypto.SHA256}
	if _, err := token.Sign(ctx, key, m, sum[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := token.Random(ctx, 16); err != nil {
		t.Fatal(err)
	}
	if err := token.Ready(ctx); err != nil { // a health check
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := token.Sign(gone, key, m, sum[:]); !errors.Is(err, context.Canceled) {
		t.Logf("a signature for a caller that has gone: %v", err) // it may have been made first
	}
	if err := token.Destroy(ctx, id); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range seen {
		names = append(names, s.Mechanism)
		if s.Begun.Before(begun) || s.Wait < 0 || s.Call < 0 || s.Err == nil && s.Call == 0 || s.Begun.Add(s.Wait+s.Call).After(time.Now()) {
			t.Errorf("%+v", s)
		}
	}
	want := []string{"C_GenerateKeyPair", "CKM_ECDSA", "C_GenerateRandom", "CKM_ECDSA", "C_DestroyObject"}
	if names = slices.DeleteFunc(names, func(s string) bool { return s == "C_FindObjects" }); !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}
