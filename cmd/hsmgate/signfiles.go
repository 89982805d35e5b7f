package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/mattn/go-isatty"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// What became of a file.
const (
	statusSigned  = "signed"
	statusSkipped = "already signed" // by this key, and the signature is good
	statusFailed  = "failed"
	statusWould   = "would be signed" // under --dry-run
)

// signedFile is the result of one file.
type signedFile struct {
	File    string
	Format  string   `json:",omitempty"`
	Outputs []string `json:",omitempty"` // where the signature is: the file itself, or files beside it
	Status  string
	Error   string `json:",omitempty"`

	err error
}

// signer signs files, several at a time.
type signer struct {
	key    func(*format.Format) (*format.Key, error)
	format *format.Format // nil: found from each file
	output string         // for a single file; "" is beside it, or the file itself
	jobs   int
	dryRun bool
}

// files signs each file and tells of each as it is done. Once ctx ends no file is begun.
func (s *signer) files(ctx context.Context, names []string, done func(signedFile)) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	room := make(chan struct{}, s.jobs)
	for _, name := range names {
		room <- struct{}{}
		wait.Go(func() {
			defer func() { <-room }()
			r := signedFile{File: name}
			if r.err = ctx.Err(); r.err == nil {
				r.err = s.file(ctx, name, &r)
			}
			if r.err != nil {
				r.Status, r.Error = statusFailed, r.err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			done(r)
		})
	}
	wait.Wait()
}

// file signs one file, or finds that it is signed.
func (s *signer) file(ctx context.Context, name string, r *signedFile) error {
	in, err := openArtifact(name)
	if err != nil {
		return err
	}
	defer in.Close()
	f := s.format
	if f == nil {
		if f, err = format.Of(in); err != nil {
			return err
		}
	}
	r.Format = f.Name
	if s.output != "" && f.Also != nil {
		return usagef("%s makes several files, so -o cannot name one", f.Name)
	}
	key, err := s.key(f)
	if err != nil {
		return err
	}
	if err := f.Suits(key); err != nil {
		return &usageError{err}
	}
	for ; f != nil; f = f.Also {
		if err := s.signature(ctx, f, key, in, r); err != nil {
			return err
		}
	}
	return nil
}

// signature makes one signature of a file, or finds that it is there.
func (s *signer) signature(ctx context.Context, f *format.Format, key *format.Key, in *os.File, r *signedFile) error {
	output := s.output
	if output == "" {
		output = outputOf(f, in.Name())
	}
	r.Outputs = append(r.Outputs, output)
	switch {
	case s.output == "" && alreadySigned(f, key, in, output):
		if r.Status == "" {
			r.Status = statusSkipped
		}
	case s.dryRun:
		r.Status = statusWould
	default:
		r.Status = statusSigned
		sign := func(out io.Writer) error { return f.Sign(ctx, key, in, out) }
		if output == "-" {
			return sign(os.Stdout)
		}
		mode := newMode
		if info, err := in.Stat(); err == nil && f.Output == nil { // it is the artifact that goes there
			mode = info.Mode().Perm()
		}
		return writeFileBy(output, mode, false, sign)
	}
	return nil
}

func outputOf(f *format.Format, artifact string) string {
	if f.Output == nil {
		return artifact
	}
	return f.Output(artifact)
}

// alreadySigned says whether the signature is there and is this key's over this file.
func alreadySigned(f *format.Format, key *format.Key, in *os.File, output string) bool {
	t := &format.Trust{Keys: []crypto.PublicKey{key.Public()}, Namespace: key.Namespace, Predicate: key.Predicate}
	if f.Output == nil {
		return f.Verify(t, in, nil) == nil
	}
	signature, err := openArtifact(output)
	if err != nil {
		return false
	}
	defer signature.Close()
	return f.Verify(t, in, signature) == nil
}

// openArtifact opens a regular file: a format reads it more than once. To open a named pipe would wait for who writes it,
// so nothing is waited for.
func openArtifact(name string) (*os.File, error) {
	in, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &usageError{err}
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = usagef("%s is not a regular file", name)
	}
	if err == nil && info.Size() == 0 {
		err = usagef("%s is empty", name)
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// signReport shows results as they come: JSON lines, or text with a progress bar on a terminal.
type signReport struct {
	lines  bool
	total  int
	bar    io.Writer // nil: none
	counts map[string]int
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
	if f.err != nil && r.first == nil {
		r.first = fmt.Errorf("%s: %w", f.File, f.err)
	}
	r.clear()
	switch {
	case r.lines:
		text, _ := json.Marshal(f) // texts alone
		fmt.Fprintf(os.Stdout, "%s\n", text)
	case f.err != nil:
		if r.total > 1 {
			fmt.Fprintf(os.Stderr, "hsmgate: %s: %s\n", f.File, f.Error)
		}
	case !slices.Equal(f.Outputs, []string{"-"}):
		fmt.Fprintf(os.Stdout, "%s: %s (%s) %s\n", f.File, f.Status, f.Format, strings.Join(f.Outputs, " "))
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

// err is the first failure, with how many there were.
func (r *signReport) err() error {
	n := r.counts[statusFailed]
	if n > 1 {
		return fmt.Errorf("%d of %d files were not signed; the first: %w", n, r.total, r.first)
	}
	return r.first
}
