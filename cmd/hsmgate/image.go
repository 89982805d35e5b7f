package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
	"github.com/hsmgate/hsmgate/gateway/format/image"
)

func newImage(a *app) *cobra.Command {
	return group("image", "Sign container images in registries, and check them", newImageSign(a), newImageAttest(a), newImageVerify(a))
}

// imageWay is a way to sign an image.
type imageWay func(*image.Image, *format.Key) (*image.Signed, error)

// The names of ways, as people choose them.
const (
	wayCosign   = "cosign"   // tags beside the image
	waySigstore = "sigstore" // bundles that refer to it
	wayNotation = "notation"
)

var (
	signWays   = map[string]imageWay{wayCosign: (*image.Image).SignTag, waySigstore: (*image.Image).SignBundle, wayNotation: (*image.Image).SignNotation}
	attestWays = map[string]imageWay{wayCosign: (*image.Image).AttestTag, waySigstore: (*image.Image).AttestBundle}
)

// signedImage is the answer in JSON.
type signedImage struct {
	Image     string // repository and digest: what is signed
	Format    string
	Signature string // repository and digest of what holds the signature
	Tag       string `json:",omitempty"`
	Status    string
}

// imageFlags are those of the verbs that sign images.
type imageFlags struct {
	key         string
	format      string
	certificate string
	insecure    bool
	bound       contextFlag
}

func (f *imageFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.insecure, "insecure-registry", false, "the registry, on another machine, has no TLS: it gets no credentials")
	c.Flags().StringVar(&f.key, "key", "", "key id, ARN or alias")
	c.Flags().Var(&f.bound, "context", "a name and a value that say what the signature is for; may be given again")
}

func newImageSign(a *app) *cobra.Command {
	var flags imageFlags
	c := &cobra.Command{
		Use: "sign --key KEY REFERENCE", Short: "Sign an image where it is, as cosign and notation do", Args: exactly("the reference of an image"),
		Long: `Signs an image, or an index of images, in its registry. Its digest alone goes to the gateway; what
a tag names is looked up once, and that digest is signed. --format is

  cosign    a tag beside the image, sha256-….sig: cosign 1 to 3, policy controllers, podman
  sigstore  a Sigstore bundle that refers to the image (OCI 1.1): cosign 3
  notation  a Notary Project signature that refers to the image; needs --certificate

An image that this key has signed already is left as it is. The registry's credentials are those
of 'docker login'.`,
		Example: "  hsmgate image sign --key alias/release registry.example.org/app:1.2\n" +
			"  hsmgate image sign --key alias/release --format notation --certificate chain.pem registry.example.org/app@sha256:…",
		RunE: a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			return a.signImage(ctx, c, &flags, signWays, nil, args[0])
		}),
	}
	flags.add(c)
	c.Flags().StringVar(&flags.format, "format", wayCosign, "cosign, sigstore or notation")
	c.Flags().StringVar(&flags.certificate, "certificate", "", "file with the key's certificate and its issuers', PEM, for notation")
	return c
}

func newImageAttest(a *app) *cobra.Command {
	var flags imageFlags
	var says predicateFlags
	c := &cobra.Command{
		Use: "attest --key KEY --type TYPE REFERENCE", Short: "Attest what is known of an image, such as how it was built", Args: exactly("the reference of an image"),
		Long: `Signs an in-toto statement of an image in a DSSE envelope, and puts it beside the image in its
registry. --format is cosign, a tag, or sigstore, a bundle that refers to the image.

` + predicateLong,
		Example: "  hsmgate image attest --key alias/release --type slsaprovenance1 registry.example.org/app:1.2\n" +
			"  hsmgate image attest --key alias/release --type spdxjson --predicate sbom.json registry.example.org/app:1.2",
		RunE: func(cmd *cobra.Command, args []string) error {
			predicate, err := says.predicate()
			if err != nil {
				return err
			}
			return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
				return a.signImage(ctx, c, &flags, attestWays, predicate, args[0])
			})(cmd, args)
		},
	}
	flags.add(c)
	c.Flags().StringVar(&flags.format, "format", wayCosign, "cosign or sigstore")
	says.add(c)
	return c
}

// signImage signs one image in one of the ways.
func (a *app) signImage(ctx context.Context, c *client.Client, flags *imageFlags, ways map[string]imageWay, predicate *format.Predicate, reference string) error {
	if err := required(flags.key, "key"); err != nil {
		return err
	}
	way := ways[flags.format]
	if way == nil {
		return usagef("--format is %s, not %q", waysText(ways), flags.format)
	}
	certificates, err := readCertificates(flags.certificate)
	if err != nil {
		return err
	}
	signer, err := client.NewSigner(ctx, c, flags.key)
	if err != nil {
		return err
	}
	found, err := a.findImage(ctx, reference, flags.insecure)
	if err != nil {
		return err
	}
	signer.SigningContext = flags.bound.pairs
	signer.Artifact = &api.Artifact{Name: found.Digest.Context().Name(), Digest: found.Digest.DigestStr()}
	made, err := way(found, &format.Key{Signer: signer, Certificates: certificates, Predicate: predicate})
	if errors.Is(err, format.ErrKey) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	out := signedImage{Image: found.Digest.String(), Format: flags.format, Signature: made.Reference, Tag: made.Tag, Status: statusSigned}
	if made.Already {
		out.Status = statusSkipped
	}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s (%s) %s\n", out.Image, out.Status, out.Format, out.Signature)
	})
}

// findImage asks the registry for an image.
func (a *app) findImage(ctx context.Context, reference string, insecure bool) (*image.Image, error) {
	if insecure {
		warn("a registry on another machine may be spoken to without TLS: whoever is on the way can change what it says; credentials of 'docker login' are not sent")
	}
	found, err := image.Find(ctx, reference, image.Access{UserAgent: "hsmgate/" + version, Patience: a.timeout, Insecure: insecure})
	if errors.Is(err, image.ErrReference) {
		return nil, &usageError{err}
	}
	return found, err
}

func waysText(ways map[string]imageWay) string {
	if ways[wayNotation] == nil {
		return "cosign or sigstore"
	}
	return "cosign, sigstore or notation"
}

// judgeRegistry gives an error of a registry its exit code and a hint.
func judgeRegistry(e *image.RegistryError) (int, string) {
	switch {
	case errors.Is(e, image.ErrAltered):
		return exitOther, "the registry, or whoever is on the way, has changed the image"
	case errors.Is(e, image.ErrUnread):
		return exitOther, "who may push there can remove it, or sign the image with the key that is expected"
	case errors.Is(e, image.ErrPlain), errors.Is(e, http.ErrSchemeMismatch):
		return exitUnavailable, "a registry without TLS, on another machine, is spoken to with --insecure-registry alone, and gets no credentials"
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return exitDenied, "log in with 'docker login " + e.Registry + "', as who may push there"
	case e.Status == http.StatusNotFound:
		return exitNotFound, "the registry has no such image, or not for this login"
	case e.Status == 0, e.Status == http.StatusTooManyRequests, e.Status >= http.StatusInternalServerError:
		return exitUnavailable, "can the registry be reached from here"
	}
	return exitOther, ""
}
