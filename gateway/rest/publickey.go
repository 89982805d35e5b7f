package rest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"

	"golang.org/x/crypto/ssh"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// The forms of a public key beyond DER and JSON.
const (
	pemForm = "application/x-pem-file"
	jwkForm = "application/jwk+json"  // RFC 7517
	sshForm = "text/x-ssh-public-key" // a line of authorized_keys
)

// publicKeyForm writes a public key in the form that the caller asked for.
func publicKeyForm(k *api.GetPublicKeyResponse, form string) ([]byte, *api.Error) {
	switch form {
	case pemForm, "text/plain":
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.PublicKey}), nil
	case jwkForm:
		return jwk(k)
	case sshForm:
		return sshLine(k)
	}
	return k.PublicKey, nil
}

func unsupportedForm(k *api.GetPublicKeyResponse, form string) *api.Error {
	return api.Errorf(api.UnsupportedOperation, "A key of spec %s has no %s form. Ask for PEM (Accept: %s).", k.KeySpec, form, pemForm)
}

func sshLine(k *api.GetPublicKeyResponse) ([]byte, *api.Error) {
	pub, err := x509.ParsePKIXPublicKey(k.PublicKey)
	if err != nil {
		return nil, unsupportedForm(k, "OpenSSH")
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, unsupportedForm(k, "OpenSSH")
	}
	return ssh.MarshalAuthorizedKey(key), nil
}

// webKey is a JSON Web Key (RFC 7517, 7518, 8037, 8812).
type webKey struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

func jwk(k *api.GetPublicKeyResponse) ([]byte, *api.Error) {
	w := webKey{Kid: k.KeyId, Use: "sig"}
	if k.KeyUsage == api.EncryptDecrypt {
		w.Use = "enc"
	}
	if k.KeySpec == api.P256K1 { // Go's x509 does not know the curve
		w.setEC("secp256k1", k.PublicKey[len(k.PublicKey)-64:])
	} else if err := w.fill(k); err != nil {
		return nil, err
	}
	body, err := json.Marshal(w)
	if err != nil {
		return nil, unsupportedForm(k, "JWK")
	}
	return append(body, '\n'), nil
}

func (w *webKey) fill(k *api.GetPublicKeyResponse) *api.Error {
	pub, err := x509.ParsePKIXPublicKey(k.PublicKey)
	if err != nil {
		return unsupportedForm(k, "JWK")
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		w.Kty, w.N, w.E = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 04 || x || y
		if err != nil {
			return unsupportedForm(k, "JWK")
		}
		w.setEC(pub.Params().Name, point[1:])
	case ed25519.PublicKey:
		w.Kty, w.Crv, w.X = "OKP", "Ed25519", b64(pub)
	default:
		return unsupportedForm(k, "JWK")
	}
	return nil
}

// setEC takes the two coordinates, each as long as the field.
func (w *webKey) setEC(curve string, xy []byte) {
	w.Kty, w.Crv = "EC", curve
	w.X, w.Y = b64(xy[:len(xy)/2]), b64(xy[len(xy)/2:])
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
