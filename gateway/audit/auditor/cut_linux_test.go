package auditor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// cutOff removes the first n records and writes a cut with what is said to be signed, as who can write the log does.
func (w *world) cutOff(n int, signed string) {
	w.t.Helper()
	lines := bytes.SplitAfter(read(w.t, w.path), []byte("\n"))
	sum := sha256.Sum256(bytes.TrimSuffix(lines[n-1], []byte("\n")))
	start := fmt.Sprintf("hsmgate-audit-cut 1 %d:%x ", n, sum)
	check := sha256.Sum256([]byte(start + signed))
	must(w.t, os.MkdirAll(audit.SegmentsPath(w.path), 0o700))
	must(w.t, os.WriteFile(audit.CutPath(w.path), fmt.Appendf(nil, "%s%s\n%s", start, hex.EncodeToString(check[:8]), signed), 0o600))
	must(w.t, os.WriteFile(w.path, bytes.Join(lines[n:], nil), 0o600))
}

// seal is what the log's key signs for a record.
func (w *world) seal(c tree.Checkpoint, n int) string {
	w.t.Helper()
	line := bytes.Split(read(w.t, w.path), []byte("\n"))[n-1]
	proof, err := tree.DirOf(w.path).Proof(c, uint64(n))
	must(w.t, err)
	b, err := json.Marshal(tree.Receipt{Record: string(line), Proof: proof})
	must(w.t, err)
	return string(b)
}

// TestCut: records that are gone without the signature of the log's key are missing, whatever the cut says.
func TestCut(t *testing.T) {
	t.Run("sealed", func(t *testing.T) {
		w := newWorld(t)
		saved := w.add(300, "a")
		w.cutOff(100, w.seal(saved, 100))
		if r := w.verify(Saved{"monday", saved}); !r.Good() || r.Removed != 100 {
			t.Fatalf("%+v", r)
		}
	})
	for name, signed := range map[string]func(w *world, c tree.Checkpoint) string{
		"no signature":   func(*world, tree.Checkpoint) string { return "no signature" },
		"another record": func(w *world, c tree.Checkpoint) string { return w.seal(c, 99) },
		"another key": func(w *world, _ tree.Checkpoint) string {
			o := newWorld(t)
			return o.seal(o.add(300, "a"), 100)
		},
		"another tree of this key": func(w *world, _ tree.Checkpoint) string {
			o := w.other()
			must(t, os.WriteFile(o.path, read(t, w.path), 0o600))
			must(t, os.WriteFile(audit.HeadPath(o.path), read(t, audit.HeadPath(w.path)), 0o600))
			return o.seal(o.add(300, "b"), 100)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			saved := w.add(300, "a")
			w.cutOff(100, signed(w, saved))
			r, err := audit.VerifyFile(w.path, audit.VerifyOptions{})
			must(t, err)
			if !r.Intact() {
				t.Fatal("the chain alone cannot tell", r.Problems)
			}
			if r := w.verify(Saved{"monday", saved}); r.Good() || !strings.Contains(fmt.Sprint(r.Problems), "cut") {
				t.Fatalf("%+v", r)
			}
		})
	}
}
