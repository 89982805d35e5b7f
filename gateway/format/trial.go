package format

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
)

// Throwaway makes a key of the same kind, with which a format is tried that another key will sign.
func Throwaway(like crypto.PublicKey) (crypto.Signer, error) {
	switch k := like.(type) {
	case *rsa.PublicKey:
		return rsa.GenerateKey(rand.Reader, 2048) // the least that is made everywhere: no format depends on the size
	case *ecdsa.PublicKey:
		return ecdsa.GenerateKey(k.Curve, rand.Reader)
	case ed25519.PublicKey:
		_, made, err := ed25519.GenerateKey(rand.Reader)
		return made, err
	}
	return nil, fmt.Errorf("%w: %T", ErrKey, like)
}

// Trial is k with by in place of its own key. thrown is the key of by: it has taken the place of k's in the certificate and has signed
// that, so that by signs for the file alone. Nobody is asked for a timestamp. What a format refuses of one key it refuses of the other.
func (k *Key) Trial(by, thrown crypto.Signer) (*Key, error) {
	trial := *k
	trial.Signer, trial.Timestamp = by, nil
	if len(k.Certificates) == 0 {
		return &trial, nil
	}
	says := *k.Certificates[0]
	says.SignatureAlgorithm = x509.UnknownSignatureAlgorithm // that goes with the key
	issuer := &x509.Certificate{RawSubject: says.RawIssuer}
	der, err := x509.CreateCertificate(rand.Reader, &says, issuer, thrown.Public(), thrown)
	if err != nil {
		return nil, fmt.Errorf("a certificate for the trial: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("a certificate for the trial: %w", err)
	}
	trial.Certificates = append([]*x509.Certificate{made}, slices.Clone(k.Certificates[1:])...)
	return &trial, nil
}
