package gateway_test

import (
	"reflect"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// agreed wants token and store to agree after a start, with so many objects in the
// token and nothing on its way.
func agreed(t *testing.T, g *gatewaytest.Gateway, what string, objects int) {
	t.Helper()
	if err := g.Service.Start(t.Context()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	held, err := g.Token.Objects(t.Context())
	differences, err2 := gateway.Compare(t.Context(), g.Store, gateway.DefaultToken, g.Token)
	if err != nil || err2 != nil || len(held) != objects || len(g.Store.Pending()) != 0 || len(differences) != 0 {
		t.Errorf("%s: %d objects, want %d; %d pending; %v (%v %v)", what, len(held), objects, len(g.Store.Pending()), differences, err, err2)
	}
}

// TestImportsThroughFaultsOfTheToken: a token that is away leaves the key as it was.
func TestImportsThroughFaultsOfTheToken(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.HMAC256, api.GenerateVerifyMac).KeyId
	in := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC).Value)
	if err := g.Token.Close(); err != nil {
		t.Fatal(err)
	}
	refusal(t, tryImport(g, key, in), 503, api.KeyUnavailable)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/import-parameters", api.GetParametersForImportRequest{WrappingAlgorithm: api.WrapOAEPSHA1, WrappingKeySpec: api.WrappingRSA2048}), 503, api.KeyUnavailable)
	if k := stored(t, g, key); k.State != store.StatePendingImport || len(k.Versions) != 0 {
		t.Errorf("%+v", k)
	}
	for _, o := range g.Store.Pending() {
		if !o.Doomed {
			t.Errorf("%+v is not to be destroyed", o)
		}
	}
}

// TestImportsWithoutTheirRecords are taken back.
func TestImportsWithoutTheirRecords(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.P256, api.SignVerify).KeyId
	m, second := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign), hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
	objects := 0
	undone := func(what, name string, in any, same func(before, after *store.Key) bool) {
		t.Helper()
		before := stored(t, g, key)
		if err := g.Service.Unrecorded(t.Context(), name, before, in); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		agreed(t, g, what, objects)
		if after := stored(t, g, key); !same(before, after) {
			t.Errorf("%s: %+v, before %+v", what, after, before)
		}
	}
	equal := func(before, after *store.Key) bool { return reflect.DeepEqual(before, after) }
	ask := &api.GetParametersForImportRequest{WrappingAlgorithm: api.WrapOAEPSHA1, WrappingKeySpec: api.WrappingRSA2048}
	undone("parameters", "GetParametersForImport", ask, equal)
	p := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048)
	in, next := p.request(t, m.Value), p.request(t, second.Value)
	next.ImportType = api.NewKeyMaterial
	objects = 1
	// What it is known by stays: somebody may have used it, and it can come back.
	undone("first import", "ImportKeyMaterial", &in, func(_, after *store.Key) bool {
		return after.State == store.StatePendingImport && after.Versions[0].ObjectID == nil
	})
	bring(t, g, key, in)
	objects = 2
	again := in
	again.ExpirationModel, again.ValidTo, again.KeyMaterialDescription = api.KeyMaterialExpires, api.NewTime(g.Now().Add(day)), "another date"
	undone("another date", "ImportKeyMaterial", &again, func(before, after *store.Key) bool {
		b, a := before.Versions[0], after.Versions[0]
		b.ObjectID, a.ObjectID, b.Check, a.Check = nil, nil, nil, nil // the new object of the same material may stay
		return reflect.DeepEqual(a, b) && after.State == before.State
	})
	undone("new material", "ImportKeyMaterial", &next, equal)
	bring(t, g, key, next)
	objects = 3
	undone("rotation", "RotateKeyOnDemand", &api.RotateKeyOnDemandRequest{}, equal)
	g.Call("POST", "/v1/keys/"+key+"/delete-imported", nil, nil)
	objects = 2
	undone("material that comes back", "ImportKeyMaterial", &in, equal)
	verifiesAfter := func() {
		bring(t, g, key, in)
		verifies(t, g, key, m)
	}
	verifiesAfter()
	// A deletion stays: its 'started' record is there, and the material can come back.
	objects = 2
	undone("deletion", "DeleteImportedKeyMaterial", &api.DeleteImportedKeyMaterialRequest{}, func(_, after *store.Key) bool {
		return after.State == store.StatePendingImport && after.Versions[0].ObjectID == nil
	})
	verifiesAfter()
}
