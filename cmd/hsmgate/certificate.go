package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/certificate"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newCertificate(a *app) *cobra.Command {
	return group("certificate", "Make certificate requests, certificates and revocation lists", newCSR(a), newSelfSigned(a), newIssue(a), newCRL(a))
}

const (
	subjectHelp = `subject, such as 'CN=Release,O=Example,C=DE'; a comma in a name has a backslash before it`
	chainLimit  = 1 << 20 // bytes of a file of certificates, or of a request
)

// whose is the subject of a certificate, with its further names.
type whose struct {
	subject string
	dns     []string
	email   []string
	uri     []string
}

func (w *whose) flags(c *cobra.Command) {
	c.Flags().StringVar(&w.subject, "subject", "", subjectHelp)
	c.Flags().StringArrayVar(&w.dns, "dns", nil, "DNS name of the subject, too; may be repeated")
	c.Flags().StringArrayVar(&w.email, "email", nil, "mail address of the subject, too; may be repeated")
	c.Flags().StringArrayVar(&w.uri, "uri", nil, "URI of the subject, too; may be repeated")
}

func (w *whose) read() (subject pkix.Name, names certificate.Names, err error) {
	if err := required(w.subject, "subject"); err != nil {
		return subject, names, err
	}
	if subject, err = certificate.Subject(w.subject); err != nil {
		return subject, names, &usageError{err}
	}
	names.DNS, names.Email = w.dns, w.email
	for _, text := range w.uri {
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" {
			return subject, names, usagef("--uri %q is no absolute URI", text)
		}
		names.URI = append(names.URI, u)
	}
	return subject, names, nil
}

// terms are what an issuer says of a certificate.
type terms struct {
	profile string
	until   momentFlag
	length  int
	crl     []string
}

func (t *terms) flags(c *cobra.Command) {
	t.until = momentFlag{ahead: true, end: true}
	c.Flags().StringVar(&t.profile, "profile", "", "what it is for: code-signing, timestamping or ca")
	c.Flags().Var(&t.until, "until", "how long it is valid: "+momentAhead+" (default 365d, of a CA 3650d, and never longer than the issuer)")
	c.Flags().IntVar(&t.length, "path-length", -1, "of a CA: how many more may stand below it (default: not said)")
	c.Flags().StringArrayVar(&t.crl, "crl-url", nil, "where the issuer's revocation list is; may be repeated")
}

// How long certificates are valid by default.
const (
	defaultValidity   = 365 * 24 * time.Hour
	defaultCAValidity = 10 * defaultValidity
)

// read gives the terms of a certificate by this issuer; nil is itself.
func (t *terms) read(issuer *x509.Certificate) (out certificate.Terms, err error) {
	now := time.Now().Truncate(time.Second)
	if err := required(t.profile, "profile"); err != nil {
		return out, err
	}
	out = certificate.Terms{From: now, Until: now.Add(defaultValidity), PathLength: t.length, CRL: t.crl}
	if out.Profile, err = oneOf("profile", t.profile, certificate.Profiles); err != nil {
		return out, err
	}
	if t.length < -1 || t.length >= 0 && out.Profile != certificate.CA {
		return out, usagef("--path-length is a number from 0 on, of a certificate with --profile ca")
	}
	if out.Profile == certificate.CA {
		out.Until = now.Add(defaultCAValidity)
	}
	if issuer != nil && out.Until.After(issuer.NotAfter) {
		out.Until = issuer.NotAfter
	}
	if t.until.given() {
		out.Until = t.until.time(now)
	}
	return out, nil
}

// made is what the verbs answer with.
type made struct {
	Subject   string     `json:",omitempty"`
	Issuer    string     `json:",omitempty"`
	Serial    string     `json:",omitempty"` // hexadecimal
	Number    string     `json:",omitempty"` // of a revocation list
	NotBefore *time.Time `json:",omitempty"`
	NotAfter  *time.Time `json:",omitempty"`
	Revoked   *int       `json:",omitempty"`
	PEM       string
}

