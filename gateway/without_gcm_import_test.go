package gateway_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// derivingOn is a gateway on a token without AES-GCM that derives, in a process of the test's own.
func derivingOn(t *testing.T) (*faults, *gatewaytest.Gateway) {
	t.Helper()
	f := newFaults(t)
	f.tell("no-gcm")
	token := hsmtest.TokenIn(t, f.library)
	token.WithoutGCM = "derive"
	return f, gatewaytest.NewWith(t, gatewaytest.Options{Token: token, Imports: inMemory.Imports})
}

// after is the gateway started anew with another setting, on the same token and database.
func after(t *testing.T, g *gatewaytest.Gateway, withoutGCM string) *gatewaytest.Gateway {
	t.Helper()
	g.TokenAt.WithoutGCM = withoutGCM
	return gatewaytest.NewWith(t, gatewaytest.Options{Beside: g, Imports: inMemory.Imports})
}

// material imports into a key what it had before, or what is new to it.
func material(t *testing.T, g *gatewaytest.Gateway, key string, value []byte, kind api.ImportType) gatewaytest.Answer {
	t.Helper()
	in := parameters(t, g, key, api.WrapOAEPSHA256, api.WrappingRSA2048).request(t, value)
	in.ImportType = kind
	return tryImport(g, key, in)
}

func again(t *testing.T, g *gatewaytest.Gateway, key string, value []byte) {
	t.Helper()
	if a := material(t, g, key, value, api.ExistingKeyMaterial); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
}

func take(t *testing.T, g *gatewaytest.Gateway, key, materialID string) {
	t.Helper()
	g.Call("POST", "/v1/keys/"+key+"/delete-imported", api.DeleteImportedKeyMaterialRequest{KeyMaterialId: materialID}, nil)
}

// Material that was imported on a token without AES-GCM comes back when the token has it, beside material of the other form: what each has encrypted
// is decrypted again.
func TestDerivedMaterialComesBackWithGCM(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f, g := derivingOn(t)
	first, second, text := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32), []byte("a plaintext")
	key := external(t, g, api.Symmetric, api.EncryptDecrypt).KeyId
	bring(t, g, key, parameters(t, g, key, api.WrapOAEPSHA256, api.WrappingRSA2048).request(t, first))
	old := encrypt(g, key, text, nil)
	opened := func(ciphertexts ...[]byte) {
		t.Helper()
		for n, c := range ciphertexts {
			if out := opens(g, c, nil); !bytes.Equal(out.Plaintext, text) || out.KeyVersion != n+1 {
				t.Errorf("version %d: %+v", n+1, out)
			}
		}
	}
	take(t, g, key, "")
	again(t, g, key, first)
	opened(old)

	f.tell("")
	g = after(t, g, "refuse")
	opened(old)
	take(t, g, key, "")
	refusal(t, material(t, g, key, second, api.ExistingKeyMaterial), http.StatusBadRequest, api.IncorrectKeyMaterial)
	again(t, g, key, first)
	opened(old)
	if a := material(t, g, key, second, api.NewKeyMaterial); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	g.Call("POST", "/v1/keys/"+key+"/rotate", nil, nil)
	recent := encrypt(g, key, text, nil)
	if len(recent) == len(old) {
		t.Error("new material derives, though the token has AES-GCM")
	}
	for n, value := range [][]byte{first, second} {
		take(t, g, key, stored(t, g, key).Versions[n].MaterialID)
		refusal(t, material(t, g, key, bytes.Repeat([]byte{9}, 32), api.ExistingKeyMaterial), http.StatusBadRequest, api.IncorrectKeyMaterial)
		again(t, g, key, value)
		opened(old, recent)
	}

	// Without AES-GCM again, the one form works on, and the other is told that it cannot.
	f.tell("no-gcm")
	g = after(t, g, "derive")
	take(t, g, key, stored(t, g, key).Versions[0].MaterialID)
	again(t, g, key, first)
	opened(old)
	a := material(t, g, key, second, api.ExistingKeyMaterial)
	refusal(t, a, http.StatusBadRequest, api.UnsupportedOperation)
	if !strings.Contains(string(a.Body), "imported into a token with AES-GCM") {
		t.Errorf("%s", a.Body)
	}
}

