package gateway

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
)

// metrics are the figures of the pipeline. Labels are operations,
// outcomes and names of tokens alone, so their number is bounded.
type metrics struct {
	calls   *prometheus.CounterVec
	latency *prometheus.HistogramVec
	ops     map[*Op]opMetrics // looked up once: a label costs a hash and a lock
}

// opMetrics are the figures of one operation of the table.
type opMetrics struct {
	calls   map[api.Outcome]prometheus.Counter
	latency prometheus.Observer
}

func newMetrics(reg prometheus.Registerer, s *Service) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hsmgate_calls_total", Help: "Authenticated calls by operation and outcome."},
			[]string{"operation", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hsmgate_call_seconds", Help: "Time from the decoded request to the durable record.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}},
			[]string{"operation"}),
	}
	reg.MustRegister(m.calls, m.latency)
	m.ops = make(map[*Op]opMetrics, len(Ops))
	for _, op := range slices.Concat([]*Op{GetMetrics, ReadLog}, STS, Ops) {
		calls := make(map[api.Outcome]prometheus.Counter)
		for _, outcome := range []api.Outcome{api.Allowed, api.Denied, api.Invalid, api.Failed} {
			calls[outcome] = m.calls.WithLabelValues(op.Name, string(outcome))
		}
		m.ops[op] = opMetrics{calls: calls, latency: m.latency.WithLabelValues(op.Name)}
	}
	registerTokenMetrics(reg, s)
	registerTreeMetrics(reg, s)
	return m
}

func (m *metrics) observe(op *Op, outcome api.Outcome, d time.Duration) {
	if known, ok := m.ops[op]; ok {
		known.calls[outcome].Inc()
		known.latency.Observe(d.Seconds())
		return
	}
	m.calls.WithLabelValues(op.Name, string(outcome)).Inc()
	m.latency.WithLabelValues(op.Name).Observe(d.Seconds())
}

// registerTokenMetrics exports the session pools and the audit log as they are
// at the moment of the scrape.
func registerTokenMetrics(reg prometheus.Registerer, s *Service) {
	for name, ks := range s.keyStores {
		registerPool(prometheus.WrapRegistererWith(prometheus.Labels{"token": name}, reg), ks)
	}
	gauge := gauges(reg)
	gauge("hsmgate_audit_records", "Records in the audit log.", func() float64 { return float64(s.audit.Head().Seq) })
	gauge("hsmgate_store_ready", "1 while the database is followed, 0 while it is away and changes are refused.", func() float64 {
		if s.store.Ready() == nil {
			return 1
		}
		return 0
	})
	gauge("hsmgate_store_stale_seconds", "Time since memory was known to be what the database holds.", func() float64 { return s.store.Stale().Seconds() })
	gauge("hsmgate_audit_ready", "1 while records become durable, 0 while every call is refused.", func() float64 {
		if s.audit.Ready() == nil {
			return 1
		}
		return 0
	})
}

func gauges(reg prometheus.Registerer) func(name, help string, value func() float64) {
	return func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
}

// registerPool exports one token. While it is closed, its figures are zero.
func registerPool(reg prometheus.Registerer, ks *keyStore) {
	of := func(figure func(hsm.Stats) float64) func() float64 {
		return func() float64 {
			if t := ks.token.Load(); t != nil {
				return figure(t.Stats())
			}
			return 0
		}
	}
	gauge := gauges(reg)
	counter := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge("hsmgate_token_available", "1 while the token answers, 0 while it is away or disconnected.", of(func(s hsm.Stats) float64 {
		if s.Available {
			return 1
		}
		return 0
	}))
	gauge("hsmgate_token_generation", "The number of this life of the PKCS#11 module.", of(func(s hsm.Stats) float64 { return float64(s.Generation) }))
	gauge("hsmgate_token_sessions", "Sessions in the pool.", of(func(s hsm.Stats) float64 { return float64(s.Sessions) }))
	gauge("hsmgate_token_sessions_busy", "Sessions in a call.", of(func(s hsm.Stats) float64 { return float64(s.Busy) }))
	gauge("hsmgate_token_calls_waiting", "Calls that wait for a session.", of(func(s hsm.Stats) float64 { return float64(s.Waiting) }))
	gauge("hsmgate_token_calls_stuck", "Calls past their deadline that are still inside the module.", of(func(s hsm.Stats) float64 { return float64(s.Stuck) }))
	counter("hsmgate_token_calls_total", "Calls into the token.", of(func(s hsm.Stats) float64 { return float64(s.Calls) }))
	counter("hsmgate_token_timeouts_total", "Calls past their deadline.", of(func(s hsm.Stats) float64 { return float64(s.Timeouts) }))
	counter("hsmgate_token_sessions_replaced_total", "Sessions closed after an error and opened anew.", of(func(s hsm.Stats) float64 { return float64(s.Replaced) }))
	counter("hsmgate_token_recoveries_total", "Times the module was opened anew.", of(func(s hsm.Stats) float64 { return float64(s.Recoveries) }))
	counter("hsmgate_token_check_failures_total", "Signatures that did not verify and were thrown away.", of(func(s hsm.Stats) float64 { return float64(s.CheckFailures) }))
}
