package cms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/cms"
)

// keys are one of each kind, with certificates of their own.
func keys(t testing.TB) map[string]signer {
	t.Helper()
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	p256, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p521, err3 := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	all := map[string]signer{}
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey, "p256": p256, "p521": p521} {
		template := &x509.Certificate{SerialNumber: big.NewInt(42), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = signer{key, certificate}
	}
	return all
}

type signer struct {
	key         crypto.Signer
	certificate *x509.Certificate
}

func (s signer) sign(t testing.TB, content []byte, attached bool) []byte {
	t.Helper()
	sum := sha256.Sum256(content)
	at, err := cms.SigningTime(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := cms.Content{Type: cms.Data, Hash: crypto.SHA256, Digest: sum[:]}
	if attached {
		c.Bytes = content
	}
	der, err := cms.Sign(s.key, []*x509.Certificate{s.certificate}, false, c, []cms.Attribute{at}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What is signed is taken by OpenSSL and by Parse and Verify, and with any byte changed is never taken for a signature
// over the content.
func TestSignedIsVerified(t *testing.T) {
	content := []byte("what is released")
	sum := sha256.Sum256(content)
	for name, s := range keys(t) {
		t.Run(name, func(t *testing.T) {
			der := s.sign(t, content, false)
			dir := t.TempDir()
			for file, data := range map[string][]byte{"signed": der, "content": content} {
				if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			verify := exec.CommandContext(t.Context(), "openssl", "cms", "-verify", "-inform", "DER", "-in", "signed", "-binary", "-content", "content", "-noverify", "-out", "out")
			verify.Dir = dir
			if out, err := verify.CombinedOutput(); err != nil {
				t.Errorf("openssl: %v\n%s", err, out)
			}
			signed, err := cms.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := signed.Verify(sum[:], nil); err != nil || !got.Equal(s.certificate) || signed.Content != nil {
				t.Fatal(got, err)
			}
			other := sha256.Sum256([]byte("another"))
			if _, err := signed.Verify(other[:], nil); !errors.Is(err, cms.ErrNotGood) {
				t.Error("over another content: ", err)
			}
			at := len(der) - 10 // in the signature
			der[at] ^= 1
			if signed, err = cms.Parse(der); err != nil {
				t.Fatal(err)
			}
			if _, err := signed.Verify(sum[:], nil); !errors.Is(err, cms.ErrNotGood) {
				t.Error("with a changed byte: ", err)
			}
		})
	}
}

// FuzzParse finds no input that is more than an error, nor a good signature over another content.
func FuzzParse(f *testing.F) {
	content := []byte("what is released")
	for _, s := range keys(f) {
		f.Add(s.sign(f, content, false))
		f.Add(s.sign(f, content, true))
	}
	other := sha256.Sum256([]byte("another"))
	f.Fuzz(func(t *testing.T, der []byte) {
		signed, err := cms.Parse(der)
		if err != nil {
			return
		}
		if _, err := signed.Verify(other[:], nil); err == nil {
			t.Error("a good signature over what was never signed")
		}
	})
}
