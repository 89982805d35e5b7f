package gateway_test

import (
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
