package gateway

import (
	"bytes"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// A file as the body and its digest are two ways to ask for the same signature.
func TestBodyAndDigestAskForTheSame(t *testing.T) {
	t.Parallel()
	file := bytes.Repeat([]byte("package "), 10000)
	for algorithm, mechanism := range mechanisms {
		if signsWhole(algorithm) {
			continue // it signs the message itself, so that there is no digest to send
		}
		hash := mechanism.Hash.New()
		hash.Write(file)
		byBody, err := signInput(&api.SignRequest{Body: bytes.NewReader(file), SigningAlgorithm: algorithm})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		byDigest, err := signInput(&api.SignRequest{Message: hash.Sum(nil), MessageType: api.Digest, SigningAlgorithm: algorithm})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if !bytes.Equal(byBody, byDigest) {
			t.Errorf("%s: the body asks for %x, its digest for %x", algorithm, byBody, byDigest)
		}
	}
}
