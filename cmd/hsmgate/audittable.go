package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/query"
)

// recordPrinter prints the records of an answer as they come, and the end of it.
type recordPrinter interface {
	record(f query.Found) error
	end(n int) error
}

func (v *auditQuery) printer(w io.Writer) recordPrinter {
	switch {
	case v.count && v.json():
		return countPrinter{w, "{\n  \"Count\": %d\n}\n"}
	case v.count:
		return countPrinter{w, "%d\n"}
	case v.json():
		return &jsonRecords{w: w}
	}
	t := &recordTable{w: w}
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil { // it is a terminal
		t.width = width
	}
	return t
}

type countPrinter struct {
	w    io.Writer
	form string
}

func (countPrinter) record(query.Found) error { return nil }

func (p countPrinter) end(n int) error {
	_, err := fmt.Fprintf(p.w, p.form, n)
	return err
}

// jsonRecords prints one object, record by record, so that there may be any number of them.
type jsonRecords struct {
	w   io.Writer
	any bool
}

// foundRecord is a record in JSON: its line as it stands in the log, and what names it.
type foundRecord struct {
	Receipt string          // seq:hash, for 'audit verify --receipt'
	Record  json.RawMessage // as it stands in the log
}

func (p *jsonRecords) record(f query.Found) error {
	start := ",\n    "
	if !p.any {
		start = "{\n  \"Records\": [\n    "
	}
	p.any = true
	text, err := json.Marshal(foundRecord{f.Receipt.String(), f.Text})
	if err == nil {
		_, err = fmt.Fprintf(p.w, "%s%s", start, text)
	}
	return err
}

func (p *jsonRecords) end(int) error {
	text := "\n  ]\n}\n"
	if !p.any {
		text = "{\n  \"Records\": []\n}\n"
	}
	_, err := io.WriteString(p.w, text)
	return err
}

// recordTable prints a table whose columns are as wide as the first page needs; on a terminal they are cut so that a line is
// no longer than it is wide.
type recordTable struct {
	w       io.Writer
	width   int // of the terminal; 0 for none
	page    [][]string
	widths  []int
	account string // of the first caller, which is left out
}

const tablePage = 1000

var tableHead = []string{"RECORD", "TIME", "OPERATION", "OUTCOME", "PRINCIPAL", "KEY", "VERSION", "DECIDED BY", "ARTIFACT"}

// The columns that are cut, with how short they may become.
var cuttable = map[int]int{2: 4, 4: 12, 5: 8, 7: 10, 8: 8}

func (t *recordTable) record(f query.Found) error {
	t.page = append(t.page, t.row(&f.Record))
	if len(t.page) < tablePage {
		return nil
	}
	return t.flush()
}

func (t *recordTable) end(n int) error {
	if n == 0 {
		return nil
	}
	return t.flush()
}

func (t *recordTable) row(r *audit.Record) []string {
	key := orElse(r.KeyID, orElse(r.Resource[strings.LastIndexByte(r.Resource, ':')+1:], "-"))
	version, artifact := "-", orElse(r.ArtifactName, "-")
	if r.KeyVersion != 0 {
		version = strconv.Itoa(r.KeyVersion)
	}
	if r.ArtifactVersion != "" {
		artifact += "@" + r.ArtifactVersion
	}
	what := r.Outcome
	if r.Phase != "" {
		what = r.Phase
	}
	return []string{strconv.FormatUint(r.Seq, 10), r.Time.UTC().Format("2006-01-02T15:04:05Z"), orElse(r.Operation, "-"), orElse(what, "-"),
		orElse(t.principal(r.Principal), "-"), key, version, orElse(r.Reason, "-"), artifact}
}

// principal leaves out of an ARN what all have in common.
func (t *recordTable) principal(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return arn
	}
	if t.account == "" {
		t.account = parts[4]
	}
	if parts[4] == t.account {
		return parts[5]
	}
	return arn
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (t *recordTable) flush() error {
	rows := t.page
	if t.widths == nil {
		rows = append([][]string{tableHead}, rows...)
		t.measure(rows)
	}
	t.page = t.page[:0]
	for _, row := range rows {
		var line strings.Builder
		for i, text := range row {
			text = printable(text)
			if limit := t.widths[i]; t.width > 0 {
				text = cut(text, limit)
			}
			line.WriteString(text)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(text))+2))
			}
		}
		if _, err := fmt.Fprintln(t.w, line.String()); err != nil {
			return err
		}
	}
	return nil
}

// measure finds how wide the columns are: on a terminal that is too narrow, the widest that may be cut is cut until the line fits.
func (t *recordTable) measure(rows [][]string) {
	t.widths = make([]int, len(tableHead))
	total := 2 * (len(tableHead) - 1)
	for i := range t.widths {
		for _, row := range rows {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(printable(row[i])))
		}
		total += t.widths[i]
	}
	for ; t.width > 0 && total > t.width; total-- {
		widest := -1
		for i, least := range cuttable {
			if t.widths[i] > least && (widest < 0 || t.widths[i] > t.widths[widest] || t.widths[i] == t.widths[widest] && i > widest) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		t.widths[widest]--
	}
}

// cut leaves the middle of a text out: the end of an ARN says more than its middle.
func cut(text string, width int) string {
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	end := (width - 1) / 2
	return string(r[:width-1-end]) + "…" + string(r[len(r)-end:])
}
