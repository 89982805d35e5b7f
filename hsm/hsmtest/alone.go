package hsmtest

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// childVar marks a process that Alone started.
const childVar = "HSMGATE_TEST_ALONE"

// Alone runs the calling test in a process of its own, in parallel with others, and returns true in that process: the test goes on there and
// returns at once here. For tests that finalise the library under every Token of the process, or that need other environment
// variables, which belong to the process too (env, "NAME=value").
//
//	if !hsmtest.Alone(t) {
//		return
//	}
func Alone(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getenv(childVar) == t.Name() {
		return true
	}
	t.Parallel()
	limit := "0" // none
	if end, limited := t.Deadline(); limited {
		limit = time.Until(end).String()
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout="+limit)
	cmd.Env = append(append(os.Environ(), env...), childVar+"="+t.Name(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in its own process: %v\n%s", err, out)
	case bytes.Contains(out, []byte("\n--- SKIP: "+t.Name()+" (")):
		t.Skipf("%s", out)
	case !bytes.Contains(out, []byte("\n--- PASS: "+t.Name()+" (")):
		t.Errorf("the test did not run in its own process:\n%s", out)
	default:
		t.Logf("in its own process:\n%s", out)
	}
	return false
}
