package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/export"
	"github.com/hsmgate/hsmgate/gateway/audit/sink"
)

// checkSinks checks the settings of all sinks. None may write into the log or what belongs to it.
func (c *Config) checkSinks() error {
	problems := []error{sink.Check(c.Audit.Sinks)}
	for _, s := range c.Audit.Sinks {
		if s.Path == c.Audit.Path || strings.HasPrefix(s.Path, c.Audit.Path+".") {
			problems = append(problems, fmt.Errorf("audit.sinks: %q: path %s belongs to the audit log itself", s.Name, s.Path))
		}
	}
	return errors.Join(problems...)
}

func openSinks(c *Config, log *audit.Log, zap *zap.Logger, metrics prometheus.Registerer) (*sink.Set, error) {
	if len(c.Audit.Sinks) == 0 {
		return nil, nil
	}
	return sink.Open(c.Audit.Sinks, sink.Options{Log: log, Path: c.Audit.Path, Home: export.Home{Account: c.Account, Region: c.Region}, Zap: zap, Metrics: metrics})
}

// sinks looks at the files that sinks need, and how far each has come. It sends nothing.
func (f *findings) sinks(c *Config) {
	for _, s := range c.Audit.Sinks {
		if err := sink.Ready(s); err != nil {
			f.failed("audit sink", fmt.Errorf("%s: %w", s.Name, err))
			continue
		}
		head, err := audit.ReadHead(c.Audit.Path)
		at, cursorErr := sink.At(c.Audit.Path, s.Name)
		switch {
		case errors.Is(cursorErr, fs.ErrNotExist) || errors.Is(err, fs.ErrNotExist):
			f.add(stateOK, "audit sink", "", "%s: %s, not begun yet", s.Name, s.Type)
		case errors.Join(err, cursorErr) != nil:
			f.failed("audit sink", fmt.Errorf("%s: %w", s.Name, errors.Join(err, cursorErr)))
		case at.Seq < head.Seq:
			f.add(stateNote, "audit sink", "if it does not catch up, the daemon's log says why", "%s: %s, %d of %d records are not delivered yet", s.Name, s.Type, head.Seq-at.Seq, head.Seq)
		default:
			f.add(stateOK, "audit sink", "", "%s: %s, all %d records are delivered", s.Name, s.Type, at.Seq)
		}
	}
}
