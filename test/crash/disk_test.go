package crash

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// TestAuditDiskFull fills the disk of the audit log under load. Nothing leaves without a record: calls are refused with 503 until there is
// room again, and then served, without a restart.
//
// The disk is a small tmpfs in a mount namespace of the daemon's own, which ends with it.
func TestAuditDiskFull(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("unshare", "-rm", "true").CombinedOutput(); err != nil {
		t.Skipf("no small disk can be made here: unshare: %v %s", err, out)
	}
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newState(t, daemon.Options{AuditFolder: disk,
		Wrapper: []string{"unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"`, disk}})
	p := start(t, s)
	k, err := newKey(p, "ECC_NIST_P256")
	if err != nil {
		t.Fatal(err)
	}
	// The disk as the daemon sees it.
	inside := filepath.Join(fmt.Sprintf("/proc/%d/root", p.PID()), disk)
	l := startLoad(p, []key{k})
	var filler string
	for round := range 3 {
		l.flows(t, 200, time.Minute)
		filler = filepath.Join(inside, fmt.Sprint("filler", round))
		if err := fillDisk(filler); err == nil {
			t.Fatal("the disk does not get full")
		}
		before := l.count()
		eventually(t, 30*time.Second, "calls are refused", func() error {
			if n := l.count() - before; n < 50 {
				return fmt.Errorf("%d were", n)
			}
			return nil
		})
		if a, err := p.Do(t.Context(), http.DefaultClient, "GET", "/readyz", nil); err != nil || a.Status != http.StatusServiceUnavailable {
			t.Errorf("/readyz while the disk is full: %+v, %v", a, err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	l.flows(t, 200, time.Minute)
	l.end()
	for _, err := range append(l.wrong, l.noAnswer...) {
		t.Error(err)
	}
	for _, r := range l.refused {
		if r.status != http.StatusServiceUnavailable || r.code != "ServiceUnavailableException" || r.retryAfter == "" {
			t.Errorf("refused with %+v", r)
		}
	}
	// The log goes with the namespace, so it is copied out first.
	out := newStateCopy(t, s, inside)
	records := readLog(t, out.AuditLog())
	records.holds(t, l.received)
	verifyLog(t, out, l.received)
	if code, err := p.Stop(time.Minute); code != 0 || err != nil {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	t.Logf("%d signatures, %d refused", len(l.received), len(l.refused))
}

// count is how many calls were refused so far.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.refused)
}

// fillDisk writes until there is no room.
func fillDisk(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
}

// newStateCopy copies log and head to where they stay.
func newStateCopy(t *testing.T, s *daemon.State, from string) *daemon.State {
	t.Helper()
	out := &daemon.State{Dir: s.Dir, Options: daemon.Options{AuditFolder: t.TempDir()}}
	for _, name := range []string{"audit.log.head", "audit.log"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(out.Options.AuditFolder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
