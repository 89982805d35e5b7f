package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/client"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

var (
	_ crypto.MessageSigner = (*client.Signer)(nil)
	_ crypto.Decrypter     = (*client.Decrypter)(nil)
)

// counting counts the requests by their path's end.
type counting struct {
	http.RoundTripper
	publicKeys, all atomic.Int32
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.all.Add(1)
	if strings.HasSuffix(r.URL.Path, "/public-key") {
		c.publicKeys.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

func newSigner(t *testing.T, c *client.Client, ref string) *client.Signer {
	t.Helper()
	s, err := client.NewSigner(t.Context(), c, ref)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSignerVerifiesByOpenSSL: every way in which Go asks for a signature, checked by
// another implementation.
func TestSignerVerifiesByOpenSSL(t *testing.T) {
	g := gatewaytest.New(t)
	c := client.New(g.URL, g.Admin.Token)
	count := &counting{RoundTripper: http.DefaultTransport}
	c.HTTP = &http.Client{Transport: count}
	message := []byte("what a release is")
	pss := func(h crypto.Hash, salt int) crypto.SignerOpts { return &rsa.PSSOptions{Hash: h, SaltLength: salt} }
	for spec, ways := range map[api.KeySpec][]struct {
		opts crypto.SignerOpts
		flag []string
	}{
		api.RSA2048: {
			{crypto.SHA256, []string{"-sha256"}}, {crypto.SHA384, []string{"-sha384"}}, {crypto.SHA512, []string{"-sha512"}},
			{pss(crypto.SHA256, rsa.PSSSaltLengthEqualsHash), []string{"-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"}},
			{pss(crypto.SHA384, rsa.PSSSaltLengthAuto), []string{"-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48"}},
			{pss(crypto.SHA512, 64), []string{"-sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:64"}},
		},
		api.P256:    {{crypto.SHA256, []string{"-sha256"}}, {nil, []string{"-sha256"}}, {crypto.Hash(0), []string{"-sha256"}}},
		api.P384:    {{crypto.SHA384, []string{"-sha384"}}, {nil, []string{"-sha384"}}},
		api.P521:    {{crypto.SHA512, []string{"-sha512"}}, {nil, []string{"-sha512"}}},
		api.Ed25519: {{crypto.Hash(0), nil}, {nil, nil}, {&ed25519.Options{}, nil}},
	} {
		s := newSigner(t, c, g.CreateKey(spec, api.SignVerify).KeyId)
		for _, way := range ways {
			signature, err := s.SignMessage(nil, message, way.opts)
			if err != nil {
				t.Errorf("%s %v: %v", spec, way.opts, err)
				continue
			}
			openSSLVerifies(t, s.Public(), way.flag, message, signature)
		}
	}
	if n := count.publicKeys.Load(); n != 5 {
		t.Errorf("the public keys of 5 keys were asked for %d times", n)
	}
}

// openSSLVerifies checks a signature of the message.
func openSSLVerifies(t *testing.T, public crypto.PublicKey, flags []string, message, signature []byte) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	args := []string{"pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key, "-in", file("m", message), "-sigfile", file("sig", signature)}
	if len(flags) > 0 {
		args = append([]string{"dgst", flags[0], "-verify", key, "-signature", file("sig", signature)}, append(flags[1:], file("m", message))...)
	}
	if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
		t.Errorf("openssl %v: %v\n%s", args, err, out)
	}
}

// TestSignerRefuses what the key cannot sign, before anything is sent.
func TestSignerRefuses(t *testing.T) {
	g := gatewaytest.New(t)
	c := client.New(g.URL, g.Admin.Token)
	count := &counting{RoundTripper: http.DefaultTransport}
	c.HTTP = &http.Client{Transport: count}
	of := map[api.KeySpec]*client.Signer{}
	for _, spec := range []api.KeySpec{api.RSA2048, api.P256, api.P384, api.Ed25519} {
		of[spec] = newSigner(t, c, g.CreateKey(spec, api.SignVerify).KeyId)
	}
	asked := count.all.Load()
	for _, test := range []struct {
		spec api.KeySpec
		size int
		opts crypto.SignerOpts
		code api.Code
		want string
	}{
		{api.RSA2048, 20, crypto.SHA1, api.UnsupportedOperation, "SHA-1"},
		{api.RSA2048, 32, crypto.Hash(0), api.UnsupportedOperation, "no hash"},
		{api.RSA2048, 32, nil, api.UnsupportedOperation, "RSASSA_PSS_SHA_512"},
		{api.RSA2048, 32, crypto.Hash(99), api.UnsupportedOperation, "unknown hash"},
		{api.RSA2048, 31, crypto.SHA256, api.Validation, "has 32 bytes, not 31"},
		{api.RSA2048, 32, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 20}, api.UnsupportedOperation, "PSSSaltLengthEqualsHash"},
		{api.RSA2048, 32, &rsa.PSSOptions{}, api.UnsupportedOperation, "no hash"},
		{api.P256, 48, crypto.SHA384, api.UnsupportedOperation, "ECDSA_SHA_256"},
		{api.P384, 32, crypto.SHA256, api.UnsupportedOperation, "ECDSA_SHA_384"},
		{api.P256, 20, nil, api.UnsupportedOperation, "ECDSA_SHA_256"},
		{api.P256, 32, &rsa.PSSOptions{Hash: crypto.SHA384}, api.UnsupportedOperation, "ECDSA_SHA_256"},
		{api.Ed25519, 64, crypto.SHA512, api.UnsupportedOperation, "the message itself"},
		{api.Ed25519, 64, &ed25519.Options{Hash: crypto.SHA512}, api.UnsupportedOperation, "the message itself"},
		{api.Ed25519, 64, &ed25519.Options{Context: "x"}, api.UnsupportedOperation, "the message itself"},
		{api.Ed25519, 4097, crypto.Hash(0), api.Validation, "at most 4096 bytes, and this one is longer"},
	} {
		_, err := of[test.spec].Sign(nil, make([]byte, test.size), test.opts)
		if client.Code(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %d bytes, %#v: %v", test.spec, test.size, test.opts, err)
		}
	}
	if _, err := of[api.RSA2048].SignMessage(nil, []byte("m"), nil); client.Code(err) != api.UnsupportedOperation {
		t.Errorf("a message without a hash: %v", err)
	}
	if n := count.all.Load(); n != asked {
		t.Errorf("%d requests were sent", n-asked)
	}
	for _, ref := range []string{g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId, "alias/none"} {
		if _, err := client.NewSigner(t.Context(), c, ref); client.Code(err) != api.InvalidKeyUsage && client.Code(err) != api.NotFound {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// TestSignerInUse: a certificate of crypto/x509, what is stated in the record, and the
// gateway's refusal through both interfaces.
func TestSignerInUse(t *testing.T) {
	g := gatewaytest.New(t)
	c := client.New(g.URL, g.Admin.Token)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	s := newSigner(t, c, id)
	s.Artifact, s.SigningContext = &api.Artifact{Name: "app"}, map[string]string{"stage": "nightly"}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "release"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.Public(), s)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
		t.Error(err)
	}
	records := g.Records()
	if r := records[len(records)-1]; r.ArtifactName != "app" || r.SigningContext["stage"] != "nightly" || r.MessageType != "DIGEST" {
		t.Errorf("%+v", r)
	}
	digest := sha256.Sum256([]byte("m"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.WithContext(ctx).Sign(nil, digest[:], crypto.SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: %v", err)
	}
	g.Call("POST", "/v1/keys/"+id+"/disable", nil, nil)
	var refused *client.ResponseError
	_, err = crypto.SignMessage(s, rand.Reader, []byte("m"), crypto.SHA256)
	if !errors.As(err, &refused) || refused.Err.Code != api.Disabled || refused.Status != http.StatusConflict {
		t.Errorf("a disabled key: %v", err)
	}
}

// TestSignerOfARotatedKey does not answer with a signature that its public key denies.
func TestSignerOfARotatedKey(t *testing.T) {
	g := gatewaytest.NewWith(t, gatewaytest.Options{Rotation: gateway.Rotation{Overlap: -1}})
	c := client.New(g.URL, g.Admin.Token)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/release", TargetKeyId: id}, nil)
	byID, byAlias := newSigner(t, c, id), newSigner(t, c, "alias/release")
	digest := sha256.Sum256([]byte("m"))
	g.Call("PUT", "/v1/aliases/alias%2Frelease", api.UpdateAliasRequest{TargetKeyId: g.CreateKey(api.P256, api.SignVerify).KeyId}, nil)
	if _, err := byAlias.Sign(nil, digest[:], crypto.SHA256); !errors.Is(err, client.ErrKeyChanged) {
		t.Errorf("an alias that names another key: %v", err)
	}
	g.Call("POST", "/v1/keys/"+id+"/rotate", nil, nil)
	if _, err := byID.Sign(nil, digest[:], crypto.SHA256); !errors.Is(err, client.ErrKeyChanged) {
		t.Errorf("a rotated key: %v", err)
	}
	again := newSigner(t, c, id)
	signature, err := again.Sign(nil, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(again.Public().(*ecdsa.PublicKey), digest[:], signature) {
		t.Errorf("a new signer: %v", err)
	}
}

// TestDecrypter: what crypto/rsa encrypts, also after a rotation.
func TestDecrypter(t *testing.T) {
	g := gatewaytest.NewWith(t, gatewaytest.Options{Rotation: gateway.Rotation{Overlap: -1}})
	c := client.New(g.URL, g.Admin.Token)
	id := g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	d, err := client.NewDecrypter(t.Context(), c, id)
	if err != nil {
		t.Fatal(err)
	}
	public := d.Public().(*rsa.PublicKey)
	check := func() {
		t.Helper()
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			h := sha256.New()
			if hash == crypto.SHA1 {
				h = sha1.New()
			}
			ciphertext, err := rsa.EncryptOAEP(h, rand.Reader, public, []byte("secret"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := d.Decrypt(nil, ciphertext, &rsa.OAEPOptions{Hash: hash}); err != nil || string(plain) != "secret" {
				t.Errorf("%s: %q, %v", hash, plain, err)
			}
		}
	}
	check()
	g.Call("POST", "/v1/keys/"+id+"/rotate", nil, nil)
	check()
	//lint:ignore SA1019 it is to be refused
	old := &rsa.PKCS1v15DecryptOptions{} //nolint:staticcheck // it is to be refused
	for name, opts := range map[string]crypto.DecrypterOpts{"nil": nil, "PKCS #1 v1.5": old, "a label": &rsa.OAEPOptions{Hash: crypto.SHA256, Label: []byte("x")},
		"SHA-512": &rsa.OAEPOptions{Hash: crypto.SHA512}, "two hashes": &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: crypto.SHA1}} {
		if _, err := d.Decrypt(nil, make([]byte, 256), opts); client.Code(err) != api.UnsupportedOperation {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.WithContext(t.Context()).Decrypt(nil, make([]byte, 256), &rsa.OAEPOptions{Hash: crypto.SHA256}); client.Code(err) != api.InvalidCiphertext {
		t.Errorf("a bad ciphertext: %v", err)
	}
}
