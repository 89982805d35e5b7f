package gateway_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestImportDates: what ExpirationModel and ValidTo take.
func TestImportDates(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.HMAC256, api.GenerateVerifyMac).KeyId
	in := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, hsmtest.MaterialOf(t, hsm.HMAC256, hsm.UseMAC).Value)
	at := func(d time.Duration) *api.Time { return api.NewTime(g.Now().Add(d)) }
	for name, c := range map[string]struct {
		model api.ExpirationModel
		until *api.Time
	}{
		"a date of what does not expire": {api.KeyMaterialDoesNotExpire, at(day)}, "no date": {api.KeyMaterialExpires, nil}, "no date, by default": {"", nil},
		"the past": {api.KeyMaterialExpires, at(-time.Second)}, "too far": {"", at(365*day + time.Hour)},
	} {
		in.ExpirationModel, in.ValidTo = c.model, c.until
		if a := tryImport(g, key, in); a.Status != 400 || a.Code() != string(api.Validation) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	in.ExpirationModel, in.ValidTo = "", at(364*day)
	bring(t, g, key, in)
	if now := metadata(t, g, key); now.ExpirationModel != api.KeyMaterialExpires || !now.ValidTo.Equal(in.ValidTo.Time) {
		t.Errorf("%+v", now)
	}
}

