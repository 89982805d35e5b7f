package sink

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/export"
)

// limit ends a test that hangs; it measures nothing.
const limit = 60 * time.Second

func TestMain(m *testing.M) {
	roundPause, cursorPause, firstRetry, lastRetry = time.Millisecond, 5*time.Millisecond, 2*time.Millisecond, 10*time.Millisecond
	os.Exit(m.Run())
}

// bench is a real log and its sinks.
type bench struct {
	t     testing.TB
	path  string
	log   *audit.Log
	set   *Set
	lines *observer.ObservedLogs
	reg   *prometheus.Registry
	want  []uint64 // numbers of the records in the log
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "audit.log")}
	b.open()
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.log, err = audit.Open(b.path, audit.Options{}); err != nil {
		b.t.Fatal(err)
	}
	log := b.log
	b.t.Cleanup(func() { _ = log.Close() }) // closed before, by most
}

func (b *bench) start(configs ...Config) {
	b.t.Helper()
	if err := Check(configs); err != nil {
		b.t.Fatal(err)
	}
	core, lines := observer.New(zapcore.InfoLevel)
	b.lines, b.reg = lines, prometheus.NewRegistry()
	var err error
	if b.set, err = Open(configs, Options{Log: b.log, Path: b.path, Home: export.Home{Account: "111122223333", Region: "eu-central-1"}, Zap: zap.New(core), Metrics: b.reg}); err != nil {
		b.t.Fatal(err)
	}
	b.set.Start()
	set := b.set
	b.t.Cleanup(func() { set.cancel(); set.all.Wait() })
}

// stop ends as the daemon does.
func (b *bench) stop() {
	b.t.Helper()
	if err := b.log.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.set.Stop()
}

// add appends records of an operation.
func (b *bench) add(n int, operation string) {
	b.t.Helper()
	for range n {
		r, err := b.log.Append(b.t.Context(), &audit.Record{Operation: operation, Principal: "arn:aws:iam::111122223333:user/a", Outcome: "allowed", Face: "rest", RequestID: fmt.Sprint(len(b.want))})
		if err != nil {
			b.t.Fatal(err)
		}
		b.want = append(b.want, r.Seq)
	}
}

// until waits for a condition.
func (b *bench) until(what string, met func() bool) {
	b.t.Helper()
	for end := time.Now().Add(limit); !met(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s; log: %v", what, b.lines.All())
		}
	}
}

