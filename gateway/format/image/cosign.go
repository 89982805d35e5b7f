package image

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hsmgate/hsmgate/gateway/format"
)

// What cosign calls things (sigstore/cosign, specs/SIGNATURE_SPEC.md and ATTESTATION_SPEC.md).
const (
	simpleSigning     = types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json")
	dsseEnvelope      = types.MediaType("application/vnd.dsse.envelope.v1+json")
	signatureNote     = "dev.cosignproject.cosign/signature"
	predicateTypeNote = "predicateType"
	simpleType        = "cosign container image signature"
	// signPredicate is the predicate type of a statement that is a mere signature.
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
)

// simple is the payload of a signature (Red Hat's "simple signing").
type simple struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]string `json:"optional"`
}

// SignTag signs the image as `cosign sign` does without bundles: under the tag sha256-….sig beside it, where signatures of
// others stay. Two that sign at the same moment may undo each other, as with cosign.
func (i *Image) SignTag(k *format.Key) (*Signed, error) {
	trust := trustIn(k)
	var s simple
	s.Critical.Identity.Reference = i.Digest.Context().Name()
	s.Critical.Image.Digest = i.Digest.DigestStr()
	s.Critical.Type = simpleType
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	good := func(d v1.Descriptor, blob []byte) bool {
		var has simple
		return i.simplySigned(trust, d, blob) == nil && json.Unmarshal(blob, &has) == nil && has.Critical == s.Critical
	}
	return i.tagged("sig", good, func() (*mutate.Addendum, error) {
		signature, err := format.SignMessage(k, payload)
		if err != nil {
			return nil, err
		}
		return &mutate.Addendum{Layer: static.NewLayer(payload, simpleSigning),
			Annotations: map[string]string{signatureNote: base64.StdEncoding.EncodeToString(signature)}}, nil
	})
}

// AttestTag attests k.Predicate as `cosign attest` does without bundles: under the tag sha256-….att.
func (i *Image) AttestTag(k *format.Key) (*Signed, error) {
	trust := trustIn(k)
	good := func(d v1.Descriptor, blob []byte) bool { return i.attested(trust, d, blob) == nil }
	return i.tagged("att", good, func() (*mutate.Addendum, error) {
		envelope, err := format.Attest(k, i.Digest.Context().Name(), i.about.Digest.Hex)
		if err != nil {
			return nil, err
		}
		return &mutate.Addendum{Layer: static.NewLayer(envelope, dsseEnvelope),
			Annotations: map[string]string{signatureNote: "", predicateTypeNote: k.Predicate.Type}}, nil
	})
}

func trustIn(k *format.Key) *format.Trust {
	return &format.Trust{Keys: []crypto.PublicKey{k.Public()}, Predicate: k.Predicate}
}

// tagged adds a layer to the image under the tag of that ending, unless a good one is there.
func (i *Image) tagged(ending string, good func(v1.Descriptor, []byte) bool, sign func() (*mutate.Addendum, error)) (*Signed, error) {
	there, found, err := i.underTag(ending, good)
	if found != nil || err != nil {
		return found, err
	}
	more, err := sign()
	if err != nil {
		return nil, err
	}
	whole, err := mutate.Append(there, *more)
	if err != nil {
		return nil, err
	}
	tag := i.tag(ending)
	if err := remote.Write(tag, whole, i.options...); err != nil {
		return nil, fromRegistry(tag.Context(), err)
	}
	return at(tag, whole, false)
}

// tag is where cosign puts what belongs to the image.
func (i *Image) tag(ending string) name.Tag {
	return i.Digest.Context().Tag(strings.Replace(i.Digest.DigestStr(), ":", "-", 1) + "." + ending)
}

// underTag gives what is under the tag of that ending, an empty image where there is nothing, and in it the first layer that is good.
func (i *Image) underTag(ending string, good func(v1.Descriptor, []byte) bool) (there v1.Image, found *Signed, err error) {
	tag := i.tag(ending)
	there, err = remote.Image(tag, i.options...)
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		there, err = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), nil
	}
	if err != nil {
		return nil, nil, fromRegistry(tag.Context(), err)
	}
	m, err := there.Manifest()
	if err != nil {
		return nil, nil, err
	}
	if len(m.Layers) > maxBeside {
		return nil, nil, fmt.Errorf("%s holds more than %d signatures", tag, maxBeside)
	}
	for _, d := range m.Layers {
		blob, err := read(there, d)
		if err != nil {
			return nil, nil, fromRegistry(tag.Context(), err)
		}
		if good(d, blob) {
			found, err = at(tag, there, true)
			return there, found, err
		}
	}
	return there, nil, nil
}

func at(tag name.Tag, image v1.Image, already bool) (*Signed, error) {
	digest, err := image.Digest()
	if err != nil {
		return nil, err
	}
	return &Signed{Reference: tag.Context().Digest(digest.String()).String(), Tag: tag.TagStr(), Already: already}, nil
}
