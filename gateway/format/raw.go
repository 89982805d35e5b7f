package format

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"io"
	"os"
)

// maxSignature is more than the longest detached signature of any format, in bytes.
const maxSignature = 64 << 10

// maxMessage is the longest message that an Ed25519 key of the gateway signs, in bytes.
const maxMessage = 4096

// Raw is the signature itself and nothing else, as `openssl dgst -verify` takes it.
var Raw = &Format{
	Name: "raw", Summary: "any file: the signature itself (DER for ECDSA); openssl dgst", Keys: "RSA, P-256, P-384, P-521, Ed25519 (files of at most 4096 bytes)",
	Output: ending(".sig"), suits: isRSANISTOrEd25519,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		signature, err := signFile(k, in)
		if err != nil {
			return err
		}
		_, err = out.Write(signature)
		return err
	},
	verify: func(t *Trust, in *os.File, from io.Reader) error {
		signature, err := io.ReadAll(io.LimitReader(from, maxSignature))
		if err != nil {
			return err
		}
		return t.byAny(func(key crypto.PublicKey) error { return verifyFile(key, in, signature) })
	},
}

// signFile signs all of r: its digest, with the hash that goes with the key, or with Ed25519 the file itself.
func signFile(k *Key, r io.Reader) ([]byte, error) {
	if isEd25519(k.Public()) {
		return signMessage(k, r)
	}
	return signDigest(k, hashFor(k.Public()), r)
}

// verifyFile checks what signFile makes.
func verifyFile(key crypto.PublicKey, in io.ReadSeeker, signature []byte) error {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if k, ok := key.(ed25519.PublicKey); ok {
		message, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
		if err != nil {
			return err
		}
		if len(message) > maxMessage { // only the beginning of it has been read
			return notGood("a file of more than %d bytes is not signed with Ed25519", maxMessage)
		}
		if !ed25519.Verify(k, message, signature) {
			return notGood("it was not made by this key over this file")
		}
		return nil
	}
	h := hashFor(key)
	sum, err := digest(h, in)
	if err != nil {
		return err
	}
	return verifyDigest(key, h, sum, signature)
}

// signMessage signs all of r as a message; the signer says what is too long.
func signMessage(k *Key, r io.Reader) ([]byte, error) {
	message, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return nil, err
	}
	return k.Sign(nil, message, crypto.Hash(0))
}
