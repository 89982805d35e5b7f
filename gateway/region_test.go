package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

const (
	home  = gatewaytest.Region
	west  = "eu-west-1"
	north = "eu-north-1"
)

func newRegions(t testing.TB) *gatewaytest.Gateway {
	t.Helper()
	return gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{west, north}})
}

// in sends a call of the administrator to a region.
func in(g *gatewaytest.Gateway, region, method, path string, body any) gatewaytest.Answer {
	return g.Send(g.Admin.Token, method, path, body, "Hsmgate-Region", region)
}

// do sends a call that has to be a success.
func do(t testing.TB, g *gatewaytest.Gateway, region, method, path string, body any) {
	t.Helper()
	if a := in(g, region, method, path, body); a.Status != 200 {
		t.Fatalf("%s %s in %s: %d %s", method, path, region, a.Status, a.Body)
	}
}

// createMulti makes a multi-Region key in the home region.
func createMulti(t testing.TB, g *gatewaytest.Gateway) *api.KeyMetadata {
	t.Helper()
	var out api.CreateKeyResponse
	g.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, MultiRegion: true}, &out)
	return out.KeyMetadata
}

func replicate(t testing.TB, g *gatewaytest.Gateway, from, id, to string) *api.KeyMetadata {
	t.Helper()
	var out api.ReplicateKeyResponse
	decodeTo(t, in(g, from, "POST", "/v1/keys/"+id+"/replicate", map[string]any{"ReplicaRegion": to}), &out)
	return out.ReplicaKeyMetadata
}

func signIn(t testing.TB, g *gatewaytest.Gateway, region, id string) []byte {
	t.Helper()
	var out api.SignResponse
	decodeTo(t, in(g, region, "POST", "/v1/keys/"+id+"/sign", message), &out)
	return out.Signature
}

