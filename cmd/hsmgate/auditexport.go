package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/export"
)

// exportFlags say which records are written, and how.
type exportFlags struct {
	format, file    string
	since, until    momentFlag
	from            uint64
	operations      []string
	key, principal  string
	account, region string
}

// exportAnswer is what export says of a file that it has written.
type exportAnswer struct {
	File    string
	Records int
	Last    string `json:",omitempty"` // receipt of the last one
}

func newAuditExport(a *app) *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use: "export LOG", Short: "Write the records of an audit log for other tools, offline", Args: exactly("the path of a log"),
		Long: `Writes the records of an audit log, with no gateway: as they are (jsonl), as AWS CloudTrail
writes its files (cloudtrail: {"Records":[…]}), or as OCSF API Activity, one a line (ocsf).
Members that these have no place for stand under additionalEventData and unmapped
(docs/siem.md). Records are read along the chain, and a log that the gateway is writing is read
up to its head; 'hsmgate audit verify' checks all of it. --key takes an id, an ARN or the name
that callers gave; --principal an ARN, or its last part, such as user/ci or role/release.`,
		Example: "  hsmgate audit export --format cloudtrail --since 2026-03-01 -o events.json var/audit/audit.log\n" +
			"  hsmgate audit export --format ocsf --operation Sign --principal user/ci audit.log | gzip >sign.jsonl.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.region = a.region
			if f.region == "" {
				f.region = os.Getenv("HSMGATE_REGION")
			}
			e, err := newExporter(f, args[0])
			if err != nil {
				return err
			}
			if f.file == "" || f.file == "-" {
				return e.run(cmd.Context(), os.Stdout)
			}
			if err := writeFileBy(f.file, 0o600, false, func(w io.Writer) error { return e.run(cmd.Context(), w) }); err != nil {
				return err
			}
			return a.print(exportAnswer{f.file, e.written, e.last}, line(fmt.Sprintf("%s: %d records", shown(f.file), e.written)))
		},
	}
	c.Flags().StringVar(&f.format, "format", "jsonl", strings.Join(export.Formats, ", "))
	c.Flags().StringVarP(&f.file, "output-file", "o", "", "file to write, whole or not at all (default: standard output)")
	f.until.end = true
	c.Flags().Var(&f.since, "since", sinceHelp)
	c.Flags().Var(&f.until, "until", untilHelp)
	c.Flags().Uint64Var(&f.from, "from-seq", 0, "records with this number or a later one")
	c.Flags().StringArrayVar(&f.operations, "operation", nil, "records of this operation; may be repeated")
	c.Flags().StringVar(&f.key, "key", "", "records about this key")
	c.Flags().StringVar(&f.principal, "principal", "", "records of calls by this principal, or by sessions of this role")
	c.Flags().StringVar(&f.account, "account", "000000000000", "account of records that name none")
	return c
}

// exporter writes the records of one log.
type exporter struct {
	exportFlags
	log          string
	shape        export.Shape
	since, until time.Time
	written      int
	last         string
	shown        time.Time // when progress was told
}

func newExporter(f exportFlags, log string) (*exporter, error) {
	if f.region == "" {
		f.region = "us-east-1" // as the gateway's own default
	}
	now := time.Now()
	e := &exporter{exportFlags: f, log: log, since: f.since.time(now), until: f.until.time(now)}
	var err error
	if e.shape, err = export.New(f.format, export.Home{Account: f.account, Region: f.region}); err != nil {
		return nil, usagef("--format: %w", err)
	}
	return e, nil
}

// run writes the records, and never holds more than one.
func (e *exporter) run(ctx context.Context, to io.Writer) error {
	r, err := audit.OpenReader(e.log, e.from)
	if errors.Is(err, fs.ErrNotExist) {
		return &usageError{err}
	} else if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // read only
	end, err := e.end()
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(to, 1<<16)
	between := "\n"
	if e.format == "cloudtrail" {
		between = ",\n"
		if _, err := w.WriteString("{\"Records\":[\n"); err != nil {
			return err
		}
	}
	if err := e.records(ctx, r, end, w, between); err != nil {
		return err
	}
	tail := "\n"
	if e.format == "cloudtrail" {
		tail = "\n]}\n"
	} else if e.written == 0 {
		tail = ""
	}
	if _, err := w.WriteString(tail); err != nil {
		return err
	}
	return w.Flush()
}

// end is the last record that is known to be durable; without a head, as in a copy of the log alone, it is the last one.
func (e *exporter) end() (uint64, error) {
	head, err := audit.ReadHead(e.log)
	if errors.Is(err, fs.ErrNotExist) {
		return math.MaxUint64, nil
	}
	return head.Seq, err
}

func (e *exporter) records(ctx context.Context, r *audit.Reader, end uint64, w *bufio.Writer, between string) error {
	defer e.progress(0)
	var b []byte
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) || err == nil && l.Seq > end {
			return nil
		}
		if errors.Is(err, audit.ErrDamaged) {
			return &noError{err}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		record, err := l.Record()
		if err != nil {
			return &noError{fmt.Errorf("record %d: %w", l.Seq, err)}
		}
		e.progress(l.Seq)
		if !e.wanted(&record) {
			continue
		}
		if b, err = e.shape(b[:0], l); err != nil {
			return err
		}
		if e.written > 0 {
			if _, err := w.WriteString(between); err != nil {
				return err
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		e.written, e.last = e.written+1, audit.Receipt{Seq: l.Seq, Hash: fmt.Sprintf("%x", l.Hash)}.String()
	}
}

func (e *exporter) wanted(r *audit.Record) bool {
	switch {
	case !e.since.IsZero() && r.Time.Before(e.since), !e.until.IsZero() && !r.Time.Before(e.until):
		return false
	case len(e.operations) > 0 && !slices.Contains(e.operations, r.Operation):
		return false
	case e.key != "" && !slices.Contains([]string{r.KeyID, r.KeyARN, r.SourceKeyARN, r.Resource}, e.key) && !strings.HasSuffix(r.SourceKeyARN, ":key/"+e.key) && !strings.HasSuffix(r.Resource, ":"+e.key):
		return false
	}
	return e.principal == "" || e.calledBy(r.Principal)
}

// calledBy: the ARN, its last part, or the role that a session is of.
func (e *exporter) calledBy(arn string) bool {
	if arn == e.principal || strings.HasSuffix(arn, ":"+e.principal) {
		return true
	}
	_, role, ok := strings.Cut(e.principal, "role/")
	return ok && strings.Contains(arn, ":assumed-role/"+role+"/") && (strings.HasPrefix(e.principal, "role/") || strings.HasPrefix(e.principal, "arn:"))
}

// progress tells a person at a terminal how far it is; 0 clears the line.
func (e *exporter) progress(seq uint64) {
	const every = 500 * time.Millisecond
	switch {
	case e.shown.IsZero() && seq > 0:
		e.shown = time.Now()
	case seq == 0 && e.shown.IsZero(), seq > 0 && (seq%1024 != 0 || time.Since(e.shown) < every), !isatty.IsTerminal(os.Stderr.Fd()):
	case seq == 0:
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	default:
		e.shown = time.Now()
		fmt.Fprintf(os.Stderr, "\r\x1b[Krecord %d, %d written", seq, e.written)
	}
}
