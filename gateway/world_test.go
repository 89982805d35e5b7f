package gateway_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// world is what outlives a process: a token, a database and an audit log, with the
// process that uses them now.
type world struct {
	t       *testing.T
	faults  *faults
	config  hsm.Config
	token   *hsm.Token
	logPath string
	before  map[string]bool // ids of keys that a step is not about
	ahead   time.Duration   // of the clock

	store   *store.Store
	log     *audit.Log
	service *gateway.Service
}

func newWorld(t *testing.T, f *faults) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, faults: f, config: hsmtest.TokenIn(t, f.library), logPath: filepath.Join(dir, "audit.log")}
	f.db = filepath.Join(dir, "hsmgate.db")
	w.token = hsmtest.Open(t, w.config)
	w.begin()
	t.Cleanup(w.end)
	return w
}

// begin begins a life of the process, and end ends it as a crash does: nothing is
// done any more.
func (w *world) begin() {
	w.t.Helper()
	var err error
	if w.store, err = store.Open(w.t.Context(), w.faults.db, gatewaytest.Region); err != nil {
		w.t.Fatal(err)
	}
	options := audit.Failing(audit.Options{Retry: time.Nanosecond}, func() (bool, bool) { return w.faults.at(ofLog) })
	if w.log, err = audit.Open(w.logPath, options); err != nil {
		w.t.Fatal(err)
	}
	w.service = gateway.New(gateway.Config{
		Names: gateway.Names{Account: gatewaytest.Account, Region: gatewaytest.Region}, Regions: []string{west},
		Store: w.store, Token: w.token, Audit: w.log, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Imports: inMemory.Imports, Now: w.now,
	})
}

func (w *world) end() {
	_ = w.service.Close()
	_ = w.log.Close() // which may be broken
	_ = w.store.Close()
}

// restart ends the process and starts the next one, which does what is due.
func (w *world) restart() {
	w.t.Helper()
	w.end()
	hsmtest.Eventually(w.t, time.Minute, "the token is back", func() error { return w.token.Ready(w.t.Context()) })
	w.begin()
	if err := w.service.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.service.Round(w.t.Context())
}

// goOn lets the process live on: what it could not do it does later.
func (w *world) goOn() {
	w.service.Round(w.t.Context())
	w.ahead += 61 * time.Minute
	w.service.Round(w.t.Context())
}

func (w *world) now() time.Time { return time.Now().Add(w.ahead) }

// call performs an operation as an administrator.
func (w *world) call(name, key string, in any) (any, *api.Error) {
	op, _ := gateway.OpNamed(name)
	c := &gateway.Call{RequestID: uuid.NewString(), Face: "rest", Principal: policy.Principal{ARN: "arn:aws:iam::" + gatewaytest.Account + ":user/walker", Role: policy.RoleAdministrator}}
	return w.service.Do(w.t.Context(), c, op, func(to any) *api.Error {
		if in != nil {
			reflect.ValueOf(to).Elem().Set(reflect.ValueOf(in))
		}
		if named, ok := to.(interface{ SetKeyRef(string) }); ok && key != "" {
			named.SetKeyRef(key)
		}
		return nil
	})
}

// must is a call that has to be a success.
func must[Out any](w *world, name, key string, in any) *Out {
	w.t.Helper()
	out, err := w.call(name, key, in)
	if err != nil {
		w.t.Fatalf("%s: %v (%v)", name, err, err.Cause)
	}
	return out.(*Out)
}

func (w *world) create(in api.CreateKeyRequest) string {
	w.t.Helper()
	return must[api.CreateKeyResponse](w, "CreateKey", "", in).KeyMetadata.KeyId
}

