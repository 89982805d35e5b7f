package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// printed is what f writes to standard output and standard error.
func printed(t *testing.T, f func()) string {
	t.Helper()
	to, err := os.Create(filepath.Join(t.TempDir(), "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	out, errs := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = to, to
	defer func() { os.Stdout, os.Stderr = out, errs }()
	f()
	text, err := os.ReadFile(to.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Of files that an interrupt keeps from their signatures a person is told the number, and a program each.
func TestInterruptIsToldOnce(t *testing.T) {
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprint("file", i)
	}
	artifacts(t, names...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &signer{format: format.Raw, jobs: 4}
	for _, lines := range []bool{false, true} {
		r := &signReport{lines: lines, total: len(names), counts: map[string]int{}}
		got := printed(t, func() { s.files(ctx, names, r.add) })
		if n, want := strings.Count(got, `"Error":"interrupted"`), map[bool]int{true: len(names)}[lines]; n != want || !lines && got != "" {
			t.Errorf("%d lines, not %d:\n%s", n, want, got)
		}
		if err := r.err(); !errors.Is(err, errInterrupted) || err.Error() != "300 of 300 files were not signed: interrupted" {
			t.Error(err)
		}
	}
}

// What failed before the interrupt is not lost behind it.
func TestInterruptHidesNoCause(t *testing.T) {
	r := &signReport{total: 4, counts: map[string]int{}}
	got := printed(t, func() {
		for i, err := range []error{nil, errInterrupted, fs.ErrPermission, errInterrupted} {
			f := signedFile{File: fmt.Sprint("f", i), Status: statusSigned}
			f.failed(err)
			r.add(f)
		}
	})
	if want := "f0: signed ()\nhsmgate: f2: permission denied\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := r.err(); !errors.Is(err, fs.ErrPermission) || err.Error() != "3 of 4 files were not signed, 2 of them because of an interrupt; the first: f2: permission denied" {
		t.Error(err)
	}
}

// A file's name drives no terminal.
func TestNamesArePrintable(t *testing.T) {
	const name = "a\x1b[31mred\x1b]0;title\x07\nb"
	r := &signReport{total: 3, counts: map[string]int{}}
	v := &verifyReport{}
	got := printed(t, func() {
		r.add(signedFile{File: name, Format: "raw", Outputs: []string{name + ".sig"}, Status: statusSigned, Note: "note"})
		r.add(signedFile{File: name, Status: statusOther, Note: "note"})
		failed := signedFile{File: name}
		failed.failed(&fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist})
		r.add(failed)
		v.add(&verifiedFile{File: name, Format: "raw", Status: statusGood})
		v.add(&verifiedFile{File: name, Status: statusOther, Note: "note"})
		v.add(&verifiedFile{File: name, Status: statusFailed, err: &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}})
		report(os.Stderr, "hsmgate sign", r.err())
	})
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for _, line := range lines {
		if printable(line) != line || !strings.Contains(line, `\x1b[31mred\x1b]0;title\a`) {
			t.Errorf("%q", line)
		}
	}
	if len(lines) != 8 {
		t.Errorf("%d lines, not 8:\n%q", len(lines), lines)
	}
	for name, want := range map[string]string{"an öl.txt": "an öl.txt", "a\nb": `"a\nb"`, "a\x9bb": `"a\x9bb"`, "a\u009bb": `"a\u009bb"`, "a\u202eb": `"a\u202eb"`, `a"b`: `a"b`} {
		if got := shown(name); got != want {
			t.Errorf("%q is shown as %s, not %s", name, got, want)
		}
	}
}
