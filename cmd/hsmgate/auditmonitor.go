package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit/auditor"
)

// monitoring is what audit monitor is told.
type monitoring struct {
	trust
	monitor  auditor.Monitor
	once     bool
	interval time.Duration
}

func newAuditMonitor(a *app) *cobra.Command {
	var m monitoring
	c := &cobra.Command{
		Use: "monitor --log-key KEY --state FILE [LOG|URL]", Short: "Follow a log and alarm on any inconsistency", Args: atMostOne,
		Long: `Follows the log of the gateway that HSMGATE_URL names, with the credentials that other commands
use; or a log on this machine, or one that is served at another address. Each new checkpoint has
to be signed by the log, and its tree has to begin with the one that was seen before, which is
kept in the file --state. With --records, every record is read, too: each has to continue the
chain and to be the leaf that the tree has.

An alarm ends it with exit code 1: the log was rewritten, put back or forked (both checkpoints
are kept beside the state, as evidence), or stood still for longer than --expect-activity. A log
that cannot be reached is no alarm: it is told, and tried again.

With --once it looks once, for cron. With --output json each look is one line.`,
		Example: "  hsmgate audit monitor --log-key log.key --state monitor.state --records\n" +
			"  hsmgate audit monitor --log-key log.key --state monitor.state --once --expect-activity 24h https://gateway.example:8443/v1/log",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(required(m.logKey, "log-key"), required(m.monitor.StatePath, "state")); err != nil {
				return err
			}
			if m.interval <= 0 || m.monitor.Activity < 0 || m.monitor.From < 0 {
				return usagef("--interval is more than 0, --expect-activity and --from are not negative")
			}
			var err error
			if m.monitor.Trust, err = m.read(""); err != nil {
				return err
			}
			from := ""
			if len(args) > 0 {
				from = args[0]
			}
			if m.monitor.Source, err = a.source(from); err != nil {
				return err
			}
			return m.run(cmd.Context(), a)
		},
	}
	c.Flags().StringVar(&m.monitor.StatePath, "state", "", "file for what was seen; it is made at the first look")
	c.Flags().BoolVar(&m.monitor.Records, "records", false, "read every record, too")
	c.Flags().Int64Var(&m.monitor.From, "from", 0, "record to begin with, at the first look (default: the first)")
	c.Flags().DurationVar(&m.monitor.Activity, "expect-activity", 0, "how long the log may stand still (default: for ever)")
	c.Flags().DurationVar(&m.interval, "interval", 10*time.Second, "time between two looks")
	c.Flags().BoolVar(&m.once, "once", false, "look once")
	m.flags(c, "")
	return c
}

func (m *monitoring) run(ctx context.Context, a *app) error {
	for {
		seen, err := m.monitor.Look(ctx)
		var alarm *auditor.Alarm
		switch {
		case ctx.Err() != nil:
			return nil // asked to end
		case errors.As(err, &alarm):
			return m.alarm(a, alarm)
		case err != nil && m.once:
			return err
		case err != nil:
			warn("%v", err)
		default:
			if err := m.tell(a, seen); err != nil {
				return err
			}
		}
		if m.once {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(m.interval):
		}
	}
}

// tell prints a look that has found something new.
func (m *monitoring) tell(a *app, s auditor.Seen) error {
	if a.json() {
		return printLine(s)
	}
	if s.Grown == 0 && !m.once {
		return nil
	}
	_, err := fmt.Printf("%s %s is consistent: %d records, %d of them new, root %s\n", s.Time.Format(time.RFC3339), s.Origin, s.Size, s.Grown, s.Root)
	return err
}

func (m *monitoring) alarm(a *app, alarm *auditor.Alarm) error {
	if a.json() {
		if err := printLine(alarm); err != nil {
			return err
		}
	}
	for _, name := range alarm.Evidence {
		hint("evidence is kept in %s", name)
	}
	return &noError{fmt.Errorf("alarm: %w", alarm)}
}

// printLine prints JSON on one line.
func printLine(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}
