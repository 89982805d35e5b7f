package image

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// An image may have signatures of many, so it is enough that one is good: made by a trusted key over the digest of the image. What
// name of the image is in it is not compared, as in cosign, since images are copied from one registry to another. The errors are
// format.ErrNotSigned where there is none of this kind, format.ErrNotGood where none is good, RegistryError with ErrUnread where none
// that could be read is, and RegistryError.

// signs is what a bundle says that is a mere signature.
var signs = &format.Predicate{Type: signPredicate, Body: json.RawMessage("{}")}

// VerifyTag checks what SignTag makes.
func (i *Image) VerifyTag(t *format.Trust) (*Signed, error) {
	var why reason
	_, found, err := i.underTag("sig", &why, func(d v1.Descriptor, blob []byte) error { return i.simplySigned(t, d, blob) })
	return why.answer(found, err)
}

// VerifyBundle checks what SignBundle makes.
func (i *Image) VerifyBundle(t *format.Trust) (*Signed, error) {
	signed := *t
	signed.Predicate = signs
	return i.VerifyBundleAttestation(&signed)
}

// VerifyTagAttestation checks what AttestTag makes: whether t.Predicate is attested.
func (i *Image) VerifyTagAttestation(t *format.Trust) (*Signed, error) {
	var why reason
	_, found, err := i.underTag("att", &why, func(d v1.Descriptor, blob []byte) error { return i.attested(t, d, blob) })
	return why.answer(found, err)
}

// VerifyBundleAttestation checks what AttestBundle makes: whether t.Predicate is attested.
func (i *Image) VerifyBundleAttestation(t *format.Trust) (*Signed, error) {
	var why reason
	found, err := i.referrer(bundleType, &why, func(blob []byte) error { return i.bundled(t, blob) })
	return why.answer(found, err)
}

// VerifyNotation checks what SignNotation makes. The certificate of the signer has to be of a trusted key, or to be valid now
// for code signing by a trusted issuer. Nobody is asked whether it was revoked.
func (i *Image) VerifyNotation(t *format.Trust) (*Signed, error) {
	var why reason
	found, err := i.referrer(jws.MediaTypeEnvelope, &why, func(blob []byte) error { return i.notated(t, blob) })
	return why.answer(found, err)
}

// ErrUnread: something beside an image, which anybody may have put there, cannot be read, and no signature but that may be good.
var ErrUnread = errors.New("what is beside the image cannot all be read, and the rest is no good signature")

// reason is why nothing that was found is good: of several reasons that which comes nearest, but of what could not be read, which may
// have been good, the first.
type reason struct{ err, lost error }

func (r *reason) unread(at name.Repository, err error) {
	if r.lost == nil {
		r.lost = fromRegistry(at, fmt.Errorf("%w: %w", ErrUnread, err))
	}
}

func (r *reason) good(err error) bool {
	for _, near := range []error{format.ErrOther, format.ErrNotGood, err} {
		if errors.Is(r.err, near) {
			break
		}
		if errors.Is(err, near) {
			r.err = err
			break
		}
	}
	return err == nil
}

func (r *reason) answer(found *Signed, err error) (*Signed, error) {
	switch {
	case found != nil || err != nil:
		return found, err
	case r.lost != nil:
		return nil, r.lost
	case r.err != nil:
		return nil, r.err
	}
	return nil, format.ErrNotSigned
}

func notGood(text string, args ...any) error {
	return fmt.Errorf("%w: %s", format.ErrNotGood, fmt.Sprintf(text, args...))
}

// simplySigned is nil for a layer that is a trusted signature of the image.
func (i *Image) simplySigned(t *format.Trust, d v1.Descriptor, blob []byte) error {
	if d.MediaType != simpleSigning {
		return fmt.Errorf("%w: its media type is %q, not %s", format.ErrNotSigned, d.MediaType, simpleSigning)
	}
	signature, err := base64.StdEncoding.DecodeString(d.Annotations[signatureNote])
	if err != nil || len(signature) == 0 {
		return notGood("its annotation %s is no signature in base64", signatureNote)
	}
	if err := t.VerifyMessage(blob, signature); err != nil {
		return err
	}
	var s simple
	if err := json.Unmarshal(blob, &s); err != nil {
		return notGood("what is signed is no %q: %v", simpleType, err)
	}
	if s.Critical.Type != simpleType {
		return notGood("what is signed is a %q, not a %q", s.Critical.Type, simpleType)
	}
	return i.is(s.Critical.Image.Digest)
}

// is compares the digest in a good signature with that of the image.
func (i *Image) is(digest string) error {
	if digest != i.Digest.DigestStr() {
		return fmt.Errorf("%w: %w, %s", format.ErrNotGood, format.ErrOther, digest)
	}
	return nil
}

// attested is nil for a layer that is a trusted attestation of the image.
func (i *Image) attested(t *format.Trust, d v1.Descriptor, blob []byte) error {
	if d.MediaType != dsseEnvelope {
		return fmt.Errorf("%w: its media type is %q, not %s", format.ErrNotSigned, d.MediaType, dsseEnvelope)
	}
	return t.Attested(blob, i.about.Digest.Hex)
}

// bundled is attested for a bundle.
func (i *Image) bundled(t *format.Trust, blob []byte) error {
	envelope, err := format.BundleEnvelope(blob)
	if err != nil {
		return err
	}
	return t.Attested(envelope, i.about.Digest.Hex)
}

// notated is nil for a JWS envelope of the Notary Project that is a trusted signature of the image (signature-specification.md, and
// "Signature Validation" of trust-store-trust-policy.md).
func (i *Image) notated(t *format.Trust, blob []byte) error {
	e, err := jws.ParseEnvelope(blob)
	if err != nil {
		return fmt.Errorf("%w: %w", format.ErrNotSigned, err)
	}
	signed, err := e.Verify()
	if err != nil {
		return notGood("%v", err)
	}
	chain, says := signed.SignerInfo.CertificateChain, signed.SignerInfo.SignedAttributes
	if err := t.Certified(chain[0], chain[1:], time.Now()); err != nil {
		return err
	}
	switch {
	case signed.Payload.ContentType != notationPayload:
		return notGood("what is signed is %q, not %s", signed.Payload.ContentType, notationPayload)
	case says.SigningScheme != signature.SigningSchemeX509:
		return notGood("its signing scheme is %s, not %s", says.SigningScheme, signature.SigningSchemeX509)
	case !says.Expiry.IsZero() && !time.Now().Before(says.Expiry):
		return notGood("it was good until %s", says.Expiry.UTC().Format(time.RFC3339))
	}
	for _, a := range says.ExtendedAttributes {
		if a.Critical {
			return notGood("it has the critical attribute %v, which is not known here", a.Key)
		}
	}
	var of target
	if err := json.Unmarshal(signed.Payload.Content, &of); err != nil {
		return notGood("what is signed is no %s: %v", notationPayload, err)
	}
	return i.is(of.Artifact.Digest.String())
}
