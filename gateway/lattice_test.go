package gateway_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/x509"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestMLDSA signs on a module that has ML-DSA; another implementation verifies.
func TestMLDSA(t *testing.T) {
	lib := hsmtest.NewerNSS(t)
	if !hsmtest.Alone(t, "LD_LIBRARY_PATH="+filepath.Dir(lib)) {
		return
	}
	g := gatewaytest.NewOn(t, hsmtest.NSSToken(t, lib))
	for _, spec := range []api.KeySpec{api.MLDSA44, api.MLDSA65, api.MLDSA87} {
		key := g.CreateKey(spec, api.SignVerify)
		if len(key.SigningAlgorithms) != 1 || key.SigningAlgorithms[0] != api.MLDSASHAKE256 {
			t.Errorf("%+v", key)
		}
		pub, err := x509.ParsePKIXPublicKey(publicDER(t, g, key.KeyId))
		if err != nil {
			t.Fatal(err)
		}
		in := api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.MLDSASHAKE256}
		signature := sign(t, g, key.KeyId, in)
		if err := mldsa.Verify(pub.(*mldsa.PublicKey), []byte("m"), signature, nil); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		verify := func(message string, signature []byte) gatewaytest.Answer {
			return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/verify", api.VerifyRequest{Message: []byte(message), Signature: signature, SigningAlgorithm: api.MLDSASHAKE256})
		}
		if a := verify("m", signature); a.Status != 200 {
			t.Errorf("%s: %d %s", spec, a.Status, a.Body)
		}
		refusal(t, verify("n", signature), 400, api.KMSInvalidSignature)
		refusal(t, verify("m", signature[:len(signature)-1]), 400, api.KMSInvalidSignature)
		path := "/v1/keys/" + key.KeyId + "/sign"
		in.MessageType = api.Digest
		refusal(t, g.Send(g.Admin.Token, "POST", path, in), 400, api.Validation)
		in.MessageType = api.ExternalMu
		refusal(t, g.Send(g.Admin.Token, "POST", path, in), 400, api.Validation)
		in.Message = make([]byte, 64)
		refusal(t, g.Send(g.Admin.Token, "POST", path, in), 400, api.UnsupportedOperation)
		rotateNow(t, g, key.KeyId)
	}
}

// TestMLKEM encapsulates in Go and decapsulates on a module that has ML-KEM.
func TestMLKEM(t *testing.T) {
	lib := hsmtest.NewerNSS(t)
	if !hsmtest.Alone(t, "LD_LIBRARY_PATH="+filepath.Dir(lib)) {
		return
	}
	g := gatewaytest.NewOn(t, hsmtest.NSSToken(t, lib))
	made := 0
	for _, spec := range []api.KeySpec{api.MLKEM512, api.MLKEM768, api.MLKEM1024} {
		a := g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: spec, KeyUsage: api.EncapsulateDecapsulate})
		if a.Code() == string(api.UnsupportedOperation) { // NSS has no ML-KEM-512
			continue
		}
		var out api.CreateKeyResponse
		decodeInto(t, a, &out)
		key := out.KeyMetadata
		if len(key.EncapsulationAlgorithms) != 1 || key.EncapsulationAlgorithms[0] != api.MLKEM {
			t.Errorf("%+v", key)
		}
		made++
		var sent api.EncapsulateResponse
		var got api.DecapsulateResponse
		g.Call("POST", "/v1/keys/"+key.KeyId+"/encapsulate", api.EncapsulateRequest{EncapsulationAlgorithm: api.MLKEM}, &sent)
		in := api.DecapsulateRequest{EncapsulationAlgorithm: api.MLKEM, SharedSecretCiphertextBlob: sent.SharedSecretCiphertextBlob}
		g.Call("POST", "/v1/keys/"+key.KeyId+"/decapsulate", in, &got)
		if !bytes.Equal(got.SharedSecret, sent.SharedSecret) || got.KeyVersion != 1 || got.KeyId != key.Arn {
			t.Errorf("%s: %+v", spec, got)
		}
		in.SharedSecretCiphertextBlob = flipped(in.SharedSecretCiphertextBlob, 0)
		g.Call("POST", "/v1/keys/"+key.KeyId+"/decapsulate", in, &got)
		if len(got.SharedSecret) != 32 || bytes.Equal(got.SharedSecret, sent.SharedSecret) {
			t.Errorf("%s: a changed ciphertext gives the same secret", spec)
		}
		in.SharedSecretCiphertextBlob = in.SharedSecretCiphertextBlob[1:]
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key.KeyId+"/decapsulate", in), 400, api.InvalidCiphertext)
		rotateNow(t, g, key.KeyId)
		one := 1
		in.SharedSecretCiphertextBlob, in.KeyVersion = sent.SharedSecretCiphertextBlob, &one
		g.Call("POST", "/v1/keys/"+key.KeyId+"/decapsulate", in, &got)
		if !bytes.Equal(got.SharedSecret, sent.SharedSecret) {
			t.Errorf("%s: version 1 is not found by its number", spec)
		}
	}
	if made == 0 {
		t.Error("this module has no ML-KEM")
	}
}
