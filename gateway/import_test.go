package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// inMemory are options that let material be unwrapped in memory, which SoftHSM
// needs for secrets and for SHA-256.
var inMemory = gatewaytest.Options{Imports: gateway.Imports{AllowInMemory: true}}

// external makes a key that waits for material.
func external(t testing.TB, g *gatewaytest.Gateway, spec api.KeySpec, usage api.KeyUsage) *api.KeyMetadata {
	t.Helper()
	var out api.CreateKeyResponse
	g.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: spec, KeyUsage: usage, Origin: api.OriginExternal}, &out)
	return out.KeyMetadata
}

// params are import parameters with the public key in a file, PEM.
type params struct {
	api.GetParametersForImportResponse
	how api.WrappingAlgorithm
	pem string
}

func parameters(t testing.TB, g *gatewaytest.Gateway, key string, how api.WrappingAlgorithm, spec api.WrappingKeySpec) *params {
	t.Helper()
	p := &params{how: how}
	g.Call("POST", "/v1/keys/"+key+"/import-parameters", api.GetParametersForImportRequest{WrappingAlgorithm: how, WrappingKeySpec: spec}, &p.GetParametersForImportResponse)
	p.pem = filepath.Join(t.TempDir(), "wrapping.pem")
	if err := os.WriteFile(p.pem, hsmtest.OpenSSL(t, p.PublicKey, "pkey", "-pubin", "-inform", "DER"), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// request is an import of material, wrapped by OpenSSL, that does not expire.
func (p *params) request(t testing.TB, material []byte) api.ImportKeyMaterialRequest {
	t.Helper()
	return api.ImportKeyMaterialRequest{ImportToken: p.ImportToken, ExpirationModel: api.KeyMaterialDoesNotExpire,
		EncryptedKeyMaterial: hsmtest.Wrap(t, p.pem, hsm.WrapAlgorithm(p.how), material)}
}

func bring(t testing.TB, g *gatewaytest.Gateway, key string, in api.ImportKeyMaterialRequest) api.ImportKeyMaterialResponse {
	t.Helper()
	var out api.ImportKeyMaterialResponse
	g.Call("POST", "/v1/keys/"+key+"/import", in, &out)
	return out
}

func tryImport(g *gatewaytest.Gateway, key string, in api.ImportKeyMaterialRequest) gatewaytest.Answer {
	return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/import", in)
}

func metadata(t testing.TB, g *gatewaytest.Gateway, key string) *api.KeyMetadata {
	t.Helper()
	var out api.DescribeKeyResponse
	g.Call("GET", "/v1/keys/"+key, nil, &out)
	return out.KeyMetadata
}

func stored(t testing.TB, g *gatewaytest.Gateway, key string) *store.Key {
	t.Helper()
	k, ok := g.Store.Key(gatewaytest.Region, key)
	if !ok {
		t.Fatalf("key %s is not there", key)
	}
	return k
}

// importedKinds are what can be imported, with the use of each.
var importedKinds = []struct {
	spec  api.KeySpec
	usage api.KeyUsage
	use   hsm.Use
}{
	{api.Symmetric, api.EncryptDecrypt, hsm.UseCipher}, {api.HMAC224, api.GenerateVerifyMac, hsm.UseMAC}, {api.HMAC256, api.GenerateVerifyMac, hsm.UseMAC},
	{api.HMAC384, api.GenerateVerifyMac, hsm.UseMAC}, {api.HMAC512, api.GenerateVerifyMac, hsm.UseMAC},
	{api.RSA2048, api.SignVerify, hsm.UseSign}, {api.RSA3072, api.EncryptDecrypt, hsm.UseDecrypt}, {api.RSA4096, api.SignVerify, hsm.UseSign},
	{api.P256, api.SignVerify, hsm.UseSign}, {api.P384, api.SignVerify, hsm.UseSign}, {api.P521, api.SignVerify, hsm.UseSign},
	{api.P256, api.KeyAgreement, hsm.UseAgree}, {api.P256K1, api.SignVerify, hsm.UseSign}, {api.Ed25519, api.SignVerify, hsm.UseSign},
}

// TestImports brings material of each kind in by each algorithm, wrapped by
// OpenSSL, and uses it: OpenSSL verifies with the public key that it made itself.
func TestImports(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	for _, how := range []api.WrappingAlgorithm{api.WrapOAEPSHA1, api.WrapOAEPSHA256, api.WrapRSAAESSHA1, api.WrapRSAAESSHA256} {
		for _, kind := range importedKinds {
			isRSA := strings.HasPrefix(string(kind.spec), "RSA")
			if isRSA && strings.HasPrefix(string(how), "RSAES_OAEP") {
				refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+external(t, g, kind.spec, kind.usage).KeyId+"/import-parameters",
					api.GetParametersForImportRequest{WrappingAlgorithm: how, WrappingKeySpec: api.WrappingRSA2048}), 400, api.UnsupportedOperation)
				continue
			}
			t.Run(string(how)+"/"+string(kind.spec)+"_"+string(kind.usage), func(t *testing.T) {
				key := external(t, g, kind.spec, kind.usage)
				if key.KeyState != api.PendingImport || key.Enabled || key.Origin != api.OriginExternal || key.CurrentKeyMaterialId != "" || key.ExpirationModel != "" {
					t.Errorf("%+v", key)
				}
				wrapping := api.WrappingRSA2048
				if kind.spec == api.P521 { // which needs it for OAEP
					wrapping = api.WrappingRSA3072
				}
				m := hsmtest.MaterialOf(t, hsm.KeySpec(kind.spec), kind.use)
				p := parameters(t, g, key.KeyId, how, wrapping)
				if p.KeyId != key.Arn || p.ParametersValidTo.Sub(g.Now().Add(day)).Abs() > time.Minute {
					t.Errorf("%+v", p)
				}
				out := bring(t, g, key.KeyId, p.request(t, m.Value))
				if out.KeyId != key.Arn || out.KeyVersion != 1 || len(out.KeyMaterialId) != 64 {
					t.Errorf("%+v", out)
				}
				works(t, g, key.KeyId, m)
			})
		}
	}
}

