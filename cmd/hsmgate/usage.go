package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/watch"
)

// usageQuery is what the flags of usage ask for.
type usageQuery struct {
	request api.GetUsageRequest
	outcome string
	since   momentFlag
	by      []string
	log     string
}

func newUsage(a *app) *cobra.Command {
	var q usageQuery
	c := &cobra.Command{
		Use: "usage", Short: "Show how keys are used, by the hour", Args: noArgs,
		Long: `Shows how often keys were used in the last days: a line for each key, or for each of what --by names, with
its calls, the last hour in which it had one, and a sparkline, the newest on the right. A running gateway tells what
it has recorded itself, of the last 28 days (permission hsmgate:GetUsage). With --log it is counted from an audit log,
with no gateway; the time is then up to the last record of the log. --output json has all series by the hour.`,
		Example: "  hsmgate usage\n  hsmgate usage --key alias/release --by principal,outcome --since 24h\n  hsmgate usage --log var/audit/audit.log --output json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.usage(cmd.Context(), &q) },
	}
	f := c.Flags()
	f.StringVar(&q.request.KeyId, "key", "", "only this key (with --log by its id)")
	f.StringVar(&q.request.PrincipalArn, "principal", "", "only this principal, by its ARN; sessions of a role are the role")
	f.StringVar(&q.request.OperationName, "operation", "", "only this operation, such as Sign")
	f.StringVar(&q.outcome, "outcome", "", "only this outcome: allowed, denied, invalid or failed")
	_ = q.since.Set("7d") // a good one
	f.Var(&q.since, "since", sinceHelp+"; by the hour, from 1h to 28d")
	f.StringSliceVar(&q.by, "by", []string{"key"}, "what makes a line: key, principal, operation, outcome")
	f.StringVar(&q.log, "log", "", "count from this audit log, offline")
	c.AddCommand(newUsageReplay(a))
	return c
}

func (a *app) usage(ctx context.Context, q *usageQuery) error {
	hours, err := q.hours(time.Now())
	if err != nil && (q.log == "" || q.since.away > 0) { // a date is seen from the end of the log
		return err
	}
	q.request.Hours, q.request.Outcome = &hours, api.Outcome(q.outcome)
	for _, by := range q.by {
		if !slices.Contains([]string{"key", "principal", "operation", "outcome"}, by) {
			return usagef("--by is made of key, principal, operation and outcome, not %q", by)
		}
	}
	var out *api.GetUsageResponse
	if q.log != "" {
		out, err = usageOfLog(q)
	} else {
		var c *client.Client
		if c, err = a.client(); err == nil {
			out, err = usageOfGateway(ctx, c, q.request)
		}
	}
	if err != nil {
		return err
	}
	return a.print(out, func(w io.Writer) { printUsage(w, out, q.by, hours) })
}

// hours is how far --since reaches back from the end of what is counted.
func (q *usageQuery) hours(end time.Time) (int, error) {
	hours := math.Ceil(end.Sub(q.since.time(end)).Hours())
	if hours < 1 || hours > api.MaxUsageHours {
		return 0, usagef("--since is from 1h to 28d before the end, such as 7d or 12h, not %q", q.since.text)
	}
	return int(hours), nil
}

// usageOfGateway gathers all pages.
func usageOfGateway(ctx context.Context, c *client.Client, in api.GetUsageRequest) (*api.GetUsageResponse, error) {
	limit := 500
	in.Limit = &limit
	var all *api.GetUsageResponse
	for {
		out, err := c.GetUsage(ctx, &in)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = out
		} else {
			for i := range out.Usage { // an hour may have ended between two pages
				out.Usage[i].Hourly = shifted(out.Usage[i].Hourly, int(out.Since.Sub(all.Since.Time).Hours()))
			}
			all.Usage = append(all.Usage, out.Usage...)
		}
		if !out.Truncated {
			all.Truncated, all.NextMarker = false, ""
			return all, nil
		}
		in.Marker = out.NextMarker
	}
}

