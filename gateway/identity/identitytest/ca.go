package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA makes client certificates.
type CA struct {
	File        string // its certificate, PEM
	Certificate *x509.Certificate

	t       testing.TB
	key     *ecdsa.PrivateKey
	serials int64
	numbers int64 // of revocation lists
	Revoked []*big.Int
	Last    *x509.Certificate // that was issued
}

// NewCA makes a CA, whose certificate is good around now.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	ca := &CA{t: t, key: key, serials: 100, File: filepath.Join(t.TempDir(), "ca.pem")}
	ca.Certificate, err = x509.ParseCertificate(der)
	must(t, err)
	must(t, os.WriteFile(ca.File, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return ca
}

// Issue makes a client certificate. change may change what it is made from: a
// certificate for client authentication that is good for an hour, of no name.
func (ca *CA) Issue(change func(*x509.Certificate)) tls.Certificate {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(ca.t, err)
	ca.serials++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ca.serials), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Certificate, key.Public(), ca.key)
	must(ca.t, err)
	leaf, err := x509.ParseCertificate(der)
	must(ca.t, err)
	ca.Last = leaf
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Revoke puts a certificate on the next revocation list.
func (ca *CA) Revoke(c tls.Certificate) { ca.Revoked = append(ca.Revoked, c.Leaf.SerialNumber) }

// CRL makes the revocation list, PEM, good until next.
func (ca *CA) CRL(next time.Time) []byte {
	return ca.List(func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = next.Add(-48*time.Hour), next })
}

// List makes a revocation list, PEM, good for a day. change may change what it is
// made from.
func (ca *CA) List(change func(*x509.RevocationList)) []byte {
	ca.t.Helper()
	ca.numbers++
	list := &x509.RevocationList{Number: big.NewInt(ca.numbers), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour)}
	change(list)
	for _, serial := range ca.Revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.Certificate, ca.key)
	must(ca.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Files writes a certificate and its key as PEM files into a folder.
func Files(t testing.TB, c tls.Certificate, folder string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(folder, "client.pem"), filepath.Join(folder, "client.key")
	var certs []byte
	for _, der := range c.Certificate {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(t, err)
	must(t, os.WriteFile(certFile, certs, 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	return certFile, keyFile
}
