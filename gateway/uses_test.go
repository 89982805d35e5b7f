package gateway_test

import (
	"context"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

func lastUse(g *gatewaytest.Gateway, key string) api.GetKeyLastUsageResponse {
	var out api.GetKeyLastUsageResponse
	g.Call("GET", "/v1/keys/"+key+"/last-usage", nil, &out)
	return out
}

// TestLastUse: an allowed use of the key's material is told at once, with the
// request of its audit record; nothing else is a use.
func TestLastUse(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, other := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.P256, api.SignVerify)
	never := lastUse(g, key.KeyId)
	if never.KeyId != key.Arn || never.KeyLastUsage == nil || *never.KeyLastUsage != (api.KeyLastUsageData{}) ||
		!never.KeyCreationDate.Equal(key.CreationDate.Time) || !never.TrackingStartDate.Equal(key.CreationDate.Time) {
		t.Errorf("before any use: %+v", never)
	}
	in := map[string]any{"Message": []byte("m"), "SigningAlgorithm": api.ECDSASHA256}
	path := "/v1/keys/" + key.KeyId
	send := func(path string, body any) string {
		return g.Send(g.Admin.Token, "POST", path, body).Header.Get("X-Request-Id")
	}
	before := time.Now().Truncate(time.Millisecond)
	signed := send(path+"/sign", in)
	want := func(operation, request string) {
		t.Helper()
		u := lastUse(g, key.KeyId).KeyLastUsage
		if string(u.Operation) != operation || u.KmsRequestId != request || u.Timestamp == nil || u.Timestamp.Before(before) || u.Timestamp.After(time.Now()) {
			t.Errorf("%+v, want %s by %s", u, operation, request)
		}
	}
	want("Sign", signed)
	signature := sign(t, g, key.KeyId, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	verified := send("/v1/keys/"+key.KeyId+"/verify", with(in, "Signature", signature))
	want("Verify", verified)
	g.Send(g.Principal("nobody", policy.RoleUser).Token, "POST", path+"/sign", in)
	send(path+"/sign", with(in, "DryRun", true))
	send(path+"/sign", withChanged(in, "SigningAlgorithm", "ECDSA_SHA_384"))
	send(path+"/verify", with(in, "Signature", []byte("no signature")))
	g.Call("GET", path+"/public-key", nil, nil)
	send(path+"/disable", nil)
	send(path+"/sign", in)
	want("Verify", verified)
	if u := lastUse(g, other.KeyId).KeyLastUsage; u.Operation != "" {
		t.Errorf("of another key: %+v", u)
	}
}

// TestLastUsesAreWritten: by Flush and by Run, each new one once, and the newest
// of several processes counts.
func TestLastUsesAreWritten(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, gone := g.CreateKey(api.P256, api.SignVerify).KeyId, g.CreateKey(api.P256, api.SignVerify).KeyId
	in := api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}
	sign(t, g, key, in)
	sign(t, g, gone, in)
	if _, ok := g.Store.LastUse(gatewaytest.Region, key); ok {
		t.Error("a call waited for the database")
	}
	if err := g.Store.DeleteKey(t.Context(), gatewaytest.Region, gone); err != nil {
		t.Fatal(err)
	}
	written := func() *store.LastUse {
		u, _ := g.Store.LastUse(gatewaytest.Region, key)
		return u
	}
	if err := g.Service.Flush(t.Context()); err != nil || written() == nil || written().Operation != "Sign" {
		t.Fatalf("%+v %v", written(), err)
	}
	again, err := store.Open(t.Context(), g.StorePath, gatewaytest.Region) // as the next start does
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := again.LastUse(gatewaytest.Region, key); !ok || *u != *written() {
		t.Errorf("%+v", u)
	}
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if err := again.SetLastUses(t.Context(), []store.LastUse{{Region: gatewaytest.Region, KeyID: key, Operation: "Decrypt", RequestID: "r", UsedAt: later}}); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	g.Store.Watch(t.Context())
	until(t, "what another process wrote is told", func() bool { return lastUse(g, key).KeyLastUsage.Operation == "Decrypt" })
	g.Advance(2 * time.Hour)
	sign(t, g, key, in)
	if u := lastUse(g, key).KeyLastUsage; u.Operation != "Sign" {
		t.Errorf("%+v", u)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go g.Service.Run(ctx, time.Hour)
	until(t, "Run writes it", func() bool { return written().Operation == "Sign" && written().UsedAt.After(later) })
}

// TestLastUseOfAnOlderKey: the tracking began later than the key.
func TestLastUseOfAnOlderKey(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	since, err := g.Store.UsesSince(t.Context())
	if err != nil || since.After(time.Now()) || since.Before(time.Now().Add(-time.Hour)) {
		t.Fatalf("since %s: %v", since, err)
	}
	k := &store.Key{Region: gatewaytest.Region, ID: "1234abcd-12ab-34cd-56ef-1234567890ab", State: store.StateEnabled, CreatedAt: time.Now().Add(-1000 * day), Line: store.Line{
		Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY", Versions: []store.Version{{Number: 1, ObjectID: []byte{1}, PublicKey: []byte{1}, CreatedAt: time.Now()}}}}
	if err := g.Store.InsertKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if out := lastUse(g, k.ID); !out.TrackingStartDate.Equal(since) || !out.KeyCreationDate.Before(since) {
		t.Errorf("%+v, and the tracking began %s", out, since)
	}
}
