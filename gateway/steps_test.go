package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// walked is an operation that is walked through, step by step. prepare makes what it
// is about, from what it was about before if that helps, and returns its key.
type walked struct {
	name    string
	prepare func(w *world, key string) string
	run     func(w *world, key string) *api.Error
	ends    bool // what it begins, the next start ends
	known   bool // taken back, it leaves what its material is known by: somebody may have used it
	alike   bool // it asks the token for nothing that another walk does not ask for
	starts  bool // it is a start, after whose failure no process goes on
}

// does is an operation that a caller asks for.
func does(name string, in any) func(*world, string) *api.Error {
	return func(w *world, key string) *api.Error {
		_, err := w.call(name, key, in)
		return err
	}
}

// round is what the gateway does of itself.
func round(w *world, _ string) *api.Error {
	w.service.Round(w.t.Context())
	return nil
}

// fresh prepares a key of a kind.
func fresh(in api.CreateKeyRequest) func(*world, string) string {
	return func(w *world, _ string) string { return w.create(in) }
}

var (
	signing   = api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify}
	mac       = api.CreateKeyRequest{KeySpec: api.HMAC256, KeyUsage: api.GenerateVerifyMac}
	symmetric = api.CreateKeyRequest{}
	multi     = api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, MultiRegion: true}
)

func externalOf(in api.CreateKeyRequest) api.CreateKeyRequest {
	in.Origin = api.OriginExternal
	return in
}

// due prepares a key whose time to rotate by itself has come.
func due(in api.CreateKeyRequest) func(*world, string) string {
	return func(w *world, _ string) string {
		key := w.create(in)
		w.ok(w.store.SetRotation(w.t.Context(), key, 90, w.now()))
		return key
	}
}

// doomed prepares a key with two versions, whose deletion is due.
func doomed(w *world, _ string) string {
	key := w.create(mac)
	must[api.RotateKeyOnDemandResponse](w, "RotateKeyOnDemand", key, nil)
	w.ok(w.store.SetKeyState(w.t.Context(), gatewaytest.Region, key, store.StatePendingDeletion, w.now()))
	return key
}

// walk of imports: one for each kind, with the material in hand.
type imports struct {
	of       api.CreateKeyRequest
	material []byte
	request  api.ImportKeyMaterialRequest
}

func (i *imports) empty(w *world, _ string) string {
	key := w.create(externalOf(i.of))
	i.request = w.material(key, i.material)
	return key
}

// full prepares a key with its material, and gives it back to one that it was taken from.
func (i *imports) full(w *world, key string) string {
	if key == "" {
		key = i.empty(w, key)
	}
	if k, _ := w.store.Key(gatewaytest.Region, key); len(k.Versions) == 0 || k.Versions[0].ObjectID == nil {
		must[api.ImportKeyMaterialResponse](w, "ImportKeyMaterial", key, i.request)
	}
	return key
}

// taken prepares a key whose material was taken away.
func (i *imports) taken(w *world, key string) string {
	key = i.full(w, key)
	must[api.DeleteImportedKeyMaterialResponse](w, "DeleteImportedKeyMaterial", key, api.DeleteImportedKeyMaterialRequest{})
	return key
}

// expired prepares a key whose material is over.
func (i *imports) expired(w *world, key string) string {
	key = i.full(w, key)
	k, _ := w.store.Key(gatewaytest.Region, key)
	w.ok(w.store.ReplaceMaterial(w.t.Context(), key, 1, k.Versions[0].ObjectID, func(v *store.Version) { v.ExpiresAt = w.now() }, w.now().Add(-time.Second)))
	return key
}

// second prepares a key with new material that waits for its rotation.
func (i *imports) second(w *world, _ string) string {
	key := i.full(w, "")
	next := w.material(key, newSecret(w.t))
	next.ImportType = api.NewKeyMaterial
	must[api.ImportKeyMaterialResponse](w, "ImportKeyMaterial", key, next)
	return key
}

