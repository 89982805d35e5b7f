package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// askedSigner keeps the digests that it is asked to sign.
type askedSigner struct {
	crypto.Signer
	digests [][]byte
}

func (s *askedSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.digests = append(s.digests, slices.Clone(digest))
	return s.Signer.Sign(rand.Reader, digest, opts)
}

// A trial asks for what the run would ask for: each signature of the file, and none of the certificate that is made for the trial.
func TestTrialAsksForTheFileAlone(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Release"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	const name = "a.txt"
	artifacts(t, name)
	for _, f := range []*format.Format{format.Raw, format.CMS} {
		for _, certificates := range [][]*x509.Certificate{nil, {certificate}} {
			if f == format.CMS && certificates == nil {
				continue // it holds one
			}
			by := &askedSigner{Signer: key}
			s := &signer{format: f, jobs: 1, key: func(*format.Format) (*format.Key, error) {
				return &format.Key{Signer: by, Certificates: certificates}, nil
			}, trial: func() (crypto.Signer, error) { return format.Throwaway(key.Public()) }}
			s.files(context.Background(), []string{name}, func(r signedFile) {
				if r.err != nil || r.Status != statusWould {
					t.Errorf("%s: %+v", f.Name, r)
				}
			})
			if len(by.digests) != 1 {
				t.Fatalf("%s with %d certificates: asked for %d signatures, not one", f.Name, len(certificates), len(by.digests))
			}
			if sum := sha256.Sum256([]byte("what is released")); f == format.Raw && !slices.Equal(by.digests[0], sum[:]) {
				t.Errorf("asked for %x, which is not the file's digest", by.digests[0])
			}
		}
	}
}
