package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/spf13/cobra"

	"github.com/hsmgate/hsmgate/gateway/certificate"
	"github.com/hsmgate/hsmgate/gateway/client"
)

func newIssue(a *app) *cobra.Command {
	var key, file, ca, subject string
	var chain bool
	var t terms
	c := &cobra.Command{
		Use: "issue --key KEY --ca FILE --profile PROFILE REQUEST", Short: "Issue a certificate for a request, by the key of a CA", Args: exactly("a file with a certificate request"),
		Long: `Issues a certificate, PEM, for a request (PKCS #10, PEM or DER; - is standard input), signed by a
key whose certificate as an authority --ca names. Subject and further names are those of the
request, so look at it first: 'openssl req -in FILE -noout -text'. Nothing else of it is taken over.

Refused is what would not be good: a request whose signature is not its own key's, a certificate
that is valid longer than the authority's, or that the authority's path length, names or usages
do not allow. The serial number is random, of up to 20 octets.`,
		Example: "  hsmgate certificate issue --key alias/ca --ca ca.pem --profile code-signing --chain -o release.crt release.csr\n" +
			"  hsmgate certificate issue --key alias/ca --ca ca.pem --profile timestamping --until 1825d -o tsa.pem tsa.csr",
	}
	c.RunE = a.certifies(&key, &file, func(s *client.Signer, args []string) (*made, error) {
		authorities, err := readAuthority(ca)
		if err != nil {
			return nil, err
		}
		request, err := readRequest(args[0])
		if err != nil {
			return nil, err
		}
		asked, err := t.read(authorities[0])
		if err != nil {
			return nil, err
		}
		var other *pkix.Name
		if subject != "" {
			name, err := certificate.Subject(subject)
			if err != nil {
				return nil, &usageError{err}
			}
			other = &name
		}
		der, err := certificate.Issue(s, authorities[0], request, other, asked)
		if err != nil {
			return nil, err
		}
		if !chain {
			authorities = nil
		}
		return certified(der, authorities)
	})
	keyAndFile(c, &key, &file)
	t.flags(c)
	c.Flags().StringVar(&ca, "ca", "", "file with the certificate of the authority, PEM, and then those above it")
	c.Flags().StringVar(&subject, "subject", "", "in place of the request's: "+subjectHelp)
	c.Flags().BoolVar(&chain, "chain", false, "write the certificates of --ca after it, as 'hsmgate sign --certificate' takes them")
	return c
}

// readAuthority reads the certificates of --ca.
func readAuthority(name string) ([]*x509.Certificate, error) {
	if err := required(name, "ca"); err != nil {
		return nil, err
	}
	return readCertificates(name)
}

func readRequest(name string) (*x509.CertificateRequest, error) {
	data, err := readInput(name, chainLimit)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, usagef("%s holds a %s, not a CERTIFICATE REQUEST", name, block.Type)
		}
		data = block.Bytes
	}
	request, err := x509.ParseCertificateRequest(data)
	if err != nil {
		return nil, usagef("%s holds no certificate request (PKCS #10 in PEM or DER): %w", name, err)
	}
	return request, nil
}

// defaultNext is how long a revocation list is good for.
const defaultNext = 30 * 24 * time.Hour

func newCRL(a *app) *cobra.Command {
	var key, file, ca, revoked, number string
	next := momentFlag{ahead: true, end: true}
	c := &cobra.Command{
		Use: "crl --key KEY --ca FILE", Short: "Make the revocation list of a CA", Args: noArgs,
		Long: `Makes the revocation list, PEM, of the authority whose certificate --ca names, signed by its key.
--revoked names a file with all that is revoked: one certificate a line, as SERIAL[,TIME[,REASON]],
with the serial number in hexadecimal, the time such as 2026-01-31T12:00:00Z (without it, that
of this list) and the reason, such as keyCompromise or superseded. Without --revoked it is empty.

Each list needs a higher number than the last one; without --number, it is the time in seconds.`,
		Example: "  hsmgate certificate crl --key alias/ca --ca ca.pem --revoked revoked.txt --next-update 7d -o ca.crl",
	}
	c.RunE = a.certifies(&key, &file, func(s *client.Signer, _ []string) (*made, error) {
		authorities, err := readAuthority(ca)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		until := now.Add(defaultNext)
		if next.given() {
			until = next.time(now)
		}
		count := big.NewInt(now.Unix())
		if number != "" {
			var ok bool
			if count, ok = new(big.Int).SetString(number, 10); !ok || count.Sign() <= 0 || count.BitLen() > 159 {
				return nil, usagef("--number is a number from 1 on, of at most 20 octets, not %q", number)
			}
		}
		entries, err := readRevoked(revoked, now)
		if err != nil {
			return nil, err
		}
		der, err := certificate.List(s, authorities[0], entries, count, now, until)
		if err != nil {
			return nil, err
		}
		n := len(entries)
		return &made{Issuer: authorities[0].Subject.String(), Number: count.String(), NotBefore: &now, NotAfter: &until, Revoked: &n, PEM: pemOf("X509 CRL", der)}, nil
	})
	keyAndFile(c, &key, &file)
	c.Flags().StringVar(&ca, "ca", "", "file with the certificate of the authority, PEM")
	c.Flags().StringVar(&revoked, "revoked", "", "file with what is revoked (default: nothing is)")
	c.Flags().StringVar(&number, "number", "", "number of the list (default: the time in seconds)")
	c.Flags().Var(&next, "next-update", "when the next one comes, at the latest: "+momentAhead+" (default 30d)")
	return c
}

// revokedLimit is the longest file of --revoked, in bytes.
const revokedLimit = 16 << 20

func readRevoked(name string, now time.Time) ([]x509.RevocationListEntry, error) {
	if name == "" {
		return nil, nil
	}
	data, err := readInput(name, revokedLimit)
	if err != nil {
		return nil, err
	}
	entries, err := certificate.Revoked(bytes.NewReader(data), now)
	if err != nil {
		return nil, &usageError{fmt.Errorf("%s: %w", name, err)}
	}
	return entries, nil
}
