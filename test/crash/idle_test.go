package crash

import (
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// TestIdle: nobody calls for a minute, in which a token may close what is not used, and then every key signs at the first attempt.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := newState(t, daemon.Options{})
	p := start(t, s)
	var keys []key
	for range 4 {
		k, err := newKey(p, "ECC_NIST_P256")
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	got := mustSign(t, p, keys)
	time.Sleep(61 * time.Second) // four times the keep-alive
	got = append(got, mustSign(t, p, keys)...)
	if code, err := p.Stop(time.Minute); code != 0 || err != nil {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	if len(got) != 2*len(keys) {
		t.Errorf("%d signatures", len(got))
	}
	readLog(t, s.AuditLog()).holds(t, got)
}
