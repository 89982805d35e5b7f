package gateway_test

import (
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// TestTwoProcessesRecordOnce: what a key is due for is done and recorded by one
// process, also when the other does not know yet that it is done.
func TestTwoProcessesRecordOnce(t *testing.T) {
	t.Parallel()
	for operation, prepare := range map[string]func(*testing.T, *gatewaytest.Gateway){
		"ExpireKeyMaterial": func(t *testing.T, g *gatewaytest.Gateway) {
			key := external(t, g, api.Symmetric, api.EncryptDecrypt).KeyId
			material := parameters(t, g, key, api.WrapOAEPSHA1, api.WrappingRSA2048).request(t, hsmtest.MaterialOf(t, hsm.Symmetric, hsm.UseCipher).Value)
			material.ExpirationModel, material.ValidTo = api.KeyMaterialExpires, api.NewTime(g.Now().Add(day))
			bring(t, g, key, material)
		},
		"DeleteKey": func(t *testing.T, g *gatewaytest.Gateway) { // of a replica
			key := createMulti(t, g).KeyId
			replicate(t, g, home, key, west)
			do(t, g, west, "POST", "/v1/keys/"+key+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7})
		},
		"ScheduleKeyDeletion": func(t *testing.T, g *gatewaytest.Gateway) { // of a primary key without replicas
			key := createMulti(t, g).KeyId
			replicate(t, g, home, key, west)
			do(t, g, home, "POST", "/v1/keys/"+key+"/schedule-deletion", map[string]int{"PendingWindowInDays": 20})
			if err := g.Store.DeleteKey(t.Context(), west, key); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			options := inMemory
			options.Regions = []string{west}
			one := gatewaytest.NewWith(t, options)
			options.Name, options.Beside = "two", one
			two := gatewaytest.NewWith(t, options)
			prepare(t, one)
			if err := two.Store.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			both := []*gatewaytest.Gateway{one, two}
			for _, g := range both {
				g.Advance(8 * day)
				g.Service.Round(t.Context()) // the second does not watch the database
			}
			done := 0
			for n, g := range both {
				for _, r := range g.Records() {
					if r.Operation == operation && r.Face == "internal" {
						if done++; n > 0 {
							t.Errorf("the second process records it, too: %+v", r)
						}
					}
				}
				if logged := g.Lines.FilterMessageSnippet("not removed yet").Len() + g.Lines.FilterMessageSnippet("stays").Len(); logged > 0 {
					t.Errorf("process %d logs a failure", n+1)
				}
			}
			if done != 2 { // its beginning and its end
				t.Errorf("%d records", done)
			}
			for _, k := range one.Store.AllKeys() {
				if k.Owner != "" {
					t.Errorf("the claim is kept: %+v", k)
				}
			}
		})
	}
}
