package main

import (
	"errors"
	"fmt"
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
