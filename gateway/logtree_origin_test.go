package gateway_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestARenamedDaemonKnowsItsLog: the log's records say whose it is, so that a daemon that has another name by now signs
// nothing that does not continue what was signed under the old one, although the folder of the tree is gone.
func TestARenamedDaemonKnowsItsLog(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, g *gatewaytest.Gateway, sign func(receipt bool) gatewaytest.Answer) {
		older := copyLog(t, g)
		if a := sign(true); a.Status != 200 {
			t.Fatal(a.Status, string(a.Body))
		}
		if err := g.Service.EndTree(t.Context()); err != nil {
			t.Fatal(err)
		}
		was, newer := knows(t, g), copyLog(t, g)
		retired := false
		for _, c := range []struct {
			path, refused string
		}{{older, "the audit log is older than what was signed, or another one"}, {newer, ""}} {
			if err := os.RemoveAll(string(tree.DirOf(c.path))); err != nil {
				t.Fatal(err)
			}
			two := startOn(t, g, c.path, "two")
			if two.err != nil {
				t.Fatal(two.err)
			}
			if g.StoreDSN != "" && !retired {
				if p := checkpoints(two.service); two.service.LogTree() != nil || !strings.Contains(p.Detail, `is signed by the daemon "`+gatewaytest.Name+`"`) {
					t.Fatalf("%+v", p)
				}
				if _, err := two.store.RetireLogKey(t.Context(), logName, time.Now()); err != nil { // as rotate-key does
					t.Fatal(err)
				}
				retired = true
				two.service.KeepTree(t.Context())
			}
			if c.refused == "" {
				until(t, "it is signed", func() bool { return two.service.LogTree().Stats().Checkpoint.Tree.N > 0 })
				if got := two.service.LogTree().Stats().Checkpoint; got.Origin != logName || got.Tree.N < was.Size {
					t.Errorf("%+v", got)
				}
				continue
			}
			until(t, c.refused, func() bool {
				p := checkpoints(two.service)
				return p.Status == gateway.StatusDegraded && strings.Contains(p.State, c.refused) || two.service.LogTree().Stats().Checkpoint.Tree.N > 0
			})
			two.service.KeepSigned(t.Context())
			if got := two.service.LogTree().Stats().Checkpoint; got.Tree.N > 0 {
				t.Errorf("it is signed: %+v", got)
			}
			if now := knows(t, g); now != was {
				t.Errorf("the database had %+v, and has %+v", was, now)
			}
		}
	})
}

// TestALogKeepsItsName also without the folder of its tree.
func TestALogKeepsItsName(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, g *gatewaytest.Gateway, _ func(bool) gatewaytest.Answer) {
		path := copyLog(t, g)
		if err := os.RemoveAll(string(tree.DirOf(path))); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			set          bool
			origin, want string
		}{{false, "log-of-two", logName}, {true, logName, logName}, {true, "log-of-two", ""}} {
			origin, begun, err := gateway.LogOrigin(gateway.Tree{Path: path, Origin: c.origin, OriginIsSet: c.set}, g.Store)
			if origin != c.want || !begun || (err == nil) != (c.want != "") {
				t.Errorf("%+v: %q, %v, %v", c, origin, begun, err)
			}
			if err != nil && !strings.Contains(err.Error(), `is the log "`+logName+`", and audit.origin is "log-of-two"`) {
				t.Error(err)
			}
		}
		if origin, begun, err := gateway.LogOrigin(gateway.Tree{Path: path + ".other", Origin: "new"}, g.Store); origin != "new" || begun || err != nil {
			t.Error(origin, begun, err)
		}
	})
}

// TestNoNewHistoryBesideAKey: alone on its database, a daemon does not take a log that none of its names has written for a new one.
func TestNoNewHistoryBesideAKey(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, g *gatewaytest.Gateway, _ func(bool) gatewaytest.Answer) {
		path := filepath.Join(t.TempDir(), "audit.log")
		l, err := audit.Open(path, audit.Options{})
		if err == nil {
			_, err = l.Append(t.Context(), &audit.Record{Origin: "two", Operation: "Sign"}) // those of before were removed by retention
		}
		if err = errors.Join(err, l.Close()); err != nil {
			t.Fatal(err)
		}
		origin, begun, err := gateway.LogOrigin(gateway.Tree{Path: path, Origin: "log-of-two"}, g.Store)
		if g.StoreDSN != "" { // the logs of others are in it, too
			if origin != "log-of-two" || begun || err != nil {
				t.Error(origin, begun, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), `the log of the database is "`+logName+`"`) {
			t.Error(origin, begun, err)
		}
		if origin, begun, err := gateway.LogOrigin(gateway.Tree{Path: path, Origin: "log-of-two", OriginIsSet: true}, g.Store); origin != "log-of-two" || begun || err != nil {
			t.Error(origin, begun, err)
		}
	})
}