// works uses a key of that material.
func works(t *testing.T, g *gatewaytest.Gateway, key string, m hsmtest.Material) {
	t.Helper()
	k, now := stored(t, g, key), metadata(t, g, key)
	v, _ := k.Current(g.Now())
	if now.KeyState != api.Enabled || !now.Enabled || now.ExpirationModel != api.KeyMaterialDoesNotExpire || now.ValidTo != nil {
		t.Errorf("%+v", now)
	}
	if (now.CurrentKeyMaterialId == v.MaterialID) != (m.Spec == hsm.Symmetric) {
		t.Errorf("material %q of a key of spec %s", now.CurrentKeyMaterialId, m.Spec)
	}
	r := g.Records()[len(g.Records())-2] // before DescribeKey
	if r.Operation != "ImportKeyMaterial" || r.Unwrapped != "token" && r.Unwrapped != "memory" || r.KeyVersion != 1 {
		t.Errorf("%+v", r)
	}
	switch m.Use {
	case hsm.UseSign:
		if !bytes.Equal(publicDER(t, g, key), m.Public) {
			t.Error("another public key")
		}
		verifies(t, g, key, m)
	case hsm.UseDecrypt:
		var out api.EncryptResponse
		pem := file(t, "pub.pem", hsmtest.OpenSSL(t, m.Public, "pkey", "-pubin", "-inform", "DER"))
		out.CiphertextBlob = hsmtest.OpenSSL(t, []byte("secret"), "pkeyutl", "-encrypt", "-pubin", "-inkey", pem, "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1")
		var opened api.DecryptResponse
		g.Call("POST", "/v1/keys/"+key+"/decrypt", api.DecryptRequest{CiphertextBlob: out.CiphertextBlob, EncryptionAlgorithm: api.OAEPSHA1}, &opened)
		if string(opened.Plaintext) != "secret" {
			t.Errorf("%+v", opened)
		}
	case hsm.UseMAC:
		secret, err := hsm.NewSecret(v.ObjectID, m.Spec, v.Check)
		if err != nil {
			t.Fatal(err)
		}
		mac, err := g.Token.MAC(t.Context(), secret, []byte("m"))
		md := "-sha" + strings.TrimPrefix(string(m.Spec), "HMAC_")
		want := hsmtest.OpenSSL(t, []byte("m"), "dgst", md, "-binary", "-mac", "HMAC", "-macopt", "hexkey:"+hexOf(m.Value))
		if err != nil || !bytes.Equal(mac, want) {
			t.Errorf("%x, OpenSSL has %x (%v)", mac, want, err)
		}
	case hsm.UseCipher:
		same, err := g.Token.SameSecret(t.Context(), v.ObjectID, m.Spec, v.Check)
		if err != nil || !same {
			t.Errorf("%v %v", same, err)
		}
	}
}

