// Package cms makes and reads CMS signatures (SignedData, RFC 5652) of one signer whose certificate is in them, in DER.
//
// It is small and not a library of others because of what these need together: the content is never in memory, but
// hashed by the caller; signed attributes are a SET OF in the order of DER (5.3); the content may be another than data,
// as that of a timestamp is (RFC 3161). Keys are RSA, for RSASSA-PKCS1-v1_5, and ECDSA; hashes are SHA-256, SHA-384 and
// SHA-512.
package cms

import (
	"crypto"
	_ "crypto/sha256" // what signatures may use
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"time"
)

// Object identifiers.
var (
	Data        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	SignedData  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	contentType = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	digestAttr  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	signingTime = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	rsaKey      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// hashes by their object identifiers (RFC 5754, 2).
var hashes = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
	crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
}

// HashID is the object identifier of a hash; nil for one that is not used here.
func HashID(h crypto.Hash) asn1.ObjectIdentifier { return hashes[h] }

// HashOf is the hash of this algorithm; 0 for one that is not used here.
func HashOf(a pkix.AlgorithmIdentifier) crypto.Hash {
	for h, id := range hashes {
		if id.Equal(a.Algorithm) {
			return h
		}
	}
	return 0
}

var (
	// ErrNone: it is no CMS signature of one signer.
	ErrNone = errors.New("it is no CMS signature of one signer in DER")
	// ErrNotGood: the signature was not made over this content by the key of its certificate.
	ErrNotGood = errors.New("the CMS signature is not good")
)

// Attribute of a signer, with one value.
type Attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// NewAttribute makes an attribute of a value for encoding/asn1.
func NewAttribute(kind asn1.ObjectIdentifier, value any) (Attribute, error) {
	der, err := asn1.Marshal(value)
	return Attribute{Type: kind, Values: []asn1.RawValue{{FullBytes: der}}}, err
}

// SigningTime is the attribute that states when it was signed (RFC 5652, 11.3), for times before 2050.
func SigningTime(at time.Time) (Attribute, error) {
	return NewAttribute(signingTime, at.UTC().Truncate(time.Second))
}

// contentInfo is ContentInfo, and EncapsulatedContentInfo.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"optional"` // under [0]: encoding/asn1 leaves raw values to their users
}

// inner is the one element of the content, in DER; nil if there is no content.
func (c *contentInfo) inner() []byte {
	if c.Content.Class != asn1.ClassContextSpecific || c.Content.Tag != 0 || !c.Content.IsCompound {
		return nil
	}
	return c.Content.Bytes
}

// signedData is SignedData.
type signedData struct {
	Version      int
	Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
	Content      contentInfo
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      []signerInfo  `asn1:"set"`
}

// signerInfo is SignerInfo that names its signer by issuer and serial number.
type signerInfo struct {
	Version            int
	Issuer             issuerAndSerial
	Digest             pkix.AlgorithmIdentifier
	Signed             asn1.RawValue `asn1:"optional,tag:0"`
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          []byte
	Unsigned           asn1.RawValue `asn1:"optional,tag:1"`
}

type issuerAndSerial struct {
	Name   asn1.RawValue
	Serial *big.Int
}

// contextual is the tag [n] of a constructed value.
func contextual(n int, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: n, IsCompound: true, Bytes: content}
}
