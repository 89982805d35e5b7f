package sink

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// TestAllRemoved: where retention has removed every record, a sink that has delivered them goes on with the next one, and
// one that has not says which it has missed.
func TestAllRemoved(t *testing.T) {
	b := newBench(t)
	done := Config{Name: "done", Type: "file", Path: filepath.Join(t.TempDir(), "a"), Begin: "first"}
	late := Config{Name: "late", Type: "file", Path: filepath.Join(t.TempDir(), "none", "b"), Begin: "first"}
	b.add(3, "Sign")
	b.start(done, late)
	b.stop()

	o := audit.Options{
		SegmentAge: time.Millisecond, Retention: time.Millisecond, Check: time.Millisecond,
		Seal: func(last audit.Receipt) ([]byte, error) { return []byte(last.String()), nil },
	}
	b.openWith(o)
	b.until("all is removed", func() bool { first, err := b.log.First(); return err == nil && first == 4 })
	if err := b.log.Close(); err != nil {
		t.Fatal(err)
	}

	late.Path = filepath.Join(t.TempDir(), "b")
	b.open()
	b.start(done, late)
	b.until("the missed ones are told", func() bool { return b.metric("hsmgate_audit_sink_missed_total", "late") == 3 })
	b.add(2, "Sign")
	b.stop()
	atLeastOnce(t, seqs(t, readLines(t, done.Path)), b.want)
	atLeastOnce(t, seqs(t, readLines(t, late.Path)), b.want[3:])
	for _, e := range b.lines.All() {
		if strings.Contains(e.Message, "does not hold record") {
			t.Error(e)
		}
	}
}
