package gateway

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// registerTreeMetrics exports the tree of the audit log. Without one the figures are zero.
func registerTreeMetrics(reg prometheus.Registerer, s *Service) {
	of := func(figure func(tree.Stats) float64) func() float64 {
		return func() float64 {
			if t := s.tree.Load(); t.Publisher != nil {
				return figure(t.Stats())
			}
			return 0
		}
	}
	gauge := gauges(reg)
	gauge("hsmgate_log_tree_size", "Records that the last checkpoint of the audit log covers.", of(func(s tree.Stats) float64 { return float64(s.Checkpoint.Tree.N) }))
	gauge("hsmgate_log_checkpoint_timestamp_seconds", "When it was published, in Unix time.", of(func(s tree.Stats) float64 {
		if s.Published.IsZero() {
			return 0
		}
		return float64(s.Published.UnixMicro()) / 1e6
	}))
	gauge("hsmgate_log_uncovered_seconds", "For how long there have been records that no checkpoint covers.", func() float64 {
		if t := s.tree.Load(); t.Publisher != nil {
			return t.Behind().Seconds()
		}
		return 0
	})
	gauge("hsmgate_log_checkpoints_ready", "1 while checkpoints can be made, 0 while they cannot.", func() float64 {
		if s.treeError() == nil && s.tree.Load().Publisher != nil {
			return 1
		}
		return 0
	})
	gauge("hsmgate_log_other_history", "1 while the audit log is older than what was signed, or another one, or another daemon signs it: nothing of it is signed here.", func() float64 {
		if errors.Is(s.treeError(), tree.ErrOtherHistory) {
			return 1
		}
		return 0
	})
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "hsmgate_log_checkpoint_failures_total", Help: "Attempts to make a checkpoint that failed."},
		of(func(s tree.Stats) float64 { return float64(s.Failures) })))
}
