package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
)

// publicKey is a public key with the algorithms that it verifies, the one that
// the gateway uses by default first.
type publicKey struct {
	key        crypto.PublicKey
	algorithms []api.SigningAlgorithm
}

// parsePublicKey reads a SubjectPublicKeyInfo, in PEM or DER.
func parsePublicKey(data []byte) (*publicKey, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("it holds a %s, not a PUBLIC KEY", block.Type)
		}
		data = block.Bytes
	}
	if key := parseSecp256k1(data); key != nil { // which Go's x509 does not know
		return &publicKey{key, []api.SigningAlgorithm{api.ECDSASHA256}}, nil
	}
	key, err := x509.ParsePKIXPublicKey(data)
	if err != nil {
		return nil, errors.New("it holds no public key (SubjectPublicKeyInfo in PEM or DER)")
	}
	return publicKeyOf(key)
}

// publicKeyOf is the key with what it verifies.
func publicKeyOf(key crypto.PublicKey) (*publicKey, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return &publicKey{k, []api.SigningAlgorithm{api.PKCS1SHA256, api.PKCS1SHA384, api.PKCS1SHA512, api.PSSSHA256, api.PSSSHA384, api.PSSSHA512}}, nil
	case ed25519.PublicKey:
		return &publicKey{k, []api.SigningAlgorithm{api.Ed25519SHA512, api.Ed25519PHSHA512}}, nil
	case *ecdsa.PublicKey:
		if a, ok := map[int]api.SigningAlgorithm{256: api.ECDSASHA256, 384: api.ECDSASHA384, 521: api.ECDSASHA512}[k.Curve.Params().BitSize]; ok {
			return &publicKey{k, []api.SigningAlgorithm{a}}, nil
		}
	}
	return nil, fmt.Errorf("its key is of a kind that hsmgate does not make (%T)", key)
}

// parseSecp256k1 reads a key on the curve of RFC 5480's form with the OID of SEC
// 2, or returns nil.
func parseSecp256k1(der []byte) *secp256k1.PublicKey {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	var curve asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(der, &spki)
	if err != nil || len(rest) > 0 || !spki.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}) {
		return nil
	}
	if _, err := asn1.Unmarshal(spki.Algorithm.Parameters.FullBytes, &curve); err != nil || !curve.Equal(asn1.ObjectIdentifier{1, 3, 132, 0, 10}) {
		return nil
	}
	key, err := secp256k1.ParsePubKey(spki.Key.RightAlign())
	if err != nil {
		return nil
	}
	return key
}

// verify checks a signature over what client.Message made of the file. Its error
// is that the algorithm is not one of the key's.
func (p *publicKey) verify(algorithm api.SigningAlgorithm, message, signature []byte) (bool, error) {
	if !slices.Contains(p.algorithms, algorithm) {
		return false, usagef("%s is not an algorithm of this key: use one of %v", algorithm, p.algorithms)
	}
	switch k := p.key.(type) {
	case *rsa.PublicKey:
		hash, err := client.Hash(algorithm)
		if err != nil {
			return false, err
		}
		if strings.HasPrefix(string(algorithm), "RSASSA_PSS") {
			return rsa.VerifyPSS(k, hash, message, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil, nil
		}
		return rsa.VerifyPKCS1v15(k, hash, message, signature) == nil, nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, message, signature), nil
	case *secp256k1.PublicKey:
		s, err := secpecdsa.ParseDERSignature(signature)
		return err == nil && s.Verify(message, k), nil
	case ed25519.PublicKey:
		options := &ed25519.Options{}
		if algorithm == api.Ed25519PHSHA512 { // the message of Ed25519ph is the digest that travelled
			again := sha512.Sum512(message)
			message, options.Hash = again[:], crypto.SHA512
		}
		return ed25519.VerifyWithOptions(k, message, signature, options) == nil, nil
	}
	return false, fmt.Errorf("a key of type %T does not verify", p.key)
}
