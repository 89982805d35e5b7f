package identity

import "time"

// Proof is what a caller has shown of himself.
type Proof struct {
	Session            string
	Tags               map[string]string
	Claims             map[string][]string
	CertificateSubject string
	CertificateSANs    []string
	Expires            time.Time
	Provider           string // name of the OIDC provider, or "certificate"
	Subject            string // whom the provider or the CA says that it is
}