// Under refuse, material that was imported under derive comes back all the same, and no other.
func TestDerivedMaterialComesBackUnderRefuse(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	_, g := derivingOn(t)
	value, text := bytes.Repeat([]byte{7}, 32), []byte("a plaintext")
	key := external(t, g, api.Symmetric, api.EncryptDecrypt).KeyId
	bring(t, g, key, parameters(t, g, key, api.WrapOAEPSHA256, api.WrappingRSA2048).request(t, value))
	old := encrypt(g, key, text, nil)
	g = after(t, g, "refuse")
	take(t, g, key, "")
	again(t, g, key, value)
	if out := opens(g, old, nil); !bytes.Equal(out.Plaintext, text) {
		t.Errorf("%+v", out)
	}
	a := material(t, g, key, bytes.Repeat([]byte{8}, 32), api.NewKeyMaterial)
	refusal(t, a, http.StatusBadRequest, api.UnsupportedOperation)
	if !strings.Contains(string(a.Body), "without_gcm: derive") {
		t.Errorf("%s", a.Body)
	}
	short := material(t, g, key, []byte{1, 2, 3}, api.ExistingKeyMaterial)
	refusal(t, short, http.StatusBadRequest, api.IncorrectKeyMaterial)
	if !strings.Contains(string(short.Body), "SYMMETRIC_DEFAULT") || strings.Contains(string(short.Body), "HMAC") {
		t.Errorf("a short one: %s", short.Body)
	}
}

// A due rotation that the token refuses since the setting was changed is tried at ever longer times, since each try leaves two records.
func TestRefusedRotationIsSpaced(t *testing.T) {
	if !hsmtest.Alone(t) {
		return
	}
	f, g := derivingOn(t)
	key, text := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId, []byte("a plaintext")
	g.Call("PUT", "/v1/keys/"+key+"/rotation", map[string]int{"RotationPeriodInDays": 90}, nil)
	old := encrypt(g, key, text, nil)
	g = after(t, g, "refuse")
	g.Advance(91 * day)
	tried := func() (n int) {
		for _, r := range g.Records() {
			if r.Operation == "RotateKey" && r.Phase != "started" {
				n++
			}
		}
		return n
	}
	for minutes, want := range []int{0: 1, 1: 2, 2: 2, 3: 3, 4: 3} { // a minute after the first, two after the second
		for range 3 {
			g.Service.Round(t.Context())
		}
		if got := tried(); got != want {
			t.Errorf("after %d minutes: tried %d times, not %d", minutes, got, want)
		}
		g.Advance(time.Minute)
	}
	if out := opens(g, encrypt(g, key, text, nil), nil); out.KeyVersion != 1 || !bytes.Equal(opens(g, old, nil).Plaintext, text) {
		t.Errorf("%+v", out)
	}
	f.tell("")
	g = after(t, g, "derive") // the self-test of that setting is known
	g.Advance(91 * day)
	g.Service.Round(t.Context())
	if out := opens(g, encrypt(g, key, text, nil), nil); out.KeyVersion != 2 {
		t.Errorf("%+v", out)
	}
}

// Whoever may have MACs computed does not get the key of a message, though the same material is in both keys.
func TestMacIsNoKeyOfAMessage(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	prefix := []byte("\x00\x00\x00\x01hsmgate: key of one message, AES-256-GCM\x00")
	whole := append(append(bytes.Clone(prefix), make([]byte, 16)...), 0, 0, 1, 0)
	for spec, c := range macs {
		at := "/v1/keys/" + g.CreateKey(spec, api.GenerateVerifyMac).KeyId
		for _, message := range [][]byte{prefix, whole, prefix[:len(prefix)-1], append([]byte{1}, prefix...)} {
			reserved := spec == api.HMAC256 && bytes.HasPrefix(message, prefix)
			made := g.Send(g.Admin.Token, "POST", at+"/generate-mac", api.GenerateMacRequest{Message: message, MacAlgorithm: c.algorithm})
			verified := g.Send(g.Admin.Token, "POST", at+"/verify-mac", api.VerifyMacRequest{Message: message, MacAlgorithm: c.algorithm, Mac: make([]byte, c.size)})
			if !reserved {
				decodeTo(t, made, &api.GenerateMacResponse{})
				refusal(t, verified, http.StatusBadRequest, api.KMSInvalidMac)
				continue
			}
			for _, a := range []gatewaytest.Answer{made, verified} {
				if refusal(t, a, http.StatusBadRequest, api.Validation); !strings.Contains(string(a.Body), "Message begins like") {
					t.Errorf("%s", a.Body)
				}
			}
		}
	}
}
