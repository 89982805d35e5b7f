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
	judge := func(d v1.Descriptor, blob []byte) error {
		if err := i.simplySigned(trust, d, blob); err != nil {
			return err
		}
		var has simple
		if err := json.Unmarshal(blob, &has); err != nil {
			return err
		}
		if has.Critical != s.Critical {
			return notGood("it calls the image %q", has.Critical.Identity.Reference)
		}
		return nil
	}
	return i.tagged("sig", judge, func() (*mutate.Addendum, error) {
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
	judge := func(d v1.Descriptor, blob []byte) error { return i.attested(trust, d, blob) }
	return i.tagged("att", judge, func() (*mutate.Addendum, error) {
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

// tagged adds a layer to the image under the tag of that ending, unless a good one is there. The layers that are there stay, unread.
func (i *Image) tagged(ending string, judge func(v1.Descriptor, []byte) error, sign func() (*mutate.Addendum, error)) (*Signed, error) {
	there, found, err := i.underTag(ending, new(reason), judge)
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
	config, err := whole.RawConfigFile()
	if err != nil {
		return nil, fromRegistry(tag.Context(), err)
	}
	if err := i.push(tag, whole, static.NewLayer(config, types.OCIConfigJSON), more.Layer); err != nil {
		return nil, err
	}
	return at(tag, whole, false)
}

// tag is where cosign puts what belongs to the image.
func (i *Image) tag(ending string) name.Tag {
	return i.Digest.Context().Tag(strings.Replace(i.Digest.DigestStr(), ":", "-", 1) + "." + ending)
}

// underTag gives what is under the tag of that ending, an empty image where there is nothing, and in it the first layer that is
// judged to have no error. why learns of the others.
func (i *Image) underTag(ending string, why *reason, judge func(v1.Descriptor, []byte) error) (there v1.Image, found *Signed, err error) {
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
	for n, d := range m.Layers {
		if n == maxBeside {
			return nil, nil, fmt.Errorf("%s holds more than %d signatures", tag, maxBeside)
		}
		blob, err := i.read(d)
		if ends(err) {
			return nil, nil, fromRegistry(tag.Context(), err)
		}
		if err != nil {
			why.unread(tag.Context(), err)
		} else if why.good(judge(d, blob)) {
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
