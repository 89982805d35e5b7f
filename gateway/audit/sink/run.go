package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/export"
)

// message is one record in the shape of its sink.
type message struct {
	audit.Line
	record audit.Record // for filters and syslog
	text   []byte
}

// target is where a sink sends. deliver returns when the messages have arrived, as far as its protocol tells; settle makes
// that outlast a crash of this machine.
type target interface {
	deliver(ctx context.Context, batch []message) error
	settle() error
	close()
}

// pace of a sink; tests have another.
var (
	roundPause  = 100 * time.Millisecond // after a delivery, so that the next has more than one record
	cursorPause = time.Second            // between two writes of the cursor
	firstRetry  = time.Second
	lastRetry   = time.Minute
	longest     = time.Hour // that a server may ask to wait
)

// refusal is a failure that is known to come again: it is tried as seldom as any, and never given up.
type refusal struct{ error }

// later is a failure with the server's word on when to try again.
type later struct {
	error
	after time.Duration
}

// tooLarge is a failure that half of the batch may not have.
var errTooLarge = errors.New("the server takes no request of this size")

type sink struct {
	config Config
	log    *audit.Log
	path   string // of the log
	zap    *zap.Logger
	shape  export.Shape
	to     target
	limit  int // records of one delivery
	ending <-chan struct{}
	cursor cursor

	failing                     bool
	delivered, failures, missed prometheus.Counter
}

func newSink(c Config, o Options, m *counters, ending <-chan struct{}) (*sink, error) {
	s := &sink{config: c, path: o.Path, log: o.Log, limit: maxBatch, ending: ending, zap: o.Zap.Named("sink").With(zap.String("sink", c.Name)),
		delivered: m.delivered.WithLabelValues(c.Name), failures: m.failures.WithLabelValues(c.Name), missed: m.missed.WithLabelValues(c.Name)}
	var err error
	if s.shape, err = export.New(c.Format, o.Home); err != nil {
		return nil, err
	}
	if s.to, err = newTarget(c); err != nil {
		return nil, err
	}
	if c.Type == "http" {
		s.limit = c.Batch
	}
	done, note, err := begin(o.Log, o.Path, c)
	if err != nil {
		return nil, err
	}
	if note != "" {
		s.zap.Warn(note)
	}
	s.cursor = cursor{path: cursorPath(o.Path, c.Name), done: done, saved: done, settle: s.to.settle}
	s.registerBehind(o.Metrics)
	return s, nil
}

func newTarget(c Config) (target, error) {
	switch c.Type {
	case "stdout":
		return newStdout()
	case "file":
		return &file{path: c.Path}, nil
	case "syslog":
		return newSyslog(c)
	}
	return newHTTP(c)
}

// at is the last record that was delivered or passed.
func (s *sink) at() audit.Receipt { return s.cursor.get() }

// run follows the log until it is closed and delivered, or ctx ends.
func (s *sink) run(ctx context.Context) {
	kept, stop := make(chan struct{}), make(chan struct{})
	go func() { s.cursor.keep(stop, s.zap); close(kept) }()
	defer func() { close(stop); <-kept; s.to.close() }()
	for try := 0; ; try++ {
		err := s.log.Follow(ctx, s.at().Seq, func(lines []audit.Line) error { try = 0; return s.take(ctx, lines) })
		if err == nil || errors.Is(err, errEnded) || ctx.Err() != nil {
			return
		}
		s.skipRemoved()
		s.fails(fmt.Errorf("the log cannot be read: %w", err))
		if !s.wait(ctx, backoff(try)) {
			return
		}
	}
}

// skipRemoved goes on behind records that were removed from the log, and says so: they cannot be sent any more.
func (s *sink) skipRemoved() {
	at := s.at()
	first, err := firstRecord(s.path)
	if err != nil || first <= at.Seq+1 {
		return
	}
	s.missed.Add(float64(first - 1 - at.Seq))
	s.zap.Error("records were removed from the audit log before this sink had delivered them", zap.Uint64("from", at.Seq+1), zap.Uint64("to", first-1))
	s.cursor.move(audit.Receipt{Seq: first - 1, Hash: at.Hash})
}

// errEnded ends Follow.
var errEnded = errors.New("the sink ends")