// material makes an import of new material for a key, wrapped under fresh parameters.
func (w *world) material(key string, material []byte) api.ImportKeyMaterialRequest {
	w.t.Helper()
	p := must[api.GetParametersForImportResponse](w, "GetParametersForImport", key,
		api.GetParametersForImportRequest{WrappingAlgorithm: api.WrapOAEPSHA1, WrappingKeySpec: api.WrappingRSA2048})
	public, err := x509.ParsePKIXPublicKey(p.PublicKey)
	if err != nil {
		w.t.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return api.ImportKeyMaterialRequest{ImportToken: p.ImportToken, EncryptedKeyMaterial: wrapped, ExpirationModel: api.KeyMaterialDoesNotExpire}
}

// subjects are the keys that a step is about, in every region.
func (w *world) subjects() []*store.Key {
	return slices.DeleteFunc(w.store.AllKeys(), func(k *store.Key) bool { return w.before[k.ID] })
}

// view says in words all that a step may change of its keys.
func (w *world) view() string {
	var text []string
	now := w.now()
	for _, k := range w.subjects() {
		text = append(text, fmt.Sprintf("%s %s", k.Region, k.StateAt(now)))
		for _, v := range k.Versions {
			text = append(text, fmt.Sprintf("v%d material %v %q current %v announced %v", v.Number, v.ObjectID != nil, v.Rotation,
				!v.CurrentAt.IsZero() && !v.CurrentAt.After(now), v.CurrentAt.After(now)))
		}
		imports := slices.DeleteFunc(w.store.ImportKeys(), func(i *store.ImportKey) bool { return i.KeyID != k.ID || i.Region != k.Region })
		text = append(text, fmt.Sprintf("%d imports", len(imports)))
	}
	return strings.Join(text, ", ")
}

// proof is something that a key made, and the call that accepts it.
type proof struct {
	key, by string
	in      any
	version int
}

// proofs has every key that can make something make it.
func (w *world) proofs() (all []proof) {
	w.t.Helper()
	for _, k := range w.subjects() {
		if k.Region != gatewaytest.Region || k.StateAt(w.now()) != store.StateEnabled {
			continue
		}
		switch api.KeySpec(k.Spec) {
		case api.P256:
			out := must[api.SignResponse](w, "Sign", k.ID, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
			all = append(all, proof{k.ID, "Verify", api.VerifyRequest{Message: []byte("m"), Signature: out.Signature, SigningAlgorithm: api.ECDSASHA256}, out.KeyVersion})
		case api.HMAC256:
			out := must[api.GenerateMacResponse](w, "GenerateMac", k.ID, api.GenerateMacRequest{Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
			all = append(all, proof{k.ID, "VerifyMac", api.VerifyMacRequest{Message: []byte("m"), Mac: out.Mac, MacAlgorithm: "HMAC_SHA_256"}, out.KeyVersion})
		case api.Symmetric:
			out := must[api.EncryptResponse](w, "Encrypt", k.ID, api.EncryptRequest{Plaintext: []byte("m")})
			all = append(all, proof{k.ID, "Decrypt", api.DecryptRequest{CiphertextBlob: out.CiphertextBlob}, out.KeyVersion})
		}
	}
	return all
}

// hold wants what was made before to be good still, where the key has its material.
func (w *world) hold(what string, all []proof) {
	w.t.Helper()
	for _, p := range all {
		k, ok := w.store.Key(gatewaytest.Region, p.key)
		if !ok || k.StateAt(w.now()) != store.StateEnabled {
			continue
		}
		if v, ok := k.Version(p.version); !ok || v.ObjectID == nil {
			continue
		}
		if _, err := w.call(p.by, p.key, p.in); err != nil {
			w.t.Errorf("%s: %s of version %d: %v (%v)", what, p.by, p.version, err, err.Cause)
		}
	}
}

// whole wants the token to hold what the store names and nothing else, all of it
// usable, and the log to tell of it.
func (w *world) whole(what string) {
	w.t.Helper()
	if n := len(w.store.Pending()) + len(w.store.Creating()) + len(w.store.Undestroyed()); n != 0 {
		w.t.Errorf("%s: %d things are on their way", what, n)
	}
	started := w.started()
	named, files := map[string]bool{}, 1 // that of the token itself
	for _, k := range w.store.AllKeys() {
		for _, v := range k.Versions {
			if v.ObjectID == nil || named[string(v.ObjectID)] { // the second: of a replica
				continue
			}
			named[string(v.ObjectID)] = true
			if files++; v.PublicKey != nil {
				files++
			}
			if !w.before[k.ID] {
				w.usable(what, k, v)
			}
			if !started[fmt.Sprint(k.ID, v.Number)] && (v.Number > 1 || !started[k.ID]) {
				w.t.Errorf("%s: no record says that version %d of key %s was begun", what, v.Number, k.ID)
			}
		}
	}
	for _, i := range w.store.ImportKeys() {
		named[string(i.ObjectID)] = true
		files += 2
	}
	objects, err := w.token.Objects(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range objects {
		if !named[string(o.ID)] {
			w.t.Errorf("%s: nothing names the object %q", what, o.Label)
		}
		delete(named, string(o.ID))
	}
	there, err := filepath.Glob(filepath.Join(tokenFolder(w.t, w.config), "*.object"))
	if err != nil || len(named) != 0 || len(there) != files {
		w.t.Errorf("%s: the token lacks %d objects, and has %d files of %d (%v)", what, len(named), len(there), files, err)
	}
}

// usable uses the token's object of a version.
func (w *world) usable(what string, k *store.Key, v store.Version) {
	w.t.Helper()
	var err error
	same := true
	if v.PublicKey == nil {
		same, err = w.token.SameSecret(w.t.Context(), v.ObjectID, hsm.KeySpec(k.Spec), v.Check)
	} else {
		var key *hsm.Key
		if key, err = hsm.NewKey(v.ObjectID, hsm.KeySpec(k.Spec), v.PublicKey); err == nil {
			sum := sha256.Sum256([]byte("m"))
			_, err = w.token.Sign(w.t.Context(), key, hsm.SignMechanism{Scheme: hsm.ECDSA, Hash: crypto.SHA256}, sum[:])
		}
	}
	if err != nil || !same {
		w.t.Errorf("%s: version %d cannot be used: %v", what, v.Number, err)
	}
}

// started are the keys and versions that the log says were begun. The log has to be whole.
func (w *world) started() map[string]bool {
	w.t.Helper()
	report, err := audit.VerifyFile(w.logPath, audit.VerifyOptions{})
	if err != nil || !report.Intact() {
		w.t.Fatalf("%v %+v", err, report)
	}
	all := make(map[string]bool)
	for line := range bytes.Lines(contents(w.t, w.logPath)) {
		var r audit.Record
		if err := json.Unmarshal(line, &r); err != nil {
			w.t.Fatal(err)
		}
		if r.Phase == "started" {
			all[r.KeyID], all[fmt.Sprint(r.KeyID, r.KeyVersion)] = true, true
		}
	}
	return all
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
