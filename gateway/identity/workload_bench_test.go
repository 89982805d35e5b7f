package identity

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
)

// BenchmarkWebPrincipal is what a call costs by a token, of an RSA and an EC key.
func BenchmarkWebPrincipal(b *testing.B) {
	s := identitytest.NewIssuer(b)
	p := github(s)
	p.Algorithms = []string{"RS256", "ES256"}
	i := trusting(b, p)
	for _, kid := range []string{"rsa", "ec"} {
		token := s.Sign(kid, identitytest.GitHub(s.URL, audience, repository, tag, now), nil)
		b.Run(kid, func(b *testing.B) {
			for b.Loop() {
				_, err := i.WebPrincipal(b.Context(), token, now)
				ok(b, err)
			}
		})
	}
}

// BenchmarkCertificate is what a request costs on a connection with a client certificate.
func BenchmarkCertificate(b *testing.B) {
	ca := identitytest.NewCA(b, "CA")
	i := withRole(b)
	ok(b, i.TrustCertificates(ClientCertificates{CAFile: ca.File, CRLFile: writeFile(b, "crl", ca.CRL(time.Now().Add(time.Hour))), Rules: builders}, zap.NewNop()))
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{ca.Issue(builder).Leaf}}
	for b.Loop() {
		c, err := i.Certificate(state, time.Now())
		ok(b, err)
		_, err = i.CertificatePrincipal(c, time.Now())
		ok(b, err)
	}
}
