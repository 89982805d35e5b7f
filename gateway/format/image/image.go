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
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

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
	Patience  time.Duration // how long each answer may take, all of it; 0: any time
	// Insecure: a registry on another machine, too, may be spoken to without TLS. It gets no credentials then.
	Insecure bool
}

// Find asks the registry for what a reference names. It logs in as `docker login` has noted. Only a registry at a loopback
// address is spoken to without TLS, unless it is to be Insecure; else the error is a RegistryError with ErrPlain, or with
// http.ErrSchemeMismatch.
func Find(ctx context.Context, reference string, to Access) (*Image, error) {
	ref, options, err := reach(reference, &bounded{RoundTripper: remote.DefaultTransport, patience: to.Patience}, to.Insecure)
	if err != nil {
		return nil, err
	}
	options = append(options, remote.WithContext(ctx), remote.WithUserAgent(to.UserAgent))
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	i := &Image{options: append(options, remote.Reuse(puller))} // which logs in once
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
	parts := []v1.Layer{static.NewLayer(emptyJSON, config), static.NewLayer(blob, blobType)}
	m := &manifest{v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: string(kind), Subject: &i.about, Annotations: annotations}}
	for _, part := range parts {
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
	if err := i.push(to, m, parts...); err != nil {
		return nil, err
	}
	return &Signed{Reference: to.String()}, nil
}

// push pushes blobs and then the manifest that names them.
func (i *Image) push(to name.Reference, m remote.Taggable, parts ...v1.Layer) error {
	for _, part := range parts {
		if err := remote.WriteLayer(to.Context(), part, i.options...); err != nil {
			return fromRegistry(to.Context(), err)
		}
	}
	return fromRegistry(to.Context(), remote.Put(to, m, i.options...))
}

func describe(l v1.Layer) (v1.Descriptor, error) {
	kind, err1 := l.MediaType()
	digest, err2 := l.Digest()
	size, err3 := l.Size()
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size}, errors.Join(err1, err2, err3)
}

// referrer finds, among what refers to the image, the first whose only blob is of that type and good: judged to have no error. why
// learns of the others. Registries differ in what they call the artifactType in their lists, so it is not asked for.
func (i *Image) referrer(blobType types.MediaType, why *reason, judge func(blob []byte) error) (*Signed, error) {
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
		blob, err := i.only(at, blobType)
		if ends(err) {
			return nil, fromRegistry(at.Context(), err)
		}
		if err != nil {
			why.unread(at.Context(), err)
		} else if blob != nil && why.good(judge(blob)) {
			return &Signed{Reference: at.String(), Already: true}, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// only reads the only blob of a manifest; nil: there are more, or it is of another type.
func (i *Image) only(at name.Digest, blobType types.MediaType) ([]byte, error) {
	found, err := remote.Image(at, i.options...)
	if err != nil {
		return nil, err
	}
	m, err := found.Manifest()
	if err != nil || len(m.Layers) != 1 || m.Layers[0].MediaType != blobType {
		return nil, err
	}
	return i.read(m.Layers[0])
}

// read reads a blob of the repository. Whoever pushes a manifest chooses what URLs it names for its blobs: nobody follows them.
func (i *Image) read(d v1.Descriptor) ([]byte, error) {
	if d.Size > maxBlob {
		return nil, fmt.Errorf("a signature in the registry, %s, has %d bytes, more than %d", d.Digest, d.Size, maxBlob)
	}
	layer, err := remote.Layer(i.Digest.Context().Digest(d.Digest.String()), i.options...)
	if err != nil {
		return nil, err
	}
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	blob, err := io.ReadAll(io.LimitReader(r, d.Size+1)) // to the end, where its digest is compared
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(len(blob)) != d.Size {
		return nil, fmt.Errorf("a signature in the registry, %s, has not the %d bytes that its manifest says", d.Digest, d.Size)
	}
	return blob, nil
}
