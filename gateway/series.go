package gateway

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// Series bound how many keys and callers have figures of their own, so that no
// caller can make the memory or the metrics grow. The others are counted as other.
type Series struct {
	// MaxKeys is how many keys have figures of their own. The first that are used
	// have them; one that nobody has used for a day gives its place to another.
	// Default 500.
	MaxKeys int `yaml:"max_keys"`
	// MaxPrincipals is the same for callers. All sessions of a role are one.
	// Default 200.
	MaxPrincipals int `yaml:"max_principals"`
}

func (s Series) withDefaults() Series {
	if s.MaxKeys == 0 {
		s.MaxKeys = 500
	}
	if s.MaxPrincipals == 0 {
		s.MaxPrincipals = 200
	}
	return s
}

// Check says what is wrong with the bounds, or nothing.
func (s Series) Check() string {
	if min(s.MaxKeys, s.MaxPrincipals) < 0 || max(s.MaxKeys, s.MaxPrincipals) > mostSeries {
		return fmt.Sprintf("max_keys and max_principals are from 1 to %d; 0 is the default", mostSeries)
	}
	return ""
}

// mostSeries is what a scrape can still carry.
const mostSeries = 10000

// other is counted in place of names that have no figures of their own.
const other = "other"

// forgetAfter is how long a name that is not used keeps its place from others.
const forgetAfter = 24 * time.Hour

// maxLabel bounds the bytes of a name in the metrics.
const maxLabel = 256

// allowedFigure is the place of api.Allowed in outcomes.
const allowedFigure = 0

// outcomes in the order of their figures.
var outcomes = [...]api.Outcome{api.Allowed, api.Denied, api.Invalid, api.Failed}

// family counts calls by a name (a key's id or a caller's ARN), operation and
// outcome, and times them by the name. Keys and callers are two families: their
// product would be as large as the policies allow.
type family struct {
	most    int
	ops     []string // the label of an operation by its number
	counted *prometheus.Desc
	latency *prometheus.HistogramVec
	rest    *figures
	names   atomic.Pointer[map[string]*figures] // replaced as a whole, so that a look-up takes no lock
	mu      sync.Mutex                          // held by who replaces it
}

// figures of one name. What is not counted yet is not exported.
type figures struct {
	calls   []atomic.Uint64 // number of the operation × number of the outcome
	latency prometheus.Observer
	used    atomic.Int64 // when, in seconds
}

func newFamily(label string, most int, ops []string) *family {
	f := &family{most: most, ops: ops,
		counted: prometheus.NewDesc("hsmgate_"+label+"_calls_total", "Authenticated calls by "+label+", operation and outcome.",
			[]string{label, "operation", "outcome"}, nil),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hsmgate_" + label + "_call_seconds", Help: "As hsmgate_call_seconds, by " + label + ".",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 10}}, []string{label})}
	f.names.Store(new(map[string]*figures))
	f.rest = f.newFigures(other)
	return f
}

// of gives the figures of a name. One that has none gets them where there is room
// and the call was allowed: so who may use nothing takes no place.
func (f *family) of(name string, allowed bool) *figures {
	all := *f.names.Load()
	if known := all[name]; known != nil {
		return known
	}
	if !allowed || len(all) >= f.most || !isLabel(name) {
		return f.rest
	}
	return f.admit(name)
}

// admit gives a name figures of its own, if there is room still.
func (f *family) admit(name string) *figures {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := *f.names.Load()
	switch {
	case all[name] != nil:
		return all[name]
	case len(all) >= f.most:
		return f.rest
	}
	more := make(map[string]*figures, len(all)+1)
	maps.Copy(more, all)
	more[name] = f.newFigures(name)
	f.names.Store(&more)
	return more[name]
}

func (f *family) newFigures(label string) *figures {
	return &figures{calls: make([]atomic.Uint64, len(f.ops)*len(outcomes)), latency: f.latency.WithLabelValues(label)}
}

// isLabel says whether a name can stand in the metrics as it is. A label that is
// not UTF-8 would fail every scrape.
func isLabel(name string) bool {
	return name != "" && name != other && len(name) <= maxLabel && utf8.ValidString(name)
}

// observe counts one call.
func (f *family) observe(name string, op, outcome int, seconds float64, now time.Time) {
	of := f.of(name, outcome == allowedFigure)
	of.calls[op*len(outcomes)+outcome].Add(1)
	of.latency.Observe(seconds)
	if t := now.Unix(); of.used.Load() != t { // one write a second at most
		of.used.Store(t)
	}
}

// tidy forgets names that were not used for long, once the places are taken.
func (f *family) tidy(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := *f.names.Load()
	if len(all) < f.most {
		return
	}
	fewer := maps.Clone(all)
	for name, of := range all {
		if now.Unix()-of.used.Load() >= int64(forgetAfter.Seconds()) {
			delete(fewer, name)
			f.latency.DeleteLabelValues(name)
		}
	}
	f.names.Store(&fewer)
}

// Describe and Collect make a family a prometheus.Collector.
func (f *family) Describe(to chan<- *prometheus.Desc) {
	to <- f.counted
	f.latency.Describe(to)
}

// Collect exports what was counted.
func (f *family) Collect(to chan<- prometheus.Metric) {
	for name, of := range *f.names.Load() {
		f.collect(to, name, of)
	}
	f.collect(to, other, f.rest)
	f.latency.Collect(to)
}

func (f *family) collect(to chan<- prometheus.Metric, label string, of *figures) {
	for i := range of.calls {
		if n := of.calls[i].Load(); n > 0 {
			to <- prometheus.MustNewConstMetric(f.counted, prometheus.CounterValue, float64(n),
				label, f.ops[i/len(outcomes)], string(outcomes[i%len(outcomes)]))
		}
	}
}
