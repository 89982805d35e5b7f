package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TestSeriesAreBounded: however many names come at once, so many have figures and
// the others are counted together, none of them lost.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	f := newFamily("key", 3, []string{"Sign", "Verify"})
	now := time.Now()
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 100 {
				f.observe(fmt.Sprintf("key-%d", i), 0, allowedFigure, .001, now)
			}
		})
	}
	all.Wait()
	if n := len(*f.names.Load()); n != 3 {
		t.Errorf("%d names", n)
	}
	if n := countOf(t, f, "hsmgate_key_calls_total"); n != 4 {
		t.Errorf("%d lines: three keys and the others are to have one each", n)
	}
	if n := f.rest.calls[0].Load(); n != 47*100 {
		t.Errorf("%d calls of the others are counted", n)
	}
}

// TestPlacesInSeries: who may do nothing, and what is no label, takes no place; the
// first come keep theirs until a day without a call.
func TestPlacesInSeries(t *testing.T) {
	t.Parallel()
	f := newFamily("principal", 2, []string{"Sign"})
	now := time.Now()
	has := func(want string) {
		t.Helper()
		got := ""
		for _, name := range []string{"a", "b", "c"} {
			if (*f.names.Load())[name] != nil {
				got += name
			}
		}
		if got != want || len(*f.names.Load()) != len(want) {
			t.Errorf("%q have figures, want %q", got, want)
		}
	}
	for outcome := range outcomes[1:] {
		f.observe("a", 0, outcome+1, 1, now)
	}
	for _, name := range []string{"", other, "\xff", strings.Repeat("x", maxLabel+1)} {
		f.observe(name, 0, allowedFigure, 1, now)
	}
	has("")
	f.observe("a", 0, allowedFigure, 1, now)
	f.observe("b", 0, allowedFigure, 1, now)
	f.observe("c", 0, allowedFigure, 1, now)
	has("ab")
	f.observe("b", 0, allowedFigure, 1, now.Add(time.Hour))
	f.tidy(now.Add(forgetAfter - time.Second))
	has("ab")
	f.tidy(now.Add(forgetAfter))
	has("b")
	f.observe("c", 0, allowedFigure, 1, now)
	has("bc")
	if n := countOf(t, f, "hsmgate_principal_call_seconds"); n != 3 {
		t.Errorf("%d histograms, want those of b, c and the others", n)
	}
}

// countOf is the number of lines of a metric.
func countOf(t *testing.T, f *family, name string) int {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(f)
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.GetName() == name {
			return len(m.GetMetric())
		}
	}
	return 0
}

// BenchmarkObserve is what the figures cost a call: one of a known key and caller,
// and one whose key and caller have no place.
func BenchmarkObserve(b *testing.B) {
	m := &metrics{
		ops:        map[string]*opMetrics{},
		keys:       newFamily("key", 500, []string{"Sign"}),
		principals: newFamily("principal", 200, []string{"Sign"}),
	}
	op := &Op{Name: "Sign"}
	of := &opMetrics{latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Buckets: latencyBuckets})}
	for i := range of.calls {
		of.calls[i] = prometheus.NewCounter(prometheus.CounterOpts{Name: "y"})
	}
	m.ops[op.Name] = of
	call := func(i int) *Call {
		return &Call{op: op, key: &store.Key{ID: fmt.Sprintf("0b7ff1ec-0000-4000-8000-%012d", i)},
			Principal: policy.Principal{ARN: fmt.Sprintf("arn:aws:sts::111122223333:assumed-role/role-%d/session", i)}}
	}
	now := time.Now()
	for i := range 1000 {
		m.observe(call(i), nil, time.Millisecond, now)
	}
	for name, c := range map[string]*Call{"known": call(7), "other": call(999)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.observe(c, nil, time.Millisecond, now)
			}
		})
	}
}