// take delivers what the filter lets through, and moves the cursor over all of it.
func (s *sink) take(ctx context.Context, lines []audit.Line) error {
	batch, err := s.messages(lines)
	if err != nil {
		return err
	}
	for len(batch) > 0 {
		n, err := s.deliver(ctx, batch)
		if err != nil {
			return err
		}
		s.delivered.Add(float64(n))
		s.cursor.move(receipt(batch[n-1].Line))
		batch = batch[n:]
	}
	s.cursor.move(receipt(lines[len(lines)-1]))
	if len(lines) < maxBatch/2 && !s.wait(ctx, roundPause) && ctx.Err() != nil {
		return errEnded
	}
	return nil
}

func receipt(l audit.Line) audit.Receipt {
	return audit.Receipt{Seq: l.Seq, Hash: fmt.Sprintf("%x", l.Hash)}
}

// messages filters and shapes.
func (s *sink) messages(lines []audit.Line) ([]message, error) {
	batch := make([]message, 0, len(lines))
	for _, l := range lines {
		if !s.mayPass(l.Text) {
			continue
		}
		m := message{Line: l}
		var err error
		if len(s.config.Operations) > 0 || s.config.Type == "syslog" { // others do not look into it
			if m.record, err = l.Record(); err != nil {
				return nil, fmt.Errorf("record %d: %w", l.Seq, err)
			}
		}
		if len(s.config.Operations) > 0 && !slices.Contains(s.config.Operations, m.record.Operation) {
			continue
		}
		if m.text, err = s.shape(nil, l); err != nil {
			return nil, err
		}
		batch = append(batch, m)
	}
	return batch, nil
}

// mayPass spares most records that the filter holds back from being decoded.
func (s *sink) mayPass(text []byte) bool {
	if len(s.config.Operations) == 0 {
		return true
	}
	for _, o := range s.config.Operations {
		if bytes.Contains(text, []byte(`"operation":"`+o+`"`)) {
			return true
		}
	}
	return false
}

// deliver tries until the first messages of the batch, up to the limit, have arrived, and says how many these were.
func (s *sink) deliver(ctx context.Context, batch []message) (int, error) {
	for try := 0; ; try++ {
		n := min(len(batch), s.limit)
		one, cancel := context.WithTimeout(ctx, s.config.Timeout)
		err := s.to.deliver(one, batch[:n])
		cancel()
		if err == nil {
			s.works()
			return n, nil
		}
		if ctx.Err() != nil {
			return 0, errEnded
		}
		if errors.Is(err, errTooLarge) && n > 1 {
			s.limit = n / 2
			continue
		}
		s.fails(err)
		if !s.wait(ctx, pauseAfter(err, try)) {
			return 0, errEnded
		}
	}
}

// pauseAfter is how long to wait after the try with that number.
func pauseAfter(err error, try int) time.Duration {
	var asked *later
	var refused *refusal
	switch {
	case errors.As(err, &asked) && asked.after > 0:
		return min(asked.after, longest)
	case errors.As(err, &refused), errors.Is(err, errTooLarge):
		return backoff(1 << 10)
	}
	return backoff(try)
}

// backoff doubles up to the longest, less a random part, so that daemons do not come together.
func backoff(try int) time.Duration {
	d := lastRetry
	if try < 20 {
		d = min(firstRetry<<try, lastRetry)
	}
	return d - time.Duration(rand.Int64N(int64(d/2))) //nolint:gosec // no secret
}

// wait answers false when the sink is to end: at once, if it is failing, and when its time is over.
func (s *sink) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ending:
	case <-ctx.Done():
	}
	return false
}

// fails and works tell of a change once.
func (s *sink) fails(err error) {
	s.failures.Inc()
	if s.failing {
		return
	}
	s.failing = true
	advice := "nothing is lost: it is tried again until it works"
	var refused *refusal
	if errors.As(err, &refused) {
		advice = "nothing is lost, but this will not mend itself: " + advice
	}
	s.zap.Warn("audit records are not delivered", zap.String("error", strings.ToValidUTF8(err.Error(), "")), zap.String("do", advice), zap.Uint64("after", s.at().Seq))
}

func (s *sink) works() {
	if s.failing {
		s.failing = false
		s.zap.Info("audit records are delivered again", zap.Uint64("after", s.at().Seq))
	}
}
