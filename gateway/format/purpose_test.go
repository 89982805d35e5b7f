package format_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// issued is a key whose certificate an authority of its own issued for these purposes.
func issued(t *testing.T, usage x509.KeyUsage, purposes ...x509.ExtKeyUsage) (*format.Key, format.Trust) {
	authority := issuer(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Release"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: usage, ExtKeyUsage: purposes, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Certificates[0], private.Public(), authority.Signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &format.Key{Signer: private, Certificates: append([]*x509.Certificate{made}, authority.Certificates...)}, format.Trust{Issuers: authority.Certificates}
}

// TestCertifiedPurpose: not every certificate of a trusted issuer is for signing artifacts.
func TestCertifiedPurpose(t *testing.T) {
	signature := x509.KeyUsageDigitalSignature
	authenticode := []string{"pe", "msi", "cab", "cat", "ps1", "appx"}
	for _, c := range []struct {
		name     string
		usage    x509.KeyUsage
		purposes []x509.ExtKeyUsage
		good     []string
	}{
		{"code signing", signature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, append([]string{"jar", "apk", "cms"}, authenticode...)},
		{"code signing without a key usage", 0, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, append([]string{"jar", "apk", "cms"}, authenticode...)},
		{"e-mail", signature, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, []string{"apk", "cms"}},
		{"any", signature, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, []string{"jar", "apk", "cms"}},
		{"not stated", signature, nil, []string{"jar", "apk", "cms"}},
		{"TLS", signature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"apk"}},
		{"timestamps", signature, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}, []string{"apk"}},
		{"encipherment", x509.KeyUsageKeyEncipherment, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, []string{"apk"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, trust := issued(t, c.usage, c.purposes...)
			good := map[string]bool{}
			for _, name := range c.good {
				good[name] = true
			}
			for _, a := range append(artifacts(t), artifact{format.CMS, "app.txt", []byte("what is released")}) {
				signed := a.sign(t, k, a.data)
				verify := func(trust format.Trust) error {
					if a.format.Output != nil {
						return a.format.Verify(&trust, file(t, a.name, a.data), bytes.NewReader(signed))
					}
					return a.verify(t, trust, signed)
				}
				if err := verify(trust); (err == nil) != good[a.format.Name] || err != nil && !errors.Is(err, format.ErrNotGood) {
					t.Errorf("%s: %v", a.format.Name, err)
				}
				if err := verify(keys(k)); err != nil {
					t.Errorf("%s, by its own key: %v", a.format.Name, err)
				}
			}
		})
	}
}
