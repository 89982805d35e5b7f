package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/certificate"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// formatFlags are those of a verb that signs in a format.
type formatFlags struct {
	name        string
	certificate string
	namespace   string
	comment     string
	jobs        int
	retryFor    time.Duration
	dryRun      bool
	stamps      stampFlags
	predicate   *format.Predicate // of attestations
}

func (f *formatFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.name, "format", "", "how to sign (default: found from the file): "+formatNames())
	c.Flags().StringVar(&f.certificate, "certificate", "", "file with the key's certificate and its issuers', PEM, for formats with X.509")
	c.Flags().StringVar(&f.namespace, "namespace", "", "of an SSH signature (default file)")
	c.Flags().StringVar(&f.comment, "comment", "", "trusted comment of a minisign signature")
	f.stamps.flags(c)
	c.Flags().IntVar(&f.jobs, "jobs", 8, "how many files are worked on at a time")
	c.Flags().DurationVar(&f.retryFor, "retry-for", 30*time.Second, "of several files: how long the gateway may be away in between, such as for a restart; 0: not at all")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be signed, and what refused; sign nothing")
}

func formatNames() string {
	names := make([]string, 0, len(format.All))
	for _, f := range format.All {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// chosen is the format that is named; nil for none.
func (f *formatFlags) chosen() (*format.Format, error) {
	if f.name == "" {
		return nil, nil //nolint:nilnil // found from the file
	}
	chosen, err := format.Named(f.name)
	if err != nil {
		return nil, &usageError{err}
	}
	return chosen, nil
}

// plain says that this is the signature of one file and nothing else, which needs no file of its own: raw says that it
// is asked for with what only such a signature has.
func (f *formatFlags) plain(names []string, raw bool) bool {
	if len(names) != 1 || f.name != "" && f.name != format.Raw.Name {
		return false
	}
	if f.name != "" || raw || names[0] == "-" {
		return true
	}
	in, err := openArtifact(names[0])
	if err != nil {
		return true // which says what is wrong, or reads a pipe
	}
	defer in.Close()
	found, err := format.Of(in)
	return err != nil || found == format.Raw
}

// signFiles signs files in their formats.
func (a *app) signFiles(ctx context.Context, c *client.Client, flags *formatFlags, stated *api.SignRequest, output string, names []string) error {
	report := newSignReport(a, len(names))
	s, err := flags.signer(ctx, c, stated, output, names)
	if err != nil {
		return report.none(names, err)
	}
	s.files(ctx, names, report.add)
	return report.err()
}

// signer is what signs the files, once nothing speaks against all of them.
func (f *formatFlags) signer(ctx context.Context, c *client.Client, stated *api.SignRequest, output string, names []string) (*signer, error) {
	if output != "" && len(names) > 1 {
		return nil, usagef("-o names the file of one signature, and there are %d files", len(names))
	}
	if f.jobs < 1 {
		return nil, usagef("--jobs is at least 1")
	}
	if f.retryFor < 0 {
		return nil, usagef("--retry-for is a time, such as 2m, or 0, not %s", f.retryFor)
	}
	c.Together, c.RetryFor = true, f.retryFor
	c.Linger = grace - time.Second // the rest is for the files
	if c.RetryFor == 0 {
		c.RetryFor = -1
	}
	chosen, err := f.chosen()
	if err != nil {
		return nil, err
	}
	if err := distinctOutputs(chosen, output, names); err != nil {
		return nil, err
	}
	certificates, err := readCertificates(f.certificate)
	if err != nil {
		return nil, err
	}
	stamp, err := f.stamps.function(c)
	if err != nil {
		return nil, err
	}
	if chosen != nil && stamp != nil && !chosen.Stamped {
		return nil, noTimestamp(chosen)
	}
	made, err := client.NewSigner(ctx, c, stated.KeyId)
	if err != nil {
		return nil, err
	}
	made.GrantTokens, made.SigningContext, made.Artifact = stated.GrantTokens, stated.SigningContext, stated.Artifact
	created := sync.OnceValues(func() (time.Time, error) { return since(ctx, c, made) })
	s := &signer{format: chosen, output: output, jobs: f.jobs, key: func(with *format.Format) (*format.Key, error) {
		k := &format.Key{Signer: made, Certificates: certificates, Namespace: f.namespace, Comment: f.comment, Timestamp: stamp, Predicate: f.predicate}
		var err error
		if with.Dated {
			k.Created, err = created()
		}
		return k, err
	}}
	if f.dryRun {
		s.trial = sync.OnceValues(func() (crypto.Signer, error) { return format.Throwaway(made.Public()) })
	}
	return s, nil
}

// noTimestamp refuses a timestamp that a format cannot hold.
func noTimestamp(f *format.Format) error {
	var names []string
	for _, g := range format.All {
		if g.Stamped {
			names = append(names, g.Name)
		}
	}
	return usagef("%s holds no timestamp; these do: %s", f.Name, strings.Join(names, ", "))
}

// since is when the key's version came into use.
func since(ctx context.Context, c *client.Client, s *client.Signer) (time.Time, error) {
	out, err := c.ListPublicKeys(ctx, &api.ListPublicKeysRequest{KeyTarget: api.KeyTarget{KeyId: s.Key().KeyId}})
	if err != nil {
		return time.Time{}, err
	}
	for _, k := range out.Keys {
		if k.KeyVersion == s.Key().KeyVersion {
			return k.NotBefore.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("the gateway does not tell since when version %d of %s is used", s.Key().KeyVersion, s.Key().KeyId)
}

// readCertificates reads the key's certificate and those of its issuers.
func readCertificates(name string) ([]*x509.Certificate, error) {
	if name == "" {
		return nil, nil
	}
	text, err := readInput(name, certificate.MaxPEM)
	if err != nil {
		return nil, err
	}
	found, err := certificate.FromPEM(text)
	if err != nil {
		return nil, usagef("%s: %w", shown(name), err)
	}
	return found, nil
}
