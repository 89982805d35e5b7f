package auditor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// TestConsistent: any two checkpoints of one log, by a folder and over HTTP.
func TestConsistent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []tlog.Tree
	for _, n := range []int{1, 1, 253, 1, 1, 300} {
		all = append(all, w.add(n, "a").Tree)
	}
	folder, err := Open(w.path)
	must(t, err)
	for name, from := range map[string]Source{"folder": folder, "remote": w.remote()} {
		for i, older := range all {
			for _, newer := range all[i:] {
				if err := Consistent(t.Context(), from, newer, older); err != nil {
					t.Errorf("%s: %d to %d: %v", name, older.N, newer.N, err)
				}
			}
		}
	}
	o := w.other()
	early, late := o.add(256, "b").Tree, o.add(800, "b").Tree
	for name, c := range map[string]struct {
		newer, older tlog.Tree
		want         error
	}{
		"shorter":                {all[2], all[3], ErrRollback},
		"another one":            {all[3], early, ErrFork},
		"not its beginning":      {all[5], early, ErrRewritten},
		"not what is there":      {late, all[0], nil},
		"a tree without a tile":  {tlog.Tree{N: 90000, Hash: late.Hash}, all[0], fs.ErrNotExist},
		"other tiles than these": {tlog.Tree{N: all[5].N, Hash: late.Hash}, all[0], ErrTiles},
	} {
		for kind, from := range map[string]Source{"folder": folder, "remote": w.remote()} {
			if err := Consistent(t.Context(), from, c.newer, c.older); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}

// monitor is one with a state of its own.
func (w *world) monitor(from Source) *Monitor {
	return &Monitor{Source: from, Trust: w.trust(), Records: true, StatePath: filepath.Join(w.t.TempDir(), "state")}
}

// TestMonitor: it follows a log that grows, over HTTP, and reads each record once.
func TestMonitor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.monitor(w.remote())
	total := int64(0)
	for _, n := range []int64{1, 300, 200, 12} {
		w.add(int(n), "a")
		total += n
		seen, err := m.Look(t.Context())
		if err != nil || seen.Size != total || seen.Grown != n || seen.Checked != total {
			t.Errorf("%+v, %v", seen, err)
		}
	}
	if seen, err := m.Look(t.Context()); err != nil || seen.Grown != 0 {
		t.Errorf("%+v, %v", seen, err)
	}
	late := w.monitor(w.remote())
	late.From = 400
	if seen, err := late.Look(t.Context()); err != nil || seen.Checked != total {
		t.Errorf("%+v, %v", seen, err)
	}
}

// altered is a source that gives another thing than it has.
type altered struct {
	Source
	tile func(t tlog.Tile, data []byte) []byte
}

func (a altered) Tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	data, err := a.Source.Tile(ctx, t)
	if err == nil {
		data = a.tile(t, append([]byte{}, data...))
	}
	return data, err
}

