package rest

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"

	"golang.org/x/crypto/ssh"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// The forms of a public key beyond DER and JSON.
const (
	pemForm  = "application/x-pem-file"
	jwkForm  = "application/jwk+json"     // RFC 7517
	jwksForm = "application/jwk-set+json" // RFC 7517, of all versions
	sshForm  = "text/x-ssh-public-key"    // a line of authorized_keys
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

func jwk(k *api.GetPublicKeyResponse) ([]byte, *api.Error) {
	w, err := gateway.NewWebKey(k.KeySpec, k.KeyUsage, k.PublicKey)
	if err != nil {
		return nil, unsupportedForm(k, "JWK")
	}
	body, err := json.Marshal(w)
	if err != nil {
		return nil, unsupportedForm(k, "JWK")
	}
	return append(body, '\n'), nil
}
