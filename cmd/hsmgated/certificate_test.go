package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestCertificateRenewed: a new pair is served when it is whole, and not before.
func TestCertificateRenewed(t *testing.T) {
	dir := t.TempDir()
	c := &serverCertificate{files: TLS{filepath.Join(dir, "crt"), filepath.Join(dir, "key")}, log: zap.NewNop()}
	if _, err := c.get(nil); err == nil {
		t.Fatal("a certificate that is not there is served")
	}
	serves := func(want []byte) {
		t.Helper()
		have, err := c.get(nil)
		if err != nil || !bytes.Equal(have.Certificate[0], want) {
			t.Fatalf("another certificate is served, or none: %v", err)
		}
	}
	write := func(name string, block *pem.Block, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	crt, key := newPair(t)
	write("key", key, now)
	write("crt", crt, now)
	serves(crt.Bytes)
	renewed, renewedKey := newPair(t)
	write("crt", renewed, now.Add(time.Second)) // its key is not there yet
	serves(crt.Bytes)
	write("key", renewedKey, now.Add(time.Second))
	serves(renewed.Bytes)
	if err := os.Remove(filepath.Join(dir, "crt")); err != nil {
		t.Fatal(err)
	}
	serves(renewed.Bytes)
}

func newPair(t *testing.T) (crt, key *pem.Block) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "CERTIFICATE", Bytes: der}, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}
}
