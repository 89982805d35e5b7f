// Package timestamp speaks the time-stamp protocol (RFC 3161): it asks authorities for tokens, checks tokens, and makes
// them for an authority. A token says that a digest was there at a time.
package timestamp

import (
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/cms"
)

// Media types of HTTP (RFC 3161, 3.4).
const (
	QueryType = "application/timestamp-query"
	ReplyType = "application/timestamp-reply"
)

// MaxQuery is more than the longest request, in bytes; MaxReply more than the longest answer.
const (
	MaxQuery = 16 << 10
	MaxReply = 256 << 10
)

// TokenAttribute is id-aa-timeStampToken: where a CMS signature has a token over its signature (RFC 3161, appendix A).
var TokenAttribute = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}

var (
	infoType           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}  // id-ct-TSTInfo
	signingCertificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47} // id-aa-signingCertificateV2
	signingSHA1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12} // id-aa-signingCertificate
)

// imprint is MessageImprint.
type imprint struct {
	Hash   pkix.AlgorithmIdentifier
	Digest []byte
}

func newImprint(h crypto.Hash, digest []byte) imprint {
	return imprint{pkix.AlgorithmIdentifier{Algorithm: cms.HashID(h), Parameters: asn1.NullRawValue}, digest}
}

// Request is TimeStampReq.
type Request struct {
	Version    int
	Imprint    imprint
	Policy     asn1.ObjectIdentifier `asn1:"optional"`
	Nonce      *big.Int              `asn1:"optional"`
	CertReq    bool                  `asn1:"optional"`
	Extensions []pkix.Extension      `asn1:"optional,tag:0"`
}

// Hash of what is to be stamped; 0 for one that is not used here.
func (r *Request) Hash() crypto.Hash { return cms.HashOf(r.Imprint.Hash) }

// Digest of what is to be stamped.
func (r *Request) Digest() []byte { return r.Imprint.Digest }

// info is TSTInfo.
type info struct {
	Version    int
	Policy     asn1.ObjectIdentifier
	Imprint    imprint
	Serial     *big.Int
	Time       asn1.RawValue    // GeneralizedTime, with a fraction of a second perhaps
	Accuracy   accuracy         `asn1:"optional"`
	Ordering   bool             `asn1:"optional"`
	Nonce      *big.Int         `asn1:"optional"`
	TSA        asn1.RawValue    `asn1:"optional,tag:0"`
	Extensions []pkix.Extension `asn1:"optional,tag:1"`
}

type accuracy struct {
	Seconds int `asn1:"optional"`
	Millis  int `asn1:"optional,tag:0"`
	Micros  int `asn1:"optional,tag:1"`
}

// status is PKIStatusInfo. The text is a sequence of UTF8String.
type status struct {
	Status  int
	Text    []asn1.RawValue `asn1:"optional"`
	Failure asn1.BitString  `asn1:"optional"`
}

// response is TimeStampResp.
type response struct {
	Status status
	Token  asn1.RawValue `asn1:"optional"`
}

// Failure is why an authority refuses (PKIFailureInfo): the number of a bit.
type Failure int

// The failures that an authority may answer with (RFC 3161, 2.4.2).
const (
	BadAlg              Failure = 0
	BadRequest          Failure = 2
	BadDataFormat       Failure = 5
	TimeNotAvailable    Failure = 14
	UnacceptedPolicy    Failure = 15
	UnacceptedExtension Failure = 16
	SystemFailure       Failure = 25
)

var failures = map[Failure]string{
	BadAlg: "badAlg", BadRequest: "badRequest", BadDataFormat: "badDataFormat", TimeNotAvailable: "timeNotAvailable",
	UnacceptedPolicy: "unacceptedPolicy", UnacceptedExtension: "unacceptedExtension", SystemFailure: "systemFailure",
}

// Refusal is a request that an authority refuses.
type Refusal struct {
	Failure Failure
	Text    string
}

// Error names the failure as RFC 3161 does.
func (r *Refusal) Error() string { return failures[r.Failure] + ": " + r.Text }

const rejection = 2

// Reply is the answer that refuses, in DER.
func (r *Refusal) Reply() ([]byte, error) {
	bits := make([]byte, r.Failure/8+1)
	bits[r.Failure/8] = 0x80 >> (r.Failure % 8)
	return asn1.Marshal(response{Status: status{
		Status: rejection, Text: []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte(r.Text)}},
		Failure: asn1.BitString{Bytes: bits, BitLength: int(r.Failure) + 1},
	}})
}

// Reply is the answer that grants a token, in DER.
func Reply(token []byte) ([]byte, error) {
	return asn1.Marshal(response{Token: asn1.RawValue{FullBytes: token}})
}

// readReply gives the token of an answer.
func readReply(der []byte) ([]byte, error) {
	var r response
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		return nil, errors.New("the answer is no time-stamp response")
	}
	if r.Status.Status != 0 && r.Status.Status != 1 { // granted, grantedWithMods
		return nil, r.Status.refused()
	}
	if len(r.Token.FullBytes) == 0 {
		return nil, errors.New("the answer holds no token")
	}
	return r.Token.FullBytes, nil
}

// refused is the error of a status that grants nothing.
func (s *status) refused() error {
	why := []string{fmt.Sprintf("status %d", s.Status)}
	for bit, name := range failures {
		if s.Failure.At(int(bit)) == 1 {
			why = append(why, name)
		}
	}
	for _, text := range s.Text[:min(len(s.Text), 4)] {
		why = append(why, fmt.Sprintf("%.200q", text.Bytes)) // quoted and cut: it is the server's
	}
	return fmt.Errorf("the authority refuses: %s", strings.Join(why, ", "))
}
