package timestamp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/cms"
)

// Authority is what tokens say of who makes them.
type Authority struct {
	Certificates []*x509.Certificate // its own, then those of its issuers
	Policy       asn1.ObjectIdentifier
	// Accuracy of the times that it states, to the microsecond. 0 does not say.
	Accuracy time.Duration
}

// Check says what is wrong with the certificates: the first has to suit, and each other one to have issued one before it.
func (a *Authority) Check() error {
	own := a.Certificates[0]
	if err := Suits(own); err != nil {
		return err
	}
	if u := own.KeyUsage; u != 0 && u&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return fmt.Errorf("the key usage of %s does not allow signatures", own.Subject)
	}
	for i, issuer := range a.Certificates[1:] {
		issued := func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawIssuer, issuer.RawSubject) && c.CheckSignatureFrom(issuer) == nil
		}
		if !slices.ContainsFunc(a.Certificates[:i+1], issued) {
			return fmt.Errorf("%s has issued none of the certificates before it", issuer.Subject)
		}
	}
	return nil
}

// Valid says whether this is a time that the authority may state: its certificates are valid then. The error is a *Refusal.
func (a *Authority) Valid(at time.Time) error {
	for _, c := range a.Certificates {
		if at.Before(c.NotBefore) || at.After(c.NotAfter) {
			return &Refusal{SystemFailure, fmt.Sprintf("the certificate of %s is valid from %s to %s, and it is %s", c.Subject,
				c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))}
		}
	}
	return nil
}

// Accept reads a request, in DER, which this authority would answer. The error is a *Refusal.
func (a *Authority) Accept(der []byte) (*Request, error) {
	var r Request
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		return nil, &Refusal{BadDataFormat, "it is no TimeStampReq in DER (RFC 3161)"}
	}
	h := r.Hash()
	switch {
	case r.Version != 1:
		return nil, &Refusal{BadRequest, "the version of a request is 1"}
	case h == 0:
		return nil, &Refusal{BadAlg, "the hash is none of SHA-256, SHA-384 and SHA-512"}
	case !plain(r.Imprint.Hash):
		return nil, &Refusal{BadDataFormat, "a hash has no parameters, or NULL"}
	case len(r.Imprint.Digest) != h.Size():
		return nil, &Refusal{BadDataFormat, "the digest is not as long as one of its hash"}
	case len(r.Policy) > 0 && !r.Policy.Equal(a.Policy):
		return nil, &Refusal{UnacceptedPolicy, "the policy here is " + a.Policy.String()}
	case len(r.Extensions) > 0:
		return nil, &Refusal{UnacceptedExtension, "no extension is known here"}
	case r.Nonce != nil && r.Nonce.BitLen() > maxNonce:
		return nil, &Refusal{BadRequest, "the nonce is longer than 256 bits"}
	}
	return &r, nil
}

// plain says whether an algorithm has no parameters, so that a token repeats nothing else of a request (RFC 5754, 2).
func plain(a pkix.AlgorithmIdentifier) bool {
	return len(a.Parameters.FullBytes) == 0 || bytes.Equal(a.Parameters.FullBytes, asn1.NullBytes)
}

const maxNonce = 256

// serialBits is the length of a serial number: random, so that no two are the same, whoever makes them.
const serialBits = 128

// Precision is that of the time in a token, which is cut to it: its accuracy, which bounds the time from above, too, is no
// less (RFC 3161, 2.4.2).
const Precision = time.Millisecond

// Token makes the token that answers a request, at this time, in DER. The key is that of the first certificate, and h the
// hash that it signs with.
func (a *Authority) Token(key crypto.Signer, h crypto.Hash, r *Request, at time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	content, err := asn1.Marshal(info{
		Version: 1, Policy: a.Policy, Imprint: r.Imprint, Serial: serial, Nonce: r.Nonce, Accuracy: accuracyOf(a.Accuracy),
		Time: asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(at.UTC().Format("20060102150405.999Z"))},
	})
	if err != nil {
		return nil, err
	}
	sum := h.New()
	sum.Write(content)
	named := h.New()
	named.Write(a.Certificates[0].Raw)
	certificate, err := cms.NewAttribute(signingCertificate, essV2{Certificates: []essID{{Hash: essHash(h), Digest: named.Sum(nil)}}})
	if err != nil {
		return nil, err
	}
	when, err := cms.SigningTime(at)
	if err != nil {
		return nil, err
	}
	return cms.Sign(key, a.Certificates, !r.CertReq, cms.Content{Type: infoType, Hash: h, Digest: sum.Sum(nil), Bytes: content}, []cms.Attribute{certificate, when}, nil)
}

// essHash is left out where it is the default (DER).
func essHash(h crypto.Hash) (a pkix.AlgorithmIdentifier) {
	if h != crypto.SHA256 {
		a.Algorithm = cms.HashID(h)
	}
	return a
}

func accuracyOf(d time.Duration) accuracy {
	return accuracy{int(d / time.Second), int(d % time.Second / time.Millisecond), int(d % time.Millisecond / time.Microsecond)}
}
