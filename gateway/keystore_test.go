package gateway_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/hsm"
	"github.com/hsmgate/hsmgate/hsm/hsmtest"
)

// connections tells the state of each key store, with the reason of a failure.
func connections(t testing.TB, g *gatewaytest.Gateway) map[string]string {
	t.Helper()
	var out api.DescribeCustomKeyStoresResponse
	g.Call("GET", "/v1/custom-key-stores", nil, &out)
	all := make(map[string]string)
	for _, s := range out.CustomKeyStores {
		if s.CustomKeyStoreName != s.CustomKeyStoreId || s.CustomKeyStoreType != api.AWSCloudHSM {
			t.Errorf("%+v", s)
		}
		all[s.CustomKeyStoreId] = strings.TrimSpace(string(s.ConnectionState) + " " + string(s.ConnectionErrorCode))
	}
	return all
}

// comes waits for a state of a key store.
func comes(t testing.TB, g *gatewaytest.Gateway, name, state string) {
	t.Helper()
	until(t, name+" is "+state, func() bool { return connections(t, g)[name] == state })
}

func connect(t testing.TB, g *gatewaytest.Gateway, verb, name string) gatewaytest.Answer {
	t.Helper()
	return g.Send(g.Admin.Token, "POST", "/v1/custom-key-stores/"+verb, map[string]string{"CustomKeyStoreId": name})
}

// createIn makes a key in a token by its name.
func createIn(t testing.TB, g *gatewaytest.Gateway, name string) *api.KeyMetadata {
	t.Helper()
	var out api.CreateKeyResponse
	g.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, CustomKeyStoreId: name}, &out)
	return out.KeyMetadata
}

func describe(t testing.TB, g *gatewaytest.Gateway, key string, header ...string) *api.KeyMetadata {
	t.Helper()
	var out api.DescribeKeyResponse
	decodeTo(t, g.Send(g.Admin.Token, "GET", "/v1/keys/"+key, nil, header...), &out)
	return out.KeyMetadata
}

// secondToken is a gateway with a further token, opened here as well to look into it.
func secondToken(t testing.TB) (*gatewaytest.Gateway, *hsm.Token, hsm.Config) {
	t.Helper()
	config := hsmtest.NewToken(t)
	return gatewaytest.NewWith(t, gatewaytest.Options{KeyStores: map[string]hsm.Config{"second": config}}), hsmtest.Open(t, config), config
}

func holds(t testing.TB, token *hsm.Token, label string) bool {
	t.Helper()
	objects, err := token.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.Label == label {
			return true
		}
	}
	return false
}

var message = api.SignRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256}

