package watch

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

func newScores() map[Rule]*score {
	scores := make(map[Rule]*score)
	for _, r := range marks {
		scores[r] = new(score)
	}
	return scores
}

// TestAnomalies: one thing of each kind that is done in that week is found.
func TestAnomalies(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2} {
		scores := newScores()
		judge(t, seed, 1, Settings{}, scores)
		for rule, s := range scores {
			if s.Found != s.Done || s.Done != 1 || s.Wrong != 0 {
				t.Errorf("seed %d: %s: %+v", seed, rule, s)
			}
		}
	}
}

// TestRestore: what is kept and read again gives the same alerts as what goes on.
func TestRestore(t *testing.T) {
	t.Parallel()
	run := func(restored bool) (all []Alert, counted []Series) {
		c := newCompany(3, 3)
		for i := range 60 {
			at := monday.Add(15*24*time.Hour + time.Duration(i)*7*time.Minute)
			c.does(c.habits[0], at, 1, 0, func(_ int, r *audit.Record) {
				r.Outcome, r.SourceAddress, r.KeyID = "denied", c.networks(1)[0]+".1", c.keys[i]
			})
			c.does(c.habits[95], at, 3, time.Second, func(_ int, r *audit.Record) { r.Operation, r.KeyID = "GetPublicKey", c.keys[i] })
			c.does(c.habits[90], at, 20, time.Second, func(_ int, r *audit.Record) {
				r.Operation, r.Outcome, r.ErrorCode = "Decrypt", "invalid", "IncorrectKeyException"
			})
			c.does(c.habits[5], at, 3*i, time.Second, nil)
		}
		slices.SortStableFunc(c.extra, func(a, b *audit.Record) int { return a.Time.Compare(b.Time) })
		d, u := New(Settings{}), NewUsage()
		var last time.Time
		c.run(3, func(r *audit.Record) {
			all, last = append(all, d.Observe(r)...), r.Time
			u.Observe(r)
			if restored && r.Seq%9973 == 0 {
				data, err := Snapshot(d, u, Seen{Seq: r.Seq})
				if err != nil {
					t.Fatal(err)
				}
				var seen Seen
				if d, u, seen, err = Restore(data, Settings{}); err != nil || seen.Seq != r.Seq {
					t.Fatal(seen, err)
				}
			}
		})
		counted, _, _ = u.Of(Filter{}, last, MaxHours, Series{}, 1<<20)
		return all, counted
	}
	want, wantUsage := run(false)
	got, gotUsage := run(true)
	if len(want) < 10 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d alerts, and %d of one that was read again and again", len(want), len(got))
	}
	if len(wantUsage) < 100 || !reflect.DeepEqual(gotUsage, wantUsage) {
		t.Errorf("%d series, and %d of one that was read again and again", len(wantUsage), len(gotUsage))
	}
	data, err := Snapshot(New(Settings{}), NewUsage(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := Restore(data, Settings{Zone: "Europe/Berlin"}); err == nil {
		t.Error("a state with hours of another zone is used")
	}
	for cut := range data {
		if _, _, _, err := Restore(data[:cut], Settings{}); err == nil {
			t.Fatalf("a state of %d bytes of %d is used", cut, len(data))
		}
	}
}

// TestBounded: however many keys, principals and addresses there are, so much is held and no more.
func TestBounded(t *testing.T) {
	t.Parallel()
	d, u := New(Settings{Denials: DenialSettings{Count: 1}}), NewUsage()
	fill(d, u, 40_000)
	for name, held := range map[string][2]int{"series": {len(d.series.at), maxSeries}, "pairs": {len(d.pairs.at), maxPairs}, "keys": {len(d.keys.at), maxKeys},
		"callers": {len(d.callers.at), maxCallers}, "failures": {len(d.failures.at), maxCallers}, "told": {len(d.told.at), maxTold}, "usage": {len(u.series.at), maxUsage}} {
		if held[0] > held[1] || held[0] == 0 {
			t.Errorf("%s: %d held, of at most %d", name, held[0], held[1])
		}
	}
	if u.Forgotten() == 0 {
		t.Error("nobody is told of what was forgotten")
	}
}
