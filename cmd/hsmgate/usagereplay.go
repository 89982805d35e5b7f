package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/watch"
)

// replayed is what usage replay says.
type replayed struct {
	Records  int
	From, To time.Time
	ByRule   map[watch.Rule]int
	Alerts   []replayedAlert
}

// replayedAlert is an alert that the detector would have told.
type replayedAlert struct {
	watch.Alert
	Recorded bool // the log has it: the gateway told it
}

func newUsageReplay(a *app) *cobra.Command {
	var config string
	var check bool
	c := &cobra.Command{
		Use: "replay LOG", Short: "Say what the detector would have said of an audit log, offline", Args: exactly("the path of a log"),
		Long: `Runs the detector of unusual use over an audit log, with no gateway, and prints what it would have said and
which of that the log has as records, since the gateway said it. --config names a file with the settings under watch: that
of hsmgated, or one that is tried; without it the defaults count. The log is not verified beyond its chain:
'hsmgate audit verify' does that.

Exit code 0: it was read, whatever was found. With --check, 1: there are alerts.`,
		Example: "  hsmgate usage replay var/audit/audit.log\n  hsmgate usage replay --config hsmgated.yaml --output json audit.log",
		RunE: func(_ *cobra.Command, args []string) error {
			settings, err := watchSettings(config)
			if err != nil {
				return err
			}
			out, err := replay(args[0], settings)
			if err != nil {
				return err
			}
			if err := a.print(out, func(w io.Writer) { printReplayed(w, out) }); err != nil {
				return err
			}
			if check && len(out.Alerts) > 0 {
				return &noError{fmt.Errorf("%s gives rise to %d alert(s)", args[0], len(out.Alerts))}
			}
			return nil
		},
	}
	c.Flags().StringVar(&config, "config", "", "YAML file with the settings under watch")
	c.Flags().BoolVar(&check, "check", false, "exit with 1 where there are alerts")
	return c
}

// watchSettings reads the section watch of a configuration. What else is in it does not matter here.
func watchSettings(path string) (s watch.Settings, err error) {
	if path == "" {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return s, &usageError{err}
	}
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return s, usagef("%s: %w", path, err)
	}
	section, err := yaml.Marshal(all["watch"])
	if err != nil {
		return s, usagef("%s: watch: %w", path, err)
	}
	d := yaml.NewDecoder(bytes.NewReader(section))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, usagef("%s: watch: %w", path, err)
	}
	if wrong := s.Check(); wrong != "" {
		return s, usagef("%s: watch: %s", path, wrong)
	}
	return s, nil
}

func replay(path string, settings watch.Settings) (*replayed, error) {
	d := watch.New(settings)
	out := &replayed{ByRule: make(map[watch.Rule]int), Alerts: []replayedAlert{}}
	told := make(map[string]bool)
	err := eachRecord(path, func(r *audit.Record) {
		if out.Records == 0 {
			out.From = r.Time
		}
		out.Records, out.To = out.Records+1, r.Time
		if r.Operation == watch.Operation && r.Face == "internal" {
			told[r.AlertID] = true
		}
		for _, alert := range d.Observe(r) {
			out.ByRule[alert.Rule]++
			out.Alerts = append(out.Alerts, replayedAlert{Alert: alert})
		}
	})
	for i := range out.Alerts {
		out.Alerts[i].Recorded = told[out.Alerts[i].ID]
	}
	return out, err
}

func printReplayed(w io.Writer, out *replayed) {
	if out.Records == 0 {
		fmt.Fprintln(w, "the log has no records")
		return
	}
	if len(out.Alerts) > 0 {
		fmt.Fprintln(w, "TIME\tRECORD\tRULE\tTOLD\tREASON")
	}
	for _, a := range out.Alerts {
		told := "no"
		if a.Recorded {
			told = "yes"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", a.Time.UTC().Format("2006-01-02T15:04:05Z"), a.Seq, a.Rule, told, printable(a.Reason+keyOf(a)))
	}
	fmt.Fprintf(w, "%d alert(s) in %d records from %s to %s\n", len(out.Alerts), out.Records, out.From.UTC().Format("2006-01-02T15:04:05Z"), out.To.UTC().Format("2006-01-02T15:04:05Z"))
}

func keyOf(a replayedAlert) string {
	if a.KeyID == "" {
		return ""
	}
	return " (key " + a.KeyID + ")"
}

// eachRecord reads a log along its chain.
func eachRecord(path string, take func(*audit.Record)) error {
	in, err := audit.OpenReader(path, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &usageError{err}
	case errors.Is(err, audit.ErrDamaged):
		return &noError{err}
	case err != nil:
		return err
	}
	defer func() { _ = in.Close() }() // read only
	for {
		line, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, audit.ErrDamaged):
			return &noError{err}
		case err != nil:
			return err
		}
		r, err := line.Record()
		if err != nil {
			return &noError{fmt.Errorf("record %d: %w", line.Seq, err)}
		}
		take(&r)
	}
}
