package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

func rotateNow(t *testing.T, g *gatewaytest.Gateway, key string) api.RotateKeyOnDemandResponse {
	t.Helper()
	var out api.RotateKeyOnDemandResponse
	g.Call("POST", "/v1/keys/"+key+"/rotate", nil, &out)
	return out
}

func publicKeys(t *testing.T, g *gatewaytest.Gateway, key string) api.ListPublicKeysResponse {
	t.Helper()
	var out api.ListPublicKeysResponse
	g.Call("GET", "/v1/keys/"+key+"/public-keys", nil, &out)
	return out
}

func states(keys api.ListPublicKeysResponse) string {
	var all []string
	for _, k := range keys.Keys {
		all = append(all, string(k.State))
	}
	return strings.Join(all, " ")
}

// runFor lets the service do what it does by itself until ok says that it is done.
func runFor(t *testing.T, g *gatewaytest.Gateway, what string, ok func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { g.Service.Run(ctx, 10*time.Millisecond) })
	defer wg.Wait()
	defer stop()
	hsmtest.Eventually(t, time.Minute, what, ok)
}

// TestRotationOfAPair: the new public key is announced, then used; what the old
// version signed verifies for ever, and OpenSSL agrees with the published keys.
func TestRotationOfAPair(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	message := file(t, "message", []byte("m"))
	in := api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}
	first := sign(t, g, key, in)
	firstPEM := publicPEM(t, g, key)

	if out := rotateNow(t, g, key); out.KeyVersion != 2 {
		t.Fatalf("%+v", out)
	}
	keys := publicKeys(t, g, key)
	if states(keys) != "CURRENT ANNOUNCED" || !keys.Keys[1].NotBefore.Equal(keys.Keys[0].NotAfter.Time) || keys.Keys[1].NotBefore.Before(g.Now().Add(23*time.Hour)) {
		t.Errorf("%+v", keys)
	}
	announced := sha256.Sum256(keys.Keys[1].PublicKey)
	if keys.Keys[1].Kid != hex.EncodeToString(announced[:]) {
		t.Errorf("kid %s of %x", keys.Keys[1].Kid, announced)
	}
	during := sign(t, g, key, in)
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/rotate", nil), 409, api.Conflict)

	g.Advance(25 * time.Hour)
	if got := states(publicKeys(t, g, key)); got != "RETIRED CURRENT" {
		t.Error(got)
	}
	second := sign(t, g, key, in)
	secondPEM := publicPEM(t, g, key)
	for _, c := range []struct {
		pem       string
		signature []byte
	}{{firstPEM, first}, {firstPEM, during}, {secondPEM, second}} {
		run(t, "openssl", "dgst", "-sha256", "-verify", c.pem, "-signature", file(t, "sig", c.signature), message)
	}
	refuses(t, "openssl", "dgst", "-sha256", "-verify", firstPEM, "-signature", file(t, "sig", second), message)

	one, two := 1, 2
	for _, c := range []struct {
		signature []byte
		named     *int
		version   int // that verifies; 0: none
	}{{first, nil, 1}, {during, nil, 1}, {second, nil, 2}, {first, &one, 1}, {second, &two, 2}, {first, &two, 0}, {second, &one, 0}} {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/verify", api.VerifyRequest{Message: []byte("m"), Signature: c.signature, SigningAlgorithm: api.ECDSASHA256, KeyVersion: c.named})
		var out api.VerifyResponse
		_ = json.Unmarshal(a.Body, &out)
		if c.version == 0 {
			refusal(t, a, 400, api.KMSInvalidSignature)
		} else if out.KeyVersion != c.version {
			t.Errorf("version %v: %d %s", c.named, a.Status, a.Body)
		}
	}
	nine := 9
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/verify", api.VerifyRequest{Message: []byte("m"), Signature: first, SigningAlgorithm: api.ECDSASHA256, KeyVersion: &nine}), 404, api.NotFound)
}

