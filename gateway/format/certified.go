package format

import (
	"crypto/x509"
	"time"
)

// certified is nil if the signer of this certificate is trusted: by its key, or by an issuer to which the chain leads at
// that time.
func (t *Trust) certified(leaf *x509.Certificate, chain []*x509.Certificate, at time.Time) error {
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
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return notGood("the certificate of the signer, %s, is not trusted: %v", leaf.Subject, err)
	}
	return nil
}
