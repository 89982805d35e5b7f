package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes the report for a person.
func (rep report) print(w io.Writer) {
	m := rep.Machine
	fmt.Fprintf(w, "\n%s, %d cores, %s; %d sessions, GOMAXPROCS %d; %d rounds of %s; fsync %.2f ms, p99 %.1f ms\n",
		m.CPU, m.Cores, m.Go, m.Sessions, m.GOMAXPROCS, m.Rounds, m.Window, m.Fsync, m.FsyncP99)
	if len(rep.Rows) > 0 {
		printRows(w, rep.Rows)
	}
	if len(rep.Secrets) > 0 {
		printSecrets(w, rep.Secrets)
	}
	if len(rep.Keys) > 0 {
		printKeys(w, rep.Keys)
	}
	if c := rep.Creating; c != nil {
		fmt.Fprintf(w, "\np256 at 32 connections while %d keys were made, two a second, among 1,000 (the slowest in %.0f ms): %.0f a second, %.0f without; loss %.0f %%, goal %.0f %%: %s\n",
			c.Made, c.Slowest, c.Creating.PerSecond, c.Alone.PerSecond, 100*c.Goal.Is, 100*c.Goal.Limit, mark(c.Goal))
		fmt.Fprintf(w, "p99 %.1f ms, %.1f ms without\n", c.Creating.P99, c.Alone.P99)
	}
	if rep.Batch != nil {
		printBatch(w, rep.Batch)
	}
	if len(rep.Fair) > 0 {
		printFair(w, rep.Fair)
	}
	if rep.Query != nil {
		rep.Query.print(w)
	}
	if rep.LongLog != nil {
		rep.LongLog.print(w)
	}
	if s := rep.Soak; s != nil {
		first, last := s.Samples[0], s.Samples[len(s.Samples)-1]
		fmt.Fprintf(w, "\nmemory of the daemon over %.0f s and %d signatures: %.1f MB at first, %.1f MB at last; growth by regression %.1f %%, goal %.0f %%: %s\n",
			last.Seconds, s.Ops, first.RSS, last.RSS, 100*s.Goal.Is, 100*s.Goal.Limit, mark(s.Goal))
		for i := 0; i < len(s.Samples); i += max(1, len(s.Samples)/12) {
			fmt.Fprintf(w, "  %5.0f s  %6.1f MB\n", s.Samples[i].Seconds, s.Samples[i].RSS)
		}
	}
}

func mark(g goal) string {
	if g.Met {
		return "met"
	}
	return "NOT MET"
}

func printRows(w io.Writer, rows []row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nalgorithm\tconns\twhat\tops/s\tp50 ms\tp99 ms\tCPU µs/op\tover floor\tgoal\t\t")
	for _, r := range rows {
		for _, name := range []string{targetBare, targetFloor, targetDaemon, targetUnchecked, targetAWS} {
			f, ok := r.Targets[name]
			if !ok {
				continue
			}
			conns, what := fmt.Sprint(r.Connections), name
			if name == targetBare {
				conns, what = "", fmt.Sprintf("bare, %d threads", r.Threads)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.2f\t%.2f\t%.0f\t%.2f\t%s\t\n", r.Algorithm, conns, what, f.PerSecond, f.P50, f.P99, f.CPU, r.over(name), goalText(r.Goals, name))
		}
	}
	t.Flush()
	for _, r := range rows {
		for _, g := range r.Goals {
			if g.Name == "added p99" {
				fmt.Fprintf(w, "%s: p99 on one connection, added to the floor's: %.2f ms, goal %.0f ms where fsync takes 0.2 ms: %s\n", r.Algorithm, g.Is, g.Limit, mark(g))
			}
		}
	}
}

func goalText(goals []goal, name string) string {
	for _, g := range goals {
		if g.Name == name {
			return fmt.Sprintf("%.2f\t%s", g.Limit, mark(g))
		}
	}
	return "\t"
}

// printSecrets has no floor: what is on top of the bare calls is the server and all that it does.
func printSecrets(w io.Writer, rows []secretRow) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\n%d connections, bare in %d threads\tbare ops/s\tp50 ms\tp99 ms\tCPU µs/op\tdaemon ops/s\tp50 ms\tp99 ms\tCPU µs/op\t\n", secretConnections, secretThreads)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t\n", r.Name, r.Bare.PerSecond, r.Bare.P50, r.Bare.P99, r.Bare.CPU,
			r.Daemon.PerSecond, r.Daemon.P50, r.Daemon.P99, r.Daemon.CPU)
	}
	t.Flush()
}

func printKeys(w io.Writer, rows []keysRow) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nkeys in the token\tbare ops/s\tbare CPU µs\tdaemon ops/s\tp50 ms\tp99 ms\tCPU µs/op\tover the fewest keys\tgoal\t\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t", r.Keys, r.Bare.PerSecond, r.Bare.CPU, r.Daemon.PerSecond, r.Daemon.P50, r.Daemon.P99, r.Daemon.CPU)
		if r.Goal == nil {
			fmt.Fprint(t, "\t\t\t\n")
			continue
		}
		fmt.Fprintf(t, "%.2f\t%.2f\t%s\t\n", r.Goal.Is, r.Goal.Limit, mark(*r.Goal))
	}
	t.Flush()
}

func printFair(w io.Writer, rows []fairRow) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\none connection\ttoken\tbeside %d of\tops/s\tp50 ms\tp99 ms\t\n", greedyConnections)
	for _, r := range rows {
		for _, who := range []string{besideNobody, besideAnother, besideItself} {
			f := r.Beside[who]
			fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.2f\t%.2f\t\n", r.Algorithm, r.Token, who, f.PerSecond, f.P50, f.P99)
		}
	}
	t.Flush()
	for _, r := range rows {
		if g := r.Goal; g != nil {
			fmt.Fprintf(w, "%s, token of %s: p99 beside another caller over that beside nobody: %.2f, goal %.0f: %s\n", r.Algorithm, r.Token, g.Is, g.Limit, mark(*g))
		}
	}
}
