package gateway_test

import (
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// TestEveryRegionDecrypts: a key of a multi-Region line decrypts in each of its
// regions what was encrypted in one of them, and in no other.
func TestEveryRegionDecrypts(t *testing.T) {
	t.Parallel()
	const id, there, elsewhere = "mrk-1234abcd12ab34cd56ef1234567890ab", "eu-west-1", "us-east-1"
	g := gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{there, elsewhere}})
	v := store.Version{Number: 1, ObjectID: hsm.NewID(), CreatedAt: time.Now(), CurrentAt: time.Now().Add(-time.Minute), MaterialID: "m"}
	var err error
	if v.Check, err = g.Token.GenerateSecret(t.Context(), hsm.Symmetric, v.ObjectID, id); err != nil {
		t.Fatal(err)
	}
	k := &store.Key{Region: gatewaytest.Region, ID: id, State: store.StateEnabled, CreatedAt: time.Now(), Line: store.Line{
		Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS", MultiRegion: true, PrimaryRegion: gatewaytest.Region, Versions: []store.Version{v}}}
	if err = g.Store.InsertKey(t.Context(), k); err == nil {
		k.Region = there
		err = g.Store.InsertReplica(t.Context(), k)
	}
	if err != nil {
		t.Fatal(err)
	}
	sealed := encrypt(g, id, []byte("secret"), nil)
	op, _ := gateway.OpNamed("Decrypt")
	decrypt := func(region string) (*api.DecryptResponse, *api.Error) {
		c := &gateway.Call{RequestID: "r", Face: "aws", Region: region, Principal: policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}}
		out, err := g.Service.Do(t.Context(), c, op, func(in any) *api.Error {
			in.(*api.DecryptRequest).CiphertextBlob = sealed
			return nil
		})
		if err != nil {
			return nil, err
		}
		return out.(*api.DecryptResponse), nil
	}
	for _, region := range []string{"", gatewaytest.Region, there} {
		out, err := decrypt(region)
		if err != nil || string(out.Plaintext) != "secret" {
			t.Errorf("%s: %v", region, err)
		} else if want := "arn:aws:kms:" + max(region, gatewaytest.Region) + ":" + gatewaytest.Account + ":key/" + id; out.KeyId != want {
			t.Errorf("%s: %s, want %s", region, out.KeyId, want)
		}
	}
	if _, err := decrypt(elsewhere); err == nil || err.Code != api.AccessDenied {
		t.Errorf("%s: %v", elsewhere, err)
	}
}
