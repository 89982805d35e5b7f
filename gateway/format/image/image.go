// Package image signs container images where they are, in registries, in the ways of cosign and of the Notary Project, by
// any crypto.Signer. Of an image, only its digest is signed.
package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxBlob is the longest signature or attestation that is read, in bytes.
const maxBlob = 16 << 20

// maxBeside is how many signatures of an image are looked at.
const maxBeside = 1000

// RegistryError is what a registry refused, or that it did not answer.
type RegistryError struct {
	Registry string
	Status   int // of HTTP; 0: there was no answer
	err      error
}

func (e *RegistryError) Error() string { return "the registry " + e.Registry + ": " + e.err.Error() }

func (e *RegistryError) Unwrap() error { return e.err }

// fromRegistry makes a RegistryError of an error.
func fromRegistry(at name.Repository, err error) error {
	if err == nil {
		return nil
	}
	e := &RegistryError{Registry: at.RegistryStr(), err: err}
	var refused *transport.Error
	if errors.As(err, &refused) {
		e.Status = refused.StatusCode
	}
	return e
}

// ErrAltered: the registry gives, under a digest, what has another one.
var ErrAltered = errors.New("what it gives for the digest has another digest")

// ErrReference: the reference of an image cannot be read.
var ErrReference = errors.New("it is no reference of an image")

// Image is an image, or an index of images, in a registry.
type Image struct {
	// Digest is its repository and digest. It is what is signed.
	Digest name.Digest

	about   v1.Descriptor
	options []remote.Option
}

// Signed is where a signature is.
type Signed struct {
	Reference string // repository and digest of the manifest that holds it
	Tag       string // under which it is, if it is under one
	Already   bool   // it was there, by this key, and is good
}

// Access is how a registry is spoken to.
type Access struct {
	UserAgent string
	Patience  time.Duration // how long each answer may take
	// Insecure: a registry on another machine, too, may be spoken to without TLS. It gets no credentials then.
	Insecure bool
}

// Find asks the registry for what a reference names. It logs in as `docker login` has noted. Only a registry at a loopback
// address is spoken to without TLS, unless it is to be Insecure; else the error is a RegistryError with ErrPlain, or with
// http.ErrSchemeMismatch.
func Find(ctx context.Context, reference string, to Access) (*Image, error) {
	dial := remote.DefaultTransport.(*http.Transport).Clone()
	dial.ResponseHeaderTimeout = to.Patience
	ref, options, err := reach(reference, dial, to.Insecure)
	if err != nil {
		return nil, err
	}
	i := &Image{options: append(options, remote.WithContext(ctx), remote.WithUserAgent(to.UserAgent))}
	about, err := remote.Get(ref, i.options...)
	if _, byDigest := ref.(name.Digest); byDigest && err != nil && strings.Contains(err.Error(), "does not match requested digest") { // there is no type for it
		err = fmt.Errorf("%w: %w", ErrAltered, err)
	}
	if err != nil {
		return nil, fromRegistry(ref.Context(), err)
	}
	if about.Digest.Algorithm != "sha256" {
		return nil, fmt.Errorf("%w: its digest is of %s, not sha256", ErrReference, about.Digest.Algorithm)
	}
	i.about = v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest}
	i.Digest = ref.Context().Digest(about.Digest.String())
	return i, nil
}

// manifest is a manifest that is pushed as it is.
type manifest struct{ v1.Manifest }

func (m *manifest) RawManifest() ([]byte, error) { return json.Marshal(m.Manifest) }

func (m *manifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// emptyJSON is the config of what is no image (OCI image-spec, "Guidance for an Empty Descriptor").
var emptyJSON = []byte("{}")

// refer pushes a blob with a manifest that refers to the image (OCI distribution-spec 1.1, "Listing Referrers").
// Registries without the referrers API get the tag in its place.
func (i *Image) refer(kind, config, blobType types.MediaType, blob []byte, annotations map[string]string) (*Signed, error) {
	m := &manifest{v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: string(kind), Subject: &i.about, Annotations: annotations}}
	for _, part := range []v1.Layer{static.NewLayer(emptyJSON, config), static.NewLayer(blob, blobType)} {
		if err := remote.WriteLayer(i.Digest.Context(), part, i.options...); err != nil {
			return nil, fromRegistry(i.Digest.Context(), err)
		}
		d, err := describe(part)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, d)
	}
	m.Config, m.Layers = m.Layers[0], m.Layers[1:]
	text, err := m.RawManifest()
	if err != nil {
		return nil, err
	}
	sum, _, err := v1.SHA256(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	to := i.Digest.Context().Digest(sum.String())
	if err := remote.Put(to, m, i.options...); err != nil {
		return nil, fromRegistry(to.Context(), err)
	}
	return &Signed{Reference: to.String()}, nil
}

func describe(l v1.Layer) (v1.Descriptor, error) {
	kind, err1 := l.MediaType()
	digest, err2 := l.Digest()
	size, err3 := l.Size()
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size}, errors.Join(err1, err2, err3)
}

// referrer finds, among what refers to the image, the first whose only blob is of that type and good. Registries differ in
// what they call the artifactType in their lists, so it is not asked for.
func (i *Image) referrer(blobType types.MediaType, good func(blob []byte) bool) (*Signed, error) {
	index, err := remote.Referrers(i.Digest, i.options...)
	if err != nil {
		return nil, fromRegistry(i.Digest.Context(), err)
	}
	all, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for n, d := range all.Manifests {
		if n == maxBeside {
			return nil, fmt.Errorf("more than %d manifests refer to %s", maxBeside, i.Digest)
		}
		if !d.MediaType.IsImage() {
			continue
		}
		at := i.Digest.Context().Digest(d.Digest.String())
		found, err := remote.Image(at, i.options...)
		if err != nil {
			return nil, fromRegistry(at.Context(), err)
		}
		m, err := found.Manifest()
		if err != nil {
			return nil, err
		}
		if len(m.Layers) != 1 || m.Layers[0].MediaType != blobType {
			continue
		}
		blob, err := read(found, m.Layers[0])
		if err != nil {
			return nil, fromRegistry(at.Context(), err)
		}
		if good(blob) {
			return &Signed{Reference: at.String(), Already: true}, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// read reads a blob of a manifest.
func read(from v1.Image, d v1.Descriptor) ([]byte, error) {
	if d.Size > maxBlob {
		return nil, fmt.Errorf("a signature in the registry, %s, has %d bytes, more than %d", d.Digest, d.Size, maxBlob)
	}
	layer, err := from.LayerByDigest(d.Digest)
	if err != nil {
		return nil, err
	}
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	blob, err := io.ReadAll(io.LimitReader(r, maxBlob))
	return blob, errors.Join(err, r.Close())
}
