package format

import (
	"crypto/x509"
	"slices"
	"time"
)

// purpose is what certificates have to be for so that their holders sign artifacts of a format.
type purpose struct {
	usages []x509.ExtKeyUsage // any of these; x509.ExtKeyUsageAny is that neither these nor the key usage are looked at
	stated bool               // a certificate that does not state what it is for is not good
}

// The purposes are as narrow as the tools' that check elsewhere.
var (
	authenticodeSigning = purpose{usages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, stated: true}
	codeSigning         = purpose{usages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}
	messageSigning      = purpose{usages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageEmailProtection}}
	androidSigning      = purpose{usages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
)

// Certified is nil if the signer of code, whose certificate this is, is trusted: see certified.
func (t *Trust) Certified(leaf *x509.Certificate, chain []*x509.Certificate, at time.Time) error {
	return t.certified(codeSigning, leaf, chain, at)
}

// certified is nil if the signer of this certificate is trusted: by its key, or for this purpose by an issuer to which
// the chain leads at that time.
func (t *Trust) certified(p purpose, leaf *x509.Certificate, chain []*x509.Certificate, at time.Time) error {
	for _, key := range t.Keys {
		if samePublic(leaf.PublicKey, key) {
			return nil
		}
	}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range t.Issuers {
		roots.AddCert(c)
	}
	for _, c := range chain {
		others.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: p.usages}); err != nil {
		return notGood("the certificate of the signer, %s, is not trusted: %v", leaf.Subject, err)
	}
	return p.suits(leaf)
}

// suits looks at what the chain does not say: what the certificate of the signer itself is for.
func (p purpose) suits(leaf *x509.Certificate) error {
	switch {
	case slices.Contains(p.usages, x509.ExtKeyUsageAny):
		return nil
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return notGood("the certificate of the signer, %s, is not for digital signatures", leaf.Subject)
	case p.stated && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning):
		return notGood("the certificate of the signer, %s, does not say that it is for code signing", leaf.Subject)
	}
	return nil
}
