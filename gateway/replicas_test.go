package gateway_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
	"github.com/hsmgate/hsmgate/hsm"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// onBoth runs a test with two processes on one token and one database, of each
// kind.
func onBoth(t *testing.T, test func(t *testing.T, one, two *gatewaytest.Gateway)) {
	t.Helper()
	t.Parallel()
	for name, options := range map[string]func() gatewaytest.Options{
		"sqlite": func() gatewaytest.Options {
			return gatewaytest.Options{StorePath: filepath.Join(t.TempDir(), "hsmgate.db")}
		},
		"postgres": func() gatewaytest.Options { return gatewaytest.Options{StoreDSN: storetest.DSN(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := gatewaytest.NewWith(t, options())
			two := gatewaytest.NewWith(t, gatewaytest.Options{Name: "two", Beside: one})
			for _, g := range []*gatewaytest.Gateway{one, two} {
				g.Store.Watch(t.Context())
			}
			test(t, one, two)
		})
	}
}

// insertIntent leaves a creation that has not ended, with its object in the token.
func insertIntent(t testing.TB, g *gatewaytest.Gateway, owner string) string {
	t.Helper()
	k := &store.Key{Region: gatewaytest.Region, ID: uuid.NewString(), State: store.StateCreating, CreatedAt: g.Now(), Line: store.Line{
		Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY", Owner: owner, OwnedAt: g.Now(), Versions: []store.Version{{Number: 1, ObjectID: hsm.NewID(), CreatedAt: g.Now()}}}}
	if err := g.Store.InsertKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Token.Generate(t.Context(), hsm.NISTP256, hsm.UseSign, k.Versions[0].ObjectID, k.ID); err != nil {
		t.Fatal(err)
	}
	return k.ID
}

// A process removes what itself or nobody has left behind, and leaves what
// another has begun alone until that one has had its time.
func TestStartLeavesTheCreationsOfOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		mine, theirs, nobodys := insertIntent(t, one, "one"), insertIntent(t, one, "two"), insertIntent(t, one, "")
		start(t, one)
		for id, want := range map[string]bool{mine: false, theirs: true, nobodys: false} {
			if inToken(t, one, id) != want {
				t.Errorf("in the token: %v", !want)
			}
		}
		one.Advance(store.ClaimFor - time.Minute)
		start(t, one)
		if len(one.Store.Creating()) != 1 {
			t.Error("a creation of another process was removed before its time")
		}
		one.Advance(2 * time.Minute)
		start(t, one)
		if inToken(t, one, theirs) || len(one.Store.Creating())+len(one.Store.Undestroyed()) != 0 {
			t.Error("what a process that is gone has begun stays")
		}
		start(t, two)
		if len(own(two)) != 0 {
			t.Errorf("done twice: %+v", own(two))
		}
	})
}

// Creations go on while processes start and look for what is left behind.
func TestCreationsWhileOthersStart(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		done := make(chan struct{})
		var starting sync.WaitGroup
		for _, g := range []*gatewaytest.Gateway{one, two} {
			starting.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						if err := g.Service.Start(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		var creating sync.WaitGroup
		for _, g := range []*gatewaytest.Gateway{one, two} {
			creating.Go(func() {
				for range 8 {
					a := g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify})
					if a.Status != http.StatusOK {
						t.Errorf("%d %s", a.Status, a.Body)
					}
				}
			})
		}
		creating.Wait()
		close(done)
		starting.Wait()
		until(t, "both know all keys", func() bool { return one.Store.KeyCount() == 16 && two.Store.KeyCount() == 16 })
		if n := len(one.Store.Deleted()); n != 0 {
			t.Errorf("%d keys were removed", n)
		}
	})
}

// A key that is due is destroyed by one process, which alone records it.
func TestOneProcessDestroysAKey(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		var keys []string
		for range 6 {
			key := one.CreateKey(api.P256, api.SignVerify).KeyId
			one.Call("POST", "/v1/keys/"+key+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
			keys = append(keys, key)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, g := range []*gatewaytest.Gateway{one, two} {
			g.Advance(7*day + time.Minute)
			running.Go(func() { g.Service.Run(ctx, time.Millisecond) })
		}
		for _, g := range []*gatewaytest.Gateway{one, two} {
			until(t, "the keys are destroyed", func() bool { return len(g.Store.Deleted()) == 6 && len(g.Store.Undestroyed()) == 0 })
		}
		stop()
		running.Wait()
		var started, ended []string
		for _, r := range append(own(one), own(two)...) {
			if r.Phase == "started" {
				started = append(started, r.KeyID)
			} else {
				ended = append(ended, r.KeyID)
			}
		}
		for _, list := range [][]string{keys, started, ended} {
			slices.Sort(list)
		}
		if !slices.Equal(started, keys) || !slices.Equal(ended, keys) {
			t.Errorf("of %d keys, %d were begun and %d ended", len(keys), len(started), len(ended))
		}
		for _, key := range keys {
			if inToken(t, one, key) {
				t.Error("a key is still in the token")
			}
		}
	})
}

