package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"time"

	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
)

const (
	// maxMaking is how many pairs are made at the same time: an RSA_4096 pair
	// keeps a processor busy for seconds.
	maxMaking = 2
	// maxWait is the longest wait for a place among them.
	maxWait = 10 * time.Second
)

// pairMaker makes a private key as DER PKCS#8 and its public key as DER SubjectPublicKeyInfo.
type pairMaker func() (private, public []byte, err error)

// pairMakers are those of the key pair specs. SM2 is for China Regions only.
var pairMakers = map[api.KeySpec]pairMaker{
	api.RSA2048: rsaPair(2048), api.RSA3072: rsaPair(3072), api.RSA4096: rsaPair(4096),
	api.P256: nistPair(elliptic.P256()), api.P384: nistPair(elliptic.P384()), api.P521: nistPair(elliptic.P521()),
	api.P256K1: secp256k1Pair, api.Ed25519: ed25519Pair,
	api.MLKEM512: kemPair(1, mlkem512Public), api.MLKEM768: kemPair(2, mlkem768Public), api.MLKEM1024: kemPair(3, mlkem1024Public),
}

// makePair makes a pair when there is a place for it.
func (s *Service) makePair(ctx context.Context, c *Call, spec api.KeySpec) (private, public []byte, refused *api.Error) {
	wait, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err := s.making.Acquire(wait, 1); err != nil {
		return nil, nil, &api.Error{Code: api.Throttling, RetryAfter: time.Second, Cause: err,
			Message: "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."}
	}
	defer s.making.Release(1)
	private, public, err := pairMakers[spec]()
	if err != nil {
		return nil, nil, internal(c.RequestID, err)
	}
	return private, public, nil
}

func rsaPair(bits int) pairMaker {
	return func() ([]byte, []byte, error) {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, nil, err
		}
		return marshalPair(key, key.Public())
	}
}

func nistPair(curve elliptic.Curve) pairMaker {
	return func() ([]byte, []byte, error) {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return marshalPair(key, key.Public())
	}
}

func ed25519Pair() ([]byte, []byte, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	return marshalPair(key, public)
}

func marshalPair(key crypto.PrivateKey, public crypto.PublicKey) ([]byte, []byte, error) {
	private, errPrivate := x509.MarshalPKCS8PrivateKey(key)
	spki, errPublic := x509.MarshalPKIXPublicKey(public)
	return private, spki, errors.Join(errPrivate, errPublic)
}

// The forms of RFC 5958 and RFC 5280 for the keys that crypto/x509 does not know.
type (
	privateKeyInfo struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	publicKeyInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	// ecPrivateKey is that of RFC 5915; the curve stands beside it.
	ecPrivateKey struct {
		Version int
		Key     []byte
		Public  asn1.BitString `asn1:"optional,explicit,tag:1"`
	}
)

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

func marshalInfos(algorithm pkix.AlgorithmIdentifier, key, public []byte) ([]byte, []byte, error) {
	private, errPrivate := asn1.Marshal(privateKeyInfo{Algorithm: algorithm, Key: key})
	spki, errPublic := asn1.Marshal(publicKeyInfo{algorithm, bits(public)})
	return private, spki, errors.Join(errPrivate, errPublic)
}

func bits(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }

func secp256k1Pair() ([]byte, []byte, error) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, nil, err
	}
	defer key.Zero()
	curve, err := asn1.Marshal(oidSecp256k1)
	if err != nil {
		return nil, nil, err
	}
	scalar, point := key.Serialize(), key.PubKey().SerializeUncompressed()
	defer clear(scalar)
	inner, err := asn1.Marshal(ecPrivateKey{Version: 1, Key: scalar, Public: bits(point)})
	if err != nil {
		return nil, nil, err
	}
	defer clear(inner)
	return marshalInfos(pkix.AlgorithmIdentifier{Algorithm: oidECPublicKey, Parameters: asn1.RawValue{FullBytes: curve}}, inner, point)
}

// kemSeed is the length of an ML-KEM private key in its short form (FIPS 203, d and z).
const kemSeed = mlkem.SeedSize

// kemPair makes a pair in the form of RFC 9935: the private key is its seed, [0]
// in the choice of its section 6.
func kemPair(number int, public func(seed []byte) ([]byte, error)) pairMaker {
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, number}}
	return func() ([]byte, []byte, error) {
		inner := make([]byte, 2+kemSeed)
		inner[0], inner[1] = 0x80, kemSeed
		rand.Read(inner[2:]) // never fails: crypto/rand ends the process instead
		defer clear(inner)
		key, err := public(inner[2:])
		if err != nil {
			return nil, nil, err
		}
		return marshalInfos(algorithm, inner, key)
	}
}

func mlkem512Public(seed []byte) ([]byte, error) {
	key, _ := mlkem512.Scheme().DeriveKeyPair(seed)
	return key.MarshalBinary()
}

func mlkem768Public(seed []byte) ([]byte, error) {
	key, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil {
		return nil, err
	}
	return key.EncapsulationKey().Bytes(), nil
}

func mlkem1024Public(seed []byte) ([]byte, error) {
	key, err := mlkem.NewDecapsulationKey1024(seed)
	if err != nil {
		return nil, err
	}
	return key.EncapsulationKey().Bytes(), nil
}