func (i *imports) bring(w *world, key string) *api.Error {
	_, err := w.call("ImportKeyMaterial", key, i.request)
	return err
}

func newSecret(t *testing.T) []byte {
	t.Helper()
	return hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC).Value
}

func newPair(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	material, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return material
}

// crashed prepares what crashes leave: an intent with an object, one without, an
// object that no version has, and a tombstone.
func crashed(w *world, _ string) string {
	ctx, t := w.t.Context(), w.t
	key := w.create(signing)
	intents := []*store.Key{}
	for range 2 {
		k := &store.Key{Region: gatewaytest.Region, ID: uuid.NewString(), State: store.StateCreating, CreatedAt: w.now(), Line: store.Line{
			Spec: string(api.P256), Usage: string(api.SignVerify), Origin: "AWS_KMS",
			Versions: []store.Version{{Number: 1, ObjectID: hsm.NewID(), CreatedAt: w.now()}}}}
		w.ok(w.store.InsertKey(ctx, k))
		intents = append(intents, k)
	}
	object := hsm.NewID()
	w.ok(w.store.PendObject(ctx, store.PendingObject{ObjectID: object, KeyID: key, Number: 2, Since: w.now()}))
	for _, id := range [][]byte{intents[0].Versions[0].ObjectID, object} {
		if _, err := w.token.Generate(ctx, hsm.NISTP256, hsm.UseSign, id, key); err != nil {
			t.Fatal(err)
		}
	}
	w.ok(w.store.DeleteKey(ctx, gatewaytest.Region, w.create(mac)))
	return key
}

// starts is the start of a process, which may fail.
func starts(w *world, _ string) *api.Error {
	_ = w.service.Start(w.t.Context()) // the one after it has to be a success
	return nil
}

// ownWalks are those of keys that the token makes.
func ownWalks(*testing.T) []walked {
	nothing := func(*world, string) string { return "" }
	return []walked{
		{name: "CreateKey of a pair", prepare: nothing, run: does("CreateKey", signing)},
		{name: "CreateKey of a secret", prepare: nothing, run: does("CreateKey", symmetric)},
		{name: "RotateKeyOnDemand of a pair", prepare: fresh(signing), run: does("RotateKeyOnDemand", nil)},
		{name: "RotateKeyOnDemand of a secret", prepare: fresh(symmetric), run: does("RotateKeyOnDemand", nil)},
		{name: "rotation of a pair by itself", prepare: due(signing), run: round, ends: true, alike: true},
		{name: "rotation of a secret by itself", prepare: due(mac), run: round, ends: true, alike: true},
		{name: "deletion of a key", prepare: doomed, run: round, ends: true},
		{name: "ReplicateKey", prepare: fresh(multi), run: does("ReplicateKey", api.ReplicateKeyRequest{ReplicaRegion: west}), alike: true},
		{name: "a start after a crash", prepare: crashed, run: starts, ends: true, starts: true},
	}
}

// importWalks are those of material that is brought in.
func importWalks(t *testing.T) []walked {
	secret, pair := &imports{of: mac, material: newSecret(t)}, &imports{of: signing, material: newPair(t)}
	ask := api.GetParametersForImportRequest{WrappingAlgorithm: api.WrapOAEPSHA256, WrappingKeySpec: api.WrappingRSA2048}
	return []walked{
		{name: "CreateKey for imports", prepare: func(*world, string) string { return "" }, run: does("CreateKey", externalOf(mac)), alike: true},
		{name: "GetParametersForImport", prepare: fresh(externalOf(mac)), run: does("GetParametersForImport", ask)},
		{name: "ImportKeyMaterial of a secret", prepare: secret.empty, run: secret.bring, known: true},
		{name: "ImportKeyMaterial of a pair", prepare: pair.empty, run: pair.bring, known: true},
		{name: "ImportKeyMaterial again", prepare: secret.taken, run: secret.bring},
		{name: "RotateKeyOnDemand to new material", prepare: secret.second, run: does("RotateKeyOnDemand", nil), alike: true},
		{name: "DeleteImportedKeyMaterial", prepare: secret.full, run: does("DeleteImportedKeyMaterial", api.DeleteImportedKeyMaterialRequest{})},
		{name: "expiry of material", prepare: secret.expired, run: round, ends: true},
	}
}

