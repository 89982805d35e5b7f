package crash

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// stops is how often the daemon is stopped.
const stops = 5

// TestGracefulStop stops the daemon while clients sign. Every request gets a whole answer or none at all, and the log holds exactly the
// signatures that were given out.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	s := newState(t, daemon.Options{})
	var keys []key
	var got []received
	for n := range stops {
		p := start(t, s)
		if keys == nil {
			k, err := newKey(p, "ECC_NIST_P256")
			if err != nil {
				t.Fatal(err)
			}
			keys = []key{k}
		}
		l := startLoad(p, keys)
		l.flows(t, 100, time.Minute)
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond) // the random moment
		if code, err := p.Stop(time.Minute); code != 0 || err != nil {
			t.Errorf("stop %d: exit code %d, %v", n+1, code, err)
		}
		l.end()
		got = append(got, l.received...)
		for _, err := range l.wrong {
			t.Errorf("stop %d: %v", n+1, err)
		}
		for _, r := range l.refused {
			if r.status != http.StatusServiceUnavailable || r.retryAfter == "" {
				t.Errorf("stop %d: refused with %+v, not with 503 and Retry-After", n+1, r)
			}
		}
		records := readLog(t, s.AuditLog())
		records.holds(t, l.received)
		if n := records.signatures(); n != len(got) {
			t.Errorf("the log holds %d signatures, and clients got %d", n, len(got))
		}
	}
	verifyLog(t, s, got)
	t.Logf("%d stops, %d signatures", stops, len(got))
}
