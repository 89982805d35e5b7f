package gateway_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestImportedMaterialPassesForNoOther: a key that the token is said to have made,
// with material that was brought in, is named; keys of either origin are not.
func TestImportedMaterialPassesForNoOther(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	if !g.Token.KeepsNeverExtractable() {
		t.Fatal("SoftHSM keeps CKA_NEVER_EXTRACTABLE")
	}
	g.CreateKey(api.P256, api.SignVerify)
	g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	own := external(t, g, api.P256, api.SignVerify).KeyId
	m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
	bring(t, g, own, parameters(t, g, own, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, m.Value))
	agreed(t, g, "keys of either origin", 4)

	w, pem := hsmtest.WrappingKey(t, g.Token, 2048)
	k := &store.Key{Region: gatewaytest.Region, ID: uuid.NewString(), State: store.StateEnabled, CreatedAt: g.Now(), Line: store.Line{
		Spec: string(api.P256), Usage: string(api.SignVerify), Origin: string(api.OriginAWSKMS),
		Versions: []store.Version{{Number: 1, ObjectID: hsm.NewID(), CreatedAt: g.Now(), CurrentAt: g.Now()}}}}
	v := &k.Versions[0]
	made, err := g.Token.Import(t.Context(), w, hsm.WrapOAEPSHA1, hsmtest.Wrap(t, pem, hsm.WrapOAEPSHA1, m.Value), hsm.NISTP256, hsm.UseSign, v.ObjectID, k.ID, true)
	if v.PublicKey = made.Public; err == nil {
		err = g.Store.InsertKey(t.Context(), k)
	}
	if err != nil {
		t.Fatal(err)
	}
	differences, err := gateway.Compare(t.Context(), g.Store, gateway.DefaultToken, g.Token)
	if err != nil || len(differences) != 2 { // and the wrapping key, which is not in the store
		t.Fatalf("%v %v", differences, err)
	}
	if d := differences[0]; d.KeyMissing || !strings.Contains(d.String(), k.ID) || !strings.Contains(d.String(), "once extractable or imported") {
		t.Errorf("%+v", d)
	}
}

// TestDestroyedObjectsAreForgotten: memory keeps nothing of what the token no longer has.
func TestDestroyedObjectsAreForgotten(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	g.Service.CountUses(8, 64)
	deleted := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	taken := external(t, g, api.Symmetric, api.EncryptDecrypt).KeyId
	bring(t, g, taken, parameters(t, g, taken, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, hsmtest.MaterialOf(t, hsm.Symmetric, hsm.UseCipher).Value))
	objects := [][]byte{stored(t, g, deleted).Versions[0].ObjectID, stored(t, g, taken).Versions[0].ObjectID, g.Store.ImportKeys()[0].ObjectID}
	for _, key := range []string{deleted, taken} {
		encrypt(g, key, []byte("m"), nil)
	}
	for _, o := range objects {
		if !g.Service.Remembers(o) {
			t.Fatal("nothing to forget")
		}
	}
	g.Call("POST", "/v1/keys/"+taken+"/delete-imported", nil, nil)
	g.Call("POST", "/v1/keys/"+deleted+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
	g.Advance(8 * day)
	g.Service.Round(t.Context())
	g.Service.Round(t.Context())
	for n, o := range objects {
		if g.Service.Remembers(o) {
			t.Errorf("object %d is remembered", n)
		}
	}
}

// TestWhatOthersDestroyIsForgotten: a process keeps nothing of what another one destroyed.
func TestWhatOthersDestroyIsForgotten(t *testing.T) {
	t.Parallel()
	one := gatewaytest.New(t)
	two := gatewaytest.NewWith(t, gatewaytest.Options{Name: "two", Beside: one})
	deleted, kept := one.CreateKey(api.Symmetric, api.EncryptDecrypt), one.CreateKey(api.Symmetric, api.EncryptDecrypt)
	if err := two.Store.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, stays := stored(t, one, deleted.KeyId).Versions[0].ObjectID, stored(t, one, kept.KeyId).Versions[0].ObjectID
	encrypt(two, deleted.KeyId, []byte("m"), nil)
	encrypt(two, kept.KeyId, []byte("m"), nil)
	if err := two.Service.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !two.Service.Remembers(gone) || !two.Service.NotesUse(deleted.Arn) {
		t.Fatal("nothing to forget")
	}
	one.Call("POST", "/v1/keys/"+deleted.KeyId+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
	one.Advance(8 * day)
	one.Service.Round(t.Context())
	if err := two.Store.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	two.Service.Round(t.Context())
	if err := two.Service.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if two.Service.Remembers(gone) || two.Service.NotesUse(deleted.Arn) {
		t.Error("the destroyed key is remembered")
	}
	if !two.Service.Remembers(stays) || !two.Service.NotesUse(kept.Arn) {
		t.Error("another key is forgotten")
	}
}
