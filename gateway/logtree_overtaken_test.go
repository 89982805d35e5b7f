package gateway_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

// TestACloneSigns: of two daemons with one name, on copies of one log, the first to tell the database goes on. The other
// says so and signs no more, until it starts again with a log that continues what is there.
func TestACloneSigns(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, g *gatewaytest.Gateway, sign func(receipt bool) gatewaytest.Answer) {
		if a := sign(true); a.Status != 200 {
			t.Fatal(a.Status, string(a.Body))
		}
		g.Service.KeepSigned(t.Context())
		c := clone(t, g, gatewaytest.Name)
		if c.err != nil {
			t.Fatal(c.err)
		}
		c.Append(t, "Fork")
		if _, err := c.service.LogTree().Wait(t.Context(), c.log.Head().Seq); err != nil {
			t.Fatal(err)
		}
		for range 3 { // so that the good log is longer than the fork
			if a := sign(true); a.Status != 200 {
				t.Fatal(a.Status, string(a.Body))
			}
		}
		g.Service.KeepSigned(t.Context())
		good := knows(t, g)
		if good.Size <= int64(c.log.Head().Seq) {
			t.Fatal("the fork is the longer one")
		}
		for range 5 {
			c.Append(t, "Fork")
		}
		if _, err := c.service.LogTree().Wait(t.Context(), c.log.Head().Seq); err != nil {
			t.Fatal(err)
		}
		c.service.KeepSigned(t.Context())
		last := c.service.LogTree().Stats().Checkpoint.Tree.N
		if p := checkpoints(c.service); p.Status != gateway.StatusDegraded || !strings.Contains(p.State, "another daemon signs checkpoints of this log") ||
			!strings.Contains(p.Detail, "find the other daemon") {
			t.Errorf("%+v", p)
		}
		c.Append(t, "Fork")
		wait, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // ten times the interval
		defer cancel()
		if got, err := c.service.LogTree().Wait(wait, c.log.Head().Seq); err == nil || got.Tree.N != last {
			t.Errorf("the clone goes on to sign: %d after %d, %v", got.Tree.N, last, err)
		}
		if got := knows(t, g); got != good {
			t.Errorf("the database has %+v, and had %+v", got, good)
		}
		if a := sign(true); a.Status != 200 {
			t.Fatal("the good log:", a.Status, string(a.Body))
		}
		if err := g.Service.EndTree(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.Service.KeepTree(t.Context()) // as a start does
		if a := sign(true); a.Status != 200 {
			t.Fatal("the good log after a start:", a.Status, string(a.Body))
		}
	})
}

// TestACloneOfAnotherName does not begin to sign.
func TestACloneOfAnotherName(t *testing.T) {
	t.Parallel()
	g := withTree(t, gatewaytest.Options{StoreDSN: storetest.DSN(t)})
	g.CreateKey(api.P256, api.SignVerify)
	g.Service.KeepSigned(t.Context())
	c := clone(t, g, "two")
	if c.err != nil {
		t.Fatal(c.err)
	}
	if p := checkpoints(c.service); c.service.LogTree() != nil || !strings.Contains(p.Detail, `is signed by the daemon "`+gatewaytest.Name+`"`) || !strings.Contains(p.Detail, "rotate-key") {
		t.Errorf("%+v", p)
	}
	if _, err := c.store.RetireLogKey(t.Context(), logName, time.Now()); err != nil { // as rotate-key does
		t.Fatal(err)
	}
	c.service.KeepTree(t.Context())
	if c.service.LogTree() == nil {
		t.Errorf("%+v", checkpoints(c.service))
	}
}

type cloned struct {
	service *gateway.Service
	store   *store.Store
	log     *audit.Log
	err     error // of the start
}

func (c *cloned) Append(t *testing.T, operation string) {
	t.Helper()
	if _, err := c.log.Append(t.Context(), &audit.Record{Origin: gatewaytest.Name, Face: "internal", Operation: operation, Outcome: "allowed"}); err != nil {
		t.Fatal(err)
	}
}

// clone starts a daemon on a copy of the log and of its folder, as a copied machine does, with the same database.
func clone(t *testing.T, g *gatewaytest.Gateway, name string) *cloned {
	t.Helper()
	return startOn(t, g, copyLog(t, g), name)
}

// copyLog gives the path of a copy of the log, which has its folders beside it.
func copyLog(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "clone")
	if err := os.CopyFS(folder, os.DirFS(filepath.Dir(g.AuditPath))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, filepath.Base(g.AuditPath))
	if _, err := os.Stat(string(tree.DirOf(path))); err != nil {
		t.Fatal(err)
	}
	return path
}

// startOn starts a daemon on a log, with the same database.
func startOn(t *testing.T, g *gatewaytest.Gateway, path, name string) *cloned {
	t.Helper()
	c := &cloned{}
	var err error
	if c.log, err = audit.Open(path, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.log.Close() })
	c.store = g.Store
	if g.StoreDSN != "" {
		if c.store, err = store.OpenPostgres(t.Context(), g.StoreDSN, gatewaytest.Region); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.store.Close() })
	}
	c.service = gateway.New(gateway.Config{Name: name, Names: gateway.Names{Account: gatewaytest.Account, Region: gatewaytest.Region},
		Store: c.store, Token: g.Token, Audit: c.log, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Now: g.Now,
		Tree: gateway.Tree{Path: path, Origin: "log-of-two", Interval: 50 * time.Millisecond}})
	c.err = c.service.Start(t.Context())
	t.Cleanup(func() { _ = c.service.EndTree(context.Background()) })
	return c
}

func checkpoints(s *gateway.Service) gateway.Part {
	for _, p := range s.Readiness().Parts {
		if p.Name == "checkpoints" {
			return p
		}
	}
	return gateway.Part{}
}
