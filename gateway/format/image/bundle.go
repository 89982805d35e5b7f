package image

import (
	"encoding/json"

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
	signs := *k
	signs.Predicate = &format.Predicate{Type: signPredicate, Body: json.RawMessage("{}")}
	return i.AttestBundle(&signs)
}

// AttestBundle attests k.Predicate in a Sigstore bundle that refers to the image.
func (i *Image) AttestBundle(k *format.Key) (*Signed, error) {
	trust := trustIn(k)
	found, err := i.referrer(bundleType, func(blob []byte) bool {
		envelope, err := format.BundleEnvelope(blob)
		return err == nil && trust.Attested(envelope, i.about.Digest.Hex) == nil
	})
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