// TestRotationOfEncryptionPairs: every version decrypts, the announced one too.
func TestRotationOfEncryptionPairs(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	encrypt := func() []byte {
		var out api.EncryptResponse
		g.Call("POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: []byte("secret"), EncryptionAlgorithm: api.OAEPSHA256}, &out)
		return out.CiphertextBlob
	}
	texts := [][]byte{encrypt()}
	rotateNow(t, g, key)
	pem := file(t, "announced.pem", g.Send(g.Admin.Token, "GET", "/v1/keys/"+key+"/public-key?KeyVersion=2", nil, "Accept", "application/x-pem-file").Body)
	early := file(t, "early", nil)
	run(t, "openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", pem, "-in", file(t, "plain", []byte("secret")), "-out", early,
		"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256")
	texts = append(texts, contents(t, early))
	g.Advance(25 * time.Hour)
	texts = append(texts, encrypt())
	for n, want := range []int{1, 2, 2} {
		var out api.DecryptResponse
		g.Call("POST", "/v1/keys/"+key+"/decrypt", api.DecryptRequest{CiphertextBlob: texts[n], EncryptionAlgorithm: api.OAEPSHA256}, &out)
		if string(out.Plaintext) != "secret" || out.KeyVersion != want {
			t.Errorf("ciphertext %d: %+v", n, out)
		}
	}
	// The others decrypt when the object of one is gone.
	if err := g.Token.Destroy(t.Context(), stored(t, g, key).Versions[1].ObjectID); err != nil {
		t.Fatal(err)
	}
	var out api.DecryptResponse
	g.Call("POST", "/v1/keys/"+key+"/decrypt", api.DecryptRequest{CiphertextBlob: texts[0], EncryptionAlgorithm: api.OAEPSHA256}, &out)
	if out.KeyVersion != 1 {
		t.Errorf("%+v", out)
	}
	a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/decrypt", api.DecryptRequest{CiphertextBlob: texts[1], EncryptionAlgorithm: api.OAEPSHA256})
	if a.Code() == string(api.InvalidCiphertext) || a.Status < 400 {
		t.Errorf("the ciphertext is not called bad: %d %s", a.Status, a.Body)
	}
}

// TestAutomaticRotation: the next version is announced before the date, used from
// then on, and the date after is noted. A disabled key waits.
func TestAutomaticRotation(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	pair, secret, disabled := g.CreateKey(api.P256, api.SignVerify).KeyId, g.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId, g.CreateKey(api.P256, api.SignVerify).KeyId
	ninety := 90
	start := g.Now()
	for _, key := range []string{pair, secret, disabled} {
		g.Call("PUT", "/v1/keys/"+key+"/rotation", api.EnableKeyRotationRequest{RotationPeriodInDays: &ninety}, nil)
	}
	g.Call("POST", "/v1/keys/"+disabled+"/disable", nil, nil)
	versions := func(key string) int {
		k, _ := g.Store.Key(gatewaytest.Region, key)
		return len(k.Versions)
	}
	want := func(counts ...int) func() error {
		return func() error {
			for n, key := range []string{pair, secret, disabled} {
				if versions(key) != counts[n] {
					return errors.New("not rotated")
				}
			}
			return nil
		}
	}
	g.Advance(89*day - time.Hour)
	runFor(t, g, "nothing is due", want(1, 1, 1))
	g.Advance(time.Hour)
	runFor(t, g, "the pair's next version is announced", want(2, 1, 1))
	if keys := publicKeys(t, g, pair); states(keys) != "CURRENT ANNOUNCED" || keys.Keys[1].NotBefore.Sub(start.Add(90*day)).Abs() > time.Minute {
		t.Errorf("%+v", keys)
	}
	g.Advance(day)
	runFor(t, g, "the secret key is rotated", want(2, 2, 1))
	var status api.GetKeyRotationStatusResponse
	g.Call("GET", "/v1/keys/"+pair+"/rotation", nil, &status)
	if !status.KeyRotationEnabled || status.RotationPeriodInDays != 90 || status.NextRotationDate.Sub(start.Add(180*day)).Abs() > time.Minute {
		t.Errorf("%+v", status)
	}
	var listed api.ListKeyRotationsResponse
	g.Call("GET", "/v1/keys/"+pair+"/rotations", nil, &listed)
	if len(listed.Rotations) != 1 || listed.Rotations[0].RotationType != api.Automatic || listed.Rotations[0].KeyVersion != 2 || listed.Rotations[0].KeyMaterialState != api.Current {
		t.Errorf("%+v", listed)
	}
	g.Call("POST", "/v1/keys/"+disabled+"/enable", nil, nil)
	runFor(t, g, "the key that was disabled is rotated", want(2, 2, 2))
	if keys := publicKeys(t, g, disabled); states(keys) != "CURRENT ANNOUNCED" || keys.Keys[1].NotBefore.Sub(g.Now().Add(day)).Abs() > time.Minute {
		t.Errorf("a late rotation is used before it was announced: %+v", keys)
	}
	g.Call("DELETE", "/v1/keys/"+secret+"/rotation", nil, nil)
	g.Advance(400 * day)
	g.Call("POST", "/v1/keys/"+disabled+"/disable", nil, nil)
	runFor(t, g, "only the pair is rotated", want(3, 2, 2))
	var rotations int
	for _, r := range g.Records() {
		if r.Operation == "RotateKey" && r.Outcome == "allowed" {
			rotations++
		}
	}
	if rotations != 4 {
		t.Errorf("%d records of 4 rotations", rotations)
	}
}

// TestRotationsLikeAWS: the AWS face can be told to refuse what AWS KMS refuses.
func TestRotationsLikeAWS(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Rotation: gateway.Rotation{LikeAWS: true}})
	for spec, usage := range map[api.KeySpec]api.KeyUsage{api.P256: api.SignVerify, api.HMAC256: api.GenerateVerifyMac} {
		key := g.CreateKey(spec, usage).KeyId
		for _, name := range []string{"EnableKeyRotation", "RotateKeyOnDemand", "DisableKeyRotation"} {
			op, _ := gateway.OpNamed(name)
			c := &gateway.Call{RequestID: "r", Face: "aws", Principal: admin(g)}
			_, err := g.Service.Do(t.Context(), c, op, func(in any) *api.Error { in.(interface{ SetKeyRef(string) }).SetKeyRef(key); return nil })
			if err == nil || err.Code != api.UnsupportedOperation {
				t.Errorf("%s of a key of spec %s: %v", name, spec, err)
			}
		}
		rotateNow(t, g, key)
	}
}

