package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/format"
	"github.com/hsmgate/hsmgate/gateway/format/image"
)

// imageCheck is a way to verify an image.
type imageCheck struct {
	name      string
	certified bool // the certificate of the signer is there, so that one of an authority will do
	verify    func(*image.Image, *format.Trust) (*image.Signed, error)
}

var (
	signChecks   = []imageCheck{{wayCosign, false, (*image.Image).VerifyTag}, {waySigstore, false, (*image.Image).VerifyBundle}, {wayNotation, true, (*image.Image).VerifyNotation}}
	attestChecks = []imageCheck{{wayCosign, false, (*image.Image).VerifyTagAttestation}, {waySigstore, false, (*image.Image).VerifyBundleAttestation}}
)

// verifiedImage is the answer in JSON.
type verifiedImage struct {
	Image     string // repository and digest: what was looked at
	Format    string `json:",omitempty"`
	Signature string `json:",omitempty"` // repository and digest of what holds the good signature
	Tag       string `json:",omitempty"`
	Status    string
	Error     string `json:",omitempty"`
}

// imageVerifyFlags are those of image verify.
type imageVerifyFlags struct {
	trust    trustFlags
	format   string
	says     predicateFlags
	insecure bool
}

func newImageVerify(a *app) *cobra.Command {
	var flags imageVerifyFlags
	c := &cobra.Command{
		Use:   "verify (--public-key FILE | --jwks FILE | --certificate FILE | --trust URL) REFERENCE",
		Short: "Check the signature of an image, or an attestation, with a public key", Args: exactly("the reference of an image"),
		Long: `Checks what 'hsmgate image sign' and 'hsmgate image attest' make, with no gateway: the registry is
asked for the image and what is beside it. One good signature is enough, whoever has made others. What a
tag names is looked up once, and its digest is answered: deploy that. Who signs is said as to
'hsmgate verify':

  --public-key   public keys, any of which may have signed
  --jwks         a JSON Web Key Set, or a key history
  --certificate  certificates: the keys in them or, where all are of authorities, whom these certify (notation)
  --trust        the URL of a key that a gateway publishes

--format is cosign, sigstore or notation; without it, all are looked for. With --type it is an
attestation of that type that is looked for, by cosign or sigstore, and with --predicate one that says
just what is in the file. Exit code 1: no signature is good, or there is none.`,
		Example: "  hsmgate image verify --public-key release.pem registry.example.org/app:1.2\n" +
			"  hsmgate image verify --certificate ca.pem --format notation registry.example.org/app@sha256:…\n" +
			"  hsmgate image verify --jwks release.jwks --type slsaprovenance1 registry.example.org/app:1.2",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.verifyImage(cmd.Context(), &flags, args[0])
		},
	}
	flags.trust.add(c)
	c.Flags().StringVar(&flags.format, "format", "", "cosign, sigstore or notation (default: any)")
	c.Flags().StringVar(&flags.says.kind, "type", "", "an attestation: slsaprovenance1, spdxjson, cyclonedx, vuln, openvex or a URI")
	c.Flags().StringVar(&flags.says.file, "predicate", "", "file with what the attestation has to say, a JSON object (default: anything)")
	c.Flags().BoolVar(&flags.insecure, "insecure-registry", false, "the registry, on another machine, has no TLS: it gets no credentials")
	return c
}

// checks are the ways that are asked for and can say something.
func (f *imageVerifyFlags) checks(trust *format.Trust) (chosen []imageCheck, err error) {
	all, ways := signChecks, signWays
	if f.says.kind != "" {
		all, ways = attestChecks, attestWays
	}
	if f.format != "" && ways[f.format] == nil {
		return nil, usagef("--format is %s, not %q", waysText(ways), f.format)
	}
	for _, c := range all {
		if (f.format == "" || f.format == c.name) && (len(trust.Keys) > 0 || c.certified) {
			chosen = append(chosen, c)
		}
	}
	if chosen == nil {
		return nil, usagef("what is looked for has no certificate with it, so one of an authority says nothing: name the public key")
	}
	return chosen, nil
}

// verifyImage checks one image.
func (a *app) verifyImage(ctx context.Context, flags *imageVerifyFlags, reference string) error {
	if flags.trust.count() != 1 {
		return usagef("exactly one of --public-key, --jwks, --certificate and --trust is needed")
	}
	predicate, err := flags.says.wanted()
	if err != nil {
		return err
	}
	var v verifier
	if err := flags.trust.load(ctx, a, &v); err != nil {
		return err
	}
	v.trust.Predicate = predicate
	checks, err := flags.checks(v.trust)
	if err != nil {
		return err
	}
	found, err := a.findImage(ctx, reference, flags.insecure)
	if errors.Is(err, image.ErrAltered) {
		return a.imageAnswer(&verifiedImage{Image: reference, Status: statusNotGood}, fmt.Errorf("%w: %w", format.ErrNotGood, err))
	}
	if err != nil {
		return err
	}
	out := &verifiedImage{Image: found.Digest.String(), Status: statusNotSigned}
	var why, unread error
	var names []string
	for _, c := range checks {
		made, err := c.verify(found, v.trust)
		switch {
		case err == nil:
			out.Format, out.Signature, out.Tag, out.Status = c.name, made.Reference, made.Tag, statusGood
			return a.imageAnswer(out, nil)
		case errors.Is(err, format.ErrNotGood) && out.Status != statusNotGood:
			out.Format, out.Status, why = c.name, statusNotGood, fmt.Errorf("%w; expected is %s", err, expected(v.trust))
		case errors.Is(err, format.ErrNotSigned) && why == nil && errors.Unwrap(err) != nil: // it says what there is
			why = err
		case errors.Is(err, format.ErrNotGood), errors.Is(err, format.ErrNotSigned):
		case !errors.Is(err, image.ErrUnread): // the registry answers nothing more
			return err
		case unread == nil:
			unread = err
		}
		names = append(names, c.name)
	}
	if unread != nil {
		return unread
	}
	if why == nil {
		why = fmt.Errorf("%w: %s", format.ErrNotSigned, strings.Join(names, ", "))
	}
	return a.imageAnswer(out, why)
}

// imageAnswer answers yes, or no because of an error.
func (a *app) imageAnswer(out *verifiedImage, why error) error {
	if why == nil {
		return a.print(out, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s (%s) %s\n", out.Image, out.Status, out.Format, out.Signature)
		})
	}
	out.Error = why.Error()
	if a.json() {
		if err := printJSON(out); err != nil {
			return err
		}
	}
	return ofFile(out.Image, &noError{why})
}
