package format

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"github.com/veraison/go-cose"
)

// COSE is a tagged COSE_Sign1 whose payload, the file, is left out (RFC 9052, 4.2). Its kid is the SHA-256 of the key's
// SubjectPublicKeyInfo. RSA signs as RSASSA-PSS: COSE recommends no other (RFC 8812).
var COSE = &Format{
	Name: "cose", Summary: "any file: a COSE_Sign1 with detached payload", Keys: "RSA (PSS), P-256, P-384, P-521, Ed25519 (files of at most about 4060 bytes)",
	Output: ending(".cose"), suits: isRSANISTOrEd25519,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		payload, err := readText(in)
		if err != nil {
			return err
		}
		signer, err := cose.NewSigner(coseAlgorithm(k.Public()), message{k.Signer})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
		id, err := spkiSum(k.Public())
		if err != nil {
			return err
		}
		made := cose.NewSign1Message()
		made.Headers.Protected.SetAlgorithm(signer.Algorithm())
		made.Headers.Unprotected[cose.HeaderLabelKeyID] = id
		made.Payload = payload
		if err := made.Sign(rand.Reader, nil, signer); err != nil {
			return err
		}
		made.Payload = nil
		body, err := made.MarshalCBOR()
		if err != nil {
			return err
		}
		_, err = out.Write(body)
		return err
	},
	verify: func(t *Trust, in *os.File, from io.Reader) error {
		body, err := io.ReadAll(io.LimitReader(from, maxSignature))
		if err != nil {
			return err
		}
		var signed cose.Sign1Message
		if err := signed.UnmarshalCBOR(body); err != nil {
			return fmt.Errorf("%w: %w", ErrNotSigned, err)
		}
		if signed.Payload != nil {
			return fmt.Errorf("%w: it holds a payload of its own", ErrNotSigned)
		}
		if signed.Payload, err = readText(in); err != nil {
			return err
		}
		return t.byAny(func(key crypto.PublicKey) error {
			verifier, err := cose.NewVerifier(coseAlgorithm(key), key)
			if err != nil {
				return err
			}
			return signed.Verify(nil, verifier)
		})
	},
}

// coseAlgorithm is the algorithm for a key (RFC 9053, 2.1 and 2.2; RFC 8230).
func coseAlgorithm(key crypto.PublicKey) cose.Algorithm {
	switch {
	case isRSA(key):
		return cose.AlgorithmPS256
	case isEd25519(key):
		return cose.AlgorithmEdDSA
	}
	switch curveHash(key) {
	case crypto.SHA256:
		return cose.AlgorithmES256
	case crypto.SHA384:
		return cose.AlgorithmES384
	case crypto.SHA512:
		return cose.AlgorithmES512
	}
	return cose.AlgorithmReserved
}