// TestKeyStore: a key is made in the token that is named and nowhere else, is used
// there, and is destroyed there.
func TestKeyStore(t *testing.T) {
	t.Parallel()
	g, second, _ := secondToken(t)
	if got := connections(t, g); len(got) != 2 || got["default"] != "CONNECTED" || got["second"] != "CONNECTED" {
		t.Fatal(got)
	}
	key := createIn(t, g, "second")
	if key.Origin != api.OriginAWSCloudHSM || key.CustomKeyStoreId != "second" || !key.Enabled {
		t.Errorf("%+v", key)
	}
	if !holds(t, second, key.KeyId) || holds(t, g.Token, key.KeyId) {
		t.Fatal("the key is in the wrong token")
	}
	named, plain := createIn(t, g, "default"), createIn(t, g, "")
	if named.Origin != api.OriginAWSCloudHSM || named.CustomKeyStoreId != "default" || plain.Origin != api.OriginAWSKMS || plain.CustomKeyStoreId != "" {
		t.Errorf("%+v %+v", named, plain)
	}
	if !holds(t, g.Token, named.KeyId) || !holds(t, g.Token, plain.KeyId) {
		t.Error("the keys are not in the default token")
	}
	for _, k := range []*api.KeyMetadata{key, named, plain} {
		signature := sign(t, g, k.KeyId, message)
		g.Call("POST", "/v1/keys/"+k.KeyId+"/verify", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256", "Signature": signature}, nil)
	}
	a := g.Send(g.Admin.Token, "GET", "/metrics", nil)
	for _, line := range []string{`hsmgate_token_available{token="second"} 1`, `hsmgate_token_available{token="default"} 1`} {
		if !strings.Contains(string(a.Body), line) {
			t.Errorf("no line %s", line)
		}
	}
	if d, err := gateway.Compare(t.Context(), g.Store, "second", second); err != nil || len(d) != 0 {
		t.Errorf("%v %v", d, err)
	}
	if err := second.Destroy(t.Context(), objectID(t, g, key.KeyId)); err != nil {
		t.Fatal(err)
	}
	if d, err := gateway.Compare(t.Context(), g.Store, "second", second); err != nil || len(d) != 1 || !d[0].KeyMissing {
		t.Errorf("with the key's object gone: %v %v", d, err)
	}
	if lost := gateway.MissingTokens(g.Store, []string{"default"}); len(lost) != 1 || lost["second"] != 1 {
		t.Errorf("%v", lost)
	}
}

func objectID(t testing.TB, g *gatewaytest.Gateway, id string) []byte {
	t.Helper()
	k, ok := g.Store.Key(gatewaytest.Region, id)
	if !ok {
		t.Fatal("no key " + id)
	}
	return k.Versions[0].ObjectID
}

// TestKeyStoreDisconnected: the column 'Unavailable' of the key-state table. The
// default token's keys go on, and another process follows.
func TestKeyStoreDisconnected(t *testing.T) {
	t.Parallel()
	g, second, config := secondToken(t)
	key, other := createIn(t, g, "second"), createIn(t, g, "")
	path, admin := "/v1/keys/"+key.KeyId, g.Admin.Token
	signature := sign(t, g, key.KeyId, message)
	if a := connect(t, g, "disconnect", "second"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for what, a := range map[string]gatewaytest.Answer{
		"Sign": g.Send(admin, "POST", path+"/sign", message), "GetPublicKey": g.Send(admin, "GET", path+"/public-key", nil),
		"Verify": g.Send(admin, "POST", path+"/verify", api.VerifyRequest{Message: []byte("m"), SigningAlgorithm: api.ECDSASHA256, Signature: signature}),
	} {
		if refusal(t, a, 409, api.KMSInvalidState); !strings.Contains(string(a.Body), key.Arn+" is unavailable.") {
			t.Errorf("%s: %s", what, a.Body)
		}
	}
	comes(t, g, "second", "DISCONNECTED")
	refusal(t, g.Send(admin, "POST", path+"/cancel-deletion", nil), 409, api.KMSInvalidState)
	refusal(t, g.Send(admin, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, CustomKeyStoreId: "second"}), 409, api.CustomKeyStoreInvalidState)
	refusal(t, connect(t, g, "disconnect", "second"), 409, api.CustomKeyStoreInvalidState)
	if m := describe(t, g, key.KeyId); m.KeyState != api.Unavailable || m.Enabled || m.CustomKeyStoreId != "second" {
		t.Errorf("%+v", m)
	}
	sign(t, g, other.KeyId, message)

	g.Call("POST", path+"/disable", nil, nil) // it succeeds, and is seen when the key is back
	if m := describe(t, g, key.KeyId); m.KeyState != api.Unavailable {
		t.Errorf("%+v", m)
	}
	g.Call("POST", path+"/schedule-deletion", nil, nil)
	if m := describe(t, g, key.KeyId); m.KeyState != api.PendingDeletion {
		t.Errorf("%+v", m)
	}
	g.Call("POST", path+"/cancel-deletion", nil, nil)

	replica := gateway.New(gateway.Config{Names: gateway.Names{Account: gatewaytest.Account, Region: gatewaytest.Region}, Store: g.Store, Token: g.Token,
		Audit: g.Audit, Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), KeyStores: map[string]hsm.Config{"second": config}})
	if err := replica.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = replica.Close() })
	if state := replicaState(t, replica, g); state != api.Disconnected {
		t.Errorf("another process begins with %s", state)
	}
	if a := connect(t, g, "connect", "second"); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	comes(t, g, "second", "CONNECTED")
	until(t, "the other process has connected", func() bool { return replicaState(t, replica, g) == api.Connected })
	if m := describe(t, g, key.KeyId); m.KeyState != api.DisabledState {
		t.Errorf("%+v", m)
	}
	g.Call("POST", path+"/enable", nil, nil)
	sign(t, g, key.KeyId, message)

	g.Call("POST", path+"/schedule-deletion", map[string]int{"PendingWindowInDays": 7}, nil)
	if err := g.Store.SetDisconnected(t.Context(), "second", true, g.Now()); err != nil { // as another process does: this one closes it within a second
		t.Fatal(err)
	}
	g.Advance(8 * day)
	start(t, g)
	if !holds(t, second, key.KeyId) || len(g.Store.Undestroyed()) != 1 {
		t.Error("a key was destroyed in a token that is disconnected")
	}
	comes(t, g, "second", "DISCONNECTED")
	connect(t, g, "connect", "second")
	comes(t, g, "second", "CONNECTED")
	start(t, g)
	if holds(t, second, key.KeyId) || len(g.Store.Undestroyed()) != 0 {
		t.Error("the key is still in its token")
	}
}

