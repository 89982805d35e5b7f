package sink

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// TestMissed: records that retention removes before they are delivered are counted and told, and nobody says that
// nothing is lost.
func TestMissed(t *testing.T) {
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "audit.log")}
	reopen := func(o audit.Options) {
		t.Helper()
		var err error
		if b.log, err = audit.Open(b.path, o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.log.Close() })
	}
	c := Config{Name: "a", Type: "file", Path: filepath.Join(t.TempDir(), "a"), Begin: "first"}
	small := audit.Options{SegmentSize: 2000, Uncompressed: true}
	reopen(small)
	b.add(3, "Sign")
	b.start(c)
	b.stop()
	reopen(small)
	b.add(40, "Sign") // while there is no sink
	if err := b.log.Close(); err != nil {
		t.Fatal(err)
	}
	reopen(audit.Options{Retention: time.Nanosecond, Check: time.Millisecond, Seal: func(audit.Receipt) ([]byte, error) { return nil, nil }})
	for b.log.Stats().Segments > 0 {
		time.Sleep(time.Millisecond)
	}
	first, err := b.log.First()
	if err != nil || first < 5 {
		t.Fatal(first, err)
	}
	b.start(c)
	b.until("it goes on", func() bool { return b.metric("hsmgate_audit_sink_behind", "a") == 0 })
	if n := b.metric("hsmgate_audit_sink_missed_total", "a"); n != float64(first-4) {
		t.Errorf("%v were missed, want %d", n, first-4)
	}
	if said := fmt.Sprint(b.lines.All()); !strings.Contains(said, "were removed from the audit log before") || strings.Contains(said, "nothing is lost") {
		t.Error(said)
	}
	b.stop()
	atLeastOnce(t, seqs(t, readLines(t, c.Path)), append(b.want[:3:3], b.want[first-1:]...))
}
