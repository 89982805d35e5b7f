package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/audit/query"
)

// auditQuery is what 'audit query' was told.
type auditQuery struct {
	*app
	log                  string
	ask                  asked
	dir                  string
	scan, oldest, newest bool
	count                bool
	limit                int
}

func newAuditQuery(a *app) *cobra.Command {
	v := auditQuery{app: a}
	c := &cobra.Command{
		Use: "query LOG", Short: "Ask an audit log who did what, offline", Args: exactly("the path of a log"),
		Long: `Finds records of an audit log, with no gateway: who signed this file, with which version of which
key, when, and which statement of which policy allowed it. All that is asked for has to hold. A text
that ends with * stands for all that begin so. Times are in UTC; a date is the whole day.

The answer comes from an index beside the user's other caches (or in --index DIR), which is made
of the log at the first question and goes on where it ended at each further one. Every record that
is shown was read from the log and compared with the question again; an index that is damaged, or
of another log, is made anew. An index can be kept from showing records by whoever may
write its folder: --scan reads the whole log and no index. A question does not check the log; 'hsmgate audit
verify' does.

Exit code 1: no record matches, or the log is damaged.`,
		Example: `  hsmgate audit query audit.log --file app.tar.gz
  hsmgate audit query audit.log --key alias/release --operation Sign --since 7d
  hsmgate audit query audit.log --principal 'assumed-role/ci/*' --outcome denied --output json
  hsmgate audit query audit.log --artifact app@1.2 --since 2026-01-01 --until 2026-03-31 --oldest`,
		RunE: func(_ *cobra.Command, args []string) error {
			v.log = args[0]
			return v.run()
		},
	}
	v.ask.flags(c)
	c.Flags().StringVar(&v.dir, "index", "", "folder of the index, of this log alone (default: one in the user's cache)")
	c.Flags().BoolVar(&v.scan, "scan", false, "read the whole log, and no index")
	c.Flags().BoolVar(&v.newest, "newest", false, "the newest records first, as is the default")
	c.Flags().BoolVar(&v.oldest, "oldest", false, "the oldest records first")
	c.Flags().IntVar(&v.limit, "limit", 100, "at most so many records; 0 for all")
	c.Flags().BoolVar(&v.count, "count", false, "only count them, all that match; each is read from the log")
	return c
}

func (v *auditQuery) run() error {
	switch {
	case v.newest && v.oldest:
		return usagef("--newest and --oldest exclude each other")
	case v.limit < 0:
		return usagef("--limit is a number of records, or 0 for all, not %d", v.limit)
	case v.scan && v.dir != "":
		return usagef("--scan uses no index: leave --index out")
	}
	q, err := v.ask.question()
	if err != nil {
		return err
	}
	if _, err := os.Stat(v.log); errors.Is(err, fs.ErrNotExist) {
		return &usageError{err}
	}
	bar := newProgress("records of the log read")
	defer bar.end()
	if v.scan {
		return v.answer(query.Scan(v.log, q, !v.oldest, bar.show), bar)
	}
	x, err := query.Open(v.log, query.Options{Dir: v.dir, Progress: bar.show})
	if err != nil {
		return brokenLog(err)
	}
	defer x.Close()
	bar.end()
	if err := x.Unkept(); err != nil {
		warn("the index cannot be written, so that each question reads the whole log: %s", err)
	}
	if x.Headless() {
		warn("%s has no head file: what was cut off its end cannot be seen", v.log)
	}
	if v.limit == 0 || v.count {
		return v.answer(x.Find(q, !v.oldest), bar)
	}
	found, more, untrue, err := x.First(q, !v.oldest, v.limit)
	bar.end()
	if untrue {
		warn("the index did not agree with the log: it was made anew")
	}
	if err != nil {
		return brokenLog(err)
	}
	return v.answer(listed(found, more), bar)
}

// listed gives what was found, and one more to say that there is more.
func listed(found []query.Found, more bool) iter.Seq2[query.Found, error] {
	return func(yield func(query.Found, error) bool) {
		for _, f := range found {
			if !yield(f, nil) {
				return
			}
		}
		if more {
			yield(query.Found{}, nil)
		}
	}
}

// answer prints what is found, up to the limit, or counts it.
func (v *auditQuery) answer(all iter.Seq2[query.Found, error], bar *progressBar) error {
	to := v.printer(os.Stdout)
	n, more := 0, false
	for found, err := range all {
		if err != nil {
			return brokenLog(err)
		}
		if more = !v.count && v.limit > 0 && n == v.limit; more {
			break
		}
		if n++; !v.count {
			bar.end()
			if err := to.record(found); err != nil {
				return err
			}
		}
	}
	bar.end()
	if err := to.end(n); err != nil {
		return err
	}
	if more {
		hint("there are more records: --limit 0 shows all, --count counts them")
	}
	if n == 0 {
		return &noError{fmt.Errorf("no record of %s matches", v.log)}
	}
	return nil
}

// brokenLog is the error of a log that is not whole, which is no answer, or of an index that was lying.
func brokenLog(err error) error {
	if errors.Is(err, query.ErrUntrue) {
		return &hintedError{err, "ask again: the index is made anew then; --scan uses none"}
	}
	return damagedLog(err)
}

// progressBar tells on a terminal how far a long work is.
type progressBar struct {
	what  string
	on    bool
	shown bool
	last  int
}

func newProgress(what string) *progressBar {
	return &progressBar{what: what, on: isatty.IsTerminal(os.Stderr.Fd()), last: -1}
}

func (b *progressBar) show(done, total uint64) {
	if percent := int(100 * done / max(total, 1)); b.on && percent != b.last {
		b.last, b.shown = percent, true
		_, _ = fmt.Fprintf(os.Stderr, "\r%d of %d %s (%d %%)\x1b[K", done, total, b.what, percent)
	}
}

// end clears the line.
func (b *progressBar) end() {
	if b.shown {
		b.shown = false
		_, _ = io.WriteString(os.Stderr, "\r\x1b[K")
	}
}
