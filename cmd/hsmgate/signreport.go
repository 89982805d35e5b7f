package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/mattn/go-isatty"
)

// signReport shows results as they come: JSON lines, or text with a progress bar on a terminal.
type signReport struct {
	lines  bool
	total  int
	bar    io.Writer // nil: none
	counts map[string]int
	cutOff int // of the failed ones: what was left when the program was told to end
	first  error
}

func newSignReport(a *app, total int) *signReport {
	r := &signReport{lines: a.json() || total > 1 && !isatty.IsTerminal(os.Stdout.Fd()), total: total, counts: map[string]int{}}
	if total > 1 && isatty.IsTerminal(os.Stderr.Fd()) {
		r.bar = os.Stderr
	}
	return r
}

func (r *signReport) add(f signedFile) {
	r.counts[f.Status]++
	cutOff := r.total > 1 && errors.Is(f.err, errInterrupted) // which says nothing of a file by itself
	if cutOff {
		r.cutOff++
	} else if f.err != nil && r.first == nil {
		r.first = ofFile(f.File, f.err)
	}
	r.clear()
	switch {
	case r.lines:
		text, _ := json.Marshal(f) // texts alone
		fmt.Fprintf(os.Stdout, "%s\n", text)
	case f.err != nil:
		if r.total > 1 && !cutOff {
			fmt.Fprintln(os.Stderr, "hsmgate:", oneLine(ofFile(f.File, f.err)))
		}
	case f.Status == statusOther:
		fmt.Fprintf(os.Stdout, "%s: %s: %s\n", shown(f.File), f.Status, f.Note)
	case !slices.Equal(f.Outputs, []string{"-"}):
		fmt.Fprintf(os.Stdout, "%s: %s (%s)%s\n", shown(f.File), f.Status, f.Format, listShown(f.Outputs))
		if f.Note != "" {
			warn("%s: %s", shown(f.File), f.Note)
		}
	}
	r.draw()
}

const barWidth = 30

func (r *signReport) draw() {
	done := 0
	for _, n := range r.counts {
		done += n
	}
	if r.bar == nil || done == r.total {
		return
	}
	full := barWidth * done / r.total
	fmt.Fprintf(r.bar, "\r[%-*s] %d of %d", barWidth, bars[:full], done, r.total)
}

func (r *signReport) clear() {
	if r.bar != nil {
		fmt.Fprint(r.bar, "\r\x1b[K")
	}
}

const bars = "=============================="

// none tells why no file can be signed: a person once, by the error, and a program with each file.
func (r *signReport) none(names []string, err error) error {
	if r.lines {
		for _, name := range names {
			f := signedFile{File: name}
			f.failed(err)
			r.add(f)
		}
	}
	return err
}

// err is the first failure, with how many there were.
func (r *signReport) err() error {
	n := r.counts[statusFailed]
	switch {
	case n == 0 || n == 1 && r.first != nil:
		return r.first
	case r.first == nil:
		return fmt.Errorf("%d of %d files were not signed: %w", n, r.total, errInterrupted)
	case r.cutOff > 0:
		return fmt.Errorf("%d of %d files were not signed, %d of them because of an interrupt; the first: %w", n, r.total, r.cutOff, r.first)
	}
	return fmt.Errorf("%d of %d files were not signed; the first: %w", n, r.total, r.first)
}

// ofFile says which file an error is about, unless it does.
func ofFile(name string, err error) error {
	var of *fs.PathError
	if errors.As(err, &of) && of.Path == name && shown(name) == name {
		return err
	}
	return fmt.Errorf("%s: %w", shown(name), err)
}
