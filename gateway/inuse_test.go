package gateway_test

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestTakenAwayWhileInUse: a call sees the key wholly as before or wholly as after.
// What begins after the answer to the change sees the change.
func TestTakenAwayWhileInUse(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{KeyStores: map[string]hsm.Config{"second": hsmtest.NewToken(t)}})
	comes(t, g, "second", "CONNECTED")
	post := func(path string) func(key string) {
		return func(key string) { g.Call("POST", onKey(path, key), nil, nil) }
	}
	refusals := func(of ...api.Code) map[string]bool {
		all := make(map[string]bool)
		for _, code := range of {
			all[string(code)] = true
		}
		return all
	}
	for name, c := range map[string]struct {
		keyStore   string
		away, back func(key string)
		refused    map[string]bool // as which a call may be refused meanwhile
		final      bool
	}{
		"disabled": {"", post("/v1/keys/{key}/disable"), post("/v1/keys/{key}/enable"), refusals(api.Disabled), false},
		"to be deleted": {"", post("/v1/keys/{key}/schedule-deletion"), func(key string) {
			post("/v1/keys/{key}/cancel-deletion")(key)
			post("/v1/keys/{key}/enable")(key)
		}, refusals(api.KMSInvalidState, api.Disabled), false},
		"deleted": {"", func(key string) {
			if err := g.Store.DeleteKey(t.Context(), gatewaytest.Region, key); err != nil {
				t.Error(err)
			}
		}, nil, refusals(api.NotFound), true},
		"in a key store that is disconnected": {"second", func(string) { connect(t, g, "disconnect", "second") }, func(string) {
			comes(t, g, "second", "DISCONNECTED")
			connect(t, g, "connect", "second")
			comes(t, g, "second", "CONNECTED")
		}, refusals(api.KMSInvalidState, api.KeyUnavailable), false},
	} {
		t.Run(name, func(t *testing.T) {
			key := createIn(t, g, c.keyStore)
			public := map[string][]byte{key.Arn: publicDER(t, g, key.KeyId)}
			sign := func() gatewaytest.Answer {
				return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", message)
			}
			var signed, refused, over atomic.Int64
			var callers sync.WaitGroup
			for range 6 {
				callers.Go(func() {
					for over.Load() == 0 {
						a := sign()
						var s api.SignResponse
						switch {
						case a.Status == 200 && json.Unmarshal(a.Body, &s) == nil:
							goodSignature(t, public, s)
							signed.Add(1)
						case c.refused[a.Code()]:
							refused.Add(1)
						default:
							t.Errorf("%d %s", a.Status, a.Body)
						}
					}
				})
			}
			rounds := 5
			if c.final {
				rounds = 1
			}
			for range rounds {
				before, seen := signed.Load(), refused.Load()
				until(t, "calls are under way", func() bool { return signed.Load() > before+5 })
				c.away(key.KeyId)
				if a := sign(); a.Status == 200 || !c.refused[a.Code()] {
					t.Errorf("afterwards: %d %s", a.Status, a.Body)
				}
				until(t, "calls are refused", func() bool { return refused.Load() > seen+5 })
				if !c.final {
					c.back(key.KeyId)
				}
			}
			over.Store(1)
			callers.Wait()
		})
	}
}
