package gateway_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

func version(t *testing.T, g *gatewaytest.Gateway, key string, number int) store.Version {
	t.Helper()
	k, _ := g.Store.Key(gatewaytest.Region, key)
	v, ok := k.Version(number)
	if !ok {
		t.Fatalf("%s has no version %d", key, number)
	}
	return v
}

func worn(g *gatewaytest.Gateway, key string) bool {
	k, _ := g.Store.Key(gatewaytest.Region, key)
	return g.Service.Worn(k)
}

// TestUsesAreCounted: blocks are set aside, half of them are worn, at the limit
// nothing is encrypted any more, and a new version goes on.
func TestUsesAreCounted(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	g.Service.CountUses(4, 16)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	at := "/v1/keys/" + key
	in := api.EncryptRequest{Plaintext: []byte("m")}
	for made := range uint64(16) {
		switch made % 4 { // every operation that encrypts counts
		case 0:
			g.Call("POST", at+"/encrypt", in, nil)
		case 1:
			g.Call("POST", at+"/generate-data-key", api.GenerateDataKeyRequest{KeySpec: api.AES256}, nil)
		case 2:
			g.Call("POST", at+"/generate-data-key-pair-without-plaintext", api.GenerateDataKeyPairRequest{KeyPairSpec: api.P256}, nil)
		case 3:
			var out api.EncryptResponse
			g.Call("POST", "/v1/re-encrypt", api.ReEncryptRequest{CiphertextBlob: sealedBefore(t, g, key), DestinationKeyId: key}, &out)
		}
		v := version(t, g, key, 1)
		if want := (made/4 + 1) * 4; v.Uses != want || worn(g, key) != (want >= 8) {
			t.Fatalf("%d uses are set aside for %d, want %d; worn: %v", v.Uses, made+1, want, worn(g, key))
		}
	}
	for _, dry := range []bool{false, true} {
		in.DryRun = dry
		a := g.Send(g.Admin.Token, "POST", at+"/encrypt", in)
		refusal(t, a, 400, api.LimitExceeded)
		if !strings.Contains(string(a.Body), "RotateKeyOnDemand") {
			t.Errorf("%s", a.Body)
		}
	}
	refusal(t, g.Send(g.Admin.Token, "POST", at+"/generate-data-key", api.GenerateDataKeyRequest{KeySpec: api.AES256}), 400, api.LimitExceeded)
	addSecretVersion(t, g, key, hsm.Symmetric)
	in.DryRun = false
	g.Call("POST", at+"/encrypt", in, nil)
	if v := version(t, g, key, 2); v.Uses != 4 || worn(g, key) {
		t.Errorf("%d uses of the new version", v.Uses)
	}
}

// sealedBefore is a ciphertext of another key.
func sealedBefore(t *testing.T, g *gatewaytest.Gateway, not string) []byte {
	t.Helper()
	if key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId; key != not {
		return encrypt(g, key, []byte("m"), nil)
	}
	return nil
}

// TestBlocksGrow: a short life loses little, and what is left at the end is used up
// in small blocks.
func TestBlocksGrow(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	g.Service.GrowUses(2, 8, 24)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	for made, want := range []uint64{2, 2, 6, 6, 6, 6, 14, 14, 14, 14, 14, 14, 14, 14, 22, 22, 22, 22, 22, 22, 22, 22, 24, 24} {
		encrypt(g, key, []byte("m"), nil)
		if v := version(t, g, key, 1); v.Uses != want {
			t.Fatalf("%d uses are set aside for %d, want %d", v.Uses, made+1, want)
		}
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: []byte("m")}), 400, api.LimitExceeded)
}

// TestUsesOfManyCallers: no encryption escapes the count.
func TestUsesOfManyCallers(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	g.Service.CountUses(8, 64)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 8 {
				a := g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: []byte("m")})
				switch {
				case a.Status == 200:
					made.Add(1)
				case a.Code() != string(api.LimitExceeded):
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
		})
	}
	wg.Wait()
	if made.Load() != 64 {
		t.Errorf("%d encryptions, want 64", made.Load())
	}
}

// TestCrashCountsTooMany: another life of the gateway does not use what was left
// of a block, and never more than is allowed.
func TestCrashCountsTooMany(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	g.Service.CountUses(4, 8)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	encrypt(g, key, []byte("m"), nil)
	second := g.Another(t)
	second.CountUses(4, 8)
	op, _ := gateway.OpNamed("Encrypt")
	call := func() *api.Error {
		c := &gateway.Call{RequestID: "r", Face: "rest", Principal: policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}}
		_, err := second.Do(context.Background(), c, op, func(in any) *api.Error {
			r := in.(*api.EncryptRequest)
			r.KeyId, r.Plaintext = key, []byte("m")
			return nil
		})
		return err
	}
	for range 4 {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	if err := call(); err == nil || err.Code != api.LimitExceeded {
		t.Errorf("%v", err)
	}
}

// TestEncryptWritesNothing: but a block now and then.
func TestEncryptWritesNothing(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	encrypt(g, key, []byte("m"), nil)
	if v := version(t, g, key, 1); v.Uses != 1<<10 || worn(g, key) {
		t.Errorf("%d uses are set aside", v.Uses)
	}
	before, _ := g.Store.Key(gatewaytest.Region, key)
	for range 200 {
		encrypt(g, key, []byte("m"), nil)
	}
	if after, _ := g.Store.Key(gatewaytest.Region, key); after != before { // a write replaces the pointer
		t.Error("encryptions write into the store")
	}
}

// TestPairsWaitForAPlace: when all places are taken, a caller that goes is let go,
// and the next finds a place again.
func TestPairsWaitForAPlace(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	op, _ := gateway.OpNamed("GenerateDataKeyPair")
	call := func(ctx context.Context) *api.Error {
		c := &gateway.Call{RequestID: "r", Face: "rest", Principal: policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}}
		_, err := g.Service.Do(ctx, c, op, func(in any) *api.Error {
			r := in.(*api.GenerateDataKeyPairRequest)
			r.KeyId, r.KeyPairSpec = key, api.P256
			return nil
		})
		return err
	}
	leave := g.Service.Crowd()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := call(ctx); err == nil || err.Code != api.Throttling || err.RetryAfter == 0 {
		t.Errorf("%v", err)
	}
	leave()
	if err := call(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWornKeysRotateByThemselves: at half of what a version may encrypt, the next
// one comes, and encryption goes on beyond the limit of the first.
func TestWornKeysRotateByThemselves(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	g.Service.CountUses(2, 8)
	key := g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	for range 3 {
		encrypt(g, key, []byte("m"), nil)
	}
	runFor(t, g, "the worn key to rotate", func() error {
		if k, _ := g.Store.Key(gatewaytest.Region, key); len(k.Versions) < 2 {
			return errors.New("it has one version")
		}
		return nil
	})
	var out api.EncryptResponse
	for range 4 {
		g.Call("POST", "/v1/keys/"+key+"/encrypt", api.EncryptRequest{Plaintext: []byte("m")}, &out)
	}
	if out.KeyVersion < 2 {
		t.Errorf("version %d encrypts", out.KeyVersion)
	}
}
