package rest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

func pipe(t *testing.T, in []byte, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, in, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{}", path)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestPublicKeyForms reads each form of each key with a program that knows it,
// and finds the same key in all.
func TestPublicKeyForms(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for _, spec := range []api.KeySpec{api.RSA2048, api.P256, api.P384, api.P521, api.P256K1, api.Ed25519} {
		key := g.CreateKey(spec, api.SignVerify)
		get := func(form string) gatewaytest.Answer {
			a := g.Send(g.Admin.Token, "GET", "/v1/keys/"+key.KeyId+"/public-key", nil, "Accept", form)
			if a.Status == 200 && a.Header.Get("Content-Type") != form {
				t.Errorf("%s: %q comes as %q", spec, form, a.Header.Get("Content-Type"))
			}
			return a
		}
		var described api.GetPublicKeyResponse
		g.Call("GET", "/v1/keys/"+key.KeyId+"/public-key", nil, &described)
		if described.KeyId != key.Arn || described.KeySpec != spec || described.KeyUsage != api.SignVerify || len(described.SigningAlgorithms) == 0 {
			t.Errorf("%+v", described)
		}
		der := get("application/octet-stream").Body
		if !bytes.Equal(der, described.PublicKey) {
			t.Errorf("%s: DER and JSON differ", spec)
		}
		block, rest := pem.Decode(get("application/x-pem-file").Body)
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 || !bytes.Equal(block.Bytes, der) {
			t.Errorf("%s: PEM and DER differ", spec)
		}
		pipe(t, der, "openssl", "pkey", "-pubin", "-inform", "DER", "-pubcheck", "-noout", "-in", "{}")
		sum := sha256.Sum256(der)
		jwkIs(t, spec, hex.EncodeToString(sum[:]), get("application/jwk+json").Body, der)
		line := get("text/x-ssh-public-key")
		if spec == api.P256K1 {
			if text := refusal(t, line, 400, api.UnsupportedOperation); !strings.Contains(text, "ECC_SECG_P256K1 has no OpenSSH form") {
				t.Error(text)
			}
			continue
		}
		sshIs(t, spec, line.Body, der)
	}
}

func sshIs(t *testing.T, spec api.KeySpec, line, der []byte) {
	t.Helper()
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	if got := pipe(t, line, "ssh-keygen", "-l", "-f", "{}"); !strings.Contains(got, ssh.FingerprintSHA256(want)) {
		t.Errorf("%s: ssh-keygen sees %s", spec, got)
	}
	if spec == api.Ed25519 { // ssh-keygen exports no PKCS #8 of these
		return
	}
	if got := pipe(t, line, "ssh-keygen", "-e", "-m", "PKCS8", "-f", "{}"); got != string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})) {
		t.Errorf("%s: ssh-keygen reads another key:\n%s", spec, got)
	}
}

// jwkIs compares a JSON Web Key with what OpenSSL prints of the DER form.
func jwkIs(t *testing.T, spec api.KeySpec, kid string, jwk, der []byte) {
	t.Helper()
	var w map[string]string
	if err := json.Unmarshal(jwk, &w); err != nil {
		t.Fatal(err)
	}
	member := func(name string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(w[name])
		if err != nil || len(b) == 0 {
			t.Errorf("%s: member %s of %s: %v", spec, name, jwk, err)
		}
		return b
	}
	if w["kid"] != kid || w["use"] != "sig" {
		t.Errorf("%s", jwk)
	}
	text := pipe(t, der, "openssl", "pkey", "-pubin", "-inform", "DER", "-noout", "-text", "-in", "{}")
	printed := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" :\n", r) {
			return -1
		}
		return r
	}, text)
	hexed := func(b []byte) string { return new(big.Int).SetBytes(append([]byte{1}, b...)).Text(16)[1:] }
	curves := map[api.KeySpec]string{api.P256: "P-256", api.P384: "P-384", api.P521: "P-521", api.P256K1: "secp256k1", api.Ed25519: "Ed25519"}
	sizes := map[api.KeySpec]int{api.P256: 32, api.P384: 48, api.P521: 66, api.P256K1: 32}
	switch spec {
	case api.RSA2048:
		if w["kty"] != "RSA" || !strings.Contains(printed, hexed(member("n"))) || w["e"] != "AQAB" {
			t.Errorf("%s: %s\n%s", spec, jwk, text)
		}
	case api.Ed25519:
		if w["kty"] != "OKP" || w["crv"] != curves[spec] || !strings.Contains(printed, hexed(member("x"))) {
			t.Errorf("%s: %s\n%s", spec, jwk, text)
		}
	default:
		x, y := member("x"), member("y")
		if w["kty"] != "EC" || w["crv"] != curves[spec] || len(x) != sizes[spec] || len(y) != sizes[spec] || !strings.Contains(printed, "04"+hexed(x)+hexed(y)) {
			t.Errorf("%s: %s\n%s", spec, jwk, text)
		}
	}
}
