package gateway_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// intact checks the whole chain of the audit log against its head.
func intact(t testing.TB, g *gatewaytest.Gateway) audit.Report {
	t.Helper()
	report, err := audit.VerifyFile(g.AuditPath, audit.VerifyOptions{})
	if err != nil || !report.Intact() {
		t.Fatalf("the audit log is not whole: %v %v", err, report.Problems)
	}
	return report
}

// TestNothingLeavesWithoutItsRecord takes the audit log away while the service
// runs. What is done then is taken back or thrown away.
func TestNothingLeavesWithoutItsRecord(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key, pending := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.P256, api.SignVerify)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/a", TargetKeyId: key.KeyId}, nil)
	g.Call("POST", "/v1/keys/"+pending.KeyId+"/schedule-deletion", nil, nil)
	alias, _ := g.Store.Alias(gatewaytest.Region, "alias/a")
	keys, records := g.Store.KeyCount(), len(g.Records())
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/v1/keys/{key}/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}},
		{"POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify}},
		{"POST", "/v1/keys/{key}/disable", nil},
		{"POST", "/v1/keys/{key}/schedule-deletion", nil},
		{"POST", "/v1/keys/" + pending.KeyId + "/cancel-deletion", nil},
		{"POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/b", TargetKeyId: key.KeyId}},
		{"PUT", "/v1/aliases/alias/a", map[string]string{"TargetKeyId": key.KeyId}},
		{"DELETE", "/v1/aliases/alias/a", nil},
		{"PUT", "/v1/keys/{key}/description", map[string]string{"Description": "x"}},
		{"POST", "/v1/keys/{key}/tags", map[string]any{"Tags": []api.Tag{{TagKey: "a"}}}},
		{"POST", "/v1/keys/{key}/untag", map[string]any{"TagKeys": []string{"a"}}},
		{"GET", "/v1/keys/{key}", nil},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			move(t, g.AuditPath, g.AuditPath+".away")
			a := g.Send(g.Admin.Token, c.method, onKey(c.path, key.KeyId), c.body)
			refusal(t, a, 503, api.ServiceUnavailable)
			if a.Header.Get("Retry-After") == "" || strings.Contains(string(a.Body), "Signature") || strings.Contains(string(a.Body), g.AuditPath) {
				t.Errorf("%v %s", a.Header, a.Body)
			}
			move(t, g.AuditPath+".away", g.AuditPath)
			until(t, "the log mends", func() bool { return g.Audit.Ready() == nil })
		})
	}
	if now, _ := g.Store.Key(gatewaytest.Region, key.KeyId); now.State != "Enabled" {
		t.Errorf("the key is %s", now.State)
	}
	if now, _ := g.Store.Key(gatewaytest.Region, pending.KeyId); now.State != "PendingDeletion" {
		t.Errorf("the key that waits for its deletion is %s", now.State)
	}
	if now, ok := g.Store.Alias(gatewaytest.Region, "alias/a"); !ok || *now != *alias {
		t.Errorf("the alias is changed: %v, %v", alias, now)
	}
	if _, ok := g.Store.Alias(gatewaytest.Region, "alias/b"); ok {
		t.Error("an alias without a record")
	}
	objects, err := g.Token.Objects(t.Context())
	if err != nil || g.Store.KeyCount() != keys || len(objects) != keys {
		t.Errorf("%d keys and %d objects, not %d (%v)", g.Store.KeyCount(), len(objects), keys, err)
	}
	if now := len(g.Records()); now != records {
		t.Errorf("%d records came from refused calls", now-records)
	}
	sign(t, g, key.KeyId, api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	intact(t, g)
}

// TestCreatedKeyIsUndone breaks the log between the beginning and the outcome
// of a creation.
func TestCreatedKeyIsUndone(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	before := len(g.Records())
	done := make(chan gatewaytest.Answer, 1)
	go func() {
		done <- g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.RSA4096, KeyUsage: api.SignVerify})
	}()
	until(t, "the creation begins", func() bool { return g.Audit.Head().Seq > uint64(before) })
	move(t, g.AuditPath, g.AuditPath+".away")
	a := <-done
	move(t, g.AuditPath+".away", g.AuditPath)
	refusal(t, a, 503, api.ServiceUnavailable)
	objects, err := g.Token.Objects(t.Context())
	if err != nil || len(objects) != 0 || g.Store.KeyCount() != 0 || len(g.Store.Creating())+len(g.Store.Undestroyed()) != 0 {
		t.Errorf("the key is still there: %v %v", objects, err)
	}
	until(t, "the log mends", func() bool { return g.Audit.Ready() == nil })
	if records := g.Records()[before:]; len(records) != 1 || records[0].Phase != "started" || records[0].Operation != "CreateKey" || records[0].KeyID == "" {
		t.Errorf("%+v", records)
	}
}

func move(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsSignedWhileTheLogIsBroken: the token is not even asked. When the
// cause is gone, the service goes on by itself, without a call.
func TestNothingIsSignedWhileTheLogIsBroken(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify)
	in := api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}
	move(t, g.AuditPath, g.AuditPath+".away")
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", in), 503, api.ServiceUnavailable)
	calls := g.Token.Stats().Calls
	for range 50 {
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", in), 503, api.ServiceUnavailable)
	}
	if asked := g.Token.Stats().Calls - calls; asked >= 50 { // the watch on the token asks it now and then
		t.Errorf("the token was asked %d times", asked)
	}
	if a := g.Send("", "GET", "/readyz", nil); a.Status != 503 || !strings.Contains(string(a.Body), "audit log") || strings.Contains(string(a.Body), g.AuditPath) {
		t.Errorf("/readyz: %d %s", a.Status, a.Body)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go g.Service.Run(ctx, time.Hour)
	move(t, g.AuditPath+".away", g.AuditPath)
	until(t, "the log mends by itself", func() bool { return g.Audit.Stats().Broken == nil })
	if a := g.Send("", "GET", "/readyz", nil); a.Status != http.StatusOK {
		t.Errorf("/readyz: %d %s", a.Status, a.Body)
	}
	sign(t, g, key.KeyId, in)
	intact(t, g)
}

// TestUnreadableDatabase: a gateway that cannot see a revocation decides nothing,
// says so, and goes on by itself.
func TestUnreadableDatabase(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	g.Store.Watch(t.Context())
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	sign := func() gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256})
	}
	move(t, g.StorePath, g.StorePath+".away")
	until(t, "the failure is seen", func() bool { return g.Store.Ready() != nil })
	a := sign()
	refusal(t, a, 503, api.ServiceUnavailable)
	if a.Header.Get("Retry-After") == "" || strings.Contains(string(a.Body), "Signature") || strings.Contains(string(a.Body), g.StorePath) {
		t.Errorf("%v %s", a.Header, a.Body)
	}
	move(t, g.StorePath+".away", g.StorePath)
	until(t, "service goes on", func() bool { return sign().Status == 200 })
}