// What is done on one process is in force on the other; the figures are printed.
// Each keeps its own audit log.
func TestTwoProcessesAreOneGateway(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		var slowest time.Duration
		follows := func(what string, happened func() bool) {
			t.Helper()
			begin := time.Now()
			until(t, what, happened)
			slowest = max(slowest, time.Since(begin))
		}
		signs := func(g *gatewaytest.Gateway, key string) int {
			return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}).Status
		}
		for i, pair := range [][2]*gatewaytest.Gateway{{one, two}, {two, one}, {one, two}} {
			here, there := pair[0], pair[1]
			key := here.CreateKey(api.P256, api.SignVerify).KeyId
			follows("the key signs on the other", func() bool { return signs(there, key) == 200 })
			alias := "alias/" + string(rune('a'+i))
			there.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: alias, TargetKeyId: key}, nil)
			follows("the alias signs on the other", func() bool { return signs(here, alias) == 200 })
			here.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
			follows("the key is disabled on the other", func() bool { return signs(there, key) == 409 })
			there.Call("POST", "/v1/keys/"+key+"/enable", nil, nil)
			follows("the key is enabled on the other", func() bool { return signs(here, alias) == 200 })
			here.Call("DELETE", "/v1/aliases/"+alias, nil, nil)
			follows("the alias is gone on the other", func() bool { return signs(there, alias) == 404 })
			// A key of the other that this one does not know yet: the write knows.
			other := there.CreateKey(api.P256, api.SignVerify).KeyId
			here.Send(here.Admin.Token, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: alias, TargetKeyId: key})
			a := there.Send(there.Admin.Token, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: alias, TargetKeyId: other})
			refusal(t, a, 409, api.AlreadyExists)
		}
		t.Logf("the other process follows after %s at most", slowest)
		heads := map[string]bool{}
		for _, g := range []*gatewaytest.Gateway{one, two} {
			intact(t, g)
			first, err := os.ReadFile(g.AuditPath)
			if err != nil {
				t.Fatal(err)
			}
			heads[string(first[:min(len(first), 300)])] = true
		}
		if len(heads) != 2 {
			t.Error("both audit logs begin alike")
		}
	})
}

// A revoked credential is refused by the other process, too.
func TestRevocationOnTheOtherProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		user := one.Principal("user", "user")
		asks := func() int { return two.Send(user.Token, "GET", "/v1/aliases", nil).Status }
		until(t, "the user is known", func() bool { return asks() != 401 })
		if err := one.Identities.DeletePrincipal(t.Context(), user.ARN); err != nil {
			t.Fatal(err)
		}
		until(t, "the user is refused", func() bool { return asks() == 401 })
	})
}

// While the database is away, keys are used and nothing is changed; after the
// limit, nothing is done at all.
func TestTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	server := storetest.New(t)
	patient := gatewaytest.NewWith(t, gatewaytest.Options{StoreDSN: server.DSN(t), StaleLimit: time.Hour})
	strict := gatewaytest.NewWith(t, gatewaytest.Options{Name: "two", Beside: patient, StaleLimit: time.Nanosecond})
	key := patient.CreateKey(api.P256, api.SignVerify).KeyId
	both := []*gatewaytest.Gateway{patient, strict}
	for _, g := range both {
		g.Store.Watch(t.Context())
		until(t, "the key is known", func() bool { return g.Store.KeyCount() == 1 })
	}
	secret := patient.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, g := range both {
		until(t, "it is noticed", func() bool { return g.Store.Ready() != nil })
	}
	sign := func(g *gatewaytest.Gateway) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	}
	ready := func(g *gatewaytest.Gateway) int { return g.Send("", "GET", "/readyz", nil).Status }
	changes := func(g *gatewaytest.Gateway) []gatewaytest.Answer {
		return []gatewaytest.Answer{
			g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/disable", nil),
			g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify}),
			g.Send(g.Admin.Token, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/a", TargetKeyId: key}),
		}
	}
	if a := sign(patient); a.Status != 200 || ready(patient) != 200 {
		t.Errorf("a key cannot be used: %d %s", a.Status, a.Body)
	}
	a := patient.Send(patient.Admin.Token, "POST", "/v1/keys/"+secret+"/encrypt", api.EncryptRequest{Plaintext: []byte("m")})
	refusal(t, a, 503, api.ServiceUnavailable)
	if !strings.Contains(string(a.Body), "cannot reach its database") {
		t.Errorf("an encryption that cannot be counted: %s", a.Body)
	}
	refusal(t, sign(strict), 503, api.ServiceUnavailable)
	if status := ready(strict); status != 503 {
		t.Errorf("/readyz: %d", status)
	}
	for _, g := range both {
		for _, a := range changes(g) {
			refusal(t, a, 503, api.ServiceUnavailable)
		}
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	for _, g := range both {
		until(t, "it heals by itself", func() bool { return g.Store.Ready() == nil && sign(g).Status == 200 && ready(g) == 200 })
	}
	for _, a := range changes(patient) {
		if a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	until(t, "the other follows", func() bool { return sign(strict).Code() == string(api.Disabled) })
}
