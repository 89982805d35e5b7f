package image

import (
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hsmgate/hsmgate/gateway/format"
)

const (
	bundleType          = types.MediaType(format.BundleType)
	emptyType           = types.MediaType("application/vnd.oci.empty.v1+json")
	contentNote         = "dev.sigstore.bundle.content"
	contentDSSE         = "dsse-envelope"
	bundlePredicateNote = "dev.sigstore.bundle.predicateType"
)

// SignBundle signs the image as `cosign sign` of version 3 does: in a Sigstore bundle that refers to it (OCI 1.1).
func (i *Image) SignBundle(k *format.Key) (*Signed, error) {
	signer := *k
	signer.Predicate = signs
	return i.AttestBundle(&signer)
}

// AttestBundle attests k.Predicate in a Sigstore bundle that refers to the image.
func (i *Image) AttestBundle(k *format.Key) (*Signed, error) {
	trust := trustIn(k)
	found, err := i.referrer(bundleType, new(reason), func(blob []byte) error { return i.bundled(trust, blob) })
	if found != nil || err != nil {
		return found, err
	}
	envelope, err := format.Attest(k, i.Digest.Context().Name(), i.about.Digest.Hex)
	if err != nil {
		return nil, err
	}
	bundle, err := format.Bundle(k.Public(), envelope)
	if err != nil {
		return nil, err
	}
	return i.refer(bundleType, emptyType, bundleType, bundle, map[string]string{contentNote: contentDSSE, bundlePredicateNote: k.Predicate.Type})
}
