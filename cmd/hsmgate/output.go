package main

// What hsmgate prints, and where:
//
//   - The result, and nothing else, goes to standard output: text for a person,
//     or one JSON object with --output json. Bytes (signatures, ciphertexts,
//     keys) are raw unless --base64 asks for one line of text.
//   - Everything else goes to standard error, each line with its kind in front:
//     'hsmgate: error: …', 'hsmgate: hint: …' for what to do about it,
//     'hsmgate: warning: …'. An error is one line, lower case at its beginning
//     and without a period at its end; what the gateway said stands in it as the
//     gateway said it.
//   - A file is written whole or not at all.
//   - The exit code says what kind of answer it was; see exitCodes.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/mattn/go-isatty"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// exitCodes is the end of every help text.
const exitCodes = `Exit codes:
  0  done
  1  the answer is no: the signature is not good, the audit log is not intact, no record matches
  2  wrong usage: a flag's value, a key of another kind, a file to read that is missing, HSMGATE_URL, HSMGATE_TOKEN
  3  not authenticated, or not allowed
  4  no such key or alias
  5  the gateway cannot be reached or cannot do it now: try again
  6  anything else`

const (
	exitNo          = 1
	exitUsage       = 2
	exitDenied      = 3
	exitNotFound    = 4
	exitUnavailable = 5
	exitOther       = 6
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// noError is a negative answer.
type noError struct{ error }

func (e *noError) Unwrap() error { return e.error }

// hintedError carries what to do about an error.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// report prints the error of a verb with its hints and returns the exit code.
func report(w io.Writer, verb string, err error) int {
	fmt.Fprintln(w, "hsmgate: error:", strings.TrimSuffix(oneLine(err), "."))
	code, hint := judge(err, verb)
	var hinted *hintedError
	if errors.As(err, &hinted) {
		hint = hinted.hint
	}
	if hint != "" {
		fmt.Fprintln(w, "hsmgate: hint:", hint)
	}
	return code
}

// oneLine is an error for a person. What it tells may be of others: a file's name, an answer.
func oneLine(err error) string { return printable(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// printable shows control characters, which others may have put into what they named, as what they are: they would drive a
// terminal.
func printable(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// shown is the name of a file for a person: in quotes, as Go has them, where it is not printable.
func shown(name string) string {
	if p := printable(name); p != name {
		return `"` + p + `"`
	}
	return name
}

// listShown are names of files for a person, with a space in front of each.
func listShown(names []string) (list string) {
	for _, name := range names {
		list += " " + shown(name)
	}
	return list
}

func warn(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "hsmgate: warning: "+format+"\n", args...)
}

// hint says on standard error what to do next.
func hint(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "hsmgate: hint: "+format+"\n", args...)
}

// output says in which form a command answers.
type output struct {
	format string // text, json
}

func (o *output) check() error {
	if o.format != "text" && o.format != "json" {
		return &hintedError{usagef("--output is text or json, not %q", o.format),
			"--output chooses the form of the answer; a file is named with -o or --output-file, where a verb writes one"}
	}
	return nil
}

func (o *output) json() bool { return o.format == "json" }

// print prints v as JSON, or calls text with standard output.
func (o *output) print(v any, text func(w io.Writer)) error {
	if o.json() {
		return printJSON(v)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	text(w)
	return w.Flush()
}

func printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

// writeBytes writes a result to a file, or to standard output where path is ""
// or "-".
func writeBytes(path string, data []byte) error {
	if path != "" && path != "-" {
		return writeFile(path, data, newMode, false)
	}
	_, err := os.Stdout.Write(data)
	return err
}

// refuseTerminal keeps raw bytes off a terminal, which they would confuse.
func refuseTerminal(path string) error {
	if (path == "" || path == "-") && isatty.IsTerminal(os.Stdout.Fd()) {
		return &hintedError{usagef("raw bytes are not written to a terminal"), "name a file with --output-file, or ask for text with --base64"}
	}
	return nil
}

// newMode is the mode of a new file that is for all whom the umask lets read it. The umask is asked for at the start, since
// to ask is to change it.
var newMode = 0o666 &^ umask()

// writeFile writes a file that is there whole or not at all, with the mode that
// the file had before unless it is to be strict, or this one.
func writeFile(path string, data []byte, mode os.FileMode, strict bool) error {
	return writeFileBy(path, mode, strict, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// writeFileBy is writeFile for what write makes piece by piece.
func writeFileBy(path string, mode os.FileMode, strict bool, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil {
		if info.IsDir() {
			return errFolder(path)
		}
		if !info.Mode().IsRegular() { // a pipe or a device cannot be replaced
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			return errors.Join(write(f), f.Close())
		}
		if !strict {
			mode = info.Mode().Perm()
		}
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f, err := unfinishedFile(path)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func unfinishedFile(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+unfinished+"*")
}

// mayWrite says what would keep writeFile from it, as long as nothing is signed yet.
func mayWrite(path string) error {
	if path == "" || path == "-" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return errFolder(path)
	} else if err == nil && !info.Mode().IsRegular() {
		return nil
	}
	f, err := unfinishedFile(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func errFolder(path string) error { return usagef("%s is a folder: name a file", shown(path)) }

// openInput opens a file, or standard input where the name is "-". A name that
// leads to no file is a mistake of the command line.
func openInput(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &usageError{err}
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(usagef("%s is a folder", shown(name)), f.Close())
	}
	return f, nil
}

// readInput reads a file of at most limit bytes.
func readInput(name string, limit int) ([]byte, error) {
	in, err := openInput(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = usagef("%s holds more than %d bytes", shown(name), limit)
	}
	return data, err
}

// day writes a time for a person.
func day(t *api.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
