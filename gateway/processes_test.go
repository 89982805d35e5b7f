package gateway_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// process is one of several that share a database and a token.
type process struct {
	store   *store.Store
	service *gateway.Service
}

// twoProcesses are a gateway and another one on its database and token, each with
// an audit log of its own.
func twoProcesses(t *testing.T) (*gatewaytest.Gateway, [2]process) {
	t.Helper()
	g := gatewaytest.New(t)
	s, err := store.Open(t.Context(), g.StorePath, gatewaytest.Region)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	log, err := audit.Open(filepath.Join(t.TempDir(), "audit.log"), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	second := gateway.New(gateway.Config{
		Names: gateway.Names{Account: gatewaytest.Account, Region: gatewaytest.Region}, Name: "second",
		Store: s, Token: g.Token, Audit: log, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Now: g.Now,
	})
	if err := second.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	both := [2]process{{g.Store, g.Service}, {s, second}}
	for _, p := range both {
		p.store.Watch(t.Context())
	}
	return g, both
}

// ask has a process perform an operation.
func (p process) ask(t *testing.T, g *gatewaytest.Gateway, name, key string, in any) *api.Error {
	op, _ := gateway.OpNamed(name)
	c := &gateway.Call{RequestID: uuid.NewString(), Face: "rest", Principal: admin(g)}
	_, err := p.service.Do(t.Context(), c, op, func(to any) *api.Error {
		if in != nil {
			reflect.ValueOf(to).Elem().Set(reflect.ValueOf(in))
		}
		to.(interface{ SetKeyRef(string) }).SetKeyRef(key)
		return nil
	})
	return err
}

// knows waits until a process has seen a key.
func (p process) knows(t *testing.T, key string) {
	t.Helper()
	until(t, "the other process sees the key", func() bool { _, ok := p.store.Key(gatewaytest.Region, key); return ok })
}

// atOnce has both processes do something so many times at the same time.
func atOnce(both [2]process, times int, do func(p process, n int)) {
	var all sync.WaitGroup
	for which, p := range both {
		all.Go(func() {
			for n := range times {
				do(p, which*times+n)
			}
		})
	}
	all.Wait()
}

// oneEach wants one object for each version in the token, and nothing on its way.
func oneEach(t *testing.T, g *gatewaytest.Gateway, objects int) {
	t.Helper()
	held, err := g.Token.Objects(t.Context())
	differences, err2 := gateway.Compare(t.Context(), g.Store, gateway.DefaultToken, g.Token)
	if err != nil || err2 != nil || len(held) != objects || len(differences) != 0 || len(g.Store.Pending()) != 0 {
		t.Errorf("%d objects, want %d; %v; %d pending (%v %v)", len(held), objects, differences, len(g.Store.Pending()), err, err2)
	}
}

// TestTwoProcessesRotateOnce: what is due in both, or asked of both, is done once.
func TestTwoProcessesRotateOnce(t *testing.T) {
	t.Parallel()
	g, both := twoProcesses(t)
	const keys = 6
	var due, asked []string
	for n := range keys {
		key := g.CreateKey(api.P256, api.SignVerify).KeyId
		if n%2 == 0 {
			key = g.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId
		}
		if err := g.Store.SetRotation(t.Context(), key, 90, g.Now()); err != nil {
			t.Fatal(err)
		}
		due, asked = append(due, key), append(asked, g.CreateKey(api.P256, api.SignVerify).KeyId)
	}
	for _, key := range append(due, asked...) {
		both[1].knows(t, key)
	}
	atOnce(both, 3, func(p process, _ int) { p.service.Round(t.Context()) })
	done := make([]atomic.Int64, keys)
	atOnce(both, 3, func(p process, _ int) {
		for n, key := range asked {
			switch err := p.ask(t, g, "RotateKeyOnDemand", key, nil); {
			case err == nil:
				done[n].Add(1)
			case err.Code != api.Conflict:
				t.Errorf("%v (%v)", err, err.Cause)
			}
		}
	})
	for _, p := range both { // each has seen what the other did last
		if err := p.ask(t, g, "TagResource", due[0], api.TagResourceRequest{Tags: []api.Tag{{TagKey: "seen"}}}); err != nil {
			t.Fatal(err)
		}
		for n := range keys {
			one, _ := p.store.Key(gatewaytest.Region, due[n])
			two, _ := p.store.Key(gatewaytest.Region, asked[n])
			if len(one.Versions) != 2 || len(two.Versions) != 2 || done[n].Load() != 1 {
				t.Errorf("%d versions of a key that was due, %d of one that %d callers rotated", len(one.Versions), len(two.Versions), done[n].Load())
			}
		}
	}
	surplus := 0
	for n := range keys { // CreateKey of the due pairs that were replaced by secrets
		if n%2 == 0 {
			surplus++
		}
	}
	oneEach(t, g, 4*keys+surplus)
}

// TestTwoProcessesDelete: keys whose date has come are gone once, whoever does it.
func TestTwoProcessesDelete(t *testing.T) {
	t.Parallel()
	g, both := twoProcesses(t)
	kept := g.CreateKey(api.P256, api.SignVerify).KeyId
	for range 5 {
		key := g.CreateKey(api.P256, api.SignVerify).KeyId
		rotateNow(t, g, key)
		g.Call("POST", "/v1/keys/"+key+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
		both[1].knows(t, key)
	}
	g.Advance(8 * day)
	atOnce(both, 3, func(p process, _ int) { p.service.Round(t.Context()) })
	for _, p := range both {
		until(t, "nothing is on its way", func() bool { return len(p.store.Undestroyed()) == 0 && len(p.store.Deleted()) == 5 })
		if err := p.ask(t, g, "Sign", kept, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}); err != nil {
			t.Error(err)
		}
	}
	oneEach(t, g, 1)
}

// TestTwoProcessesSeeEachOther: aliases and states that one has changed, and no
// change of tags is lost.
func TestTwoProcessesSeeEachOther(t *testing.T) {
	t.Parallel()
	g, both := twoProcesses(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	both[1].knows(t, key)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/a", TargetKeyId: key}, nil)
	message := api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}
	until(t, "the second signs by the alias", func() bool { return both[1].ask(t, g, "Sign", "alias/a", message) == nil })
	if err := both[1].ask(t, g, "DisableKey", key, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the first sees that the key is disabled", func() bool {
		err := both[0].ask(t, g, "Sign", "alias/a", message)
		return err != nil && err.Code == api.Disabled
	})
	atOnce(both, 20, func(p process, n int) {
		if err := p.ask(t, g, "TagResource", key, api.TagResourceRequest{Tags: []api.Tag{{TagKey: fmt.Sprint("t", n)}}}); err != nil {
			t.Error(err)
		}
		if err := p.ask(t, g, "UntagResource", key, api.UntagResourceRequest{TagKeys: []string{fmt.Sprint("t", n-1)}}); err != nil {
			t.Error(err)
		}
	})
	for _, p := range both {
		until(t, "both have the last tag of each alone", func() bool {
			k, _ := p.store.Key(gatewaytest.Region, key)
			return len(k.Tags) == 2 && k.Tags[0].Name == "t19" && k.Tags[1].Name == "t39" ||
				len(k.Tags) == 1 && k.Tags[0].Name == "t39" // t19 goes when the second begins with t20 late
		})
	}
}
