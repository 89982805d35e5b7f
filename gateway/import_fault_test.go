package gateway_test

import (
	"database/sql"
	"fmt"
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

// faulty is a gateway with a database whose writes can be made to fail.
type faulty struct {
	*gatewaytest.Gateway
	db *sql.DB
}

func newFaulty(t *testing.T) faulty {
	t.Helper()
	g := gatewaytest.NewWith(t, inMemory)
	db, err := sql.Open("sqlite3", g.StorePath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return faulty{g, db}
}

// failing has writes of that kind fail while f runs.
func (g faulty) failing(t *testing.T, table, event string, f func()) {
	t.Helper()
	exec := func(query string) {
		if _, err := g.db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec(fmt.Sprintf("CREATE TRIGGER fault BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'a fault'); END", event, table))
	f()
	exec("DROP TRIGGER fault")
}

// TestImportsThroughFaultsOfTheStore: whichever write fails, the key is as before,
// or as after, and no object is left that nobody knows.
func TestImportsThroughFaultsOfTheStore(t *testing.T) {
	t.Parallel()
	g := newFaulty(t)
	key := external(t, g.Gateway, api.HMAC256, api.GenerateVerifyMac).KeyId
	m, second := hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC), hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC)
	send := func(path string, in any) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+path, in)
	}
	ask := api.GetParametersForImportRequest{WrappingAlgorithm: api.WrapOAEPSHA1, WrappingKeySpec: api.WrappingRSA2048}
	faults := func(what, path string, in any, objects int, at ...[2]string) {
		t.Helper()
		for _, f := range at {
			before := stored(t, g.Gateway, key)
			g.failing(t, f[0], f[1], func() { refusal(t, send(path, in), 500, api.Internal) })
			what := what + ", " + f[1] + " " + f[0]
			agreed(t, g.Gateway, what, objects)
			if after := stored(t, g.Gateway, key); !reflect.DeepEqual(after, before) {
				t.Errorf("%s: %+v, before %+v", what, after, before)
			}
		}
	}
	faults("parameters", "/import-parameters", ask, 0, [2]string{"pending_objects", "INSERT"}, [2]string{"import_keys", "INSERT"})
	p := parameters(t, g.Gateway, key, api.WrapOAEPSHA1, api.WrappingRSA2048)
	in, next := p.request(t, m.Value), p.request(t, second.Value)
	next.ImportType = api.NewKeyMaterial
	steps := [][2]string{{"pending_objects", "INSERT"}, {"versions", "INSERT"}, {"keys", "UPDATE"}}
	faults("first import", "/import", in, 1, steps...)
	bring(t, g.Gateway, key, in)
	faults("import again", "/import", in, 2, append(steps, [2]string{"versions", "DELETE"})...)
	faults("new material", "/import", next, 2, steps...)
	faults("deletion", "/delete-imported", nil, 2, [2]string{"versions", "INSERT"}, [2]string{"pending_objects", "INSERT"})

	// What cannot be destroyed now is destroyed at the next start.
	g.failing(t, "pending_objects", "DELETE", func() {
		if a := send("/delete-imported", nil); a.Status != 500 && a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	objects := 1
	if stored(t, g.Gateway, key).Versions[0].ObjectID != nil {
		objects = 2
	}
	agreed(t, g.Gateway, "a deletion that is not settled", objects)
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
	undone("first import", "ImportKeyMaterial", &in, equal)
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

// TestImportsThroughCrashes: what is left between two steps is taken up by the next start.
func TestImportsThroughCrashes(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.HMAC256, api.GenerateVerifyMac).KeyId
	p := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048)
	in := p.request(t, hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC).Value)
	wrapping := g.Store.ImportKeys()[0]
	w, err := hsm.NewKey(wrapping.ObjectID, hsm.RSA2048, wrapping.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for step := range 3 { // noted; made under the key's number; a wrapping pair that is made
		object := hsm.NewID()
		err := g.Store.PendObject(t.Context(), store.PendingObject{ObjectID: object, KeyID: key, Number: (step + 1) % 3, Owner: gatewaytest.Name, Since: g.Now()})
		switch {
		case err == nil && step == 1:
			_, err = g.Token.Import(t.Context(), w, hsm.WrapOAEPSHA1, in.EncryptedKeyMaterial, hsm.HMAC256, hsm.UseMAC, object, key, true)
		case err == nil && step == 2:
			_, err = g.Token.GenerateWrapping(t.Context(), 2048, object, key)
		}
		if err != nil {
			t.Fatal(err)
		}
		agreed(t, g, "a crash", 1)
	}
	bring(t, g, key, in)
	agreed(t, g, "an import", 2)
}
