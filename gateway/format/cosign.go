package format

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Cosign is a Sigstore bundle of a file's signature, as `cosign sign-blob --key` makes: no certificate, and no entry of a
// transparency log.
var Cosign = &Format{
	Name: "cosign", Summary: "any file: a Sigstore bundle; cosign verify-blob", Keys: "RSA, P-256, P-384, P-521, Ed25519 (files of at most 4096 bytes)",
	Output: ending(".sigstore.json"), suits: isRSANISTOrEd25519,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		b, err := newBundle(k.Public())
		if err != nil {
			return err
		}
		b.Message = &bundleMessage{}
		if b.Message.Digest, err = bundleDigestOf(k.Public(), in); err != nil {
			return err
		}
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			return err
		}
		b.Message.Signature, err = signFile(&Key{Signer: message{k.Signer}}, in)
		if err != nil {
			return err
		}
		return writeJSON(out, b)
	},
	verify: func(t *Trust, in *os.File, from io.Reader) error {
		b, err := readBundle(from)
		if err != nil {
			return err
		}
		if b.Message == nil {
			return fmt.Errorf("%w: the bundle holds no signature of a file", ErrNotSigned)
		}
		return t.byAny(func(key crypto.PublicKey) error {
			if _, err := in.Seek(0, io.SeekStart); err != nil {
				return err
			}
			sum, err := bundleDigestOf(key, in)
			if err != nil {
				return err
			}
			if sum.Algorithm != b.Message.Digest.Algorithm || !bytes.Equal(sum.Digest, b.Message.Digest.Digest) {
				return notGood("it is of another file")
			}
			return verifyFile(key, in, b.Message.Signature)
		})
	},
}

// BundleType is the media type of a Sigstore bundle, and its artifactType in a registry.
const BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// bundle is a Sigstore bundle (sigstore/protobuf-specs, sigstore_bundle.proto) with a key that those who verify have. It
// holds a Message or an Envelope.
type bundle struct {
	MediaType string          `json:"mediaType"`
	Material  bundleMaterial  `json:"verificationMaterial"`
	Message   *bundleMessage  `json:"messageSignature,omitempty"`
	Envelope  json.RawMessage `json:"dsseEnvelope,omitempty"`
}

type bundleMaterial struct {
	PublicKey struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
}

type bundleMessage struct {
	Digest    bundleDigest `json:"messageDigest"`
	Signature []byte       `json:"signature"`
}

type bundleDigest struct {
	Algorithm string `json:"algorithm"`
	Digest    []byte `json:"digest"`
}

// newBundle makes an empty one. The hint, which names the key, is made as cosign makes it.
func newBundle(key crypto.PublicKey) (*bundle, error) {
	sum, err := spkiSum(key)
	b := &bundle{MediaType: BundleType}
	b.Material.PublicKey.Hint = base64.StdEncoding.EncodeToString(sum)
	return b, err
}

// bundleHashes are the names of hashes in a bundle.
var bundleHashes = map[crypto.Hash]string{crypto.SHA256: "SHA2_256", crypto.SHA384: "SHA2_384", crypto.SHA512: "SHA2_512"}

// bundleDigestOf is the digest of a file with the hash that goes with a key.
func bundleDigestOf(key crypto.PublicKey, in io.Reader) (bundleDigest, error) {
	h := hashFor(key)
	sum, err := digest(h, in)
	return bundleDigest{bundleHashes[h], sum}, err
}

// maxBundle is more than the longest bundle, in bytes: it may hold an attestation.
const maxBundle = 16 << 20

func readBundle(from io.Reader) (*bundle, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxBundle+1))
	if err != nil {
		return nil, err
	}
	var b bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSigned, err)
	}
	if b.MediaType != BundleType {
		return nil, fmt.Errorf("%w: its media type is %q, not %s", ErrNotSigned, b.MediaType, BundleType)
	}
	return &b, nil
}

// Bundle puts an envelope, such as Attest makes, into a Sigstore bundle.
func Bundle(key crypto.PublicKey, envelope []byte) ([]byte, error) {
	b, err := newBundle(key)
	if err != nil {
		return nil, err
	}
	b.Envelope = envelope
	return json.Marshal(b)
}

// BundleEnvelope gives the envelope in a Sigstore bundle.
func BundleEnvelope(bundle []byte) ([]byte, error) {
	b, err := readBundle(bytes.NewReader(bundle))
	if err == nil && b.Envelope == nil {
		err = fmt.Errorf("%w: the bundle holds no envelope", ErrNotSigned)
	}
	if err != nil {
		return nil, err
	}
	return b.Envelope, nil
}

// writeJSON writes v on one line.
func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
