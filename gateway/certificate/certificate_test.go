package certificate_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/certificate"
)

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parsed(t *testing.T, der []byte, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t *testing.T, key crypto.Signer, subject string) *x509.CertificateRequest {
	t.Helper()
	name, err := certificate.Subject(subject)
	if err != nil {
		t.Fatal(err)
	}
	der, err := certificate.Request(key, name, certificate.Names{DNS: []string{"release.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPathLength: authorities stand below one another as far as the first one allows it, and no further.
func TestPathLength(t *testing.T) {
	t.Parallel()
	now := time.Now()
	terms := func(length int) certificate.Terms {
		return certificate.Terms{Profile: certificate.CA, From: now, Until: now.Add(time.Hour), PathLength: length}
	}
	root, middle, low := newKey(t), newKey(t), newKey(t)
	der, err := certificate.SelfSigned(root, pkix.Name{CommonName: "root"}, certificate.Names{}, terms(1))
	first := parsed(t, der, err)
	for _, length := range []int{-1, 1, 2} {
		if _, err := certificate.Issue(root, first, request(t, middle, "CN=middle"), nil, terms(length)); !errors.Is(err, certificate.ErrNotIssued) {
			t.Errorf("path length %d: %v", length, err)
		}
	}
	der, err = certificate.Issue(root, first, request(t, middle, "CN=middle"), nil, terms(0))
	second := parsed(t, der, err)
	if _, err := certificate.Issue(middle, second, request(t, low, "CN=low"), nil, terms(0)); !errors.Is(err, certificate.ErrNotIssued) {
		t.Errorf("below path length 0: %v", err)
	}
	leaf := terms(-1)
	leaf.Profile = certificate.CodeSigning
	der, err = certificate.Issue(middle, second, request(t, low, "CN=low"), nil, leaf)
	last := parsed(t, der, err)
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(first)
	between.AddCert(second)
	if _, err := last.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}); err != nil {
		t.Error(err)
	}
	if _, err := certificate.Issue(low, last, request(t, root, "CN=x"), nil, leaf); !errors.Is(err, certificate.ErrNotIssued) {
		t.Errorf("by a leaf: %v", err)
	}
}

// TestIssuerConstrainsNames: what an authority of others is bound to, by names and usages, is not issued.
func TestIssuerConstrainsNames(t *testing.T) {
	t.Parallel()
	key, now := newKey(t), time.Now().Truncate(time.Second)
	for says, ca := range map[string]*x509.Certificate{
		"permitted": {PermittedDNSDomains: []string{"example.com"}, PermittedDNSDomainsCritical: true},
		"usage":     {ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
	} {
		ca.Subject, ca.NotBefore, ca.NotAfter = pkix.Name{CommonName: "authority"}, now, now.Add(time.Hour)
		ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
		der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
		bound := parsed(t, der, err)
		counted := &countedSigner{Signer: key}
		_, err = certificate.Issue(counted, bound, request(t, newKey(t), "CN=Release"), nil, certificate.Terms{Profile: certificate.CodeSigning, From: now, Until: now.Add(time.Minute)})
		if !errors.Is(err, certificate.ErrNotIssued) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if counted.n != 0 {
			t.Errorf("%s: the authority has signed %d times what it does not issue", says, counted.n)
		}
		if says == "usage" {
			continue // it allows no profile
		}
		good := parsed(t, allowed(t, counted, bound, now), nil)
		if err := good.CheckSignatureFrom(bound); err != nil || counted.n != 1 {
			t.Errorf("%s: %v, by %d signatures", says, err, counted.n)
		}
	}
}

// allowed issues what the authority of example.com may.
func allowed(t *testing.T, key crypto.Signer, ca *x509.Certificate, now time.Time) []byte {
	t.Helper()
	ask, err := certificate.Request(newKey(t), pkix.Name{CommonName: "Release"}, certificate.Names{DNS: []string{"release.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := x509.ParseCertificateRequest(ask)
	if err != nil {
		t.Fatal(err)
	}
	der, err := certificate.Issue(key, ca, r, nil, certificate.Terms{Profile: certificate.CodeSigning, From: now, Until: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// countedSigner counts the signatures of a key.
type countedSigner struct {
	crypto.Signer
	n int
}

func (c *countedSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c.n++
	return c.Signer.Sign(r, digest, opts)
}

func TestSubject(t *testing.T) {
	t.Parallel()
	got, err := certificate.Subject(`CN=Release, O=Example\, Inc.,OU=a,OU=b,C=DE`)
	if err != nil || got.String() != `CN=Release,OU=a+OU=b,O=Example\, Inc.,C=DE` {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "Release", "CN=", "CN=a,CN=b", "X=y", "C=Germany", "CN=a,,O=b", "=x"} {
		if got, err := certificate.Subject(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	got, err := certificate.Revoked(strings.NewReader("# lost\n\n0A:ff\n7, 2026-01-31T12:00:00Z , superseded\n8,,keyCompromise\nserial=62DD,,superseded\n"), now)
	if err != nil || len(got) != 4 || got[0].SerialNumber.Int64() != 0xaff || !got[0].RevocationTime.Equal(now) ||
		got[1].ReasonCode != 4 || got[1].RevocationTime.Month() != time.January || got[2].ReasonCode != 1 || got[3].SerialNumber.Int64() != 0x62dd {
		t.Error(got, err)
	}
	for _, bad := range []string{"x", "0", "-1", strings.Repeat("f", 41), "1,tomorrow", "1,2026-06-01T00:00:00Z", "1,,why", "1,,,", "a\n0A", "serial=", "a\nserial=0A"} {
		if got, err := certificate.Revoked(strings.NewReader(bad), now); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