func replicaState(t testing.TB, s *gateway.Service, g *gatewaytest.Gateway) api.ConnectionState {
	t.Helper()
	op, _ := gateway.OpNamed("DescribeCustomKeyStores")
	c := &gateway.Call{RequestID: "r", Face: "rest", Principal: policy.Principal{ARN: g.Admin.ARN, Role: policy.RoleAdministrator}}
	out, err := s.Do(t.Context(), c, op, func(in any) *api.Error {
		in.(*api.DescribeCustomKeyStoresRequest).CustomKeyStoreId = "second"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.(*api.DescribeCustomKeyStoresResponse).CustomKeyStores[0].ConnectionState
}

// TestKeyStoreRefusals: what callers get wrong.
func TestKeyStoreRefusals(t *testing.T) {
	t.Parallel()
	g, _, _ := secondToken(t)
	admin := g.Admin.Token
	create := func(store string, origin api.Origin) gatewaytest.Answer {
		return g.Send(admin, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, CustomKeyStoreId: store, Origin: origin})
	}
	refusal(t, create("third", ""), 404, api.CustomKeyStoreNotFound)
	refusal(t, create("Second", ""), 404, api.CustomKeyStoreNotFound)
	refusal(t, create("second", api.OriginAWSKMS), 400, api.Validation)
	refusal(t, create("", api.OriginAWSCloudHSM), 400, api.Validation)
	if a := create("second", api.OriginAWSCloudHSM); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	refusal(t, connect(t, g, "connect", "third"), 404, api.CustomKeyStoreNotFound)
	refusal(t, connect(t, g, "disconnect", "third"), 404, api.CustomKeyStoreNotFound)
	a := connect(t, g, "disconnect", "default")
	if refusal(t, a, 400, api.UnsupportedOperation); !strings.Contains(string(a.Body), "cannot be disconnected") {
		t.Errorf("%s", a.Body)
	}
	for query, code := range map[string]api.Code{
		"?CustomKeyStoreId=third": api.CustomKeyStoreNotFound, "?CustomKeyStoreName=third": api.CustomKeyStoreNotFound,
		"?CustomKeyStoreId=second&CustomKeyStoreName=second": api.Validation, "?Marker=third": api.InvalidMarker,
	} {
		if a := g.Send(admin, "GET", "/v1/custom-key-stores"+query, nil); a.Code() != string(code) {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
	var page api.DescribeCustomKeyStoresResponse
	g.Call("GET", "/v1/custom-key-stores?Limit=1", nil, &page)
	if len(page.CustomKeyStores) != 1 || page.CustomKeyStores[0].CustomKeyStoreId != "default" || !page.Truncated || page.NextMarker != "default" {
		t.Errorf("%+v", page)
	}
	page = api.DescribeCustomKeyStoresResponse{}
	g.Call("GET", "/v1/custom-key-stores?Limit=1&Marker=default", nil, &page)
	if len(page.CustomKeyStores) != 1 || page.CustomKeyStores[0].CustomKeyStoreId != "second" || page.Truncated || page.NextMarker != "" {
		t.Errorf("%+v", page)
	}
	records := g.Records()
	connect(t, g, "disconnect", "second")
	fresh := g.Records()[len(records):]
	if len(fresh) != 2 || fresh[0].Phase != "started" || fresh[1].Operation != "DisconnectCustomKeyStore" || fresh[1].Resource != "second" {
		t.Errorf("%+v", fresh)
	}
}

// TestKeyStorePINRefused: the daemon starts, and the PIN is tried once and no
// more, until somebody connects the key store anew.
func TestKeyStorePINRefused(t *testing.T) {
	t.Parallel()
	config := hsmtest.NewToken(t)
	good := config
	config.PINFile = hsmtest.PINFile(t, "9999-wrong")
	g := gatewaytest.NewWith(t, gatewaytest.Options{KeyStores: map[string]hsm.Config{"second": config}})
	comes(t, g, "second", "FAILED INVALID_CREDENTIALS")
	if err := os.WriteFile(config.PINFile, []byte(hsmtest.PIN), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // some rounds, in each of which it would be opened
	if got := connections(t, g)["second"]; got != "FAILED INVALID_CREDENTIALS" {
		t.Fatalf("it was tried again: %s", got)
	}
	if r := g.Service.Readiness(); r.Status != gateway.StatusReady {
		t.Errorf("the gateway is not ready: %+v", r)
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, CustomKeyStoreId: "second"}), 409, api.CustomKeyStoreInvalidState)
	a := connect(t, g, "connect", "second")
	if refusal(t, a, 409, api.CustomKeyStoreInvalidState); !strings.Contains(string(a.Body), "disconnect it") {
		t.Errorf("%s", a.Body)
	}
	connect(t, g, "disconnect", "second")
	comes(t, g, "second", "DISCONNECTED")
	connect(t, g, "connect", "second")
	comes(t, g, "second", "CONNECTED")
	sign(t, g, createIn(t, g, "second").KeyId, message)
	hsmtest.Open(t, good)
}
