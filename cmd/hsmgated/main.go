// hsmgated is the daemon: it holds the PKCS#11 token and serves the REST face
// under /v1 and the AWS KMS face at /.
//
// What it prints on standard output is for the person who started it; the log of
// operations goes to standard error, one JSON object a line. Errors are one line
// "hsmgated: error: …", lower case and without a period, with what to do on
// lines of their own, "hsmgated: hint: …".
//
// Exit codes: 0 done; 1 failed, or 'check' found something missing; 2 wrong
// usage or configuration; 3 the token refused the PIN, which is never tried a
// second time.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/hsm"
)

var version = "dev" // set by the linker

const (
	exitFailed     = 1
	exitUsage      = 2
	exitPINRefused = 3
)

func main() {
	// A first signal asks for a graceful stop, a second ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	verb, err := newRoot().ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var usage *usageError
	var hinted *hintedError
	if !errors.Is(err, errSilent) {
		fmt.Fprintln(os.Stderr, "hsmgated: error:", layers.ReplaceAllString(err.Error(), "$1"))
	}
	if errors.As(err, &hinted) {
		fmt.Fprintln(os.Stderr, "hsmgated: hint:", hinted.hint)
	}
	switch {
	case errors.Is(err, hsm.ErrPINRefused):
		fmt.Fprintln(os.Stderr, "hsmgated: hint: the PIN is not tried again, since tokens lock after a few wrong ones; correct the PIN file, then start anew")
		return exitPINRefused
	case errors.As(err, &usage):
		if hinted == nil {
			fmt.Fprintf(os.Stderr, "hsmgated: hint: see '%s --help'\n", verb.CommandPath())
		}
		return exitUsage
	}
	return exitFailed
}

// layers are names of parts of this program, which say nothing to its user.
var layers = regexp.MustCompile(`(^|: )(?:(?:identity|store): )+`)

// badFlag makes the error of a flag that cannot be read.
func badFlag(_ *cobra.Command, err error) error {
	if m := inDays.FindStringSubmatch(err.Error()); m != nil {
		if days, convErr := strconv.Atoi(m[1]); convErr == nil && days < 1<<20 {
			return &hintedError{&usageError{err}, fmt.Sprintf("durations are in h, m and s: %d days are %dh", days, 24*days)}
		}
	}
	return &usageError{err}
}

var inDays = regexp.MustCompile(`"(\d+)d" for .* unknown unit "d"`)

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// hintedError carries what to do about an error.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// errSilent is the error of a command that has printed what is wrong.
var errSilent = errors.New("see above")

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "hsmgated",
		Short: "hsmgate's daemon: signs and decrypts with keys that never leave a PKCS#11 token",
		Long: `hsmgated serves keys that live in a PKCS#11 token over REST (/v1) and the AWS KMS protocol (/).

Exit codes: 0 done; 1 failed, or 'check' found something missing; 2 wrong usage or
configuration; 3 the token refused the PIN, which is never tried a second time.`,
		Version:       versionText(),
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, RunE: needVerb, // which names the one that is unknown
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(badFlag)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(), newQuickstart(), newCheck(), newToken(), newAudit(), newPrincipal(), newRole(), newPolicy(), newApprovalRule(), newCredential(), newHealthcheck(),
		&cobra.Command{Use: "version", Short: "Print the version", Example: "  hsmgated version", Args: noArgs, Run: func(*cobra.Command, []string) { fmt.Println(versionText()) }})
	return root
}

func versionText() string {
	text := "hsmgated " + version
	if info, ok := debug.ReadBuildInfo(); ok {
		text += " " + info.GoVersion
	}
	return text
}

// group makes a command that only holds others.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: needVerb}
	c.AddCommand(verbs...)
	return c
}

func needVerb(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())}
	}
	return &usageError{fmt.Errorf("%q needs a command", c.CommandPath())}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%q takes no argument, but got %q", c.CommandPath(), args[0])}
	}
	return nil
}