// TestMonitorAlarms: every way in which a log can contradict itself, with the evidence.
func TestMonitorAlarms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(300, "a")
	state := filepath.Join(t.TempDir(), "state")
	m := w.monitor(w.remote())
	m.StatePath = state
	_, err := m.Look(t.Context())
	must(t, err)
	older := w.keep()
	w.add(50, "a")
	_, err = m.Look(t.Context())
	must(t, err)
	fork, rewritten, stranger := w.other(), w.other(), newWorld(t)
	fork.add(350, "b")
	rewritten.add(800, "c")
	stranger.add(400, "a")
	grown := w.keep()
	grown.add(100, "d")
	for name, c := range map[string]struct {
		from Source
		want AlarmKind
		kept int
	}{
		"put back":    {older.remote(), AlarmRollback, 2},
		"forked":      {fork.remote(), AlarmFork, 2},
		"made anew":   {rewritten.remote(), AlarmRewritten, 2},
		"another key": {stranger.remote(), AlarmCheckpoint, 1},
		"false tiles": {altered{grown.remote(), func(t tlog.Tile, data []byte) []byte {
			if t.L == 0 {
				data[5] ^= 1
			}
			return data
		}}, AlarmTiles, 2},
		"a changed record": {altered{grown.remote(), func(t tlog.Tile, data []byte) []byte {
			if t.L < 0 {
				data = []byte(strings.ReplaceAll(string(data), `"ci"`, `"di"`))
			}
			return data
		}}, AlarmRecord, 0},
		"records that are missing": {altered{grown.remote(), func(t tlog.Tile, data []byte) []byte {
			if t.L < 0 {
				data = data[:len(data)/2]
			}
			return data
		}}, AlarmRecord, 0},
	} {
		t.Run(name, func(t *testing.T) {
			at := *m
			at.Source, at.StatePath = c.from, filepath.Join(t.TempDir(), "state")
			must(t, os.WriteFile(at.StatePath, read(t, state), 0o600))
			for range 2 { // it is said again, until a person has looked
				_, err := at.Look(t.Context())
				var alarm *Alarm
				if !errors.As(err, &alarm) || alarm.Kind != c.want || len(alarm.Evidence) != c.kept {
					t.Fatalf("it is %v", err)
				}
				for _, name := range alarm.Evidence {
					if _, err := (Trust{Log: append(w.trust().Log, stranger.trust().Log...)}).Parse(read(t, name)); err != nil {
						t.Errorf("the evidence %s: %v", name, err)
					}
				}
			}
			if string(read(t, at.StatePath)) != string(read(t, state)) {
				t.Error("the state was changed")
			}
		})
	}
	m.Source = grown.remote()
	if seen, err := m.Look(t.Context()); err != nil || seen.Grown != 100 {
		t.Errorf("what is right: %+v, %v", seen, err)
	}
}

// TestMonitorChain: a record that is in the tree and does not continue the chain.
func TestMonitorChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(3, "a")
	m := w.monitor(w.remote())
	_, err := m.Look(t.Context())
	must(t, err)
	change(t, m.StatePath, `"lastHash": "`, `"lastHash": "0`)
	w.add(1, "a")
	var alarm *Alarm
	if _, err := m.Look(t.Context()); !errors.As(err, &alarm) || alarm.Kind != AlarmRecord || !strings.Contains(alarm.Detail, "record 4: its prev") {
		t.Error(err)
	}
}

// TestMonitorStandstill: a log in which nothing happens any more.
func TestMonitorStandstill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(3, "a")
	m := w.monitor(w.remote())
	m.Activity = time.Nanosecond
	if _, err := m.Look(t.Context()); err != nil {
		t.Errorf("at the first look: %v", err)
	}
	var alarm *Alarm
	if _, err := m.Look(t.Context()); !errors.As(err, &alarm) || alarm.Kind != AlarmStandstill {
		t.Errorf("at the second: %v", err)
	}
	w.append(&audit.Record{Operation: "ReadLog", Outcome: "allowed"})
	if _, err := m.Look(t.Context()); !errors.As(err, &alarm) || alarm.Kind != AlarmStandstill {
		t.Errorf("with nothing but a reader of records: %v", err)
	}
	w.append(record("a", "b"))
	if _, err := m.Look(t.Context()); err != nil {
		t.Errorf("after a signature: %v", err)
	}
	m.Activity = time.Hour
	if _, err := m.Look(t.Context()); err != nil {
		t.Errorf("within the hour: %v", err)
	}
}

// TestMonitorNotRead: a log that cannot be reached, and a state of another one, are errors and no alarms.
func TestMonitorNotRead(t *testing.T) {
	t.Parallel()
	w, stranger := newWorld(t), newWorld(t)
	w.add(3, "a")
	stranger.add(3, "a")
	m := w.monitor(Remote{Get: func(context.Context, string) ([]byte, error) { return nil, errors.New("no route") }})
	var alarm *Alarm
	if _, err := m.Look(t.Context()); err == nil || errors.As(err, &alarm) {
		t.Errorf("out of reach: %v", err)
	}
	of := stranger.monitor(stranger.remote())
	_, err := of.Look(t.Context())
	must(t, err)
	m.Source, m.StatePath = w.remote(), of.StatePath
	if _, err := m.Look(t.Context()); err == nil || errors.As(err, &alarm) || !strings.Contains(err.Error(), "another log") {
		t.Errorf("a state of another log: %v", err)
	}
	must(t, os.WriteFile(m.StatePath, []byte("what?"), 0o600))
	if _, err := m.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "not the state") {
		t.Errorf("a state that is none: %v", err)
	}
}
