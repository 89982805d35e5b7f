package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestCallersTakeTurns at the token: one with forty connections does not have
// another one's call wait for forty. All sessions of a role are one, whose names cost
// nothing.
func TestCallersTakeTurns(t *testing.T) {
	t.Parallel()
	token := hsmtest.NewToken(t)
	token.MaxSessions, token.WaitTimeout = 1, time.Minute
	g := gatewaytest.NewOn(t, token)
	key := g.CreateKey(api.RSA4096, api.SignVerify).KeyId // slow, so that the token is what callers wait for
	modest, crowd := g.Principal("modest", policy.RoleUser, key), g.Principal("crowd", policy.RoleUser, key)
	t.Run("a user", func(t *testing.T) { takeTurns(t, g, key, modest.Token, func(int) string { return crowd.Token }) })
	_, err := g.Identities.CreateRole(t.Context(), "jobs", policy.RoleUser, []string{key}, g.Now())
	noError(t, err)
	var jobs []string
	for i := range greedy {
		s, err := g.Identities.NewRoleSession("jobs", identity.Proof{Session: fmt.Sprint("job-", i)}, "", time.Hour, g.Now())
		noError(t, err)
		jobs = append(jobs, s.Bearer)
	}
	t.Run("sessions of a role", func(t *testing.T) { takeTurns(t, g, key, modest.Token, func(i int) string { return jobs[i] }) })
}

const greedy = 40

// takeTurns has a crowd sign, and looks how many of it come before a call of somebody else.
func takeTurns(t *testing.T, g *gatewaytest.Gateway, key, modest string, crowd func(i int) string) {
	sign := func(token string) {
		if a := g.Send(token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}); a.Status != http.StatusOK {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := range greedy {
		all.Go(func() {
			for !stop.Load() {
				sign(crowd(i))
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
		turns, line = append(turns, passed(modest)), append(line, passed(crowd(0)))
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