func certified(der []byte, chain []*x509.Certificate) (*made, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	text := pemOf("CERTIFICATE", der)
	for _, other := range chain {
		text += pemOf("CERTIFICATE", other.Raw)
	}
	return &made{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16), NotBefore: &c.NotBefore, NotAfter: &c.NotAfter, PEM: text}, nil
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// write writes the PEM to a file, and says which serial number it has; to standard output, that or JSON.
func (m *made) write(a *app, file string) error {
	text := m.PEM
	if file != "" {
		if err := writeBytes(file, []byte(m.PEM)); err != nil {
			return err
		}
		text = ""
		if m.Serial != "" {
			text = fmt.Sprintf("%s: %s, serial number %s, until %s\n", file, m.Subject, m.Serial, m.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return a.print(m, func(w io.Writer) { fmt.Fprint(w, text) })
}

// certifies makes the RunE of a verb that signs with a key: issue has its signer.
func (a *app) certifies(key, file *string, issue func(s *client.Signer, args []string) (*made, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := required(*key, "key"); err != nil {
			return err
		}
		return a.calls(func(ctx context.Context, c *client.Client, args []string) error {
			signer, err := client.NewSigner(ctx, c, *key)
			if err != nil {
				return err
			}
			out, err := issue(signer, args)
			if errors.Is(err, certificate.ErrNotIssued) {
				return &usageError{err}
			}
			if err != nil {
				return err
			}
			return out.write(a, *file)
		})(cmd, args)
	}
}

func newCSR(a *app) *cobra.Command {
	var key, file string
	var who whose
	c := &cobra.Command{
		Use: "csr --key KEY --subject SUBJECT", Short: "Request a certificate for a key (PKCS #10)", Args: noArgs,
		Long:    "Makes a certificate request, PEM, which the key signs: for 'hsmgate certificate issue', or for another authority.",
		Example: "  hsmgate certificate csr --key alias/release --subject 'CN=Release,O=Example' -o release.csr",
	}
	c.RunE = a.certifies(&key, &file, func(s *client.Signer, _ []string) (*made, error) {
		subject, names, err := who.read()
		if err != nil {
			return nil, err
		}
		der, err := certificate.Request(s, subject, names)
		if err != nil {
			return nil, err
		}
		return &made{Subject: subject.String(), PEM: pemOf("CERTIFICATE REQUEST", der)}, nil
	})
	keyAndFile(c, &key, &file)
	who.flags(c)
	return c
}

func keyAndFile(c *cobra.Command, key, file *string) {
	c.Flags().StringVar(key, "key", "", "key id, ARN or alias of the key that signs")
	c.Flags().StringVarP(file, "output-file", "o", "", "file to write, PEM (default: standard output)")
}

func newSelfSigned(a *app) *cobra.Command {
	var key, file string
	var who whose
	var t terms
	c := &cobra.Command{
		Use: "self-signed --key KEY --subject SUBJECT --profile PROFILE", Short: "Make a certificate of a key, signed by itself", Args: noArgs,
		Long: `Makes a certificate, PEM, that the key itself signs: of an authority (--profile ca), or of a
key that those who check its signatures trust by this certificate.`,
		Example: "  hsmgate certificate self-signed --key alias/ca --subject 'CN=Example CA,O=Example' --profile ca --path-length 0 --until 3650d -o ca.pem\n" +
			"  hsmgate certificate self-signed --key alias/release --subject 'CN=Release' --profile code-signing -o release.crt",
	}
	c.RunE = a.certifies(&key, &file, func(s *client.Signer, _ []string) (*made, error) {
		subject, names, err := who.read()
		if err != nil {
			return nil, err
		}
		asked, err := t.read(nil)
		if err != nil {
			return nil, err
		}
		der, err := certificate.SelfSigned(s, subject, names, asked)
		if err != nil {
			return nil, err
		}
		return certified(der, nil)
	})
	keyAndFile(c, &key, &file)
	who.flags(c)
	t.flags(c)
	return c
}
