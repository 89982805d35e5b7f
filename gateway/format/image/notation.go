package image

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// What the Notary Project calls things (notaryproject/specifications, signature-specification.md).
const (
	notationType    = types.MediaType("application/vnd.cncf.notary.signature")
	notationPayload = "application/vnd.cncf.notary.payload.v1+json"
	thumbprintNote  = "io.cncf.notary.x509chain.thumbprint#S256"
)

type target struct {
	Artifact v1.Descriptor `json:"targetArtifact"`
}

// SignNotation signs the image as `notation sign` does: in a JWS envelope that refers to it. The key's certificates have to
// lead to a root.
func (i *Image) SignNotation(k *format.Key) (*Signed, error) {
	spec, err := notationKey(k)
	if err != nil {
		return nil, err
	}
	found, err := i.referrer(jws.MediaTypeEnvelope, new(reason), func(blob []byte) error { return i.notatedBy(k, blob) })
	if found != nil || err != nil {
		return found, err
	}
	payload, err := json.Marshal(target{i.about})
	if err != nil {
		return nil, err
	}
	now := time.Now
	if k.Now != nil {
		now = k.Now
	}
	signer := &notationSigner{key: k, spec: spec}
	envelope, err := jws.NewEnvelope().Sign(&signature.SignRequest{
		Payload: signature.Payload{ContentType: notationPayload, Content: payload}, Signer: signer,
		SigningTime: now(), SigningScheme: signature.SigningSchemeX509, SigningAgent: "hsmgate",
	})
	if signer.err != nil {
		return nil, signer.err // in place of the library's text of it
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", format.ErrKey, err)
	}
	var thumbprints []string
	for _, c := range k.Certificates {
		sum := sha256.Sum256(c.Raw)
		thumbprints = append(thumbprints, hex.EncodeToString(sum[:]))
	}
	note, err := json.Marshal(thumbprints)
	if err != nil {
		return nil, err
	}
	return i.refer("", notationType, jws.MediaTypeEnvelope, envelope, map[string]string{thumbprintNote: string(note)})
}

// notationKey is the kind of a key that has its certificate.
func notationKey(k *format.Key) (signature.KeySpec, error) {
	if len(k.Certificates) == 0 {
		return signature.KeySpec{}, fmt.Errorf("%w: notation needs the key's certificate and its issuers'", format.ErrKey)
	}
	own, ok := k.Certificates[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !own.Equal(k.Public()) {
		return signature.KeySpec{}, fmt.Errorf("%w: the first certificate, of %s, is another key's", format.ErrKey, k.Certificates[0].Subject)
	}
	spec, err := signature.ExtractKeySpec(k.Certificates[0])
	if err != nil {
		return spec, fmt.Errorf("%w: %w: notation takes RSA, P-256, P-384 and P-521", format.ErrKey, err)
	}
	return spec, nil
}

// notatedBy is nil for an envelope that is the signature of the image by this key with this certificate.
func (i *Image) notatedBy(k *format.Key, blob []byte) error {
	if err := i.notated(trustIn(k), blob); err != nil {
		return err
	}
	e, err := jws.ParseEnvelope(blob)
	if err != nil {
		return err
	}
	signed, err := e.Content()
	if err == nil && !signed.SignerInfo.CertificateChain[0].Equal(k.Certificates[0]) {
		return notGood("it has another certificate of the key")
	}
	return err
}

// notationSigner signs what an envelope has it sign, with the algorithm that goes with the key: RSASSA-PSS for RSA.
type notationSigner struct {
	key  *format.Key
	spec signature.KeySpec
	err  error
}

func (s *notationSigner) KeySpec() (signature.KeySpec, error) { return s.spec, nil }

func (s *notationSigner) Sign(payload []byte) ([]byte, []*x509.Certificate, error) {
	h := s.spec.SignatureAlgorithm().Hash()
	w := h.New()
	w.Write(payload)
	var opts crypto.SignerOpts = h
	if s.spec.Type == signature.KeyTypeRSA {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
	}
	made, err := s.key.Sign(rand.Reader, w.Sum(nil), opts)
	if err == nil && s.spec.Type == signature.KeyTypeEC {
		made, err = fixed(s.key.Public().(*ecdsa.PublicKey), made)
	}
	s.err = err
	return made, s.key.Certificates, err
}

// fixed writes a signature of ECDSA as JWS has it (RFC 7518, 3.4): r and s, each as long as the order of the curve.
func fixed(key *ecdsa.PublicKey, der []byte) ([]byte, error) {
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) > 0 {
		return nil, errors.New("the signer gave no ECDSA signature in DER")
	}
	size := (key.Params().N.BitLen() + 7) / 8
	return append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...), nil
}
