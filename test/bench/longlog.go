package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/test/bench/daemon"
)

// longLog is what a long log costs the daemon: one of a tenth of the records, and one of all.
type longLog struct {
	Logs []longLogRow `json:"logs"`
	Goal goal         `json:"goal"` // memory with all records over that with a tenth, the larger of both ratios
}

// longLogRow is a daemon that starts with a made log, of which it knows nothing yet: no tree, and nothing learned of usual use.
type longLogRow struct {
	Records  int     `json:"records"`
	Raw      float64 `json:"bytesPerRecord"`           // of the daemon's own records of signatures
	Packed   float64 `json:"compressedBytesPerRecord"` // of made ones, in compressed segments; 0 where there is none
	Tree     float64 `json:"treeBytesPerRecord"`
	Covered  float64 `json:"treeSeconds"`  // from the start until a checkpoint covered all
	Watched  float64 `json:"watchSeconds"` // from the start until all was looked at for unusual use
	CPU      float64 `json:"cpuSeconds"`   // of the process, for both
	Building float64 `json:"buildingMB"`   // the most that the process had in memory until then
	Signing  float64 `json:"signingMB"`    // and the most that it had while it signed afterwards
	Signed   int     `json:"signatures"`
}

// measureLongLog starts the daemon with made logs.
func (r *rig) measureLongLog(rep *report) error {
	if !slices.Contains(r.o.only, "log") {
		return nil
	}
	out := &longLog{}
	for _, n := range []int{r.o.records / 10, r.o.records} {
		row, err := r.longLog(n)
		if err != nil {
			return err
		}
		out.Logs = append(out.Logs, row)
	}
	few, all := out.Logs[0], out.Logs[1]
	out.Goal = newGoal("memory", max(all.Building/few.Building, all.Signing/few.Signing), memoryGoal)
	rep.LongLog = out
	return nil
}

func (r *rig) longLog(n int) (row longLogRow, err error) {
	row.Records = n
	s, err := r.newState(fmt.Sprintf("log-%d", n))
	if err != nil {
		return row, err
	}
	progress("making a log of %d records", n)
	if err := makeLog(s.AuditLog(), n); err != nil {
		return row, err
	}
	progress("starting the daemon with it")
	if err := r.withLog(s, &row); err != nil {
		return row, err
	}
	return row, errors.Join(row.sizes(s.AuditLog()), os.RemoveAll(s.Dir))
}

// withLog runs the daemon until it has read the whole log, and then has it sign.
func (r *rig) withLog(s *daemon.State, row *longLogRow) error {
	start := time.Now()
	p, err := s.Start()
	if err != nil {
		return err
	}
	defer p.Kill() // if it was not stopped
	if err := row.awaitRead(p, start); err != nil {
		return err
	}
	used, err := cpuOf(p.PID())
	if err != nil {
		return err
	}
	row.CPU = used.Seconds()
	if row.Building, err = peakMemory(p.PID()); err != nil {
		return err
	}
	a, _ := algorithmNamed("p256")
	key, err := newKey(p, a)
	if err != nil {
		return err
	}
	progress("signing")
	const longer = 4 // than a round is, so that checkpoints and collections of garbage are among it
	load := r.httpTarget(targetDaemon, p.PID(), goalConnections, restRequest(p, key, a))
	done, err := load.run(longer * time.Duration(r.o.rounds) * r.o.window)
	if err != nil {
		return err
	}
	row.Signed = done.Ops
	if row.Signing, err = peakMemory(p.PID()); err != nil {
		return err
	}
	_, err = p.Stop(30 * time.Second)
	return err
}

// awaitRead waits until the tree covers the log and all of it was looked at.
func (row *longLogRow) awaitRead(p *daemon.Process, start time.Time) error {
	for row.Covered == 0 || row.Watched == 0 {
		select {
		case <-p.Done():
			return errors.New("hsmgated ended")
		case <-time.After(100 * time.Millisecond):
		}
		a, err := p.Do(context.Background(), http.DefaultClient, http.MethodGet, "/metrics", nil)
		if err != nil || a.Status != http.StatusOK {
			return fmt.Errorf("/metrics: %w", cmp.Or(err, errors.New("no figures")))
		}
		now := time.Since(start).Seconds()
		if gaugeIn(a.Body, "hsmgate_log_checkpoint_failures_total") > 0 {
			return errors.New("hsmgated makes no checkpoint of the made log")
		}
		if row.Covered == 0 && gaugeIn(a.Body, "hsmgate_log_tree_size") >= float64(row.Records) {
			row.Covered = now
		}
		if row.Watched == 0 && gaugeIn(a.Body, "hsmgate_watch_behind_records") <= 0 {
			row.Watched = now
		}
	}
	return nil
}

// gaugeIn is a figure of /metrics; 0 where it is missing.
func gaugeIn(metrics []byte, name string) float64 {
	_, rest, _ := strings.Cut(string(metrics), "\n"+name+" ")
	text, _, _ := strings.Cut(rest, "\n")
	v, _ := strconv.ParseFloat(text, 64)
	return v
}

// peakMemory is the largest resident set of a process in MB since the last time, or since it began.
func peakMemory(pid int) (float64, error) {
	mb, err := memoryLine(pid, "VmHWM:")
	if err != nil {
		return 0, err
	}
	return mb, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // proc(5): resets it
}

// sizes looks at the files of the log.
func (row *longLogRow) sizes(path string) error {
	segments, err := audit.Segments(path)
	if err != nil {
		return err
	}
	var packed, records float64
	for _, s := range segments {
		if s.Compressed {
			packed, records = packed+float64(s.Size), records+float64(s.Last-s.First+1)
		}
	}
	if records > 0 {
		row.Packed = packed / records
	}
	size, err := sizeOf(string(tree.DirOf(path)))
	if err != nil {
		return err
	}
	row.Tree = float64(size) / float64(row.Records)
	row.Raw, err = signRecordSize(path, uint64(row.Records))
	return err
}

// signRecordSize is the mean length of the lines of signatures behind a record.
func signRecordSize(path string, behind uint64) (float64, error) {
	r, err := audit.OpenReader(path, behind+1)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }() // read only
	var bytes, records float64
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return bytes / max(records, 1), nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if record, err := line.Record(); err == nil && record.Operation == "Sign" {
			bytes, records = bytes+float64(len(line.Text)+1), records+1
		}
	}
}

func (l *longLog) print(w io.Writer) {
	fmt.Fprintln(w, "\nthe daemon with a long log of which it knows nothing yet: it builds the tree and learns what is usual, and signs then")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "records\ttree s\twatch s\tCPU s\tpeak MB\tsigning, peak MB\tsignatures\t")
	for _, r := range l.Logs {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t\n", r.Records, r.Covered, r.Watched, r.CPU, r.Building, r.Signing, r.Signed)
	}
	_ = t.Flush()
	all := l.Logs[len(l.Logs)-1]
	fmt.Fprintf(w, "bytes a record: %.0f as the daemon writes a signature, %.0f of a made one when its segment is compressed, %.1f of the tree\n", all.Raw, all.Packed, all.Tree)
	fmt.Fprintf(w, "memory over that with a tenth of the records: %.2f, goal %.2f: %s\n", l.Goal.Is, l.Goal.Limit, mark(l.Goal))
}
