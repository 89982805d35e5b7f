package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// What became of a file.
const (
	statusGood      = "good"
	statusNotGood   = "not good"
	statusNotSigned = "not signed"
)

// verifiedFile is the result of one file.
type verifiedFile struct {
	File       string
	Format     string   `json:",omitempty"`
	Signatures []string `json:",omitempty"` // where they are: the file itself, or files beside it
	Status     string
	Note       string `json:",omitempty"` // why it was skipped
	Error      string `json:",omitempty"`

	algorithm api.SigningAlgorithm // of a raw signature
	err       error
}

// verifier checks files offline.
type verifier struct {
	trust     *format.Trust
	keys      []*publicKey // the keys of trust
	format    *format.Format
	algorithm api.SigningAlgorithm // of a raw signature; "" is the key's first
	signature string               // for a single file; "" is beside it, or in the file itself
}

// maxDetached bounds a file with a signature, in bytes. Some hold certificates.
const maxDetached = 1 << 20

// verifyOffline checks with keys from a file.
func (a *app) verifyOffline(ctx context.Context, flags *verifyFlags, algorithm api.SigningAlgorithm, names []string) error {
	if flags.signature != "" && len(names) > 1 {
		return usagef("--signature names the signature of one file, and there are %d files", len(names))
	}
	v := &verifier{algorithm: algorithm, signature: flags.signature}
	if flags.format != "" {
		chosen, err := format.Named(flags.format)
		if err != nil {
			return &usageError{err}
		}
		v.format = chosen
	}
	if v.signature != "" {
		text, err := readInput(v.signature, maxDetached)
		if err != nil {
			return err
		}
		if v.format == nil {
			v.format = formatOfSignature(v.signature, text)
		}
	}
	if err := flags.trust.load(ctx, a, v); err != nil {
		return err
	}
	v.trust.Namespace = flags.namespace
	if len(names) == 1 {
		return a.verifiedOne(v.file(names[0]))
	}
	report := &verifyReport{lines: a.json() || !isatty.IsTerminal(os.Stdout.Fd())}
	checked := 0
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if isSignature(name) {
			report.add(&verifiedFile{File: name, Status: statusOther, Note: "a signature of another file"})
			continue
		}
		checked++
		report.add(v.file(name))
	}
	if checked == 0 {
		return usagef("all of these are signatures of other files: name what they are of")
	}
	return report.err(checked)
}

// verifiedOne tells of a single file. A raw signature has an answer of its own.
func (a *app) verifiedOne(r *verifiedFile) error {
	raw := r.Format == format.Raw.Name && (r.Status == statusGood || r.Status == statusNotGood)
	one := verified{r.Status == statusGood, "", r.algorithm}
	switch {
	case raw && r.err != nil:
		return a.notGood(one, r.err)
	case raw:
		return a.print(one, line("the signature is good: "+string(r.algorithm)))
	}
	report := &verifyReport{lines: a.json(), single: true}
	report.add(r)
	return report.err(1)
}

// file checks one file.
func (v *verifier) file(name string) *verifiedFile {
	r := &verifiedFile{File: name, Status: statusGood}
	switch r.err = v.check(name, r); {
	case r.err == nil:
		return r
	case errors.Is(r.err, format.ErrNotGood):
		r.Status = statusNotGood
		r.err = &noError{fmt.Errorf("%w; expected is %s", r.err, expected(v.trust))}
	case errors.Is(r.err, format.ErrArtifact):
		r.Status, r.err = statusNotGood, &noError{r.err}
	case errors.Is(r.err, format.ErrNotSigned):
		r.Status, r.err = statusNotSigned, &noError{r.err}
	default:
		r.Status = statusFailed
	}
	r.Error = r.err.Error()
	return r
}

func (v *verifier) check(name string, r *verifiedFile) error {
	if v.plainRaw() {
		r.Format, r.Signatures = format.Raw.Name, []string{v.signature}
		return v.raw(name, v.signature, r)
	}
	in, err := openArtifact(name)
	if err != nil {
		return err
	}
	defer in.Close()
	found, err := v.signaturesOf(in)
	if err != nil {
		return err
	}
	for _, s := range found {
		r.Format, r.Signatures = s.format.Name, append(r.Signatures, s.file)
		if err := v.one(in, s, r); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) one(in *os.File, s foundSignature, r *verifiedFile) error {
	if s.format == format.Raw {
		return v.raw(in.Name(), s.file, r)
	}
	if len(v.trust.Keys) == 0 && !s.format.Certified {
		return usagef("%s has no certificate with it, so one of an authority says nothing: name the public key", s.format.Name)
	}
	if s.format.Output == nil {
		return s.format.Verify(v.trust, in, nil)
	}
	signature, err := readInput(s.file, maxDetached)
	if err != nil {
		return err
	}
	return s.format.Verify(v.trust, in, bytes.NewReader(signature))
}

// raw checks a raw signature with each key, by the algorithm that is named or the key's first.
func (v *verifier) raw(name, signatureFile string, r *verifiedFile) error {
	signature, err := readSignature(signatureFile)
	if err != nil {
		return err
	}
	messages := map[api.SigningAlgorithm][]byte{} // the file is read once for each
	for _, key := range v.keys {
		r.algorithm = v.algorithm
		if r.algorithm == "" {
			r.algorithm = key.algorithms[0]
		}
		if _, read := messages[r.algorithm]; !read {
			if name == "-" && len(messages) > 0 {
				return usagef("standard input is read once, and the keys are of several algorithms: name one with --algorithm")
			}
			if messages[r.algorithm], err = messageOf(r.algorithm, name); err != nil {
				return err
			}
		}
		good, err := key.verify(r.algorithm, messages[r.algorithm], signature)
		if err != nil || good {
			return err
		}
	}
	if len(v.keys) == 0 {
		return usagef("raw has no certificate with it, so one of an authority says nothing: name the public key")
	}
	return fmt.Errorf("%w: it was not made by this key over this file with this algorithm", format.ErrNotGood)
}

func messageOf(algorithm api.SigningAlgorithm, name string) ([]byte, error) {
	in, err := openInput(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	message, _, err := client.Message(algorithm, in)
	return message, err
}

// verifyReport shows results as they come: JSON lines or text.
type verifyReport struct {
	lines, single bool
	bad           int
	first         error // of all; one that answers no goes before those that could not tell
}

func (r *verifyReport) add(f *verifiedFile) {
	if f.err != nil {
		r.bad++
		err := f.err
		if !r.single {
			err = ofFile(f.File, f.err)
		}
		if r.first == nil || errors.As(err, new(*noError)) && !errors.As(r.first, new(*noError)) {
			r.first = err
		}
	}
	switch {
	case r.lines:
		text, _ := json.Marshal(f) // texts alone
		fmt.Fprintf(os.Stdout, "%s\n", text)
	case f.Status == statusOther:
		fmt.Fprintf(os.Stdout, "%s: %s: %s\n", shown(f.File), f.Status, f.Note)
	case f.err == nil:
		fmt.Fprintf(os.Stdout, "%s: good (%s)\n", shown(f.File), f.Format)
	case !r.single:
		fmt.Fprintf(os.Stderr, "hsmgate: %s: %s: %s\n", shown(f.File), f.Status, oneLine(f.err))
	}
}

func (r *verifyReport) err(of int) error {
	if r.bad > 1 {
		return fmt.Errorf("%d of %d files are not found to be good; the first: %w", r.bad, of, r.first)
	}
	return r.first
}
