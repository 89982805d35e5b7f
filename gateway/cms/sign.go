package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
)

// Content is what is signed.
type Content struct {
	Type   asn1.ObjectIdentifier
	Hash   crypto.Hash
	Digest []byte // of the content
	// Bytes are the content itself where it stands in the signature. Nil: it is detached.
	Bytes []byte
}

// Unsigned makes the attributes that are not signed, such as a timestamp of the signature.
type Unsigned func(signature []byte) ([]Attribute, error)

// Sign makes a signature with these signed attributes, beside those of the content. The first certificate is the key's;
// all of them stand in the signature, or none if bare. unsigned may be nil.
func Sign(key crypto.Signer, certificates []*x509.Certificate, bare bool, c Content, signed []Attribute, unsigned Unsigned) ([]byte, error) {
	digest, signature := pkix.AlgorithmIdentifier{Algorithm: hashes[c.Hash]}, signatureAlgorithm(key.Public(), c.Hash)
	if digest.Algorithm == nil || signature.Algorithm == nil || len(certificates) == 0 {
		return nil, fmt.Errorf("CMS is not signed here with %T and %v", key.Public(), c.Hash)
	}
	attributes, err := allSigned(c, signed)
	if err != nil {
		return nil, err
	}
	signer := signerInfo{
		Version: 1, Digest: digest, Signed: contextual(0, attributes), SignatureAlgorithm: signature,
		Issuer: issuerAndSerial{asn1.RawValue{FullBytes: certificates[0].RawIssuer}, certificates[0].SerialNumber},
	}
	sum := c.Hash.New()
	sum.Write(setOf(attributes))
	if signer.Signature, err = key.Sign(nil, sum.Sum(nil), c.Hash); err != nil {
		return nil, err
	}
	if unsigned != nil {
		more, err := unsigned(signer.Signature)
		if err != nil {
			return nil, err
		}
		if signer.Unsigned, err = tagged(1, more); err != nil {
			return nil, err
		}
	}
	return envelope(c, signer, certificates, bare)
}

// envelope puts the signer into a ContentInfo.
func envelope(c Content, signer signerInfo, certificates []*x509.Certificate, bare bool) ([]byte, error) {
	all := signedData{Version: 3, Digests: []pkix.AlgorithmIdentifier{signer.Digest}, Content: contentInfo{Type: c.Type}, Signers: []signerInfo{signer}}
	if c.Type.Equal(Data) { // RFC 5652, 5.1
		all.Version = 1
	}
	if c.Bytes != nil {
		octets, err := asn1.Marshal(c.Bytes)
		if err != nil {
			return nil, err
		}
		all.Content.Content = contextual(0, octets)
	}
	if !bare {
		parts := make([][]byte, 0, len(certificates))
		for _, certificate := range certificates {
			parts = append(parts, certificate.Raw)
		}
		all.Certificates = contextual(0, sorted(parts))
	}
	inner, err := asn1.Marshal(all)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{SignedData, contextual(0, inner)})
}

// allSigned are the signed attributes, as the content of their SET OF.
func allSigned(c Content, signed []Attribute) ([]byte, error) {
	kind, err := NewAttribute(contentType, c.Type)
	if err != nil {
		return nil, err
	}
	digest, err := NewAttribute(digestAttr, c.Digest)
	if err != nil {
		return nil, err
	}
	return attributesOf(append([]Attribute{kind, digest}, signed...))
}

func attributesOf(all []Attribute) ([]byte, error) {
	parts := make([][]byte, 0, len(all))
	for _, a := range all {
		der, err := asn1.Marshal(a)
		if err != nil {
			return nil, err
		}
		parts = append(parts, der)
	}
	return sorted(parts), nil
}

func tagged(n int, all []Attribute) (out asn1.RawValue, err error) {
	if len(all) == 0 {
		return out, nil
	}
	content, err := attributesOf(all)
	return contextual(n, content), err
}

// sorted is the content of a SET OF in DER (X.690, 11.6).
func sorted(parts [][]byte) []byte {
	slices.SortFunc(parts, bytes.Compare)
	return slices.Concat(parts...)
}

// setOf is a SET OF with that content: the form of signed attributes that is hashed (RFC 5652, 5.4).
func setOf(content []byte) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: content})
	if err != nil {
		panic(err) // of a tag and bytes
	}
	return der
}

// signatureAlgorithm of a key (RFC 3370, 3.2; RFC 5754, 3.3).
func signatureAlgorithm(key crypto.PublicKey, h crypto.Hash) (a pkix.AlgorithmIdentifier) {
	switch key.(type) {
	case *rsa.PublicKey:
		a.Algorithm, a.Parameters = rsaKey, asn1.NullRawValue
	case *ecdsa.PublicKey:
		a.Algorithm = ecdsaWith[h]
	}
	return a
}

// ecdsaWith are ecdsa-with-SHA256, 384 and 512.
var ecdsaWith = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
	crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3},
	crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4},
}