// TestOnDemandRotationsEnd at the number that AWS KMS allows.
func TestOnDemandRotationsEnd(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId
	for range 25 {
		rotateNow(t, g, key)
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/rotate", nil), 400, api.LimitExceeded)
	var all []int
	for marker := ""; ; {
		var page api.ListKeyRotationsResponse
		g.Call("GET", "/v1/keys/"+key+"/rotations?Limit=7&IncludeKeyMaterial=ALL_KEY_MATERIAL"+marker, nil, &page)
		for _, r := range page.Rotations {
			all = append(all, r.KeyVersion)
		}
		if !page.Truncated {
			break
		}
		marker = "&Marker=" + page.NextMarker
	}
	if len(all) != 26 || all[0] != 1 || all[25] != 26 {
		t.Errorf("%v", all)
	}
	for _, marker := range []string{"x", "-1", "0", "07"} {
		refusal(t, g.Send(g.Admin.Token, "GET", "/v1/keys/"+key+"/rotations?Marker="+marker, nil), 400, api.InvalidMarker)
	}
}

// TestConcurrentRotations of one key bring one new version and leave no orphan.
func TestConcurrentRotations(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/rotate", nil)
			if a.Status != 200 && a.Code() != string(api.Conflict) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	k, _ := g.Store.Key(gatewaytest.Region, key)
	objects, err := g.Token.Objects(t.Context())
	if err != nil || len(k.Versions) != 2 || len(objects) != 2 || len(g.Store.Pending()) != 0 {
		t.Errorf("%d versions, %d objects, %d pending (%v)", len(k.Versions), len(objects), len(g.Store.Pending()), err)
	}
}

// TestKeyHistory is signed by the current version, and OpenSSL verifies it.
func TestKeyHistory(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	for _, c := range []struct {
		spec api.KeySpec
		alg  string
		hash string
	}{
		{api.P256, "ES256", "-sha256"}, {api.P384, "ES384", "-sha384"}, {api.P521, "ES512", "-sha512"}, {api.P256K1, "ES256K", "-sha256"},
		{api.RSA2048, "RS256", "-sha256"}, {api.Ed25519, "EdDSA", ""},
	} {
		key := g.CreateKey(c.spec, api.SignVerify)
		rotateNow(t, g, key.KeyId)
		var doc api.GetKeyHistoryResponse
		g.Call("GET", "/v1/keys/"+key.KeyId+"/history", nil, &doc)
		var header struct{ Alg, Kid, Typ string }
		var set gateway.WebKeySet
		for text, into := range map[string]any{doc.Protected: &header, doc.Payload: &set} {
			if err := json.Unmarshal(unb64(t, text), into); err != nil {
				t.Fatal(err)
			}
		}
		if header.Alg != c.alg || header.Typ != "key-history+jws" || set.Iss != key.Arn || len(set.Keys) != 2 || header.Kid != set.Keys[0].Kid ||
			set.Keys[1].State != api.Announced || set.Keys[0].Exp != set.Keys[1].Nbf || set.Keys[1].Version != 2 {
			t.Errorf("%s: %+v %+v", c.spec, header, set)
		}
		signature := unb64(t, doc.Signature)
		if strings.HasPrefix(c.alg, "ES") {
			signature = derOf(t, signature)
		}
		input, sig := file(t, "input", []byte(doc.Protected+"."+doc.Payload)), file(t, "sig", signature)
		if c.hash == "" {
			run(t, "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", publicPEM(t, g, key.KeyId), "-rawin", "-in", input, "-sigfile", sig)
			continue
		}
		run(t, "openssl", "dgst", c.hash, "-verify", publicPEM(t, g, key.KeyId), "-signature", sig, input)
	}
	secret, pair := g.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId, g.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/keys/"+secret+"/history", nil), 400, api.InvalidKeyUsage)
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/keys/"+pair+"/history", nil), 400, api.InvalidKeyUsage)
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/keys/"+secret+"/public-keys", nil), 400, api.UnsupportedOperation)
	a := g.Send(g.Admin.Token, "GET", "/v1/keys/"+pair+"/public-keys", nil, "Accept", "application/jwk-set+json")
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/jwk-set+json" || !strings.Contains(string(a.Body), `"use":"enc"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func unb64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// derOf is the ECDSA-Sig-Value of r || s.
func derOf(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[:len(raw)/2]))
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[len(raw)/2:]))
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}
