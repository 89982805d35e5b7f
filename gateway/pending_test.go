package gateway_test

import (
	"cmp"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// addVersion gives a key another version with an object of its own.
func addVersion(t testing.TB, g *gatewaytest.Gateway, key string) []byte {
	t.Helper()
	k, _ := g.Store.Key(gatewaytest.Region, key)
	v := store.Version{Number: len(k.Versions) + 1, ObjectID: hsm.NewID(), CreatedAt: time.Now(), CurrentAt: time.Now()}
	err := g.Store.PendObject(t.Context(), store.PendingObject{ObjectID: v.ObjectID, KeyID: key, Since: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if v.PublicKey, err = g.Token.Generate(t.Context(), hsm.KeySpec(k.Spec), hsm.UseSign, v.ObjectID, key); err == nil {
		err = g.Store.AddVersion(t.Context(), key, v, time.Time{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return v.ObjectID
}

// threeVersions makes a key with three objects in the token.
func threeVersions(t testing.TB, g *gatewaytest.Gateway) string {
	t.Helper()
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	addVersion(t, g, key)
	addVersion(t, g, key)
	return key
}

// labelled counts the objects of a key in the token.
func labelled(t testing.TB, token *hsm.Token, key string) int {
	t.Helper()
	objects, err := token.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range objects {
		if o.Label == key {
			n++
		}
	}
	return n
}

// TestAllVersionsAreDestroyed with the key, and those of another stay.
func TestAllVersionsAreDestroyed(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, kept := threeVersions(t, g), threeVersions(t, g)
	g.Call("POST", "/v1/keys/"+key+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
	g.Advance(8 * day)
	start(t, g)
	if labelled(t, g.Token, key) != 0 || labelled(t, g.Token, kept) != 3 || len(g.Store.Undestroyed()) != 0 {
		t.Errorf("%d objects of the deleted key, %d of the other", labelled(t, g.Token, key), labelled(t, g.Token, kept))
	}
	if records := own(g); len(records) != 2 || records[1].Outcome != "allowed" || records[1].KeyVersion != 3 {
		t.Errorf("%+v", records)
	}
}

// tokenFolder is where SoftHSM keeps a token: its name ends with the serial number.
func tokenFolder(t testing.TB, token hsm.Config) string {
	t.Helper()
	all := hsmtest.Folder(t)
	entries, err := os.ReadDir(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(strings.ReplaceAll(e.Name(), "-", ""), token.Serial) {
			return filepath.Join(all, e.Name())
		}
	}
	t.Fatalf("no token with serial number %s", token.Serial)
	return ""
}

// files counts what is in a folder: SoftHSM has two files for each object.
func files(t testing.TB, folder string) int {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// startAgain starts a second service on the same parts, as the next life of the
// process does, with the token opened anew.
func startAgain(t testing.TB, g *gatewaytest.Gateway) *hsm.Token {
	t.Helper()
	token := hsmtest.Open(t, g.TokenAt)
	s := gateway.New(gateway.Config{
		Name: gatewaytest.Name, Names: gateway.Names{Account: gatewaytest.Account, Region: gatewaytest.Region},
		Store: g.Store, Token: token, Audit: g.Audit, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Now: g.Now,
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return token
}

// TestDestructionGoesOn: the token goes away between the first and the last of
// three objects of a deleted key. The next start destroys the rest.
func TestDestructionGoesOn(t *testing.T) {
	t.Parallel()
	const attempts = 30
	for range attempts {
		if destroyedHalf(t) {
			return
		}
	}
	t.Errorf("the token never went away between two objects in %d attempts", attempts)
}

// destroyedHalf is false when the token was not taken away in between.
func destroyedHalf(t *testing.T) bool {
	t.Helper()
	g := gatewaytest.New(t)
	key, kept := threeVersions(t, g), threeVersions(t, g)
	g.Call("POST", "/v1/keys/"+key+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
	g.Advance(8 * day)
	folder := tokenFolder(t, g.TokenAt)
	whole := files(t, folder)
	started := make(chan struct{})
	go func() {
		defer close(started)
		_ = g.Service.Start(t.Context()) // it cannot compare at its end
	}()
	for destroying := true; destroying && files(t, folder) == whole; {
		select {
		case <-started:
			destroying = false
		default:
		}
	}
	_ = g.Token.Close()
	<-started
	if waiting := g.Store.Undestroyed(); len(waiting) == 0 {
		return false // all were gone before
	}
	between := hsmtest.Open(t, g.TokenAt)
	left := labelled(t, between, key)
	if left != 1 && left != 2 {
		return false
	}
	token := startAgain(t, g)
	if n := labelled(t, token, key); n != 0 || len(g.Store.Undestroyed()) != 0 || labelled(t, token, kept) != 3 {
		t.Errorf("%d of %d objects are still there", n, left)
	}
	outcomes := ""
	for _, r := range own(g) {
		if r.Phase == "" && r.KeyID == key {
			outcomes += r.Outcome + " "
		}
	}
	if outcomes != "failed allowed " {
		t.Errorf("the destruction was recorded as %s", outcomes)
	}
	return true
}

// pend makes an object in the token that is noted as pending.
func pend(t testing.TB, g *gatewaytest.Gateway, o store.PendingObject) string {
	t.Helper()
	o.ObjectID, o.Owner = hsm.NewID(), cmp.Or(o.Owner, gatewaytest.Name)
	err := g.Store.PendObject(t.Context(), o)
	if err == nil {
		_, err = g.Token.Generate(t.Context(), hsm.NISTP256, hsm.UseSign, o.ObjectID, o.KeyID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(o.ObjectID)
}

// TestPendingObjectsAreSettled: those of this process that nobody is making, and those
// of others that nobody can still be making.
func TestPendingObjectsAreSettled(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	now := time.Now()
	own1 := pend(t, g, store.PendingObject{KeyID: key, Number: 2, Since: now})
	old := pend(t, g, store.PendingObject{KeyID: key, Owner: "another", Since: now.Add(-2 * time.Hour)})
	doomed := pend(t, g, store.PendingObject{KeyID: key, Since: now, Doomed: true})
	made := pend(t, g, store.PendingObject{KeyID: key, Number: 3, Owner: "another", Since: now})
	elsewhere := pend(t, g, store.PendingObject{KeyID: key, Token: "not here", Since: now, Doomed: true})
	start(t, g)
	for name, there := range map[string]bool{own1: false, old: false, doomed: false, made: true, elsewhere: true} {
		if inToken(t, g, name) != there {
			t.Errorf("%s: there is %v", name, !there)
		}
	}
	if left := g.Store.Pending(); len(left) != 2 || !inToken(t, g, key) {
		t.Errorf("still pending: %+v", left)
	}
	if text := differences(g); text != "" {
		t.Errorf("reported: %s", text)
	}
	outcomes := make(map[string]string)
	for _, r := range own(g) {
		if r.Operation != "DestroyObject" || r.KeyID != key {
			t.Errorf("%+v", r)
		}
		outcomes[r.Resource] += r.Phase + r.Outcome + " "
	}
	for name, want := range map[string]string{own1: "started allowed ", old: "started allowed ", doomed: "started allowed ", made: "", elsewhere: "started failed "} {
		if outcomes[name] != want {
			t.Errorf("%s is recorded as %q, want %q", name, outcomes[name], want)
		}
	}
	before := len(own(g))
	start(t, g) // at once again: what failed waits
	if n := len(own(g)) - before; n != 0 {
		t.Errorf("%d more records", n)
	}
}

// TestRunSettlesDoomedObjects, and not those that another process is making.
func TestRunSettlesDoomedObjects(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	go g.Service.Run(t.Context(), 5*time.Millisecond)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	made := pend(t, g, store.PendingObject{KeyID: key, Number: 2, Owner: "another", Since: time.Now()})
	id := pend(t, g, store.PendingObject{KeyID: key, Number: 3, Since: time.Now()})
	object, err := hex.DecodeString(id)
	if err == nil {
		_, err = g.Store.DoomObject(t.Context(), object)
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the doomed object is settled", func() bool { return len(g.Store.Pending()) == 1 })
	if inToken(t, g, id) || !inToken(t, g, made) {
		t.Error("the wrong object is gone")
	}
}

// TestMaterialInUseIsNeverDestroyed, whatever the list of doomed objects says.
func TestMaterialInUseIsNeverDestroyed(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	k, _ := g.Store.Key(gatewaytest.Region, key)
	if err := g.Store.PendObject(t.Context(), store.PendingObject{ObjectID: k.Versions[0].ObjectID, KeyID: key, Since: time.Now(), Doomed: true}); err != nil {
		t.Fatal(err)
	}
	start(t, g)
	if !inToken(t, g, key) || len(own(g)) != 0 {
		t.Errorf("the key is gone: %+v", own(g))
	}
	sign(t, g, key, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
}

// TestImportPairsAreNoStrangers: the store knows them, under another name.
func TestImportPairsAreNoStrangers(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	id := hsm.NewID()
	public, err := g.Token.Generate(t.Context(), hsm.RSA2048, hsm.UseDecrypt, id, "import")
	if err == nil {
		err = g.Store.PendObject(t.Context(), store.PendingObject{ObjectID: id, KeyID: key, Since: time.Now()})
	}
	if err == nil {
		err = g.Store.InsertImportKey(t.Context(), &store.ImportKey{ID: "i", Region: gatewaytest.Region, KeyID: key, ObjectID: id, PublicKey: public, ExpiresAt: time.Now().Add(day)})
	}
	if err != nil {
		t.Fatal(err)
	}
	start(t, g)
	if text := differences(g); text != "" || !inToken(t, g, "import") {
		t.Errorf("reported: %s", text)
	}
}
