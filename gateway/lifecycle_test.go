package gateway_test

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

const day = 24 * time.Hour

// inToken says whether the token holds a private key with that label or CKA_ID.
func inToken(t testing.TB, g *gatewaytest.Gateway, name string) bool {
	t.Helper()
	objects, err := g.Token.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.Label == name || hex.EncodeToString(o.ID) == name {
			return true
		}
	}
	return false
}

// own are the records of what the gateway did of itself.
func own(g *gatewaytest.Gateway) []audit.Record {
	var kept []audit.Record
	for _, r := range g.Records() {
		if r.Face == "internal" {
			kept = append(kept, r)
		}
	}
	return kept
}

// TestDeletionWindow: 7 to 30 days, 30 if nothing is said.
func TestDeletionWindow(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify)
	path := "/v1/keys/" + key.KeyId
	for days, body := range map[int]any{30: nil, 7: map[string]int{"PendingWindowInDays": 7}, 29: map[string]int{"PendingWindowInDays": 29}} {
		before := g.Now()
		var out api.ScheduleKeyDeletionResponse
		g.Call("POST", path+"/schedule-deletion", body, &out)
		due := before.Add(time.Duration(days) * day)
		if late := out.DeletionDate.Sub(due); late < -time.Second || late > time.Minute || out.PendingWindowInDays != days || out.KeyState != api.PendingDeletion || out.KeyId != key.Arn {
			t.Errorf("%d days: %+v", days, out)
		}
		var described api.DescribeKeyResponse
		g.Call("GET", path, nil, &described)
		if m := described.KeyMetadata; m.Enabled || m.KeyState != api.PendingDeletion || !m.DeletionDate.Equal(out.DeletionDate.Time) {
			t.Errorf("%+v", m)
		}
		var cancelled api.CancelKeyDeletionResponse
		g.Call("POST", path+"/cancel-deletion", nil, &cancelled)
		described = api.DescribeKeyResponse{}
		g.Call("GET", path, nil, &described)
		if m := described.KeyMetadata; cancelled.KeyId != key.Arn || m.Enabled || m.KeyState != api.DisabledState || m.DeletionDate != nil {
			t.Errorf("after the cancellation: %+v", m)
		}
	}
}

// TestDeletionDestroysAtTheEndAndOnlyThen looks into the token while the clock
// goes on.
func TestDeletionDestroysAtTheEndAndOnlyThen(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, kept := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.P256, api.SignVerify)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/gone", TargetKeyId: key.KeyId}, nil)
	for _, k := range []string{key.KeyId, kept.KeyId} {
		g.Call("POST", "/v1/keys/"+k+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
	}
	start(t, g)
	g.Advance(7*day - time.Minute)
	start(t, g)
	if !inToken(t, g, key.KeyId) || len(own(g)) != 0 {
		t.Fatal("the key is gone before its time")
	}
	g.Call("POST", "/v1/keys/"+kept.KeyId+"/cancel-deletion", nil, nil)
	g.Advance(2 * time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { g.Service.Run(ctx, 10*time.Millisecond); close(done) }()
	until(t, "the key is destroyed", func() bool { return len(g.Store.Undestroyed()) == 0 && len(g.Store.Deleted()) == 1 })
	stop()
	<-done
	if inToken(t, g, key.KeyId) || !inToken(t, g, kept.KeyId) {
		t.Error("the token holds the wrong key")
	}
	admin := g.Admin.Token
	refusal(t, g.Send(admin, "GET", "/v1/keys/"+key.KeyId, nil), 404, api.NotFound)
	refusal(t, g.Send(admin, "GET", "/v1/keys/alias/gone", nil), 404, api.NotFound)
	refusal(t, g.Send(admin, "POST", "/v1/keys/"+key.KeyId+"/cancel-deletion", nil), 404, api.NotFound)
	records := own(g)
	if len(records) != 2 || records[0].Phase != "started" || records[1].Phase != "" || records[1].Outcome != "allowed" {
		t.Fatalf("%+v", records)
	}
	for _, r := range records {
		if r.Operation != "DeleteKey" || r.KeyID != key.KeyId || r.KeyARN != key.Arn || r.KeyVersion != 1 || r.RequestID != records[0].RequestID {
			t.Errorf("%+v", r)
		}
	}
}

func start(t testing.TB, g *gatewaytest.Gateway) {
	t.Helper()
	if err := g.Service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// until waits for something that has to happen soon.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen that %s", what)
		}
	}
}

