package gateway_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// A part is what can fail, a manner how.
type (
	part   string
	manner string
)

const (
	ofStore part = "write of the store"
	ofToken part = "call of the token"
	ofLog   part = "record of the log"

	failed        manner = "failed"
	failedButDone manner = "failed but done"
	gone          manner = "failed, as all that followed" // until the next life of the process
)

// faults makes one fault at a time in the parts of a gateway. It belongs to a
// process of the test's own: the driver of the database and the library of the token
// are the process's.
type faults struct {
	t       *testing.T
	part    part
	how     manner
	n       int64
	seen    atomic.Int64
	db      string // whose commits fail
	token   string // tells the library of hsm/testdata/fault.c what to do
	library string
	serial  int
}

func newFaults(t *testing.T) *faults {
	t.Helper()
	dir := t.TempDir()
	f := &faults{t: t, db: filepath.Join(dir, "hsmgate.db"), token: filepath.Join(dir, "fault"), library: filepath.Join(dir, "fault.so")}
	run(t, "cc", "-shared", "-fPIC", "-O1", "-o", f.library, "../hsm/testdata/fault.c", "-ldl")
	for name, value := range map[string]string{"HSM_FAULT_MODULE": hsmtest.SoftHSM(t), "HSM_FAULT_FILE": f.token} {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
	f.failCommits(filepath.Join(dir, "commit.so"))
	return f
}

// failCommits puts the fault into every connection to the database.
func (f *faults) failCommits(extension string) {
	f.t.Helper()
	list := exec.CommandContext(f.t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/mattn/go-sqlite3")
	headers, err := list.Output()
	if err != nil {
		f.t.Fatal(err)
	}
	run(f.t, "cc", "-shared", "-fPIC", "-O1", "-I", strings.TrimSpace(string(headers)), "-o", extension, "testdata/commit.c")
	db, err := sql.Open("sqlite3", "")
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	db.Driver().(*sqlite3.SQLiteDriver).ConnectHook = func(c *sqlite3.SQLiteConn) error {
		c.RegisterCommitHook(f.commit)
		return c.LoadExtension(extension, "sqlite3_commit_init")
	}
}

// commit is asked before each commit; what is not 0 turns it into a rollback.
func (f *faults) commit() int {
	switch fail, done := f.at(ofStore); {
	case fail && done:
		if err := os.WriteFile(f.db+"-failed-but-done", nil, 0o600); err != nil {
			f.t.Error(err)
		}
		return 0
	case fail:
		return 1
	}
	return 0
}

// at counts a step of a part and says whether it fails.
func (f *faults) at(p part) (fail, done bool) {
	if f.part != p {
		return false, false
	}
	n := f.seen.Add(1)
	return n == f.n || n > f.n && f.how == gone, f.how == failedButDone
}

// during makes the n-th step of a part fail while run runs. False: it has fewer steps.
func (f *faults) during(p part, how manner, n int, run func()) (met bool) {
	f.t.Helper()
	f.part, f.how, f.n = p, how, int64(n)
	f.seen.Store(0)
	if f.serial++; p == ofToken {
		word := map[manner]string{failed: "failed", failedButDone: "done", gone: "gone"}[how]
		f.tell(fmt.Sprintf("step %s %d %d", word, n, f.serial))
	}
	run()
	f.part = ""
	if p != ofToken {
		_ = os.Remove(f.db + "-failed-but-done") // of a commit that had nothing to write
		return f.seen.Load() >= f.n
	}
	f.tell("")
	return os.Remove(f.token+".met") == nil
}

func (f *faults) tell(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.token+".new", []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.token+".new", f.token); err != nil {
		f.t.Fatal(err)
	}
}