// metric gives the value of a figure of the sink.
func (b *bench) metric(name, sink string) float64 {
	b.t.Helper()
	all, err := b.reg.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == sink {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	b.t.Fatalf("there is no %s of %s", name, sink)
	return 0
}

// atLeastOnce: all that was wanted has come, and what comes for the first time does so in order.
func atLeastOnce(t testing.TB, got, want []uint64) {
	t.Helper()
	next := 0
	seen := make(map[uint64]bool)
	for _, seq := range got {
		if seen[seq] {
			continue
		}
		if next >= len(want) || seq != want[next] {
			t.Fatalf("record %d comes as number %d of %d", seq, next, len(want))
		}
		seen[seq] = true
		next++
	}
	if next != len(want) {
		t.Fatalf("%d of %d records came", next, len(want))
	}
}

func readLines(t testing.TB, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Fatalf("%s does not end with a line", path)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func seqOf(t testing.TB, line string) (seq uint64) {
	t.Helper()
	if _, err := fmt.Sscanf(line, `{"seq":%d,`, &seq); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return seq
}

func seqs(t testing.TB, lines []string) (all []uint64) {
	for _, line := range lines {
		all = append(all, seqOf(t, line))
	}
	return all
}

// TestBegins: now and first, and where a sink goes on.
func TestBegins(t *testing.T) {
	b := newBench(t)
	b.add(5, "Sign")
	dir := t.TempDir()
	first := Config{Name: "first", Type: "file", Path: filepath.Join(dir, "first"), Begin: "first"}
	now := Config{Name: "now", Type: "file", Path: filepath.Join(dir, "now")}
	b.start(first, now)
	b.add(3, "Sign")
	b.stop()
	atLeastOnce(t, seqs(t, readLines(t, first.Path)), b.want)
	atLeastOnce(t, seqs(t, readLines(t, now.Path)), b.want[5:])

	b.open()
	b.add(4, "Sign") // while there are no sinks
	b.start(first, now)
	b.until("both are there", func() bool {
		return b.metric("hsmgate_audit_sink_behind", "first") == 0 && b.metric("hsmgate_audit_sink_behind", "now") == 0
	})
	if n := b.metric("hsmgate_audit_sink_delivered_total", "now"); n != 4 {
		t.Errorf("%v records were delivered after a stop, want the 4 that came since", n)
	}
	b.stop()
	atLeastOnce(t, seqs(t, readLines(t, first.Path)), b.want)
	atLeastOnce(t, seqs(t, readLines(t, now.Path)), b.want[5:])
	if info, err := os.Stat(cursorPath(b.path, "now")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}

// TestAnotherLog: a cursor of records that are not in the log any more begins anew, with all of it, and says so.
func TestAnotherLog(t *testing.T) {
	b := newBench(t)
	c := Config{Name: "a", Type: "file", Path: filepath.Join(t.TempDir(), "a"), Begin: "first"}
	b.add(9, "Sign")
	b.start(c)
	b.stop()
	for _, name := range []string{b.path, audit.HeadPath(b.path), c.Path} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	b.want = nil
	b.open()
	b.add(12, "Verify") // longer, so that only the hash tells
	b.start(c)
	if !strings.Contains(fmt.Sprint(b.lines.All()), "does not hold record 9:") {
		t.Error(b.lines.All())
	}
	b.stop()
	atLeastOnce(t, seqs(t, readLines(t, c.Path)), b.want)
}

func TestFilter(t *testing.T) {
	b := newBench(t)
	c := Config{Name: "alerts", Type: "file", Path: filepath.Join(t.TempDir(), "a"), Operations: []string{"Alert", "DeleteKey"}}
	b.start(c)
	for range 50 {
		b.add(3, "Sign")
		b.add(1, "Alert")
	}
	if _, err := b.log.Append(t.Context(), &audit.Record{Operation: "Sign", EncryptionContext: map[string]string{"a": "b", "operation": "Alert"}}); err != nil {
		t.Fatal(err)
	}
	b.until("it passes the last record", func() bool { return b.metric("hsmgate_audit_sink_behind", "alerts") == 0 })
	b.stop()
	lines := readLines(t, c.Path)
	for _, line := range lines {
		if !strings.Contains(line, `"operation":"Alert"`) || strings.Contains(line, `"operation":"Sign"`) {
			t.Error(line)
		}
	}
	if cursor, err := readCursor(cursorPath(b.path, "alerts")); len(lines) != 50 || err != nil || cursor != b.log.Head() {
		t.Error(len(lines), cursor, err)
	}
}

// TestFormats: a sink writes one line for each record in any format.
func TestFormats(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	var all []Config
	for _, format := range export.Formats {
		all = append(all, Config{Name: format, Type: "file", Format: format, Path: filepath.Join(dir, format)})
	}
	b.start(all...)
	b.add(7, "Sign")
	b.stop()
	for format, member := range map[string]string{"jsonl": `"operation":"Sign"`, "cloudtrail": `"eventName":"Sign"`, "ocsf": `"class_uid":6003`} {
		lines := readLines(t, filepath.Join(dir, format))
		if len(lines) != 7 || !strings.Contains(lines[6], member) {
			t.Errorf("%s: %q", format, lines)
		}
	}
}

// TestStopDoesNotWaitForOneThatHangs, and the log closes all the same.
func TestStopDoesNotWaitForOneThatFails(t *testing.T) {
	b := newBench(t)
	b.start(Config{Name: "a", Type: "file", Path: filepath.Join(t.TempDir(), "no", "folder")})
	b.add(3, "Sign")
	b.until("it fails", func() bool { return b.metric("hsmgate_audit_sink_failures_total", "a") > 3 })
	b.stop()
	if n := b.lines.FilterMessage("audit records are not delivered").Len(); n != 1 {
		t.Errorf("%d warnings for one change of state", n)
	}
	if context.Cause(b.set.ctx) == nil || b.metric("hsmgate_audit_sink_behind", "a") != 3 {
		t.Error(b.metric("hsmgate_audit_sink_behind", "a"))
	}
}
