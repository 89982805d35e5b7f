package gateway_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

// The database has the last checkpoint after a start and an end. The tree goes on without its folder, and is signed no
// more when the database knows of a log that was longer, or another one: calls go on, without receipts.
func TestTheDatabaseKnowsWhatWasSigned(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, g *gatewaytest.Gateway, sign func(receipt bool) gatewaytest.Answer) {
		end := func() store.LogCheckpoint {
			t.Helper()
			if err := g.Service.EndTree(t.Context()); err != nil {
				t.Fatal(err)
			}
			return knows(t, g)
		}
		if atStart := knows(t, g); atStart.Size == 0 {
			t.Fatal("the start tells nothing")
		}
		if a := sign(true); a.Status != 200 {
			t.Fatal(a.Status, string(a.Body))
		}
		was := end()
		keys, err := tree.ParseKeys(logKeys(t, g))
		if err != nil {
			t.Fatal(err)
		}
		dir := tree.DirOf(g.AuditPath)
		if last, err := dir.Checkpoint(keys...); err != nil || was.Size != int64(g.Audit.Head().Seq) || last.Tree != (tlog.Tree{N: was.Size, Hash: was.Root}) {
			t.Fatalf("%+v\n%+v\n%v", was, last, err)
		}
		if err := os.RemoveAll(string(dir)); err != nil {
			t.Fatal(err)
		}
		g.Service.KeepTree(t.Context())
		if a := sign(true); a.Status != 200 {
			t.Fatal("the folder is not made anew:", a.Status, string(a.Body))
		}
		was = end()
		for text, signed := range map[string]store.LogCheckpoint{
			"the log is older than what was signed: it ends with record": {Size: was.Size + 1000, Root: was.Root},
			"records do not give the root":                               {Size: was.Size, Root: [32]byte{1}},
		} {
			signed.Origin, signed.PublishedAt = logName, time.Now()
			if err := g.Store.ReplaceLogCheckpoint(t.Context(), signed); err != nil {
				t.Fatal(err)
			}
			if err := gateway.CheckTree(t.Context(), gateway.Tree{Path: g.AuditPath}, g.Store, gatewaytest.Name); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("before a start: %v; want %q", err, text)
			}
			g.Service.KeepTree(t.Context())
			refusesToSign(t, g, text)
			if a := sign(false); a.Status != 200 {
				t.Error("a call without a receipt:", a.Status, string(a.Body))
			}
			if a := sign(true); a.Status != 503 || !strings.Contains(string(a.Body), "nothing was signed") {
				t.Error("a call with one:", a.Status, string(a.Body))
			}
			if err := g.Service.EndTree(t.Context()); err == nil {
				t.Error("the end says that all is covered")
			}
			if kept := knows(t, g); kept.Size != signed.Size || kept.Root != signed.Root {
				t.Errorf("the database forgets: %+v", kept)
			}
		}
		if err := g.Store.ReplaceLogCheckpoint(t.Context(), was); err != nil {
			t.Fatal(err)
		}
		for _, tell := range []struct{ origin, wrong string }{{"", ""}, {logName, ""}, {"another", "a log keeps its name"}} {
			err := gateway.CheckTree(t.Context(), gateway.Tree{Path: g.AuditPath, Origin: tell.origin, OriginIsSet: tell.origin != ""}, g.Store, gatewaytest.Name)
			if (err == nil) != (tell.wrong == "") || err != nil && !strings.Contains(err.Error(), tell.wrong) {
				t.Errorf("%q: %v; want %q", tell.origin, err, tell.wrong)
			}
		}
		g.Service.KeepTree(t.Context())
		if a := sign(true); a.Status != 200 {
			t.Fatal(a.Status, string(a.Body))
		}
	})
}

// knows is what the database knows of the log.
func knows(t *testing.T, g *gatewaytest.Gateway) store.LogCheckpoint {
	t.Helper()
	c, err := g.Store.LogCheckpoint(t.Context(), logName)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refusesToSign waits until readiness says why, with the numbers for who may read them.
func refusesToSign(t *testing.T, g *gatewaytest.Gateway, text string) {
	t.Helper()
	for {
		for _, p := range g.Service.Readiness().Parts {
			if p.Name != "checkpoints" || !strings.Contains(p.Detail, text) {
				continue
			}
			if p.Status != gateway.StatusDegraded || !strings.Contains(p.State, "older than what was signed, or another one") {
				t.Fatalf("%+v", p)
			}
			if !strings.Contains(string(g.Send(g.Admin.Token, "GET", "/metrics", nil).Body), "\nhsmgate_log_other_history 1\n") {
				t.Error("the metrics say nothing")
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A database that is away stops no checkpoint; it is told later.
func TestTheDatabaseIsToldLater(t *testing.T) {
	t.Parallel()
	server := storetest.New(t)
	g := withTree(t, gatewaytest.Options{StoreDSN: server.DSN(t), StaleLimit: time.Hour})
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Store.Watch(t.Context())
	before := knows(t, g)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	until(t, "it is noticed", func() bool { return g.Store.Ready() != nil })
	a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("a"), "SigningAlgorithm": "ECDSA_SHA_256", "Receipt": true})
	if a.Status != 200 || !strings.Contains(string(a.Body), `"Receipt"`) {
		t.Fatal(a.Status, string(a.Body))
	}
	g.Service.KeepSigned(t.Context())
	if g.Lines.FilterMessageSnippet("could not be written into the database yet").Len() != 1 {
		t.Error("nothing is said of it")
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	until(t, "it is back", func() bool { return g.Store.Ready() == nil })
	g.Service.KeepSigned(t.Context())
	if now := knows(t, g); now.Size <= before.Size {
		t.Errorf("it was %d records, and is %d", before.Size, now.Size)
	}
}
