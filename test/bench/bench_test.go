package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary one of the benchmark's processes, as main does.
func TestMain(m *testing.M) {
	if mode := os.Getenv(modeVariable); mode != "" {
		os.Exit(serveCommands(mode))
	}
	os.Exit(m.Run())
}

// TestMeasure runs the whole benchmark with windows that are too short to mean anything: every process starts, every request is answered,
// every figure is there.
func TestMeasure(t *testing.T) {
	o, err := parse([]string{"--only", "p256,ed25519,aws,encrypt,decrypt,data-key,mac,keys,fair,query,log", "--records", "40000", "--connections", "1,4", "--keys", "2,5", "--window", "60ms", "--rounds", "2",
		"--soak", "300ms", "--dir", t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	rep, err := measure(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != 4 || len(rep.Keys) != 2 || rep.Soak == nil || len(rep.Soak.Samples) == 0 {
		t.Fatalf("the report lacks parts: %+v", rep)
	}
	seen := map[string]int{}
	for _, r := range rep.Rows {
		for name, f := range r.Targets {
			seen[r.Algorithm+" "+name]++
			if f.Ops < 1 || f.CPU <= 0 || f.P50 <= 0 || f.P99 < f.P50 || f.PerSecond <= 0 {
				t.Errorf("%s, %d connections, %s: %+v", r.Algorithm, r.Connections, name, f)
			}
		}
	}
	for _, want := range []string{"p256 bare", "p256 floor", "p256 daemon", "p256 daemon, check off", "p256 daemon, AWS face",
		"ed25519 bare", "ed25519 floor", "ed25519 daemon"} {
		if seen[want] != 2 {
			t.Errorf("%s was measured %d times, not 2", want, seen[want])
		}
	}
	if len(rep.Secrets) != len(secretParts) {
		t.Errorf("%d operations of secret keys: %+v", len(rep.Secrets), rep.Secrets)
	}
	for _, s := range rep.Secrets {
		if s.Daemon.Ops < 1 || s.Bare.Ops < 1 || s.Daemon.CPU <= 0 {
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
	for _, k := range rep.Keys {
		if k.Daemon.Ops < 1 || k.Bare.Ops < 1 {
			t.Errorf("%d keys: %+v", k.Keys, k)
		}
	}
	if len(rep.Fair) != 3 || rep.Fair[2].Goal == nil {
		t.Errorf("%d rows of callers beside others", len(rep.Fair))
	}
	for _, row := range rep.Fair {
		for _, who := range []string{besideNobody, besideAnother, besideItself} {
			if f := row.Beside[who]; f.Ops < 1 || f.P99 < f.P50 || f.P50 <= 0 {
				t.Errorf("%s beside %s: %+v", row.Algorithm, who, f)
			}
		}
	}
	if q := rep.Query; q == nil || len(q.Build) != 2 || q.LogBytes < 500 || q.IndexBytes < 20 {
		t.Errorf("the query part: %+v", q)
	} else {
		for i, row := range q.Questions {
			if last := i == len(q.Questions)-1; (row.Found == 0) != last || row.Cold <= 0 || row.Warm <= 0 {
				t.Errorf("%+v", row)
			}
		}
	}
	if l := rep.LongLog; l == nil || len(l.Logs) != 2 {
		t.Errorf("the log part: %+v", l)
	} else {
		for _, row := range l.Logs {
			if row.Covered <= 0 || row.Watched <= 0 || row.CPU <= 0 || row.Building < 10 || row.Signing < 10 || row.Signed < 1 || row.Raw < 500 || row.Tree < 32 {
				t.Errorf("%+v", row)
			}
		}
	}
	var table bytes.Buffer
	rep.print(&table)
	for _, want := range []string{"p256", "keys in the token", "added to the floor's", "data-key", "another caller", "memory of the daemon", "its index", "bytes a record"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}

func TestFigures(t *testing.T) {
	f := figuresOf([]sample{
		{Ops: 2, Wall: time.Second, CPU: 200 * time.Microsecond, Latencies: []int32{1000, 3000}},
		{Ops: 4, Wall: time.Second, CPU: 4 * time.Millisecond, Latencies: []int32{1000, 1000, 2000, 9000}},
		{Ops: 3, Wall: time.Second, CPU: 360 * time.Microsecond, Latencies: []int32{1000, 1000, 1000}},
	})
	// CPU: 100, 1000 and 120 a round.
	if want := (figures{Ops: 9, PerSecond: 3, P50: 1, P99: 9, CPU: 120}); f != want {
		t.Errorf("%+v, not %+v", f, want)
	}
}

func TestGrowth(t *testing.T) {
	var flat, rising []memory
	for i := range 100 {
		noise := float64(i%3) - 1
		flat = append(flat, memory{float64(i), 50 + noise})
		rising = append(rising, memory{float64(i), 50 + noise + float64(i)/10})
	}
	if g := growth(flat); math.Abs(g) > 0.01 {
		t.Errorf("flat memory grows by %.3f", g)
	}
	if g := growth(rising); math.Abs(g-0.18) > 0.01 { // 9.9 of 55
		t.Errorf("memory that rises by a fifth grows by %.3f", g)
	}
}

func TestOptions(t *testing.T) {
	for _, wrong := range [][]string{{"--only", "p257"}, {"--connections", "0"}, {"--keys", "x"}, {"--rounds", "0"}, {"--output", "xml"}, {"more"}} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("%v is accepted", wrong)
		}
	}
}