// TestStartEndsWhatACrashLeft: intents with and without an object in the token,
// and a deletion between its tombstone and the token.
func TestStartEndsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	deleted := g.CreateKey(api.P256, api.SignVerify).KeyId
	if err := g.Store.DeleteKey(t.Context(), gatewaytest.Region, deleted); err != nil {
		t.Fatal(err)
	}
	intent := func(withObject bool) string {
		k := &store.Key{Region: gatewaytest.Region, ID: uuid.NewString(), State: store.StateCreating, CreatedAt: time.Now(), Line: store.Line{
			Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY", Versions: []store.Version{{Number: 1, ObjectID: hsm.NewID(), CreatedAt: time.Now()}}}}
		if err := g.Store.InsertKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if withObject {
			if _, err := g.Token.Generate(t.Context(), hsm.NISTP256, hsm.UseSign, k.Versions[0].ObjectID, k.ID); err != nil {
				t.Fatal(err)
			}
		}
		return k.ID
	}
	left := []string{deleted, intent(true), intent(false)}
	for range 2 { // the second start finds nothing to do
		start(t, g)
		for _, id := range left {
			if inToken(t, g, id) {
				t.Errorf("%s is still in the token", id)
			}
		}
		if len(g.Store.Creating())+len(g.Store.Undestroyed()) != 0 {
			t.Error("the store still waits for something")
		}
		ended := make(map[string]bool)
		for _, r := range own(g) {
			if r.Phase == "" && r.Operation == "DeleteKey" && r.Outcome == "allowed" {
				ended[r.KeyID] = true
			}
		}
		if len(ended) != 3 || len(own(g)) != 6 {
			t.Errorf("records: %+v", own(g))
		}
	}
	if lines := g.Lines.FilterMessage("the token and the store differ").Len(); lines != 0 {
		t.Errorf("%d differences are reported", lines)
	}
}

// TestForeignObjectsAreReportedAndLeftAlone: what the store does not know is
// somebody else's.
func TestForeignObjectsAreReportedAndLeftAlone(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	id := hsm.NewID()
	if _, err := g.Token.Generate(t.Context(), hsm.NISTP256, hsm.UseSign, id, "somebody's key"); err != nil {
		t.Fatal(err)
	}
	start(t, g)
	if !inToken(t, g, hex.EncodeToString(id)) {
		t.Error("the object is gone")
	}
	if text := differences(g); !strings.Contains(text, `"somebody's key"`) || !strings.Contains(text, hex.EncodeToString(id)) {
		t.Errorf("not reported: %s", text)
	}
}

func differences(g *gatewaytest.Gateway) string {
	var texts []string
	for _, line := range g.Lines.FilterMessage("the token and the store differ").All() {
		texts = append(texts, line.ContextMap()["what"].(string))
	}
	return strings.Join(texts, "\n")
}

// TestKeyWithoutItsObject is reported, and answers clearly when it is used.
func TestKeyWithoutItsObject(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify)
	stored, _ := g.Store.Key(gatewaytest.Region, key.KeyId)
	if err := g.Token.Destroy(t.Context(), stored.Versions[0].ObjectID); err != nil {
		t.Fatal(err)
	}
	start(t, g)
	if text := differences(g); !strings.Contains(text, key.KeyId) || !strings.Contains(text, hex.EncodeToString(stored.Versions[0].ObjectID)) {
		t.Errorf("not reported: %s", text)
	}
	a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	refusal(t, a, 409, api.KMSInvalidState)
	if !strings.Contains(string(a.Body), "key material is missing from the token") {
		t.Errorf("%s", a.Body)
	}
}
