package main

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"
	"os"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/format"
)

// fileKey signs one file. While it waits for the gateway, another file may be worked on.
type fileKey struct {
	crypto.Signer
	rest func() (resume func())
}

func (k *fileKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	defer k.rest()()
	return k.Signer.Sign(rand, digest, opts)
}

// trialKey is a key that is thrown away, which signs once the gateway has said that it would.
type trialKey struct {
	crypto.Signer
	asked crypto.Signer
}

func (k *trialKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, err := k.asked.Sign(nil, digest, opts); err != nil && client.Code(err) != api.DryRunOperation {
		return nil, err
	}
	return k.Signer.Sign(rand.Reader, digest, opts)
}

// keyFor is the key as it signs a file, of which r is told, or tries to.
func (s *signer) keyFor(key *format.Key, in *os.File, r *signedFile) (*format.Key, error) {
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	by := &fileKey{Signer: key.Signer, rest: func() func() { return s.room.rest(info.Size()) }}
	if made, ok := key.Signer.(*client.Signer); ok {
		own := *made
		own.DryRun, own.OnSigned = s.trial != nil, r.made
		if own.Artifact, err = stating(made.Artifact, in); err != nil {
			return nil, err
		}
		by.Signer = &own
	}
	if s.trial != nil {
		thrown, err := s.trial()
		if err != nil {
			return nil, err
		}
		return key.Trial(&trialKey{thrown, by}, thrown)
	}
	of := *key
	of.Signer = by
	return &of, nil
}

// stating is what calls say of a file: the SHA-256 of it, unless another digest was given.
func stating(stated *api.Artifact, in io.ReaderAt) (*api.Artifact, error) {
	var artifact api.Artifact
	if stated != nil {
		artifact = *stated
	}
	if artifact.Digest != "" {
		return &artifact, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(in, 0, math.MaxInt64)); err != nil {
		return nil, err
	}
	artifact.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return &artifact, nil
}