// TestImportedMaterialExpires at its date, before anybody removes it, and comes back
// only as what it was.
func TestImportedMaterialExpires(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	for _, kind := range []struct {
		spec  api.KeySpec
		usage api.KeyUsage
		use   hsm.Use
	}{{api.P256, api.SignVerify, hsm.UseSign}, {api.HMAC256, api.GenerateVerifyMac, hsm.UseMAC}, {api.Symmetric, api.EncryptDecrypt, hsm.UseCipher}} {
		key := external(t, g, kind.spec, kind.usage).KeyId
		m, other := hsmtest.MaterialOf(t, hsm.KeySpec(kind.spec), kind.use), hsmtest.MaterialOf(t, hsm.KeySpec(kind.spec), kind.use)
		p := parameters(t, g, key, api.WrapRSAAESSHA1, api.WrappingRSA2048)
		in := p.request(t, m.Value)
		in.ExpirationModel, in.ValidTo, in.KeyMaterialDescription = api.KeyMaterialExpires, api.NewTime(g.Now().Add(time.Hour)), "from the vault"
		id := bring(t, g, key, in).KeyMaterialId
		var sealed api.EncryptResponse
		if kind.spec == api.Symmetric {
			g.Call("POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: []byte("secret")}, &sealed)
		}

		g.Advance(2 * time.Hour)
		if now := metadata(t, g, key); now.KeyState != api.PendingImport || now.Enabled || now.ExpirationModel != "" || now.ValidTo != nil || (now.CurrentKeyMaterialId == id) != (kind.spec == api.Symmetric) {
			t.Errorf("%+v", now)
		}
		if kind.spec == api.P256 {
			refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/sign", api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}), 409, api.KMSInvalidState)
		}
		runFor(t, g, "the object is destroyed", func() error {
			if inToken(t, g, key) || len(g.Store.Pending()) > 0 {
				return errors.New("it is still there")
			}
			return nil
		})
		if !slices.ContainsFunc(own(g), isExpiry(key)) {
			t.Errorf("no record of the expiry: %+v", own(g))
		}
		refusal(t, tryImport(g, key, p.request(t, other.Value)), 400, api.IncorrectKeyMaterial)
		again := p.request(t, m.Value)
		again.KeyMaterialId = strings.Repeat("0", 64)
		refusal(t, tryImport(g, key, again), 400, api.IncorrectKeyMaterial)
		again.KeyMaterialId, again.ImportType = id, api.ExistingKeyMaterial
		if out := bring(t, g, key, again); out.KeyMaterialId != id || out.KeyVersion != 1 {
			t.Errorf("%+v", out)
		}
		if v := stored(t, g, key).Versions[0]; v.Description != "from the vault" {
			t.Errorf("%+v", v)
		}
		if kind.spec == api.Symmetric {
			var opened api.DecryptResponse
			g.Call("POST", "/v1/keys/"+key+"/decrypt", api.DecryptRequest{CiphertextBlob: sealed.CiphertextBlob}, &opened)
			if string(opened.Plaintext) != "secret" {
				t.Errorf("%+v", opened)
			}
		}
		if now := metadata(t, g, key); now.KeyState != api.Enabled {
			t.Errorf("%+v", now)
		}
	}
}

// TestDeleteImportedKeyMaterial: it is gone at once, twice is once, and a Disabled
// key is Enabled when its material comes back, as in AWS KMS.
func TestDeleteImportedKeyMaterial(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.P256, api.SignVerify).KeyId
	m := hsmtest.MaterialOf(t, hsm.NISTP256, hsm.UseSign)
	p := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048)
	id := bring(t, g, key, p.request(t, m.Value)).KeyMaterialId
	g.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
	for range 2 {
		var out api.DeleteImportedKeyMaterialResponse
		g.Call("POST", "/v1/keys/"+key+"/delete-imported", nil, &out)
		if out.KeyMaterialId != id {
			t.Errorf("%+v", out)
		}
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/delete-imported", api.DeleteImportedKeyMaterialRequest{KeyMaterialId: strings.Repeat("0", 64)}), 404, api.NotFound)
	if inToken(t, g, key) || len(g.Store.Pending()) != 0 || metadata(t, g, key).KeyState != api.PendingImport {
		t.Errorf("%+v", metadata(t, g, key))
	}
	bring(t, g, key, p.request(t, m.Value))
	verifies(t, g, key, m)

	// Another date: the object is replaced, and the old one is destroyed.
	g.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
	was := stored(t, g, key).Versions[0].ObjectID
	in := p.request(t, m.Value)
	in.ExpirationModel, in.ValidTo = api.KeyMaterialExpires, api.NewTime(g.Now().Add(day))
	bring(t, g, key, in)
	if now := metadata(t, g, key); now.KeyState != api.DisabledState || now.ValidTo == nil || bytes.Equal(stored(t, g, key).Versions[0].ObjectID, was) {
		t.Errorf("%+v", now)
	}
	runFor(t, g, "the old object is destroyed", func() error {
		if inToken(t, g, hexOf(was)) {
			return errors.New("it is still there")
		}
		return nil
	})
	g.Call("POST", "/v1/keys/"+key+"/enable", nil, nil)
	verifies(t, g, key, m)

	g.Call("POST", "/v1/keys/"+key+"/schedule-deletion", nil, nil)
	refusal(t, tryImport(g, key, in), 409, api.KMSInvalidState)
	g.Call("POST", "/v1/keys/"+key+"/delete-imported", nil, nil)
	if now := metadata(t, g, key); now.KeyState != api.PendingDeletion {
		t.Errorf("%+v", now)
	}
	g.Call("POST", "/v1/keys/"+key+"/cancel-deletion", nil, nil)
	if now := metadata(t, g, key); now.KeyState != api.PendingImport || now.Enabled {
		t.Errorf("%+v", now)
	}
	if differences, err := gateway.Compare(t.Context(), g.Store, gateway.DefaultToken, g.Token); err != nil || len(differences) != 0 {
		t.Errorf("%v (%v)", differences, err)
	}
}

