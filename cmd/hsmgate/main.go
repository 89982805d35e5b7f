// hsmgate is the command-line client of an hsmgate gateway. It is pure Go and
// needs nothing on the machine but itself.
package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/client"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, func() { endSoon(stop) })
	os.Exit(run(ctx))
}

// grace is how long a verb may take to end by itself once it is told to.
const grace = 3 * time.Second

// endSoon ends the program when a verb does not by itself, as where it waits for a pipe, or at a second signal.
func endSoon(stop func()) {
	stop()
	time.Sleep(grace)
	os.Exit(report(os.Stderr, "hsmgate", context.Canceled))
}

func run(ctx context.Context) int {
	if as := called(os.Args[0]); as != nil {
		if err := as(ctx, newApp(), os.Args[1:]); err != nil {
			return report(os.Stderr, "hsmgate", err)
		}
		return 0
	}
	verb, err := newRoot().ExecuteContextC(ctx)
	if err != nil {
		return report(os.Stderr, verb.CommandPath(), err)
	}
	return 0
}

// app is what the verbs share.
type app struct {
	output
	timeout time.Duration
	region  string
}

// newApp has the values that flags have when they are not given.
func newApp() *app { return &app{output: output{format: "text"}, timeout: time.Minute} }

func newRoot() *cobra.Command {
	a := newApp()
	root := &cobra.Command{
		Use:   "hsmgate",
		Short: "Sign, decrypt and manage keys that live in a PKCS#11 token",
		Long: `hsmgate speaks to an hsmgate gateway, whose keys live in a PKCS#11 token.

HSMGATE_URL and HSMGATE_TOKEN say which gateway and as whom; HSMGATE_CA_FILE names a
private CA, HSMGATE_REGION (or --region) another region than the gateway's home region.
In place of HSMGATE_TOKEN, HSMGATE_TOKEN_FILE names a file with the token, such as that of
a pod, and HSMGATE_CERT_FILE and HSMGATE_KEY_FILE a client certificate. Without any of them,
requests are signed with an access key of the gateway in AWS_ACCESS_KEY_ID or a profile of AWS.
A key is named by its id, its ARN, an alias (alias/release) or an alias ARN.

` + exitCodes,
		Example:       "  hsmgate key create --spec ECC_NIST_P256 --alias alias/release\n  hsmgate sign --key alias/release --output-file app.sig app.tar.gz\n  hsmgate verify --key alias/release --signature app.sig app.tar.gz",
		Version:       version,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, RunE: needVerb, // which names the one that is unknown
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.check() },
	}
	root.SetVersionTemplate("hsmgate {{.Version}}\n")
	root.SetFlagErrorFunc(badFlag)
	root.PersistentFlags().StringVar(&a.format, "output", a.format, "text or json")
	root.PersistentFlags().DurationVar(&a.timeout, "timeout", a.timeout, "how long to wait for an answer of the gateway")
	root.PersistentFlags().StringVar(&a.region, "region", "", "region that the call goes to (default HSMGATE_REGION, or the gateway's home region)")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newKey(a), newKeyStore(a), newAlias(a), newSign(a), newJWT(a), newAttest(a), newImage(a), newVerify(a), newEncrypt(a), newDecrypt(a), newReEncrypt(a),
		newDataKey(a), newDataKeyPair(a), newRandom(a), newMac(a), newSecret(a), newPolicy(a), newGrant(a), newApproval(a), newAudit(a), newUsage(a), newCertificate(a), newTimestamp(a), newGit(a),
		newVersion(a))
	return root
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  hsmgate version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.print(map[string]string{"Version": version}, line("hsmgate "+version))
		},
	}
}

// client makes the client of the environment.
func (a *app) client() (*client.Client, error) {
	c, err := client.FromEnv()
	if err != nil {
		return nil, err
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Transport: http.DefaultTransport}
	}
	c.HTTP.Timeout = a.timeout // of one answer: to hash a large file takes its time
	if u, err := url.Parse(c.URL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		warn("the token goes to %s unencrypted: whoever reads the traffic has it", u.Host)
	}
	c.UserAgent = "hsmgate/" + version
	if a.region != "" {
		c.Region = a.region
	}
	return c, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// calls makes the RunE of a verb that calls the gateway.
func (a *app) calls(f func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return f(cmd.Context(), c, args)
	}
}

func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: needVerb}
	c.AddCommand(verbs...)
	return c
}

// badFlag makes the error of a flag that cannot be read.
func badFlag(c *cobra.Command, err error) error {
	if strings.Contains(err.Error(), "shorthand flag: 'o'") { // which other verbs have
		return &hintedError{&usageError{err}, "for JSON, --output json; this verb writes no file: send its standard output to one"}
	}
	return &usageError{err}
}

func needVerb(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q for %q", args[0], c.CommandPath())
	}
	return usagef("%q needs a command", c.CommandPath())
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%q takes no argument, but got %q", c.CommandPath(), args[0])
	}
	return nil
}

// exactly makes the check of a verb's arguments, which are named for the error.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%q needs %s", c.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return usagef("%q takes %d argument(s); %q is one too many", c.CommandPath(), len(names), args[len(names)])
		}
		return nil
	}
}

// atLeastOneFile is the check of a verb for files.
func atLeastOneFile(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%q needs a file", c.CommandPath())
	}
	return nil
}

// atMostOne is the check of a verb that may do without its argument.
func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("%q takes one argument at most; %q is one too many", c.CommandPath(), args[1])
	}
	return nil
}

// required refuses an empty flag.
func required(value, flag string) error {
	if value == "" {
		return usagef("--%s is missing", flag)
	}
	return nil
}
