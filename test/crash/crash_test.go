// Package crash shows that no fault loses or falsifies anything: real hsmgated processes, on a SoftHSM token, under load, that are killed,
// stopped, starved of disk and cut off from their token.
package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// clients is how many callers send load.
const clients = 16

// Programs under test, built once.
var hsmgated, hsmgate string

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "hsmgate-crash-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if hsmgated, err = daemon.Build(dir); err != nil {
		return 1, err
	}
	hsmgate = filepath.Join(dir, "hsmgate")
	cmd := exec.Command("go", "build", "-o", hsmgate, "github.com/hsmgate/hsmgate/cmd/hsmgate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("hsmgate does not build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// newState makes a state with a token of its own.
func newState(t *testing.T, o daemon.Options) *daemon.State {
	t.Helper()
	s, err := daemon.New(t.TempDir(), hsmgated, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts a daemon that is killed at the end of the test, should it still run.
func start(t *testing.T, s *daemon.State) *daemon.Process {
	t.Helper()
	p, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// eventually waits until f is nil.
func eventually(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