// walkThrough makes each step fail in turn, in each manner, starts the process anew or
// lets it go on, and looks at what there is: all that was, or all that was to be.
func walkThrough(t *testing.T, p part, walks ...func(*testing.T) []walked) {
	if !hsmtest.Alone(t) {
		return
	}
	f := newFaults(t)
	var all []walked
	for _, of := range walks {
		all = append(all, of(t)...)
	}
	for _, o := range all {
		if p == ofToken && o.alike {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			w := newWorld(t, f)
			key := o.next(w, "")
			before := w.view()
			if err := o.run(w, key); err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			w.restart()
			after := w.view()
			w.whole("without a fault")
			var counts []string
			for _, how := range []manner{failed, failedButDone, gone} {
				steps := o.each(w, &key, p, how, w.restart, before, after)
				if p == ofStore && !o.starts { // of which the process has a copy, and notes of what it is about to do
					o.each(w, &key, p, how, w.goOn, before, after)
				}
				counts = append(counts, fmt.Sprintf("%d %s", steps, how))
			}
			t.Logf("each %s: %v", p, counts)
		})
	}
}

func TestStepsOfTheStore(t *testing.T)          { walkThrough(t, ofStore, ownWalks, importWalks) }
func TestStepsOfTheLog(t *testing.T)            { walkThrough(t, ofLog, ownWalks, importWalks) }
func TestStepsOfTheToken(t *testing.T)          { walkThrough(t, ofToken, ownWalks) }
func TestStepsOfTheTokenInImports(t *testing.T) { walkThrough(t, ofToken, importWalks) }

// next prepares the operation's next run and removes what the ones before were about.
func (o walked) next(w *world, last string) string {
	w.t.Helper()
	w.before = make(map[string]bool)
	for _, k := range w.store.AllKeys() {
		w.before[k.ID] = true
		if k.ID != last { // a small token is a quick one
			w.ok(w.store.DeleteKey(w.t.Context(), k.Region, k.ID))
		}
	}
	w.service.Round(w.t.Context())
	key := o.prepare(w, last)
	w.before[key] = false
	return key
}

// withoutMaterial makes of the view of a key that of one whose material was taken
// away again, and is known.
var withoutMaterial = strings.NewReplacer(store.StateEnabled, store.StatePendingImport, "material true", "material false")

// each makes the first step fail, then the second, until there are no more, and has
// the process go on, or the next one begin.
func (o walked) each(w *world, key *string, p part, how manner, next func(), before, after string) (steps int) {
	w.t.Helper()
	for n := 1; ; n++ {
		what := fmt.Sprintf("%s %d %s", p, n, how)
		if o.ends || w.view() != before {
			*key = o.next(w, *key)
		}
		if got := w.view(); got != before {
			w.t.Fatalf("%s: prepared is %s, not %s", what, got, before)
		}
		proofs := w.proofs()
		var err *api.Error
		met := w.faults.during(p, how, n, func() { err = o.run(w, *key) })
		next()
		switch got := w.view(); {
		case o.known && got == withoutMaterial.Replace(after) && err != nil:
		case got != after && got != before, o.ends && got != after:
			w.t.Errorf("%s: it is neither as before nor as after: %s; before %s; after %s", what, got, before, after)
		case err == nil && got != after:
			w.t.Errorf("%s: the answer was a success that does not hold", what)
		case err != nil && !met:
			w.t.Fatalf("%s: refused without a fault: %v (%v)", what, err, err.Cause)
		}
		w.whole(what)
		w.hold(what, proofs)
		w.hold(what, w.proofs())
		if !met || w.t.Failed() && n > 100 {
			return n - 1
		}
	}
}
