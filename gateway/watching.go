package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/watch"
)

// watchAgain is how long after a failure the log is looked at again.
const watchAgain = 10 * time.Second

// watching follows the log of this process and tells of unusual patterns. An alert is a record of the log first, then a
// line of the operations log and a metric. What was seen is kept in a file that lags behind, so after a crash records
// are seen again and give the same alerts, with the same ids: those that the log has already are not told again.
type watching struct {
	s        *Service
	settings watch.Settings
	alerts   *prometheus.CounterVec
	usage    atomic.Pointer[watch.Usage]
	last     atomic.Int64 // number of the last record that was looked at

	// Of the goroutine in Watch.
	detector *watch.Detector
	seen     watch.Seen
	rebuilt  bool         // nothing was known at the start
	start    uint64       // number of the last record at the start
	looked   audit.Record // at this time
	held     []watch.Alert
	recorded map[string]bool // ids of alerts that the log was seen to have, until start is reached
	saved    time.Time
	pause    time.Duration // until the next save
}

func newWatching(settings watch.Settings, reg prometheus.Registerer, s *Service) *watching {
	w := &watching{s: s, settings: settings.WithDefaults(), alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hsmgate_alerts_total", Help: "Alerts of unusual use by rule."}, []string{"rule"})}
	for _, rule := range watch.Rules {
		w.alerts.WithLabelValues(string(rule))
	}
	reg.MustRegister(w.alerts)
	gauges(reg)("hsmgate_watch_behind_records", "Records that were not looked at for unusual use yet.", func() float64 {
		return float64(int64(s.audit.Head().Seq) - w.last.Load())
	})
	w.usage.Store(watch.NewUsage())
	return w
}

// Watch follows the log until ctx ends. It is in the way of no call.
func (s *Service) Watch(ctx context.Context) {
	if s.watching == nil {
		return
	}
	for {
		err := s.watching.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil { // the log was closed
			return
		}
		s.log.Error("the log cannot be watched for unusual use now; it is tried again", zap.Error(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchAgain):
		}
	}
}

// errOtherLog says that the record that was seen last is another one in the log.
var errOtherLog = errors.New("the log is not the one that was seen")

// follow goes on after the last record that was seen; where that is another one now, or gone, from the first on.
func (w *watching) follow(ctx context.Context) error {
	after, err := w.begin()
	if err != nil {
		return err
	}
	err = w.s.audit.Follow(ctx, after, w.take(ctx))
	if errors.Is(err, errOtherLog) {
		w.s.log.Warn("what was learned of unusual use is of another log; it is learned anew", zap.String("file", w.settings.State))
		if after, err = w.forget(); err == nil {
			err = w.s.audit.Follow(ctx, after, w.take(ctx))
		}
	}
	if err != nil {
		return err
	}
	return w.save()
}

// begin loads what was learned, and gives the number of the record before the one to go on with. The last one that was
// seen is seen again, to compare it.
func (w *watching) begin() (after uint64, err error) {
	w.start = w.s.audit.Head().Seq
	w.held, w.recorded = nil, make(map[string]bool)
	detector, usage, seen, err := w.load()
	if err != nil {
		return 0, err
	}
	first, err := w.s.audit.First()
	switch {
	case err != nil:
		return 0, err
	case detector == nil || seen.Seq > w.start || seen.Seq < first:
		return w.forget()
	}
	w.detector, w.seen, w.rebuilt = detector, seen, false
	w.last.Store(int64(seen.Seq))
	w.usage.Store(usage)
	return seen.Seq - 1, nil
}

// forget begins with the first record that is there.
func (w *watching) forget() (after uint64, err error) {
	first, err := w.s.audit.First()
	w.detector, w.seen, w.rebuilt = watch.New(w.settings), watch.Seen{}, true
	w.held, w.recorded = nil, make(map[string]bool)
	w.usage.Store(watch.NewUsage())
	return max(first, 1) - 1, err
}

// take looks at the records of a batch.
func (w *watching) take(ctx context.Context) func([]audit.Line) error {
	return func(lines []audit.Line) error {
		for _, l := range lines {
			if l.Seq == w.seen.Seq {
				if l.Hash != w.seen.Hash {
					return errOtherLog
				}
				continue
			}
			if err := w.look(ctx, l); err != nil {
				return err
			}
			w.seen = watch.Seen{Seq: l.Seq, Hash: l.Hash}
			w.last.Store(int64(l.Seq))
		}
		if w.recorded == nil && time.Since(w.saved) > w.pause {
			if err := w.save(); err != nil { // which costs nothing but time, at the next start
				w.s.log.Warn("what was learned of unusual use could not be kept", zap.Error(err))
			}
		}
		return nil
	}
}

// look is one record. Alerts on records that were there at the start are held until it is known that the log does not
// have them.
func (w *watching) look(ctx context.Context, l audit.Line) error {
	r := &w.looked
	if err := l.Decode(r); err != nil {
		return fmt.Errorf("record %d: %w", l.Seq, err)
	}
	if r.Operation == watch.Operation && r.Face == internalFace && w.recorded != nil {
		w.recorded[r.AlertID] = true
	}
	w.usage.Load().Observe(r)
	for _, a := range w.detector.Observe(r) {
		if w.rebuilt && time.Since(a.Time) > w.settings.Late {
			continue
		}
		w.held = append(w.held, a)
	}
	if l.Seq < w.start {
		return nil
	}
	for _, a := range w.held {
		if w.recorded[a.ID] {
			continue
		}
		if err := w.tell(ctx, a); err != nil {
			return err
		}
	}
	w.held, w.recorded = nil, nil
	return nil
}

// tell records an alert and then says it aloud. While the log takes no records it is tried again, and said at once.
func (w *watching) tell(ctx context.Context, a watch.Alert) error {
	r := &audit.Record{Time: time.Now().UTC(), Origin: w.s.name, Face: internalFace, Operation: watch.Operation, Outcome: string(api.Allowed),
		Principal: a.Principal, SourceAddress: a.SourceAddress, KeyID: a.KeyID, KeyARN: a.KeyARN, Resource: a.KeyARN, Reason: a.Reason,
		AlertID: a.ID, AlertRule: string(a.Rule), AlertTime: a.Time.UTC().Format(time.RFC3339Nano), AlertRecord: int64(a.Seq), AlertCount: a.Count, AlertMore: a.Repeats}
	for tries := 0; ; tries++ {
		receipt, err := w.record(ctx, r)
		if err == nil || tries == 0 {
			w.s.log.Warn("alert", zap.String("rule", string(a.Rule)), zap.String("reason", a.Reason), zap.String("alertId", a.ID), zap.Time("alertTime", a.Time),
				zap.Uint64("alertRecord", a.Seq), zap.String("principal", a.Principal), zap.String("sourceAddress", a.SourceAddress), zap.String("keyId", a.KeyID),
				zap.Int("count", a.Count), zap.Uint64("auditSeq", receipt.Seq), zap.Error(err))
		}
		if err == nil {
			w.alerts.WithLabelValues(string(a.Rule)).Inc()
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// record makes the record durable, also when the program is about to end.
func (w *watching) record(ctx context.Context, r *audit.Record) (audit.Receipt, error) {
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.s.auditTimeout)
	defer cancel()
	return w.s.audit.Append(wait, r)
}
