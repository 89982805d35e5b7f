package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/hsm"
)

// metrics are the figures of the pipeline. Labels are operations, outcomes, error
// codes, mechanisms and names of tokens, whose number is bounded by themselves, and
// keys and callers, whose number [Series] bounds.
type metrics struct {
	ops        map[string]*opMetrics // by name, looked up once: a label costs a hash and a lock
	errors     *prometheus.CounterVec
	keys       *family
	principals *family
	calls      *prometheus.HistogramVec // into the token
	waits      *prometheus.HistogramVec
}

// opMetrics are the figures of one operation of the table.
type opMetrics struct {
	number  int // in the figures of a family
	calls   [len(outcomes)]prometheus.Counter
	latency prometheus.Observer
}

// unknownOperation is counted where no operation is found for a call.
const unknownOperation = "UnknownOperation"

// The buckets of latencies, in seconds: a call in memory takes 0.1 ms, one that makes an RSA key in a slow token 10 s.
var latencyBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func newMetrics(reg prometheus.Registerer, s *Service, bounds Series) *metrics {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hsmgate_calls_total", Help: "Authenticated calls by operation and outcome."},
		[]string{"operation", "outcome"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "hsmgate_call_seconds", Help: "Time from the decoded request to the durable record.", Buckets: latencyBuckets},
		[]string{"operation"})
	m := &metrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hsmgate_call_errors_total", Help: "Authenticated calls that were not answered as asked, by error code."}, []string{"code"}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hsmgate_token_call_seconds", Help: "Time of calls inside the token, by PKCS#11 mechanism, or function where there is none.", Buckets: latencyBuckets},
			[]string{"token", "mechanism"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hsmgate_token_wait_seconds", Help: "Time that calls waited for a session of the token.", Buckets: latencyBuckets}, []string{"token"}),
		ops: make(map[string]*opMetrics, len(Ops)),
	}
	var names []string
	for _, op := range slices.Concat([]*Op{GetMetrics, ReadLog, {Name: unknownOperation}}, STS, Ops) {
		of := &opMetrics{number: len(names), latency: latency.WithLabelValues(op.Name)}
		for i, outcome := range outcomes {
			of.calls[i] = calls.WithLabelValues(op.Name, string(outcome))
		}
		names, m.ops[op.Name] = append(names, op.Name), of
	}
	bounds = bounds.withDefaults()
	m.keys, m.principals = newFamily("key", bounds.MaxKeys, names), newFamily("principal", bounds.MaxPrincipals, names)
	reg.MustRegister(calls, latency, m.errors, m.keys, m.principals, m.calls, m.waits)
	registerTokenMetrics(reg, s)
	registerTreeMetrics(reg, s)
	return m
}

// observe counts a call that has ended. The items of a batch are calls of Sign: of the batch
// itself only its answer is counted, since they are of its key and caller.
func (m *metrics) observe(c *Call, err *api.Error, d time.Duration, now time.Time) {
	of := m.ops[c.op.Name]
	if of == nil {
		of = m.ops[unknownOperation]
	}
	outcome := allowedFigure
	if err != nil {
		outcome = max(slices.Index(outcomes[:], err.Code.Outcome()), allowedFigure+1)
	}
	seconds := d.Seconds()
	of.calls[outcome].Inc()
	of.latency.Observe(seconds)
	if c.items != nil {
		return
	}
	if err != nil {
		m.errors.WithLabelValues(string(err.Code)).Inc()
	}
	m.principals.observe(c.sharer(), of.number, outcome, seconds, now)
	for _, part := range [...]*Call{c, c.source} { // ReEncrypt is a call on both of its keys
		if part != nil && part.key != nil {
			m.keys.observe(part.key.ID, of.number, outcome, seconds, now)
		}
	}
}

// sharer is what the caller is counted and limited as.
func (c *Call) sharer() string {
	of := policy.Sharer(c.Principal.ARN)
	if of == "" && c.workload != nil { // proven to be for a role, of which there is no session
		of = c.workload.sharer
	}
	return of
}

func (m *metrics) tidy(now time.Time) {
	m.keys.tidy(now)
	m.principals.tidy(now)
}

// observeToken times the calls into a token.
func (s *Service) observeToken(name string, t *hsm.Token) {
	calls, waits := s.metrics.calls.MustCurryWith(prometheus.Labels{"token": name}), s.metrics.waits.WithLabelValues(name)
	var known sync.Map // observers by mechanism: prometheus takes longer to find one
	t.Observe(func(ctx context.Context, timing hsm.Timing) {
		s.traceToken(ctx, name, timing)
		waits.Observe(timing.Wait.Seconds())
		if timing.Call == 0 {
			return
		}
		one, ok := known.Load(timing.Mechanism)
		if !ok {
			one, _ = known.LoadOrStore(timing.Mechanism, calls.WithLabelValues(timing.Mechanism))
		}
		one.(prometheus.Observer).Observe(timing.Call.Seconds())
	})
}

// registerTokenMetrics exports the session pools and the audit log as they are
// at the moment of the scrape.
func registerTokenMetrics(reg prometheus.Registerer, s *Service) {
	for name, ks := range s.keyStores {
		registerPool(prometheus.WrapRegistererWith(prometheus.Labels{"token": name}, reg), ks)
	}
	gauge := gauges(reg)
	sync := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "hsmgate_audit_sync_seconds", Help: "Time of fdatasync of the audit log; one serves all records that wait for it.", Buckets: latencyBuckets})
	reg.MustRegister(sync)
	s.audit.OnSync(func(took time.Duration, _ int) { sync.Observe(took.Seconds()) })
	gauge("hsmgate_audit_records", "Records in the audit log.", func() float64 { return float64(s.audit.Head().Seq) })
	gauge("hsmgate_audit_records_waiting", "Records that wait for the disk.", func() float64 { return float64(s.audit.Stats().Queued) })
	gauge("hsmgate_audit_bytes", "Bytes of the audit log's file.", func() float64 { return float64(s.audit.Stats().Size) })
	counter := counters(reg)
	counter("hsmgate_audit_refused_total", "Records that could not be made durable, whose calls were refused.", func() float64 { return float64(s.audit.Stats().Refused) })
	counter("hsmgate_audit_repairs_total", "Times the audit log broke and was mended.", func() float64 { return float64(s.audit.Stats().Repairs) })
	gauge("hsmgate_audit_segments", "Closed segments of the audit log.", func() float64 { return float64(s.audit.Stats().Segments) })
	gauge("hsmgate_audit_segments_ok", "1 while the audit log is rotated, compressed and removed as it should be and its closed segments are there.", func() float64 {
		if s.audit.Stats().Trouble == nil {
			return 1
		}
		return 0
	})
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

func counters(reg prometheus.Registerer) func(name, help string, value func() float64) {
	return func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
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
	counter := counters(reg)
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
	counter("hsmgate_token_refused_total", "Calls refused since the queue was full or the wait too long.", of(func(s hsm.Stats) float64 { return float64(s.Refused) }))
	counter("hsmgate_token_sessions_replaced_total", "Sessions closed after an error and opened anew.", of(func(s hsm.Stats) float64 { return float64(s.Replaced) }))
	counter("hsmgate_token_recoveries_total", "Times the module was opened anew.", of(func(s hsm.Stats) float64 { return float64(s.Recoveries) }))
	counter("hsmgate_token_check_failures_total", "Signatures that did not verify and were thrown away.", of(func(s hsm.Stats) float64 { return float64(s.CheckFailures) }))
}