// TestRegionsAreApart: keys and aliases of one region are not there in another.
func TestRegionsAreApart(t *testing.T) {
	t.Parallel()
	g := newRegions(t)
	keys := make(map[string]*api.KeyMetadata)
	for _, region := range []string{home, west} {
		var made api.CreateKeyResponse
		decodeTo(t, in(g, region, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify}), &made)
		keys[region] = made.KeyMetadata
		do(t, g, region, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/same", TargetKeyId: made.KeyMetadata.KeyId})
	}
	for _, region := range []string{home, west} {
		if m := describe(t, g, "alias/same", "Hsmgate-Region", region); m.KeyId != keys[region].KeyId || m.Arn != "arn:aws:kms:"+region+":"+gatewaytest.Account+":key/"+m.KeyId {
			t.Errorf("%s: %+v", region, m)
		}
		var list api.ListKeysResponse
		decodeTo(t, in(g, region, "GET", "/v1/keys", nil), &list)
		if len(list.Keys) != 1 || list.Keys[0].KeyId != keys[region].KeyId {
			t.Errorf("%s: %+v", region, list)
		}
	}
	if m := describe(t, g, "alias/same"); m.KeyId != keys[home].KeyId {
		t.Errorf("without the header: %+v", m)
	}
	refusal(t, in(g, home, "GET", "/v1/keys/"+keys[west].KeyId, nil), 404, api.NotFound)
	a := in(g, home, "GET", "/v1/keys/"+strings.ReplaceAll(keys[west].Arn, "/", "%2F"), nil)
	if refusal(t, a, 404, api.NotFound); !strings.Contains(string(a.Body), "Invalid arn "+west) {
		t.Errorf("%s", a.Body)
	}
	refusal(t, in(g, west, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/x", TargetKeyId: keys[home].KeyId}), 404, api.NotFound)

	before := len(g.Records())
	for _, wrong := range []string{"us-east-1", home + "," + west, "EU-WEST-1", home + " x"} {
		a := in(g, wrong, "POST", "/v1/keys/"+keys[home].KeyId+"/sign", message)
		if refusal(t, a, 400, api.Validation); !strings.Contains(string(a.Body), home+", "+west+", "+north) {
			t.Errorf("%s: %s", wrong, a.Body)
		}
	}
	if fresh := g.Records()[before:]; len(fresh) != 4 || fresh[0].Outcome != "invalid" || fresh[0].Resource != keys[home].KeyId {
		t.Errorf("%+v", fresh)
	}
}

// TestReplicas: one material in two regions, with all else apart.
func TestReplicas(t *testing.T) {
	t.Parallel()
	g := newRegions(t)
	key := createMulti(t, g)
	if c := key.MultiRegionConfiguration; !strings.HasPrefix(key.KeyId, "mrk-") || len(key.KeyId) != 36 || !key.MultiRegion || c == nil ||
		c.MultiRegionKeyType != api.Primary || c.PrimaryKey.Arn != key.Arn || c.PrimaryKey.Region != home || len(c.ReplicaKeys) != 0 {
		t.Fatalf("%+v", key)
	}
	var out api.ReplicateKeyResponse
	decodeTo(t, in(g, home, "POST", "/v1/keys/"+key.KeyId+"/replicate", map[string]any{"ReplicaRegion": west, "Description": "in the west",
		"Tags": []api.Tag{{TagKey: "team", TagValue: "b"}, {TagKey: "a", TagValue: ""}}}), &out)
	replica := out.ReplicaKeyMetadata
	if c := replica.MultiRegionConfiguration; replica.KeyId != key.KeyId || replica.Arn != strings.Replace(key.Arn, home, west, 1) || replica.Description != "in the west" ||
		!replica.Enabled || c.MultiRegionKeyType != api.Replica || c.PrimaryKey.Arn != key.Arn || len(c.ReplicaKeys) != 1 || c.ReplicaKeys[0].Arn != replica.Arn || len(out.ReplicaTags) != 2 {
		t.Errorf("%+v", out)
	}
	if kept, ok := g.Store.Key(west, key.KeyId); !ok || len(kept.Tags) != 2 || kept.Tags[1] != (store.Tag{Name: "team", Value: "b"}) {
		t.Errorf("%+v", kept)
	}
	if m := describe(t, g, key.KeyId); m.Description != "" || len(m.MultiRegionConfiguration.ReplicaKeys) != 1 || m.MultiRegionConfiguration.MultiRegionKeyType != api.Primary {
		t.Errorf("%+v", m)
	}
	signature := signIn(t, g, home, key.KeyId)
	verify := api.VerifyRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256, Signature: signature}
	do(t, g, west, "POST", "/v1/keys/"+key.KeyId+"/verify", verify)
	do(t, g, west, "POST", "/v1/keys/"+key.KeyId+"/disable", nil)
	refusal(t, in(g, west, "POST", "/v1/keys/"+key.KeyId+"/sign", message), 409, api.Disabled)
	signIn(t, g, home, key.KeyId)
	if objects, err := g.Token.Objects(t.Context()); err != nil || len(objects) != 1 {
		t.Errorf("%d objects in the token, %v", len(objects), err)
	}

	user := g.Principal("pipeline", policy.RoleUser, key.KeyId)
	for _, region := range []string{home, north} {
		want := map[string]int{home: 200, north: 404}[region] // the id of a multi-Region key is the same everywhere
		if a := g.Send(user.Token, "POST", "/v1/keys/"+key.KeyId+"/sign", message, "Hsmgate-Region", region); a.Status != want {
			t.Errorf("a user that names the id, in %s: %d %s", region, a.Status, a.Body)
		}
	}
	refusal(t, g.Send(user.Token, "POST", "/v1/keys/"+key.KeyId+"/replicate", map[string]any{"ReplicaRegion": north}), 403, api.AccessDenied)
}

// TestReplicateRefusals: where a replica cannot be made.
func TestReplicateRefusals(t *testing.T) {
	t.Parallel()
	g := newRegions(t)
	key, single := createMulti(t, g), g.CreateKey(api.P256, api.SignVerify)
	replicate(t, g, home, key.KeyId, west)
	for _, c := range []struct {
		what, region, key string
		body              map[string]any
		status            int
		code              api.Code
		text              string
	}{
		{"a key of one region", home, single.KeyId, map[string]any{"ReplicaRegion": west}, 400, api.UnsupportedOperation, "not a multi-Region key"},
		{"a replica", west, key.KeyId, map[string]any{"ReplicaRegion": north}, 400, api.UnsupportedOperation, home},
		{"its own region", home, key.KeyId, map[string]any{"ReplicaRegion": home}, 400, api.Validation, "region of the primary key"},
		{"a region that is not served", home, key.KeyId, map[string]any{"ReplicaRegion": "us-east-1"}, 400, api.Validation, home + ", " + west},
		{"no region", home, key.KeyId, map[string]any{"ReplicaRegion": "west"}, 400, api.Validation, "regular expression"},
		{"twice", home, key.KeyId, map[string]any{"ReplicaRegion": west}, 409, api.AlreadyExists, west},
		{"with a bad policy", home, key.KeyId, map[string]any{"ReplicaRegion": north, "Policy": "{}"}, 400, api.MalformedPolicyDocument, "no Statement"},
		{"a tag twice", home, key.KeyId, map[string]any{"ReplicaRegion": north, "Tags": []api.Tag{{TagKey: "a"}, {TagKey: "a"}}}, 400, api.InvalidTag, "Duplicate"},
		{"a reserved tag", home, key.KeyId, map[string]any{"ReplicaRegion": north, "Tags": []api.Tag{{TagKey: "aws:a"}}}, 400, api.InvalidTag, "reserved"},
	} {
		a := in(g, c.region, "POST", "/v1/keys/"+c.key+"/replicate", c.body)
		if refusal(t, a, c.status, c.code); !strings.Contains(string(a.Body), c.text) {
			t.Errorf("%s: %s", c.what, a.Body)
		}
	}
	do(t, g, home, "POST", "/v1/keys/"+key.KeyId+"/disable", nil)
	refusal(t, in(g, home, "POST", "/v1/keys/"+key.KeyId+"/replicate", map[string]any{"ReplicaRegion": north}), 409, api.Disabled)
	if _, ok := g.Store.Key(north, key.KeyId); ok {
		t.Error("one of them was made all the same")
	}
}

// TestUpdatePrimaryRegion moves the primary and back.
func TestUpdatePrimaryRegion(t *testing.T) {
	t.Parallel()
	g := newRegions(t)
	key := createMulti(t, g)
	path := "/v1/keys/" + key.KeyId + "/primary-region"
	to := func(region string) map[string]string { return map[string]string{"PrimaryRegion": region} }
	refusal(t, in(g, home, "PUT", path, to(west)), 404, api.NotFound)
	replicate(t, g, home, key.KeyId, west)
	refusal(t, in(g, west, "PUT", path, to(home)), 400, api.UnsupportedOperation)
	refusal(t, in(g, home, "PUT", path, to(home)), 400, api.Validation)
	refusal(t, in(g, home, "PUT", path, to("us-east-1")), 400, api.Validation)
	do(t, g, west, "POST", "/v1/keys/"+key.KeyId+"/disable", nil)
	refusal(t, in(g, home, "PUT", path, to(west)), 409, api.Disabled)
	do(t, g, west, "POST", "/v1/keys/"+key.KeyId+"/enable", nil)
	do(t, g, home, "PUT", path, to(west))
	here, there := describe(t, g, key.KeyId).MultiRegionConfiguration, describe(t, g, key.KeyId, "Hsmgate-Region", west).MultiRegionConfiguration
	if here.MultiRegionKeyType != api.Replica || there.MultiRegionKeyType != api.Primary || there.PrimaryKey.Region != west || len(there.ReplicaKeys) != 1 || there.ReplicaKeys[0].Region != home {
		t.Errorf("%+v %+v", here, there)
	}
	replicate(t, g, west, key.KeyId, north)
	refusal(t, in(g, home, "PUT", path, to(west)), 400, api.UnsupportedOperation)
	do(t, g, west, "PUT", path, to(home))
	if c := describe(t, g, key.KeyId).MultiRegionConfiguration; c.MultiRegionKeyType != api.Primary || len(c.ReplicaKeys) != 2 {
		t.Errorf("%+v", c)
	}
}

// TestPrimaryIsDeletedLast: its waiting period begins when the last replica is
// deleted, and the token's object goes with the last of all.
func TestPrimaryIsDeletedLast(t *testing.T) {
	t.Parallel()
	g := newRegions(t)
	key := createMulti(t, g)
	path := "/v1/keys/" + key.KeyId
	for _, region := range []string{west, north} {
		replicate(t, g, home, key.KeyId, region)
	}
	var out api.ScheduleKeyDeletionResponse
	schedule := func(region string, days int) {
		t.Helper()
		out = api.ScheduleKeyDeletionResponse{}
		decodeTo(t, in(g, region, "POST", path+"/schedule-deletion", map[string]int{"PendingWindowInDays": days}), &out)
	}
	schedule(home, 10)
	if out.KeyState != api.PendingReplicaDeletion || out.PendingWindowInDays != 10 || out.DeletionDate != nil {
		t.Errorf("%+v", out)
	}
	if m := describe(t, g, key.KeyId); m.KeyState != api.PendingReplicaDeletion || m.PendingDeletionWindowInDays != 10 || m.DeletionDate != nil || m.Enabled {
		t.Errorf("%+v", m)
	}
	a := in(g, home, "POST", path+"/sign", message)
	if refusal(t, a, 409, api.KMSInvalidState); !strings.Contains(string(a.Body), "is pending replica deletion.") {
		t.Errorf("%s", a.Body)
	}
	signIn(t, g, west, key.KeyId)
	do(t, g, home, "POST", path+"/cancel-deletion", nil)
	if m := describe(t, g, key.KeyId); m.KeyState != api.DisabledState || m.PendingDeletionWindowInDays != 0 {
		t.Errorf("%+v", m)
	}

	schedule(home, 10)
	schedule(west, 7)
	if out.KeyState != api.PendingDeletion {
		t.Errorf("%+v", out)
	}
	g.Advance(8 * day)
	start(t, g)
	if _, ok := g.Store.Key(west, key.KeyId); ok || describe(t, g, key.KeyId).KeyState != api.PendingReplicaDeletion || !inToken(t, g, key.KeyId) {
		t.Fatal("after the first replica")
	}
	if records := own(g); len(records) != 2 || records[1].Operation != "DeleteKey" || !strings.Contains(records[1].KeyARN, west) || records[1].Outcome != "allowed" {
		t.Errorf("%+v", records)
	}
	schedule(north, 7)
	g.Advance(8 * day)
	start(t, g)
	m := describe(t, g, key.KeyId)
	if m.KeyState != api.PendingDeletion || m.DeletionDate == nil || m.DeletionDate.Sub(g.Now().Add(10*day)).Abs() > time.Minute {
		t.Fatalf("after the last replica: %+v", m)
	}
	do(t, g, home, "POST", path+"/cancel-deletion", nil)
	do(t, g, home, "POST", path+"/enable", nil)
	signIn(t, g, home, key.KeyId)
	schedule(home, 7)
	if out.KeyState != api.PendingDeletion || !inToken(t, g, key.KeyId) {
		t.Errorf("%+v", out)
	}
	g.Advance(8 * day)
	start(t, g)
	if inToken(t, g, key.KeyId) || len(g.Store.Undestroyed()) != 0 {
		t.Error("the key is still there")
	}
	if records := own(g); len(records) != 8 || records[5].Operation != "ScheduleKeyDeletion" || !strings.Contains(records[7].KeyARN, home) {
		t.Errorf("%d %+v", len(records), records)
	}
}

// TestReplicaComesBack: a region whose replica was deleted can have one again.
func TestReplicaComesBack(t *testing.T) {
	t.Parallel()
	g := newRegions(t)
	key := createMulti(t, g)
	replicate(t, g, home, key.KeyId, west)
	do(t, g, west, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/x", TargetKeyId: key.KeyId})
	do(t, g, west, "POST", "/v1/keys/"+key.KeyId+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7})
	g.Advance(8 * day)
	start(t, g)
	refusal(t, in(g, west, "GET", "/v1/keys/"+key.KeyId, nil), 404, api.NotFound)
	if m := describe(t, g, key.KeyId); len(m.MultiRegionConfiguration.ReplicaKeys) != 0 {
		t.Errorf("%+v", m)
	}
	replicate(t, g, home, key.KeyId, west)
	signIn(t, g, west, key.KeyId)
	refusal(t, in(g, west, "GET", "/v1/keys/alias%2Fx", nil), 404, api.NotFound)
}

// TestPrimaryIsNotDeletedBeforeAReplica that another process made at the same time.
func TestPrimaryIsNotDeletedBeforeAReplica(t *testing.T) {
	t.Parallel()
	g := newRegions(t)
	key := createMulti(t, g)
	do(t, g, home, "POST", "/v1/keys/"+key.KeyId+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7})
	if err := g.Store.InsertReplica(t.Context(), &store.Key{Region: west, ID: key.KeyId, State: store.StateEnabled, CreatedAt: g.Now()}); err != nil {
		t.Fatal(err)
	}
	g.Advance(8 * day)
	start(t, g)
	if m := describe(t, g, key.KeyId); m.KeyState != api.PendingDeletion || !inToken(t, g, key.KeyId) {
		t.Errorf("%+v", m)
	}
	do(t, g, west, "POST", "/v1/keys/"+key.KeyId+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7})
	g.Advance(8 * day)
	start(t, g)
	start(t, g)
	if inToken(t, g, key.KeyId) || len(g.Store.Undestroyed()) != 0 {
		t.Error("the key is still there")
	}
}

// TestReplicasCount among the keys that a region may have.
func TestReplicasCount(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Regions: []string{west}, Quotas: gateway.Quotas{Keys: 1}})
	key := createMulti(t, g)
	do(t, g, west, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify})
	refusal(t, in(g, home, "POST", "/v1/keys/"+key.KeyId+"/replicate", map[string]string{"ReplicaRegion": west}), 400, api.LimitExceeded)
}
