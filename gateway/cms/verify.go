package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// Signed is a signature that was read. Nothing of it is checked before Verify.
type Signed struct {
	Type         asn1.ObjectIdentifier // of the content
	Content      []byte                // nil if it is detached
	Certificates []*x509.Certificate   // as they stand in it, in no order
	Hash         crypto.Hash           // of the content, and of the signed attributes

	signer   signerInfo
	signed   []Attribute
	unsigned []Attribute
}

// Parse reads a signature. The error is an ErrNone.
func Parse(der []byte) (*Signed, error) {
	var outer contentInfo
	var inner signedData
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 || !outer.Type.Equal(SignedData) {
		return nil, ErrNone
	}
	if rest, err := asn1.Unmarshal(outer.inner(), &inner); err != nil || len(rest) > 0 || len(inner.Signers) != 1 {
		return nil, ErrNone
	}
	s := &Signed{Type: inner.Content.Type, signer: inner.Signers[0]}
	if s.Hash = HashOf(s.signer.Digest); s.Hash == 0 {
		return nil, fmt.Errorf("%w: its digest algorithm, %v, is none of SHA-256, SHA-384 and SHA-512", ErrNone, s.signer.Digest.Algorithm)
	}
	if content := inner.Content.inner(); content != nil {
		if rest, err := asn1.Unmarshal(content, &s.Content); err != nil || len(rest) > 0 {
			return nil, ErrNone
		}
	}
	var err error
	if s.Certificates, err = x509.ParseCertificates(inner.Certificates.Bytes); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if s.signed, err = readAttributes(s.signer.Signed.Bytes); err != nil {
		return nil, err
	}
	if s.unsigned, err = readAttributes(s.signer.Unsigned.Bytes); err != nil {
		return nil, err
	}
	return s, nil
}

func readAttributes(content []byte) (all []Attribute, err error) {
	for len(content) > 0 {
		var a Attribute
		if content, err = asn1.Unmarshal(content, &a); err != nil || len(a.Values) == 0 {
			return nil, fmt.Errorf("%w: its attributes cannot be read", ErrNone)
		}
		all = append(all, a)
	}
	return all, nil
}

// Attribute reads the one value of a signed attribute into v; false if there is none, or not one.
func (s *Signed) Attribute(kind asn1.ObjectIdentifier, v any) bool { return one(s.signed, kind, v) }

// Unsigned is the value, in DER, of an attribute that is not signed; nil if there is none.
func (s *Signed) Unsigned(kind asn1.ObjectIdentifier) []byte {
	var v asn1.RawValue
	if !one(s.unsigned, kind, &v) {
		return nil
	}
	return v.FullBytes
}

func one(all []Attribute, kind asn1.ObjectIdentifier, v any) bool {
	var found []asn1.RawValue
	for _, a := range all {
		if a.Type.Equal(kind) {
			found = append(found, a.Values...)
		}
	}
	if len(found) != 1 {
		return false
	}
	rest, err := asn1.Unmarshal(found[0].FullBytes, v)
	return err == nil && len(rest) == 0
}

// Signature is the signature itself, of which a timestamp is taken.
func (s *Signed) Signature() []byte { return s.signer.Signature }

// Verify checks the signature over a content with this digest, by s.Hash, and gives the certificate of its key, which is in the
// signature or among others. Whether the certificate is to be trusted is for the caller to say.
func (s *Signed) Verify(digest []byte, others []*x509.Certificate) (*x509.Certificate, error) {
	var kind asn1.ObjectIdentifier
	var stated []byte
	if !s.Attribute(contentType, &kind) || !kind.Equal(s.Type) || !s.Attribute(digestAttr, &stated) {
		return nil, fmt.Errorf("%w: it does not sign what is its content", ErrNotGood)
	}
	if subtle.ConstantTimeCompare(stated, digest) != 1 {
		return nil, fmt.Errorf("%w: it was made over another content", ErrNotGood)
	}
	certificate := s.certificate(others)
	if certificate == nil {
		return nil, fmt.Errorf("%w: the certificate of its signer is missing", ErrNotGood)
	}
	h := s.Hash.New()
	h.Write(setOf(s.signer.Signed.Bytes))
	if !verifies(certificate.PublicKey, s.Hash, h.Sum(nil), s.signer.Signature) {
		return nil, fmt.Errorf("%w: it was not made by the key of %s", ErrNotGood, certificate.Subject)
	}
	return certificate, nil
}

func (s *Signed) certificate(others []*x509.Certificate) *x509.Certificate {
	for _, all := range [][]*x509.Certificate{s.Certificates, others} {
		for _, c := range all {
			if bytes.Equal(c.RawIssuer, s.signer.Issuer.Name.FullBytes) && c.SerialNumber.Cmp(s.signer.Issuer.Serial) == 0 {
				return c
			}
		}
	}
	return nil
}

// verifies goes by the kind of the key; the algorithm that the signer names says no more.
func verifies(key crypto.PublicKey, h crypto.Hash, sum, signature []byte) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, h, sum, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum, signature)
	}
	return false
}
