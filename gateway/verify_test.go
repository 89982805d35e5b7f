package gateway_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// foreignKeys are keys that OpenSSL makes, by its own names.
var foreignKeys = []struct {
	spec       api.KeySpec
	genpkey    []string
	algorithms []api.SigningAlgorithm
}{
	{api.RSA2048, []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		[]api.SigningAlgorithm{api.PKCS1SHA256, api.PKCS1SHA384, api.PKCS1SHA512, api.PSSSHA256, api.PSSSHA384, api.PSSSHA512}},
	{api.P256, []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, []api.SigningAlgorithm{api.ECDSASHA256}},
	{api.P384, []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}, []api.SigningAlgorithm{api.ECDSASHA384}},
	{api.P521, []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"}, []api.SigningAlgorithm{api.ECDSASHA512}},
	{api.P256K1, []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, []api.SigningAlgorithm{api.ECDSASHA256}},
	{api.Ed25519, []string{"-algorithm", "ED25519"}, []api.SigningAlgorithm{api.Ed25519SHA512}},
}

// adopt gives the gateway a key whose private half it does not have.
func adopt(t testing.TB, g *gatewaytest.Gateway, spec api.KeySpec, usage api.KeyUsage, der []byte) string {
	t.Helper()
	k := &store.Key{
		Region: gatewaytest.Region, ID: uuid.NewString(), State: store.StateEnabled, CreatedAt: time.Now(),
		Line: store.Line{Spec: string(spec), Usage: string(usage),
			Versions: []store.Version{{Number: 1, ObjectID: hsm.NewID(), PublicKey: der, CreatedAt: time.Now(), CurrentAt: time.Now().Add(-time.Minute)}}},
	}
	if err := g.Store.InsertKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	return k.ID
}

// TestVerifyTakesForeignSignatures shows that Verify knows what OpenSSL signs,
// and nothing that was changed since.
func TestVerifyTakesForeignSignatures(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	message := []byte("OpenSSL signs this message")
	for _, foreign := range foreignKeys {
		private := filepath.Join(t.TempDir(), "private.pem")
		run(t, "openssl", append([]string{"genpkey", "-quiet", "-out", private}, foreign.genpkey...)...)
		block, _ := pem.Decode([]byte(run(t, "openssl", "pkey", "-in", private, "-pubout")))
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil && foreign.spec != api.P256K1 {
			t.Fatal(err)
		}
		key := adopt(t, g, foreign.spec, api.SignVerify, block.Bytes)
		for _, algorithm := range foreign.algorithms {
			t.Run(string(foreign.spec)+"/"+string(algorithm), func(t *testing.T) {
				signature := opensslSign(t, algorithm, private, message)
				in := api.VerifyRequest{Message: message, Signature: signature, SigningAlgorithm: algorithm}
				path := "/v1/keys/" + key + "/verify"
				var out api.VerifyResponse
				g.Call("POST", path, in, &out)
				if !out.SignatureValid {
					t.Error("a good signature is not valid")
				}
				if algorithm != api.Ed25519SHA512 {
					in.Message, in.MessageType = digest(hashOf(algorithm), message), api.Digest
					g.Call("POST", path, in, &out)
				}
				for name, change := range map[string]func(*api.VerifyRequest){
					"message":       func(r *api.VerifyRequest) { r.Message = flipped(r.Message, 0) },
					"signature":     func(r *api.VerifyRequest) { r.Signature = flipped(r.Signature, len(r.Signature)-1) },
					"short":         func(r *api.VerifyRequest) { r.Signature = r.Signature[1:] },
					"long":          func(r *api.VerifyRequest) { r.Signature = append([]byte{0}, r.Signature...) },
					"trailing byte": func(r *api.VerifyRequest) { r.Signature = append(r.Signature[:len(r.Signature):len(r.Signature)], 0) },
					"one byte":      func(r *api.VerifyRequest) { r.Signature = []byte{0} },
				} {
					changed := in
					change(&changed)
					a := g.Send(g.Admin.Token, "POST", path, changed)
					if a.Status != 400 || a.Code() != string(api.KMSInvalidSignature) {
						t.Errorf("changed %s: %d %s", name, a.Status, a.Body)
					}
				}
			})
		}
	}
}

func opensslSign(t testing.TB, a api.SigningAlgorithm, private string, message []byte) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "signature")
	args := []string{"pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", file(t, "message", message), "-out", out}
	if a != api.Ed25519SHA512 {
		args = append([]string{"dgst", "-" + strings.ToLower(strings.ReplaceAll(hashOf(a).String(), "-", "")), "-sign", private, "-out", out}, pssOptions(a)...)
		args = append(args, file(t, "message", message))
	}
	run(t, "openssl", args...)
	signature, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func flipped(b []byte, i int) []byte {
	c := append([]byte(nil), b...)
	c[i] ^= 1
	return c
}
