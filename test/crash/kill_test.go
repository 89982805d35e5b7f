package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// kills is how often the daemon is killed.
const kills = 20

// makers is how many clients make keys meanwhile.
const makers = 2

// TestKill kills the daemon at random moments while clients sign and make keys. Every signature that a client has must be in the log, every
// key that a client was told of must sign, and nothing half-made may be left.
func TestKill(t *testing.T) {
	s := newState(t, daemon.Options{})
	p := start(t, s)
	var keys []key
	for _, spec := range []api.KeySpec{"ECC_NIST_P256", "ECC_NIST_EDWARDS25519"} {
		k, err := newKey(p, spec)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	var got []received
	var made []string
	for n := range kills {
		l := startLoad(p, keys)
		m := startMaking(p)
		l.flows(t, 1, time.Minute)
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond) // the random moment
		p.Kill()
		l.end()
		made = append(made, m.end()...)
		for _, err := range l.wrong {
			if !strings.Contains(err.Error(), "was cut") { // by the kill: the client has no signature
				t.Errorf("kill %d: %v", n+1, err)
			}
		}
		got = append(got, l.received...)
		p = start(t, s)
		readLog(t, s.AuditLog()).holds(t, l.received)
		got = append(got, mustSign(t, p, keys)...)
	}
	t.Logf("%d kills, %d signatures, %d keys made", kills, len(got), len(made))

	for _, id := range made {
		k, err := describe(p, id)
		if err != nil {
			t.Errorf("a key that CreateKey answered is not there: %v", err)
			continue
		}
		got = append(got, mustSign(t, p, []key{k})...)
	}
	listed := listKeys(t, p)
	if code, err := p.Stop(time.Minute); code != 0 || err != nil {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	readLog(t, s.AuditLog()).holds(t, got)
	verifyLog(t, s, got)
	sameKeys(t, listed, tokenKeys(t, s, "privkey"))
	sameKeys(t, listed, tokenKeys(t, s, "pubkey"))
}

// making is clients that make keys.
type making struct {
	stop chan struct{}
	all  sync.WaitGroup
	mu   sync.Mutex
	ids  []string
}

func startMaking(p *daemon.Process) *making {
	m := &making{stop: make(chan struct{})}
	for range makers {
		m.all.Go(func() {
			for {
				select {
				case <-m.stop:
					return
				default:
				}
				var made api.CreateKeyResponse
				if err := p.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: "ECC_NIST_P256", KeyUsage: api.SignVerify}, &made); err != nil {
					return // the daemon was killed
				}
				m.mu.Lock()
				m.ids = append(m.ids, made.KeyMetadata.KeyId)
				m.mu.Unlock()
			}
		})
	}
	return m
}

// end waits for the clients and returns the keys that they were told of.
func (m *making) end() []string {
	close(m.stop)
	m.all.Wait()
	return m.ids
}

// listKeys are the ids of all keys that the daemon knows.
func listKeys(t *testing.T, p *daemon.Process) map[string]int {
	t.Helper()
	ids := map[string]int{}
	for marker := ""; ; {
		var page api.ListKeysResponse
		if err := p.Call("GET", "/v1/keys?Limit=1000"+marker, nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Keys {
			ids[k.KeyId]++
		}
		if !page.Truncated {
			return ids
		}
		marker = "&Marker=" + page.NextMarker
	}
}

// tokenKeys are the labels of the token's objects of a class, which are the ids of their keys, by a tool that is not ours. SoftHSM writes an
// object in several steps, and being killed between them leaves a shell with neither label nor CKA_ID, which nothing can find or use; those
// are not counted, but no kill may leave more than one for each key that was being made.
func tokenKeys(t *testing.T, s *daemon.State, class string) map[string]int {
	t.Helper()
	cmd := exec.Command("pkcs11-tool", "--module", s.Options.Module, "--token-label", daemon.Label, "--login", "--pin", daemon.PIN,
		"--list-objects", "--type", class)
	cmd.Env = append(cmd.Environ(), "SOFTHSM2_CONF="+s.SoftHSMConf())
	var warnings bytes.Buffer // of shells; they must not come between the labels
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pkcs11-tool: %v\n%s%s", err, out, &warnings)
	}
	labels, shells := map[string]int{}, 0
	for _, object := range strings.Split(string(out), " Key Object; ")[1:] {
		label, id := member(object, "label"), member(object, "ID")
		if label == "" && id == "" {
			shells++
			continue
		}
		labels[label]++
	}
	for label, n := range labels { // the daemons' own, of their logs
		if strings.HasPrefix(label, "hsmgate log ") {
			if n != 1 {
				t.Errorf("%d objects labelled %s", n, label)
			}
			delete(labels, label)
		}
	}
	if shells > makers*kills {
		t.Errorf("%d shells of class %s after %d kills", shells, class, kills)
	}
	return labels
}

// member is a value in what pkcs11-tool prints of an object.
func member(object, name string) string {
	for _, line := range strings.Split(object, "\n") {
		if n, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && n == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// sameKeys checks that the token holds one object for each key, and no other.
func sameKeys(t *testing.T, listed, token map[string]int) {
	t.Helper()
	var differences []string
	for id := range listed {
		if token[id] != 1 {
			differences = append(differences, fmt.Sprintf("key %s has %d objects", id, token[id]))
		}
	}
	for label, n := range token {
		if listed[label] == 0 {
			differences = append(differences, fmt.Sprintf("%d orphan(s) labelled %s", n, label))
		}
	}
	if len(differences) > 0 {
		t.Errorf("the daemon and the token differ in %d of %d keys: %s", len(differences), len(listed), strings.Join(differences, "; "))
	}
}
