package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/hsmgate/hsmgate/gateway/format"
	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// maxTrust bounds a file of public keys or certificates, in bytes.
const maxTrust = 1 << 20

// parsePublicKeys reads public keys in any of the forms that go around: SubjectPublicKeyInfo and certificates in PEM or
// DER, JSON Web Keys, OpenPGP, SSH, minisign.
func parsePublicKeys(data []byte) ([]*publicKey, error) {
	switch trimmed := bytes.TrimSpace(data); {
	case bytes.HasPrefix(trimmed, []byte("{")):
		return parseWebKeys(trimmed)
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) && !bytes.HasPrefix(trimmed, []byte("-----BEGIN PGP ")):
		return parsePEMKeys(trimmed)
	case len(data) > 0 && data[0] == 0x30: // a SEQUENCE of DER
		if certificate, err := x509.ParseCertificate(data); err == nil {
			return known([]crypto.PublicKey{certificate.PublicKey})
		}
		key, err := parsePublicKey(data)
		return []*publicKey{key}, err
	}
	keys, err := publickey.Read(data)
	if errors.Is(err, publickey.ErrNone) {
		err = fmt.Errorf("%w: a SubjectPublicKeyInfo or a certificate in PEM or DER, a JWKS, an OpenPGP certificate, an SSH or a minisign public key is asked for", err)
	}
	if err != nil {
		return nil, err
	}
	return known(keys)
}

func parsePEMKeys(text []byte) ([]*publicKey, error) {
	var keys []*publicKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		var found *publicKey
		var err error
		if block.Type == "CERTIFICATE" {
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				found, err = publicKeyOf(certificate.PublicKey)
			}
		} else {
			found, err = parsePublicKey(pem.EncodeToMemory(block))
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, found)
	}
	if len(keys) == 0 {
		return nil, publickey.ErrNone
	}
	return keys, nil
}

func known(keys []crypto.PublicKey) ([]*publicKey, error) {
	all := make([]*publicKey, 0, len(keys))
	for _, k := range keys {
		found, err := publicKeyOf(k)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// historyAlgorithms are those that sign the document of a key history.
var historyAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// parseWebKeys reads a JWKS, a JWK (RFC 7517) or the document of 'hsmgate key history'. Keys that do not sign, or that are
// of kinds that are not known here, are left out, as section 5 of the RFC has it.
func parseWebKeys(text []byte) ([]*publicKey, error) {
	var doc struct {
		Payload string            `json:"payload"`
		Keys    []json.RawMessage `json:"keys"`
		Kty     string            `json:"kty"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("it is no JSON Web Key Set: %w", err)
	}
	if doc.Payload != "" {
		return parseHistory(text)
	}
	if doc.Kty != "" {
		doc.Keys = append(doc.Keys, text)
	}
	var keys []*publicKey
	for _, one := range doc.Keys {
		var k jose.JSONWebKey
		if err := json.Unmarshal(one, &k); err != nil || !k.IsPublic() || !k.Valid() || k.Use != "" && k.Use != "sig" {
			continue
		}
		if found, err := publicKeyOf(k.Key); err == nil {
			keys = append(keys, found)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w that signs: of its %d JSON Web Keys none is RSA, P-256, P-384, P-521 or Ed25519 with the use sig", publickey.ErrNone, len(doc.Keys))
	}
	return keys, nil
}

// parseHistory takes a key history whose signature is by one of the keys in it.
func parseHistory(text []byte) ([]*publicKey, error) {
	signed, err := jose.ParseSignedJSON(string(text), historyAlgorithms)
	if err != nil {
		return nil, fmt.Errorf("it is no key history: %w", err)
	}
	keys, err := parseWebKeys(signed.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if _, err := signed.Verify(k.key); err == nil {
			return keys, nil
		}
	}
	return nil, errors.New("the key history is signed by none of its own keys")
}

// certificates is the trust in a file of certificates: in the keys of those that are not of authorities or, where there are
// only authorities, in what these issue.
func certificates(data []byte) ([]*publicKey, []*x509.Certificate, error) {
	var keys []*publicKey
	var issuers []*x509.Certificate
	if len(data) > 0 && data[0] == 0x30 {
		data = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: data})
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, nil, fmt.Errorf("it holds a %s, not only certificates: a public key goes with --public-key", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		if certificate.IsCA {
			issuers = append(issuers, certificate)
			continue
		}
		key, err := publicKeyOf(certificate.PublicKey)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) > 0:
		return keys, nil, nil
	case len(issuers) > 0:
		return nil, issuers, nil
	}
	return nil, nil, errors.New("it holds no certificate in PEM or DER")
}

// expected names trusted keys for people.
func expected(trust *format.Trust) string {
	const most = 3
	var names []string
	for _, k := range trust.Keys {
		names = append(names, publickey.Describe(k))
	}
	for _, c := range trust.Issuers {
		names = append(names, "a key certified by "+c.Subject.String())
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(names, ", ")
}
