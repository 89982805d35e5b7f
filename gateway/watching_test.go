package gateway_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/watch"
)

// watches has the gateway watch its log until the function that it gives is called.
func watches(t *testing.T, g *gatewaytest.Gateway) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.Service.Watch(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func alertsOf(g *gatewaytest.Gateway) (all []audit.Record) {
	for _, r := range g.Records() {
		if r.Operation == watch.Operation {
			all = append(all, r)
		}
	}
	return all
}

func usageOf(t *testing.T, g *gatewaytest.Gateway, query string) (out api.GetUsageResponse) {
	t.Helper()
	g.Call("GET", "/v1/usage"+query, nil, &out)
	return out
}

// counted waits until the gateway has looked at all records that there are now.
func counted(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	last := int(g.Audit.Head().Seq)
	until(t, "the records are looked at", func() bool { return usageOf(t, g, "?Limit=1").LastRecord >= last })
}

// TestAlert: a burst of denials is told once, in the log, in a line and in a metric; and not again after a crash, whether
// what was learned is older than the alert, lost, or of another log.
func TestAlert(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "audit.log.watch")
	g := gatewaytest.NewWith(t, gatewaytest.Options{Watch: watch.Settings{State: state, Denials: watch.DenialSettings{Count: 8}}})
	key := g.CreateKey(api.P256, api.SignVerify)
	user := g.Principal("prober", policy.RoleUser)
	deny := func(who gatewaytest.Credentials, n int) {
		t.Helper()
		for range n {
			if a := g.Send(who.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"}); a.Status != 403 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
	}
	stop := watches(t, g)
	deny(user, 7)
	counted(t, g)
	if n := len(alertsOf(g)); n != 0 {
		t.Fatalf("%d alerts of 7 denials", n)
	}
	stop()
	before, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	stop = watches(t, g)
	deny(user, 1)
	until(t, "an alert", func() bool { return len(alertsOf(g)) == 1 })
	a, records := alertsOf(g)[0], g.Records()
	trigger := records[a.AlertRecord-1]
	if a.Face != "internal" || a.AlertRule != "denials" || a.Principal != user.ARN || a.AlertCount != 8 || a.KeyID != key.KeyId || a.Origin != gatewaytest.Name ||
		a.SourceAddress != "127.0.0.1" || len(a.AlertID) != 32 || trigger.Outcome != "denied" || a.AlertTime != trigger.Time.Format(time.RFC3339Nano) || a.Time.Before(trigger.Time) {
		t.Errorf("%+v", a)
	}
	until(t, "a line and a metric", func() bool {
		return g.Lines.FilterMessage("alert").Len() == 1 && strings.Contains(string(g.Send(g.Admin.Token, "GET", "/metrics", nil).Body), `hsmgate_alerts_total{rule="denials"} 1`)
	})
	if line := g.Lines.FilterMessage("alert").All()[0].ContextMap(); line["alertId"] != a.AlertID || line["principal"] != user.ARN || line["auditSeq"] != a.Seq {
		t.Errorf("%v", line)
	}

	for name, put := range map[string]func() error{
		"older":           func() error { return os.WriteFile(state, before, 0o600) },
		"lost":            func() error { return os.Remove(state) },
		"of another log":  func() error { return os.WriteFile(state, ofAnotherLog(t), 0o600) },
		"not to be read":  func() error { return os.WriteFile(state, []byte("no state"), 0o600) },
		"as it was ended": func() error { return nil },
	} {
		stop()
		if err := put(); err != nil {
			t.Fatal(name, err)
		}
		stop = watches(t, g)
		deny(user, 1)
		counted(t, g)
		if n := len(alertsOf(g)); n != 1 {
			t.Errorf("what was learned is %s: %d alerts", name, n)
		}
	}

	stop() // and what happens while nobody looks is told afterwards
	other := g.Principal("another", policy.RoleUser)
	deny(other, 8)
	watches(t, g)
	deny(user, 1)
	until(t, "another alert", func() bool { return len(alertsOf(g)) == 2 })
	if a := alertsOf(g)[1]; a.Principal != other.ARN {
		t.Errorf("%+v", a)
	}
	intact(t, g)
}

// ofAnotherLog is the state of a gateway whose log has as many records.
func ofAnotherLog(t *testing.T) []byte {
	t.Helper()
	data, err := watch.Snapshot(watch.New(watch.Settings{}), watch.NewUsage(), watch.Seen{Seq: 3, Hash: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestUsage: calls are counted by key, principal, operation and outcome, and told in pages.
func TestUsage(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	watches(t, g)
	key := g.CreateKey(api.P256, api.SignVerify)
	g.Call("POST", "/v1/aliases", map[string]any{"AliasName": "alias/counted", "TargetKeyId": key.KeyId}, nil)
	user := g.Principal("nobody", policy.RoleUser)
	in := map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"}
	for range 3 {
		g.Call("POST", "/v1/keys/"+key.KeyId+"/sign", in, nil)
	}
	g.Send(user.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", in)
	counted(t, g)
	for _, name := range []string{key.KeyId, key.Arn, "alias%2Fcounted"} {
		out := usageOf(t, g, "?OperationName=Sign&KeyId="+name)
		if len(out.Usage) != 2 || out.Truncated {
			t.Fatalf("%+v", out)
		}
		signed, denied := out.Usage[0], out.Usage[1]
		last := signed.Hourly[166] + signed.Hourly[167] // a new hour may have begun
		if signed.KeyId != key.KeyId || signed.PrincipalArn != g.Admin.ARN || signed.Outcome != api.Allowed || signed.Calls != 3 || last != 3 || len(signed.Hourly) != 168 ||
			denied.PrincipalArn != user.ARN || denied.Outcome != api.Denied || denied.Calls != 1 {
			t.Errorf("%+v", out)
		}
	}
	var pages []api.UsageSeries
	for marker := ""; ; {
		out := usageOf(t, g, "?Limit=1&Hours=2&KeyId="+key.KeyId+"&Marker="+marker)
		if pages = append(pages, out.Usage...); !out.Truncated {
			break
		}
		marker = out.NextMarker
	}
	all := usageOf(t, g, "?Hours=2&KeyId="+key.KeyId).Usage
	if !reflect.DeepEqual(pages, all) || len(all) != 4 { // CreateKey, CreateAlias, Sign twice
		t.Errorf("%+v, in pages %+v", all, pages)
	}
	for query, want := range map[string]string{"?Marker=x": "InvalidMarkerException", "?KeyId=alias%2Fnone": "NotFoundException", "?Outcome=good": "ValidationException"} {
		if a := g.Send(g.Admin.Token, "GET", "/v1/usage"+query, nil); a.Code() != want {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
	off := gatewaytest.NewWith(t, gatewaytest.Options{Watch: watch.Settings{Off: true}})
	watches(t, off)
	if a := off.Send(off.Admin.Token, "GET", "/v1/usage", nil); a.Code() != string(api.UnsupportedOperation) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
