package gateway_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestCallersTakeTurns at the token: one with forty connections does not have
// another one's call wait for forty.
func TestCallersTakeTurns(t *testing.T) {
	t.Parallel()
	const greedy = 40
	token := hsmtest.NewToken(t)
	token.MaxSessions, token.WaitTimeout = 1, time.Minute
	g := gatewaytest.NewOn(t, token)
	key := g.CreateKey(api.RSA4096, api.SignVerify).KeyId // slow, so that the token is what callers wait for
	crowd, modest := g.Principal("crowd", policy.RoleUser, key), g.Principal("modest", policy.RoleUser, key)
	sign := func(token string) {
		if a := g.Send(token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	var stop atomic.Bool
	var all sync.WaitGroup
	for range greedy {
		all.Go(func() {
			for !stop.Load() {
				sign(crowd.Token)
			}
		})
	}
	passed := func(token string) uint64 {
		until(t, "the others wait", func() bool { return g.Token.Stats().Waiting > greedy*3/4 })
		before := g.Token.Stats().Calls
		sign(token)
		return g.Token.Stats().Calls - before
	}
	var turns, line []uint64
	for range 5 {
		turns, line = append(turns, passed(modest.Token)), append(line, passed(crowd.Token))
	}
	stop.Store(true)
	all.Wait()
	if slices.Sort(turns); turns[2] > greedy/4 {
		t.Errorf("%v calls of the crowd came first", turns)
	}
	if slices.Sort(line); line[2] < greedy/2 { // or this test shows nothing
		t.Errorf("only %v calls of the crowd came before its last", line)
	}
}
