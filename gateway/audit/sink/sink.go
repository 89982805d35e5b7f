// Package sink sends audit records to other places while the log is written: standard output, a file, syslog, an HTTP
// server. Each sink follows the log by a goroutine and a durable cursor of its own, so that it is in nobody's way: Append
// never waits for one. Records go in their order, each at least once; what cannot be delivered is tried again, and nothing
// is passed over.
package sink

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/export"
)

// Options of Open.
type Options struct {
	Log     *audit.Log
	Path    string // of the log
	Home    export.Home
	Zap     *zap.Logger
	Metrics prometheus.Registerer
}

// Set is the sinks of one log.
type Set struct {
	sinks  []*sink
	all    sync.WaitGroup
	ctx    context.Context // of deliveries
	cancel context.CancelFunc
	ending chan struct{} // closed by Stop: who fails now is not tried again
}

// patience is how long Stop waits for sinks that deliver.
const patience = 3 * time.Second

// Open finds where each sink goes on, before anything is added to the log. Start starts them.
func Open(configs []Config, o Options) (*Set, error) {
	s := &Set{ending: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	m := newCounters(o.Metrics)
	for _, c := range configs {
		one, err := newSink(c.withDefaults(), o, m, s.ending)
		if err != nil {
			return nil, fmt.Errorf("the audit sink %q: %w", c.Name, err)
		}
		s.sinks = append(s.sinks, one)
	}
	return s, nil
}

// Ready says whether the files that a sink needs are as they should be.
func Ready(c Config) error {
	to, err := newTarget(c.withDefaults())
	if err == nil {
		to.close()
	}
	return err
}

// At is the last record that a sink of the log has delivered; fs.ErrNotExist for one that has not begun.
func At(log, name string) (audit.Receipt, error) { return readCursor(cursorPath(log, name)) }

// Start starts the sinks. A nil Set has none.
func (s *Set) Start() {
	if s == nil {
		return
	}
	for _, one := range s.sinks {
		s.all.Go(func() { one.run(s.ctx) })
	}
}

// Stop is called when the log is closed. Sinks that deliver come to its end; those that fail or hang end as they are, and
// go on from there at the next start.
func (s *Set) Stop() {
	if s == nil {
		return
	}
	close(s.ending)
	limit := time.AfterFunc(patience, s.cancel)
	s.all.Wait()
	limit.Stop()
	s.cancel()
}

// counters are the metrics of all sinks, but for hsmgate_audit_sink_behind, which is worked out when it is asked for.
type counters struct {
	delivered, failures, missed *prometheus.CounterVec
}

func newCounters(reg prometheus.Registerer) *counters {
	vec := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"sink"})
		reg.MustRegister(v)
		return v
	}
	return &counters{
		delivered: vec("hsmgate_audit_sink_delivered_total", "Records that the sink has delivered."),
		failures:  vec("hsmgate_audit_sink_failures_total", "Deliveries that failed, each of which is tried again."),
		missed:    vec("hsmgate_audit_sink_missed_total", "Records that were removed from the log before the sink had delivered them."),
	}
}

// registerBehind exports how many records of the log the sink has not delivered or passed by its filter.
func (s *sink) registerBehind(reg prometheus.Registerer) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hsmgate_audit_sink_behind", Help: "Records of the log that the sink has neither delivered nor passed by its filter.", ConstLabels: prometheus.Labels{"sink": s.config.Name},
	}, func() float64 { return float64(s.log.Head().Seq) - float64(s.at().Seq) }))
}
