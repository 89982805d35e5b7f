package timestamp

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // G505: what an attribute of RFC 2634 is made with; it is no signature
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/hsmgate/hsmgate/gateway/cms"
)

// ErrNotGood: the token is none, is not over this digest, or its signer is none that may make it.
var ErrNotGood = errors.New("the timestamp is not good")

func notGood(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotGood, fmt.Sprintf(format, args...))
}

// Token is a token that was read and checked.
type Token struct {
	Time        time.Time // of the authority
	Serial      *big.Int
	Policy      asn1.ObjectIdentifier
	Certificate *x509.Certificate // of the authority

	hash   crypto.Hash
	digest []byte
	nonce  *big.Int
	signed *cms.Signed
}

// Check reads a token, in DER, and checks it: that it is over this digest, that it is signed by a certificate of a
// timestamp authority, by others if it holds none, and that roots, unless they are nil, lead to that certificate.
func Check(der []byte, h crypto.Hash, digest []byte, others []*x509.Certificate, roots *x509.CertPool) (*Token, error) {
	t, err := read(der)
	if err != nil {
		return nil, err
	}
	if t.hash != h || subtle.ConstantTimeCompare(t.digest, digest) != 1 {
		return nil, notGood("it is over another digest")
	}
	sum := t.signed.Hash.New()
	sum.Write(t.signed.Content)
	if t.Certificate, err = t.signed.Verify(sum.Sum(nil), others); err != nil {
		return nil, notGood("%v", err)
	}
	if err := t.names(t.Certificate); err != nil {
		return nil, err
	}
	if err := Suits(t.Certificate); err != nil {
		return nil, notGood("%v", err)
	}
	if t.Time.Before(t.Certificate.NotBefore) || t.Time.After(t.Certificate.NotAfter) {
		return nil, notGood("its time, %s, is not one at which the certificate of %s is valid", t.Time.Format(time.RFC3339), t.Certificate.Subject)
	}
	if roots == nil {
		return t, nil
	}
	if err := t.Trusted(others, roots); err != nil {
		return nil, err
	}
	return t, nil
}

// Hash is that of the digest that a token is over. Nothing of it is checked.
func Hash(der []byte) (crypto.Hash, error) {
	t, err := read(der)
	if err != nil {
		return 0, err
	}
	if t.hash == 0 {
		return 0, notGood("its hash is none of SHA-256, SHA-384 and SHA-512")
	}
	return t.hash, nil
}

// Trusted says whether roots lead to the certificate of the authority, at the time of the token, by certificates in it or
// others.
func (t *Token) Trusted(others []*x509.Certificate, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, all := range [][]*x509.Certificate{t.signed.Certificates, others} {
		for _, c := range all {
			between.AddCert(c)
		}
	}
	if _, err := t.Certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: t.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}); err != nil {
		return notGood("the certificate of the authority, %s, is not trusted: %v", t.Certificate.Subject, err)
	}
	return nil
}

// read reads a token without a check of its signature.
func read(der []byte) (*Token, error) {
	signed, err := cms.Parse(der)
	if err != nil {
		return nil, notGood("%v", err)
	}
	var i info
	if rest, err := asn1.Unmarshal(signed.Content, &i); err != nil || len(rest) > 0 || !signed.Type.Equal(infoType) || i.Version != 1 {
		return nil, notGood("it holds no TSTInfo")
	}
	at, err := generalized(i.Time)
	if err != nil {
		return nil, err
	}
	return &Token{Time: at, Serial: i.Serial, Policy: i.Policy, nonce: i.Nonce, hash: cms.HashOf(i.Imprint.Hash), digest: i.Imprint.Digest, signed: signed}, nil
}

// generalized reads a GeneralizedTime in UTC, which may have a fraction of a second (RFC 3161, 2.4.2).
func generalized(v asn1.RawValue) (time.Time, error) {
	at, err := time.Parse("20060102150405Z", string(v.Bytes)) // a fraction is taken after the seconds, too
	if err != nil || v.Tag != asn1.TagGeneralizedTime || v.Class != asn1.ClassUniversal {
		return at, notGood("it holds no time")
	}
	return at, nil
}

// Suits says what is wrong with the certificate of an authority: its extended key usage has to be timeStamping, alone and
// critical (RFC 3161, 2.3).
func Suits(c *x509.Certificate) error {
	critical := false
	for _, e := range c.Extensions {
		critical = critical || e.Critical && e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37})
	}
	if !critical || len(c.UnknownExtKeyUsage) > 0 || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping {
		return fmt.Errorf("the extended key usage of %s is not timeStamping, alone and critical", c.Subject)
	}
	return nil
}

// essV2 is SigningCertificateV2 (RFC 5035), as far as it is asked of here.
type essV2 struct {
	Certificates []essID
	Policies     asn1.RawValue `asn1:"optional"`
}

type essID struct {
	Hash   pkix.AlgorithmIdentifier `asn1:"optional"` // default SHA-256
	Digest []byte
	Issuer asn1.RawValue `asn1:"optional"`
}

// essV1 is SigningCertificate (RFC 2634), whose digest is SHA-1.
type essV1 struct {
	Certificates []struct {
		Digest []byte
		Issuer asn1.RawValue `asn1:"optional"`
	}
	Policies asn1.RawValue `asn1:"optional"`
}

// names says whether the token names, under its signature, the certificate of its signer, as it has to.
func (t *Token) names(c *x509.Certificate) error {
	var v2 essV2
	var v1 essV1
	switch {
	case t.signed.Attribute(signingCertificate, &v2) && len(v2.Certificates) > 0:
		id := v2.Certificates[0]
		h := crypto.SHA256
		if len(id.Hash.Algorithm) > 0 {
			h = cms.HashOf(id.Hash)
		}
		if h == 0 {
			return notGood("it names its certificate with a hash that is not used")
		}
		sum := h.New()
		sum.Write(c.Raw)
		if !bytes.Equal(sum.Sum(nil), id.Digest) {
			return notGood("it names another certificate than that of its signer")
		}
	case t.signed.Attribute(signingSHA1, &v1) && len(v1.Certificates) > 0:
		sum := sha1.Sum(c.Raw) //nolint:gosec // G401: as above
		if !bytes.Equal(sum[:], v1.Certificates[0].Digest) {
			return notGood("it names another certificate than that of its signer")
		}
	default:
		return notGood("it does not name the certificate of its signer")
	}
	return nil
}