// shifted are hourly counts whose first hour is some hours later than it is to be.
func shifted(hourly []int, by int) []int {
	by = min(max(by, 0), len(hourly))
	return append(make([]int, by), hourly[:len(hourly)-by]...)
}

// seriesOfLog is how many series are counted of a log.
const seriesOfLog = 1 << 17

func usageOfLog(q *usageQuery) (*api.GetUsageResponse, error) {
	u := watch.NewUsageOf(seriesOfLog)
	out := &api.GetUsageResponse{Usage: []api.UsageSeries{}}
	var last time.Time
	err := eachRecord(q.log, func(r *audit.Record) {
		u.Observe(r)
		out.LastRecord = int(r.Seq)
		if r.Time.After(last) {
			last = r.Time
		}
	})
	if err != nil {
		return nil, err
	}
	in := q.request
	if *in.Hours, err = q.hours(last); err != nil {
		return nil, err
	}
	if at := strings.LastIndex(in.KeyId, ":key/"); at >= 0 {
		in.KeyId = in.KeyId[at+len(":key/"):]
	}
	found, _, since := u.Of(watch.Filter{Key: in.KeyId, Principal: in.PrincipalArn, Operation: in.OperationName, Outcome: string(in.Outcome)}, last, *in.Hours, watch.Series{}, seriesOfLog)
	out.Since, out.Forgotten = api.NewTime(since), u.Forgotten()
	for _, s := range found {
		out.Usage = append(out.Usage, api.UsageSeries{KeyId: s.Key, PrincipalArn: s.Principal, OperationName: s.Operation, Outcome: api.Outcome(s.Outcome), Calls: s.Total(), Hourly: s.Counts})
	}
	return out, nil
}

// usageLine is a line of the table.
type usageLine struct {
	names  []string
	hourly []int
	calls  int
}

func printUsage(w io.Writer, out *api.GetUsageResponse, by []string, hours int) {
	lines := groupUsage(out.Usage, by, hours)
	levels := sparkLevels()
	fmt.Fprintf(w, "%s\tCALLS\tLAST\tSINCE %s\n", strings.ToUpper(strings.Join(by, "\t")), day(out.Since))
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", strings.Join(l.names, "\t"), l.calls, lastHour(out.Since, l.hourly), sparkline(l.hourly, levels))
	}
	if out.Forgotten > 0 {
		fmt.Fprintf(w, "%d series that had no call for longest were forgotten: there are too many\n", out.Forgotten)
	}
}

// groupUsage adds up the series that have the same names; the one with the most calls is the first.
func groupUsage(all []api.UsageSeries, by []string, hours int) []*usageLine {
	at := make(map[string]*usageLine)
	var lines []*usageLine
	for _, s := range all {
		names := make([]string, len(by))
		for i, b := range by {
			names[i] = printable(map[string]string{"key": cmp.Or(s.KeyId, "-"), "principal": s.PrincipalArn, "operation": s.OperationName, "outcome": string(s.Outcome)}[b])
		}
		key := strings.Join(names, "\x00")
		l := at[key]
		if l == nil {
			l = &usageLine{names: names, hourly: make([]int, hours)}
			at[key], lines = l, append(lines, l)
		}
		l.calls += s.Calls
		for i, n := range s.Hourly[:min(hours, len(s.Hourly))] {
			l.hourly[i] += n
		}
	}
	slices.SortStableFunc(lines, func(a, b *usageLine) int { return cmp.Compare(b.calls, a.calls) })
	return lines
}

func lastHour(since *api.Time, hourly []int) string {
	for i := len(hourly) - 1; i >= 0; i-- {
		if hourly[i] > 0 {
			return since.Add(time.Duration(i) * time.Hour).UTC().Format("2006-01-02T15h")
		}
	}
	return "-"
}
