package formats

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/hsmgate/hsmgate/gateway/client"
)

// withCertificate are the arguments of formats with X.509.
var withCertificate = []string{"--certificate", "release.pem"}

// signer is the row's key as Go's crypto.Signer.
func (b *bench) signer() *client.Signer {
	s, err := client.NewSigner(b.Context(), client.New(b.g.URL, b.g.Admin.Token), b.key)
	b.ok(err)
	return s
}

// trustCertificate makes a certificate of the key that the key itself signs.
func trustCertificate(b *bench) { certify(b) }

func certify(b *bench) *x509.Certificate {
	s := b.signer()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Release", Organization: []string{"Example"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.Public(), s)
	b.ok(err)
	b.write("release.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	made, err := x509.ParseCertificate(der)
	b.ok(err)
	return made
}
