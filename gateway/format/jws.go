package format

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// JWS is a JSON Web Signature in compact form whose payload, the file, is left out (RFC 7515, appendix F). Its kid is
// KeyID, so that who has the gateway's JSON Web Key Set finds the key.
var JWS = &Format{
	Name: "jws", Summary: "any file: a JSON Web Signature with detached payload; jose", Keys: "RSA, P-256, P-384, P-521, Ed25519 (files of at most about 2900 bytes)",
	Output: ending(".jws"), suits: isRSANISTOrEd25519,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		payload, err := readText(in)
		if err != nil {
			return err
		}
		signed, err := signJWS(k, "", "", payload)
		if err != nil {
			return err
		}
		text, err := signed.DetachedCompactSerialize()
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text) // with no end of line, which jose takes for a part of it
		return err
	},
	verify: func(t *Trust, in *os.File, from io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(from, maxSignature))
		if err != nil {
			return err
		}
		payload, err := readText(in)
		if err != nil {
			return err
		}
		signed, err := jose.ParseDetached(string(text), payload, allJWS)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotSigned, err)
		}
		return t.byAny(func(key crypto.PublicKey) error {
			if by := jose.SignatureAlgorithm(signed.Signatures[0].Header.Algorithm); !slices.Contains(JWSAlgorithms(key), by) {
				return notGood("it is one by %s, which is none for %s", by, publickey.KindOf(key))
			}
			if _, err := signed.Verify(key); err != nil {
				return notGood("it was not made by this key over this file")
			}
			return nil
		})
	},
}

// rsaJWS are the algorithms of RSA keys, the default first.
var rsaJWS = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}

var allJWS = append([]jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}, rsaJWS...)

// JWSAlgorithms are the algorithms of a key (RFC 7518, 3.1; RFC 8037), the default first; none for keys of other kinds.
func JWSAlgorithms(key crypto.PublicKey) []jose.SignatureAlgorithm {
	switch {
	case isRSA(key):
		return rsaJWS
	case isEd25519(key):
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	switch curveHash(key) {
	case crypto.SHA256:
		return []jose.SignatureAlgorithm{jose.ES256}
	case crypto.SHA384:
		return []jose.SignatureAlgorithm{jose.ES384}
	case crypto.SHA512:
		return []jose.SignatureAlgorithm{jose.ES512}
	}
	return nil
}

// JWT signs claims, a JSON object, as a JSON Web Token (RFC 7519) in compact form, with KeyID as kid. The algorithm is
// one of JWSAlgorithms; empty is the key's default.
func JWT(k *Key, algorithm string, claims []byte) (string, error) {
	signed, err := signJWS(k, jose.SignatureAlgorithm(algorithm), "JWT", claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func signJWS(k *Key, algorithm jose.SignatureAlgorithm, kind jose.ContentType, payload []byte) (*jose.JSONWebSignature, error) {
	algorithms := JWSAlgorithms(k.Public())
	if algorithm == "" && len(algorithms) > 0 {
		algorithm = algorithms[0]
	}
	if !slices.Contains(algorithms, algorithm) {
		return nil, fmt.Errorf("%w: %s signs with %v, not %q", ErrKey, publickey.KindOf(k.Public()), algorithms, algorithm)
	}
	id, err := KeyID(k.Public())
	if err != nil {
		return nil, err
	}
	options := (&jose.SignerOptions{}).WithHeader("kid", id)
	if kind != "" {
		options.WithType(kind)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: cryptosigner.Opaque(message{k.Signer})}, options)
	if err != nil {
		return nil, err
	}
	return signer.Sign(payload)
}