// TestImportedRotation: new material waits for RotateKeyOnDemand; a pair's is
// announced first.
func TestImportedRotation(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	for _, kind := range []struct {
		spec    api.KeySpec
		usage   api.KeyUsage
		use     hsm.Use
		overlap time.Duration
	}{{api.Symmetric, api.EncryptDecrypt, hsm.UseCipher, 0}, {api.HMAC256, api.GenerateVerifyMac, hsm.UseMAC, 0}, {api.P256, api.SignVerify, hsm.UseSign, day}} {
		key := external(t, g, kind.spec, kind.usage).KeyId
		material := func() []byte { return hsmtest.MaterialOf(t, hsm.KeySpec(kind.spec), kind.use).Value }
		p := parameters(t, g, key, api.WrapRSAAESSHA1, api.WrappingRSA2048)
		first, second := p.request(t, material()), p.request(t, material())
		second.ImportType, second.KeyMaterialDescription = api.NewKeyMaterial, "the second"
		existing := first
		existing.ImportType = api.ExistingKeyMaterial
		refusal(t, tryImport(g, key, existing), 400, api.IncorrectKeyMaterial)
		bring(t, g, key, first)
		rotate := func() gatewaytest.Answer { return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/rotate", nil) }
		refusal(t, rotate(), 409, api.KMSInvalidState)
		again := first
		again.ImportType = api.NewKeyMaterial
		refusal(t, tryImport(g, key, again), 400, api.IncorrectKeyMaterial)
		second.KeyMaterialId = strings.Repeat("0", 64)
		refusal(t, tryImport(g, key, second), 400, api.Validation)
		second.KeyMaterialId = ""

		waits := bring(t, g, key, second)
		if got := entries(t, g, key); waits.KeyVersion != 2 || got != "1 CURRENT IMPORTED, 2 PENDING_ROTATION IMPORTED" {
			t.Errorf("%s: %+v, %s", kind.spec, waits, got)
		}
		third := p.request(t, material())
		third.ImportType = api.NewKeyMaterial
		refusal(t, tryImport(g, key, third), 409, api.KMSInvalidState)
		// What waits can be given up, and something else take its place.
		g.Call("POST", "/v1/keys/"+key+"/delete-imported", api.DeleteImportedKeyMaterialRequest{KeyMaterialId: waits.KeyMaterialId}, nil)
		if got := entries(t, g, key); got != "1 CURRENT IMPORTED" {
			t.Error(got)
		}
		bring(t, g, key, third)
		rotateNow(t, g, key)
		if v := stored(t, g, key).Versions[1]; v.CurrentAt.Sub(g.Now().Add(kind.overlap)).Abs() > time.Minute || v.Rotation != string(api.OnDemand) {
			t.Errorf("%s: %+v", kind.spec, v)
		}
		if kind.overlap > 0 {
			if got := states(publicKeys(t, g, key)); got != "CURRENT ANNOUNCED" {
				t.Error(got)
			}
			refusal(t, tryImport(g, key, second), 409, api.KMSInvalidState)
			g.Advance(kind.overlap + time.Hour)
		}
		if got := entries(t, g, key); got != "1 NON_CURRENT IMPORTED, 2 CURRENT IMPORTED" {
			t.Errorf("%s: %s", kind.spec, got)
		}
		g.Call("POST", "/v1/keys/"+key+"/delete-imported", nil, nil) // the current one
		if got := entries(t, g, key); got != "1 NON_CURRENT IMPORTED, 2 CURRENT PENDING_IMPORT" || metadata(t, g, key).KeyState != api.PendingImport {
			t.Errorf("%s: %s", kind.spec, got)
		}
	}
}

// TestRetiredMaterialExpires: what an older version encrypted is not decrypted after
// the date of its material, before anybody removes it.
func TestRetiredMaterialExpires(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, inMemory)
	key := external(t, g, api.Symmetric, api.EncryptDecrypt).KeyId
	p := parameters(t, g, key, api.WrapRSAAESSHA1, api.WrappingRSA2048)
	first, second := p.request(t, hsmtest.MaterialOf(t, hsm.Symmetric, hsm.UseCipher).Value), p.request(t, hsmtest.MaterialOf(t, hsm.Symmetric, hsm.UseCipher).Value)
	first.ExpirationModel, first.ValidTo = api.KeyMaterialExpires, api.NewTime(g.Now().Add(time.Hour))
	second.ImportType = api.NewKeyMaterial
	bring(t, g, key, first)
	var sealed api.EncryptResponse
	g.Call("POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: []byte("secret")}, &sealed)
	bring(t, g, key, second)
	rotateNow(t, g, key)
	decrypt := func() gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/decrypt", api.DecryptRequest{CiphertextBlob: sealed.CiphertextBlob})
	}
	if a := decrypt(); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	g.Advance(2 * time.Hour)
	refusal(t, decrypt(), 409, api.KMSInvalidState)
}

// entries writes what ListKeyRotations tells.
func entries(t testing.TB, g *gatewaytest.Gateway, key string) string {
	t.Helper()
	var out api.ListKeyRotationsResponse
	g.Call("GET", "/v1/keys/"+key+"/rotations?IncludeKeyMaterial=ALL_KEY_MATERIAL", nil, &out)
	var all []string
	for _, e := range out.Rotations {
		all = append(all, jsonNumber(uint64(e.KeyVersion))+" "+string(e.KeyMaterialState)+" "+string(e.ImportState))
	}
	return strings.Join(all, ", ")
}
