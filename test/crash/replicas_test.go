package crash

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// TestTwoDaemons runs two daemons on one token and one PostgreSQL database, under load: keys of one sign on the other, one is killed while
// it makes keys, and the database is stopped. What was given out is in the log of the daemon that gave it, and nothing is made twice.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	server := storetest.New(t)
	states := []*daemon.State{newState(t, daemon.Options{StoreDSN: server.DSN(t)}), nil}
	one := start(t, states[0])
	var err error
	if states[1], err = states[0].Twin(t.TempDir(), daemon.Options{}); err != nil {
		t.Fatal(err)
	}
	two := start(t, states[1])
	shared := func(at, other *daemon.Process) key {
		t.Helper()
		k, err := newKey(at, "ECC_NIST_P256")
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		eventually(t, time.Minute, "the other daemon has the key", func() error { _, err := describe(other, k.id); return err })
		t.Logf("the other daemon has a key after %s", time.Since(begun))
		return k
	}
	keys := []key{shared(one, two), shared(two, one)}

	// The second is killed under load while it makes keys; the first goes on.
	loads := []*load{startLoad(one, keys), startLoad(two, keys)}
	m := startMaking(two)
	loads[1].flows(t, 20, time.Minute)
	two.Kill()
	made := m.end()
	loads[1].end()
	loads[0].flows(t, 20, time.Minute)
	got := [][]received{nil, loads[1].received}
	two = start(t, states[1])
	for _, id := range made {
		if _, err := describe(one, id); err != nil {
			t.Errorf("a key that CreateKey answered is not there: %v", err)
		}
	}

	// The database goes away: keys are used, and nothing is changed, on either.
	loads[1] = startLoad(two, keys)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for i, p := range []*daemon.Process{one, two} {
		loads[i].flows(t, 20, time.Minute)
		a, err := p.Do(t.Context(), http.DefaultClient, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify})
		if err != nil || a.Status != http.StatusServiceUnavailable {
			t.Errorf("without its database, a daemon answers CreateKey with %+v, %v", a, err)
		}
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*daemon.Process{one, two} {
		eventually(t, time.Minute, "keys are made again", func() error { _, err := newKey(p, "ECC_NIST_P256"); return err })
	}
	keys = append(keys, shared(two, one))
	for i, p := range []*daemon.Process{one, two} {
		loads[i].end()
		for _, err := range loads[i].wrong {
			t.Error(err)
		}
		for _, r := range loads[i].refused {
			t.Errorf("a signature is refused: %+v", r)
		}
		got[i] = append(append(got[i], loads[i].received...), mustSign(t, p, keys)...)
	}
	var listed [2]map[string]int
	eventually(t, time.Minute, "both list the same keys", func() error {
		listed[0], listed[1] = listKeys(t, one), listKeys(t, two)
		if len(listed[0]) != len(listed[1]) {
			return fmt.Errorf("%d and %d", len(listed[0]), len(listed[1]))
		}
		return nil
	})
	for i, p := range []*daemon.Process{one, two} {
		if code, err := p.Stop(time.Minute); code != 0 || err != nil {
			t.Errorf("stop: exit code %d, %v", code, err)
		}
		readLog(t, states[i].AuditLog()).holds(t, got[i])
		verifyLog(t, states[i], got[i])
		log, err := os.ReadFile(states[i].Log())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(log, []byte(server.Password())) {
			t.Error("the password of the database is in the log")
		}
	}
	sameKeys(t, listed[0], tokenKeys(t, states[0], "privkey"))
	sameKeys(t, listed[1], tokenKeys(t, states[0], "pubkey"))
	t.Logf("%d and %d signatures", len(got[0]), len(got[1]))
}