// verifies has OpenSSL verify a signature with the public key that it made.
func verifies(t *testing.T, g *gatewaytest.Gateway, key string, m hsmtest.Material) {
	t.Helper()
	pem := file(t, "pub.pem", hsmtest.OpenSSL(t, m.Public, "pkey", "-pubin", "-inform", "DER"))
	algorithm := metadata(t, g, key).SigningAlgorithms[0]
	sig := file(t, "sig", sign(t, g, key, api.SignRequest{Message: []byte("m"), SigningAlgorithm: algorithm}))
	message := file(t, "message", []byte("m"))
	if m.Spec == hsm.Edwards25519 {
		run(t, "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", "-in", message, "-sigfile", sig)
		return
	}
	run(t, "openssl", "dgst", "-sha"+string(algorithm[len(algorithm)-3:]), "-verify", pem, "-signature", sig, message)
}

// TestImportParametersAreRefused where the key or the way does not fit.
func TestImportParametersAreRefused(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	own, key := g.CreateKey(api.P256, api.SignVerify).KeyId, external(t, g, api.P256, api.SignVerify).KeyId
	ask := func(key string, how api.WrappingAlgorithm, spec api.WrappingKeySpec) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/import-parameters", api.GetParametersForImportRequest{WrappingAlgorithm: how, WrappingKeySpec: spec})
	}
	refusal(t, ask(own, api.WrapOAEPSHA256, api.WrappingRSA2048), 400, api.UnsupportedOperation)
	refusal(t, ask(key, api.WrapPKCS1, api.WrappingRSA2048), 400, api.UnsupportedOperation)
	refusal(t, ask(key, api.WrapSM2PKE, api.WrappingSM2), 400, api.UnsupportedOperation)
	refusal(t, ask(key, api.WrapOAEPSHA256, api.WrappingSM2), 400, api.UnsupportedOperation)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+own+"/import", api.ImportKeyMaterialRequest{ImportToken: []byte("t"), EncryptedKeyMaterial: []byte("m")}), 400, api.UnsupportedOperation)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+own+"/delete-imported", nil), 400, api.UnsupportedOperation)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{Origin: api.OriginExternalKeyStore}), 400, api.UnsupportedOperation)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}), 409, api.KMSInvalidState)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/enable", nil), 409, api.KMSInvalidState)
	refusal(t, g.Send(g.Admin.Token, "PUT", "/v1/keys/"+key+"/rotation", nil), 400, api.UnsupportedOperation)
	// Nothing is imported there yet, so nothing is deleted.
	g.Call("POST", "/v1/keys/"+key+"/delete-imported", nil, nil)
}

