package audit

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// How long the log lets callers come together: never for a few, unless others queue up elsewhere.
func TestPatience(t *testing.T) {
	t.Parallel()
	const gather = 2 * time.Millisecond
	yes, no := func() bool { return true }, func() bool { return false }
	for name, c := range map[string]struct {
		crowd    int
		callTime time.Duration
		queuing  func() bool
		gather   time.Duration
		want     time.Duration
	}{
		"one caller":                      {1, time.Second, no, gather, 0},
		"one caller, nobody tells":        {1, time.Second, nil, gather, 0},
		"eleven callers":                  {crowd - 1, time.Second, no, gather, 0},
		"twelve callers":                  {crowd, time.Second, no, gather, gather},
		"twelve callers, nobody tells":    {crowd, time.Second, nil, gather, gather},
		"slow calls that queue up":        {1, 12 * time.Millisecond, yes, gather, 6 * time.Millisecond},
		"very slow calls that queue up":   {1, time.Minute, yes, gather, 5 * gather},
		"many fast calls that queue up":   {crowd, time.Millisecond, yes, gather, gather},
		"many slow calls that queue up":   {crowd, 12 * time.Millisecond, yes, gather, 6 * time.Millisecond},
		"turned off":                      {crowd, time.Minute, yes, -1, 0},
		"the first record, nothing known": {0, 0, yes, gather, 0},
	} {
		l := newLog(&disk{}, Options{Gather: c.gather})
		l.crowd, l.callTime = c.crowd, c.callTime
		if c.queuing != nil {
			l.GatherWhile(c.queuing)
		}
		if got := max(l.patience(), 0); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// The log learns from the records what calls take; those of a beginning tell nothing.
func TestCallTime(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "audit.log"), Options{})
	l.GatherWhile(func() bool { return true })
	for i := range 400 {
		r := sample(i)
		r.LatencyMicros = 8000 * int64(i%2)
		if _, err := l.Append(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil { // the figure is the writer's own until it has ended
		t.Fatal(err)
	}
	if l.callTime < 7*time.Millisecond || l.callTime > 8*time.Millisecond {
		t.Errorf("calls of 8 ms take %v", l.callTime)
	}
}

// The quickest call of those that wait is held for half of what it took, and any for as long as a few callers are.
func TestHurry(t *testing.T) {
	t.Parallel()
	const gather = 2 * time.Millisecond
	for name, c := range map[string]struct {
		first   time.Duration // what the call took that begins the batch; 0 is not known
		waiting []time.Duration
		want    time.Duration
	}{
		"a slow one":                   {80 * time.Millisecond, nil, 40 * time.Millisecond},
		"a quick one among slow ones":  {80 * time.Millisecond, []time.Duration{90 * time.Millisecond, 8 * time.Millisecond, 70 * time.Millisecond}, 4 * time.Millisecond},
		"a quick one that comes first": {8 * time.Millisecond, []time.Duration{80 * time.Millisecond}, 4 * time.Millisecond},
		"one that takes no time":       {0, []time.Duration{80 * time.Millisecond, 0}, 40 * time.Millisecond},
		"very quick ones":              {time.Millisecond, []time.Duration{time.Microsecond}, gather},
	} {
		l := newLog(&disk{}, Options{Gather: gather})
		for _, took := range c.waiting {
			l.noteQuick(took)
		}
		if got := l.hurry(&entry{took: c.first}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
