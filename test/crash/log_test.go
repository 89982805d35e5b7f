package crash

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// auditLog is the log as a reader of the file finds it: by the receipt of each record.
type auditLog map[string]audit.Record

func readLog(t *testing.T, path string) auditLog {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records := auditLog{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r audit.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("a line of the log is no record: %v: %q", err, lines.Text())
		}
		sum := sha256.Sum256(lines.Bytes())
		records[fmt.Sprintf("%d:%s", r.Seq, hex.EncodeToString(sum[:]))] = r
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return records
}

// holds checks that each signature that a client has is in the log, under its receipt and with its hash.
func (records auditLog) holds(t *testing.T, got []received) {
	t.Helper()
	missing := 0
	for _, r := range got {
		record, ok := records[r.receipt]
		if !ok || record.Operation != "Sign" || record.Outcome != "allowed" || record.KeyID != r.keyID || record.SignatureHash != r.signatureHash {
			if missing++; missing <= 5 {
				t.Errorf("the log does not hold the signature %+v: its record is %+v", r, record)
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d signatures are not in the log", missing, len(got))
	}
}

// signatures is how many signatures the log says were given out.
func (records auditLog) signatures() int {
	n := 0
	for _, r := range records {
		if r.Operation == "Sign" && r.Outcome == "allowed" {
			n++
		}
	}
	return n
}

// verifyLog has the command-line tool check the chain, and that the last receipts are in it.
func verifyLog(t *testing.T, s *daemon.State, got []received) {
	t.Helper()
	args := []string{"audit", "verify", s.AuditLog()}
	for _, r := range got[max(0, len(got)-50):] {
		args = append(args, "--receipt", r.receipt)
	}
	if out, err := exec.Command(hsmgate, args...).CombinedOutput(); err != nil {
		t.Errorf("hsmgate audit verify: %v\n%s", err, out)
	}
}