// TestImportTokens: those of another key, changed, unknown, expired, and of
// parameters that newer ones replaced.
func TestImportTokens(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key, other := external(t, g, api.HMAC256, api.GenerateVerifyMac).KeyId, external(t, g, api.HMAC256, api.GenerateVerifyMac).KeyId
	m := hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC)
	first := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048)
	second := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048)
	if bytes.Equal(first.ImportToken, second.ImportToken) || bytes.Equal(first.PublicKey, second.PublicKey) {
		t.Error("the same parameters twice")
	}
	in := first.request(t, m.Value)
	refusal(t, tryImport(g, other, in), 400, api.InvalidImportToken)
	changed := in
	changed.ImportToken = slices.Clone(in.ImportToken)
	changed.ImportToken[3] ^= 1
	refusal(t, tryImport(g, key, changed), 400, api.InvalidImportToken)
	changed.ImportToken = in.ImportToken[:40]
	refusal(t, tryImport(g, key, changed), 400, api.InvalidImportToken)
	mixed := in
	mixed.ImportToken = second.ImportToken // whose key did not wrap the material
	refusal(t, tryImport(g, key, mixed), 400, api.InvalidCiphertext)
	spoilt := in
	spoilt.EncryptedKeyMaterial = slices.Clone(in.EncryptedKeyMaterial)
	spoilt.EncryptedKeyMaterial[9] ^= 1
	refusal(t, tryImport(g, key, spoilt), 400, api.InvalidCiphertext)
	refusal(t, tryImport(g, key, first.request(t, m.Value[:31])), 400, api.IncorrectKeyMaterial)
	if k := stored(t, g, key); len(k.Versions) != 0 || k.State != store.StatePendingImport || len(g.Store.Pending()) != 0 {
		t.Errorf("%+v, %d pending", k, len(g.Store.Pending()))
	}

	for range 4 {
		parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048)
	}
	refusal(t, tryImport(g, key, in), 400, api.InvalidImportToken) // six sets: the oldest went
	bring(t, g, key, second.request(t, m.Value))
	if n := len(g.Store.ImportKeys()); n != 5 {
		t.Errorf("%d wrapping pairs", n)
	}
	g.Advance(25 * time.Hour)
	refusal(t, tryImport(g, key, second.request(t, m.Value)), 400, api.ExpiredImportToken)
	runFor(t, g, "the wrapping pairs are destroyed", func() error { return settled(g, 1) })
	refusal(t, tryImport(g, key, second.request(t, m.Value)), 400, api.InvalidImportToken)
}

// settled wants so many keys in the token and nothing on its way.
func settled(g *gatewaytest.Gateway, keys int) error {
	objects, err := g.Token.Objects(context.Background())
	if err == nil && (len(objects) != keys || len(g.Store.Pending()) != 0) {
		err = errors.New("objects are left")
	}
	return err
}

// TestInMemoryIsASetting: what SoftHSM cannot unwrap by itself is refused without
// it, with what would do.
func TestInMemoryIsASetting(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for spec, want := range map[api.KeySpec]string{api.P256: "RSA_AES_KEY_WRAP_SHA_1 or RSAES_OAEP_SHA_1", api.Symmetric: "by no algorithm"} {
		usage, use := api.SignVerify, hsm.UseSign
		if spec == api.Symmetric {
			usage, use = api.EncryptDecrypt, hsm.UseCipher
		}
		key := external(t, g, spec, usage).KeyId
		m := hsmtest.MaterialOf(t, hsm.KeySpec(spec), use)
		a := tryImport(g, key, parameters(t, g, key, api.WrapOAEPSHA256, api.WrappingRSA2048).request(t, m.Value))
		refusal(t, a, 400, api.UnsupportedOperation)
		if !strings.Contains(string(a.Body), "import.allow_in_memory") || !strings.Contains(string(a.Body), want) {
			t.Errorf("%s", a.Body)
		}
		if spec == api.P256 {
			bring(t, g, key, parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, m.Value))
			if r := g.Records(); r[len(r)-1].Unwrapped != "token" {
				t.Errorf("%+v", r[len(r)-1])
			}
		}
	}
}

// TestWrappingKeysOf4096Bits, too.
func TestWrappingKeysOf4096Bits(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.RSA2048, api.SignVerify).KeyId
	m := hsmtest.MaterialOf(t, hsm.RSA2048, hsm.UseSign)
	bring(t, g, key, parameters(t, g, key, api.WrapRSAAESSHA256, api.WrappingRSA4096).request(t, m.Value))
	verifies(t, g, key, m)
}

// TestConcurrentImports of new material: one comes in, and nothing is left of the others.
func TestConcurrentImports(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.HMAC256, api.GenerateVerifyMac).KeyId
	in := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC).Value)
	in.ImportType = api.NewKeyMaterial
	var wg sync.WaitGroup
	var taken atomic.Int32
	for range 8 {
		wg.Go(func() {
			switch a := tryImport(g, key, in); {
			case a.Status == 200:
				taken.Add(1)
			case a.Code() != string(api.Conflict) && a.Code() != string(api.IncorrectKeyMaterial):
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	if k := stored(t, g, key); taken.Load() != 1 || len(k.Versions) != 1 || settled(g, 2) != nil {
		t.Errorf("%d imports, %d versions, %v", taken.Load(), len(k.Versions), settled(g, 2))
	}
}
