package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

const (
	treeKills   = 50 // how often the daemon is killed
	treeClients = 32 // connections under load
)

// TestKillKeepsTree kills the daemon at random moments, at the start too, while clients sign. Every signature that a client has
// is provable, and the tree is consistent with every checkpoint that was published, and with those that a client fetched. No
// start takes what the database knows of the log for another history.
func TestKillKeepsTree(t *testing.T) {
	s := newState(t, daemon.Options{})
	p := start(t, s)
	k, err := newKey(p, "ECC_NIST_P256")
	if err != nil {
		t.Fatal(err)
	}
	var got []received
	kept := &checkpoints{seen: map[string]bool{}}
	for n := range treeKills {
		l := startClients(p, []key{k}, treeClients)
		fetching := kept.follow(p)
		if n%5 > 0 { // else anywhere in what a start does
			l.flows(t, 1, time.Minute)
		}
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // the random moment
		p.Kill()
		l.end()
		fetching()
		got = append(got, l.received...)
		p = start(t, s)
	}
	got = append(got, mustSign(t, p, []key{k})...)
	if code, err := p.Stop(time.Minute); code != 0 || err != nil {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	if said, err := os.ReadFile(s.Log()); err != nil || bytes.Contains(said, []byte(tree.ErrOtherHistory.Error())) {
		t.Errorf("a good log is refused: %s, %v", said, err)
	}
	verifyLog(t, s, got)
	keys, err := tree.DirOf(s.AuditLog()).Keys()
	if err != nil {
		t.Fatal(err)
	}
	by := auditor.Trust{Log: keys}
	saved := kept.saved(t, by)
	r, err := auditor.VerifyTree(s.AuditLog(), by, saved)
	if err != nil || !r.Good() || r.Saved != len(saved) || r.Published == 0 {
		t.Errorf("the tree: %+v, %v", r, err)
	}
	readLog(t, s.AuditLog()).holds(t, got)
	provable(t, s.AuditLog(), by, got)
	t.Logf("%d kills, %d signatures, %d checkpoints published and %d fetched", treeKills, len(got), r.Published, len(saved))
}

// checkpoints are those that a client has fetched.
type checkpoints struct {
	mu   sync.Mutex
	seen map[string]bool
}

// follow fetches the checkpoint again and again, until what it returns is called.
func (c *checkpoints) follow(p *daemon.Process) (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			a, err := p.Do(context.Background(), http.DefaultClient, "GET", "/v1/log/checkpoint", nil)
			if err == nil && a.Status == http.StatusOK {
				c.mu.Lock()
				c.seen[string(a.Body)] = true
				c.mu.Unlock()
			}
		}
	})
	return func() { close(stop); all.Wait() }
}

func (c *checkpoints) saved(t *testing.T, by auditor.Trust) []auditor.Saved {
	t.Helper()
	var all []auditor.Saved
	for text := range c.seen {
		got, err := by.Parse([]byte(text))
		if err != nil {
			t.Errorf("a checkpoint that was fetched: %v", err)
			continue
		}
		all = append(all, auditor.Saved{Name: fmt.Sprint("fetched at ", got.Tree.N), Checkpoint: got})
	}
	if len(all) == 0 {
		t.Error("no checkpoint was fetched")
	}
	return all
}

// provable has a receipt made and verified for each signature, as audit prove does once it has found the record.
func provable(t *testing.T, log string, by auditor.Trust, got []received) {
	t.Helper()
	records := map[string]auditor.Found{}
	r, err := audit.OpenReader(log, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for line, err := r.Next(); err == nil; line, err = r.Next() {
		record, err := line.Record()
		if err != nil {
			t.Fatal(err)
		}
		if record.Operation == "Sign" && record.SignatureHash != "" {
			records[record.SignatureHash] = auditor.Found{Record: record, Line: string(line.Text)}
		}
	}
	lost := 0
	for _, g := range got {
		receipt, _, err := by.Receipt(tree.DirOf(log), records[g.signatureHash])
		if err == nil {
			var record audit.Record
			if record, _, err = by.Verify(receipt); err == nil && record.SignatureHash != g.signatureHash {
				err = errors.New("the receipt is of another signature")
			}
		}
		if err != nil {
			if lost++; lost <= 5 {
				t.Errorf("the signature %+v is not proven: %v", g, err)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d signatures are not proven", lost, len(got))
	}
}
