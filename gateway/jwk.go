package gateway

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// WebKey is a JSON Web Key (RFC 7517, 7518, 8037, 8812). The times and what
// follows them stand in key histories only.
type WebKey struct {
	Kty     string           `json:"kty"`
	Kid     string           `json:"kid"`
	Use     string           `json:"use"`
	Crv     string           `json:"crv,omitempty"`
	X       string           `json:"x,omitempty"`
	Y       string           `json:"y,omitempty"`
	N       string           `json:"n,omitempty"`
	E       string           `json:"e,omitempty"`
	Nbf     int64            `json:"nbf,omitempty"`
	Exp     int64            `json:"exp,omitempty"`
	State   api.VersionState `json:"state,omitempty"`
	Version int              `json:"version,omitempty"`
}

// WebKeySet is a JSON Web Key Set (RFC 7517, 5).
type WebKeySet struct {
	Iss  string   `json:"iss,omitempty"`
	Iat  int64    `json:"iat,omitempty"`
	Keys []WebKey `json:"keys"`
}

// NewWebKey writes the public key (DER of SubjectPublicKeyInfo) of a key. Its kid is
// the SHA-256 of that, so that another version has another one.
func NewWebKey(spec api.KeySpec, usage api.KeyUsage, spki []byte) (WebKey, error) {
	sum := sha256.Sum256(spki)
	w := WebKey{Kid: hex.EncodeToString(sum[:]), Use: "sig"}
	if usage != api.SignVerify {
		w.Use = "enc"
	}
	if spec == api.P256K1 { // Go's x509 does not know the curve
		w.setEC("secp256k1", spki[len(spki)-64:])
		return w, nil
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return w, err
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		w.Kty, w.N, w.E = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 04 || x || y
		if err != nil {
			return w, err
		}
		w.setEC(pub.Params().Name, point[1:])
	case ed25519.PublicKey:
		w.Kty, w.Crv, w.X = "OKP", "Ed25519", b64(pub)
	default:
		return w, fmt.Errorf("a key of spec %s has no JWK form", spec)
	}
	return w, nil
}

// setEC takes the two coordinates, each as long as the field.
func (w *WebKey) setEC(curve string, xy []byte) {
	w.Kty, w.Crv = "EC", curve
	w.X, w.Y = b64(xy[:len(xy)/2]), b64(xy[len(xy)/2:])
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// NewWebKeySet writes all versions of a key.
func NewWebKeySet(keys *api.ListPublicKeysResponse) (WebKeySet, error) {
	set := WebKeySet{Iss: keys.KeyId, Keys: make([]WebKey, 0, len(keys.Keys))}
	for _, k := range keys.Keys {
		w, err := NewWebKey(keys.KeySpec, keys.KeyUsage, k.PublicKey)
		if err != nil {
			return set, err
		}
		w.Nbf, w.State, w.Version = k.NotBefore.Unix(), k.State, k.KeyVersion
		if k.NotAfter != nil {
			w.Exp = k.NotAfter.Unix()
		}
		set.Keys = append(set.Keys, w)
	}
	return set, nil
}
