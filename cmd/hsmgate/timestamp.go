package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// stampFlags name timestamp authorities.
type stampFlags struct {
	urls []string
	ca   string
}

func (f *stampFlags) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.urls, "timestamp-url", nil, "URL of a timestamp authority (RFC 3161), for formats that hold a timestamp; of several, each is asked if those before it fail")
	c.Flags().StringVar(&f.ca, "timestamp-ca", "", "file with the certificates, PEM, of who has to have certified the timestamp authority (default: anybody)")
}

// function gets tokens; nil where no authority is named. The gateway's own authority is asked as its caller.
func (f *stampFlags) function(c *client.Client) (func(context.Context, crypto.Hash, []byte) ([]byte, error), error) {
	if len(f.urls) == 0 {
		if f.ca != "" {
			return nil, usagef("--timestamp-ca is for --timestamp-url")
		}
		return nil, nil //nolint:nilnil // no authority, no tokens
	}
	asks := &timestamp.Client{URLs: f.urls, HTTP: &http.Client{Transport: http.DefaultTransport, CheckRedirect: noToken}, Refused: refusedBy}
	if c != nil {
		own := &ownAuthority{c}
		asks.HTTP.Transport, asks.Authorize, asks.Refused = own, own.authorize, own.refused
	}
	for _, text := range f.urls {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, usagef("--timestamp-url %q is no URL of http or https", text)
		}
	}
	issuers, err := readCertificates(f.ca)
	if err != nil {
		return nil, err
	}
	if issuers != nil {
		asks.Roots = x509.NewCertPool()
		for _, issuer := range issuers {
			asks.Roots.AddCert(issuer)
		}
	}
	return asks.Token, nil
}

// refusedBy is the error of an authority's answer: of its words, none are known to be true or short.
func refusedBy(answer *http.Response, _ []byte) error {
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		return api.Errorf(api.AccessDenied, "the authority answers %s", answer.Status)
	}
	return fmt.Errorf("the authority answers %s", answer.Status)
}

// asks says whether one of the authorities is this gateway's.
func (f *stampFlags) asks(gateway string) bool {
	return slices.ContainsFunc(f.urls, func(u string) bool { return below(gateway, u) })
}

// below says whether a URL is below that of a gateway.
func below(gateway, u string) bool {
	return gateway != "" && strings.HasPrefix(u, strings.TrimRight(gateway, "/")+"/")
}

// ownAuthority has requests to the gateway be those of its caller, with his token, access key or client certificate, and
// no others.
type ownAuthority struct{ *client.Client }

func (o *ownAuthority) is(u *url.URL) bool { return below(o.URL, u.String()) }

func (o *ownAuthority) authorize(r *http.Request) error {
	if !o.is(r.URL) {
		return nil
	}
	return o.Authorize(r.Context(), r)
}

// refused tells the gateway's own reason.
func (o *ownAuthority) refused(answer *http.Response, body []byte) error {
	if o.is(answer.Request.URL) {
		return client.Refusal(answer, body)
	}
	return refusedBy(answer, body)
}

// RoundTrip goes by the URL.
func (o *ownAuthority) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.is(r.URL) && o.HTTP != nil && o.HTTP.Transport != nil {
		return o.HTTP.Transport.RoundTrip(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// noToken follows a redirect, but for a request that carries the gateway's token.
func noToken(_ *http.Request, via []*http.Request) error {
	if via[0].Header.Get("Authorization") != "" || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// stamped is what 'hsmgate timestamp' answers with.
type stamped struct {
	File      string
	Output    string
	Time      time.Time
	Authority string
	Policy    string
	Serial    string // hexadecimal
}

func newTimestamp(a *app) *cobra.Command {
	var f stampFlags
	var output string
	c := &cobra.Command{
		Use: "timestamp --timestamp-url URL FILE", Short: "Get a timestamp of a file (RFC 3161)", Args: exactly("a file"),
		Long: `Gets a timestamp of a file, which is hashed here (SHA-256), and writes the answer of the
authority to FILE.tsr, for 'openssl ts -verify'. The answer is checked first: that it is of this file
and this request, that the certificate of a timestamp authority signed it, and, with --timestamp-ca,
who certified that. Of several authorities, each is asked if those before it fail.

An authority at HSMGATE_URL is asked with the credentials of the environment, others without.`,
		Example: "  hsmgate timestamp --timestamp-url https://gateway.example/v1/tsa --timestamp-ca ca.pem app.tar.gz\n" +
			"  openssl ts -verify -data app.tar.gz -in app.tar.gz.tsr -CAfile ca.pem",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.urls) == 0 {
				return required("", "timestamp-url")
			}
			c, err := a.client()
			var wrong *client.ConfigError
			if errors.As(err, &wrong) && (wrong.Missing || !f.asks(os.Getenv("HSMGATE_URL"))) {
				c, err = nil, nil // no gateway is needed, or no credential
			}
			if err != nil {
				return err
			}
			get, err := f.function(c)
			if err != nil {
				return err
			}
			if output == "" {
				output = args[0] + ".tsr"
			}
			if err := notItself(args[0], output); err != nil {
				return err
			}
			made, err := stampFile(cmd.Context(), get, args[0], output)
			if err != nil {
				return err
			}
			return a.print(made, line(fmt.Sprintf("%s: %s by %s (%s)", shown(made.File), made.Time.Format(time.RFC3339), printable(made.Authority), shown(made.Output))))
		},
	}
	f.flags(c)
	c.Flags().StringVarP(&output, "output-file", "o", "", "file to write (default: FILE.tsr)")
	return c
}

func stampFile(ctx context.Context, get func(context.Context, crypto.Hash, []byte) ([]byte, error), name, output string) (*stamped, error) {
	in, err := openArtifact(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	h := crypto.SHA256.New()
	if _, err := io.Copy(h, in); err != nil {
		return nil, err
	}
	sum := h.Sum(nil)
	der, err := get(ctx, crypto.SHA256, sum)
	if err != nil {
		return nil, err
	}
	token, err := timestamp.Check(der, crypto.SHA256, sum, nil, nil)
	if err != nil {
		return nil, err
	}
	reply, err := timestamp.Reply(der)
	if err != nil {
		return nil, err
	}
	return &stamped{name, output, token.Time, token.Certificate.Subject.String(), token.Policy.String(), token.Serial.Text(16)}, writeBytes(output, reply)
}
