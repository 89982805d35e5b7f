package gateway_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store/storetest"
)

// counted gives the user a grant with so many uses, and returns its id.
func (a *asked) counted(key string, uses int, operations ...string) string {
	a.t.Helper()
	return a.grant(key, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": operations, "Uses": uses}).GrantId
}

// usesLeft asks ListGrants, as everybody can.
func (a *asked) usesLeft(key, id string) int {
	a.t.Helper()
	list := a.grants("/v1/keys/" + key + "/grants?GrantId=" + id)
	if len(list.Grants) != 1 || list.Grants[0].UsesLeft == nil {
		a.t.Fatalf("%+v", list)
	}
	return *list.Grants[0].UsesLeft
}

// TestUsesOfAGrant: each call that uses the key costs one, and no other.
func TestUsesOfAGrant(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	id := a.counted(a.signing, 3, "Sign", "Verify", "DescribeKey", "GetPublicKey", "RetireGrant")
	cost := func(what string, want int, do func()) {
		t.Helper()
		before := a.usesLeft(a.signing, id)
		do()
		if got := before - a.usesLeft(a.signing, id); got != want {
			t.Errorf("%s: costs %d, not %d", what, got, want)
		}
	}
	path := "/v1/keys/" + a.signing
	bad := func(what string, in map[string]any, code api.Code) {
		cost(what, 0, func() {
			if got := a.signWith(a.user, a.signing, in); got.Code() != string(code) {
				t.Errorf("%s: %s", what, got.Body)
			}
		})
	}
	bad("a dry run", map[string]any{"DryRun": true}, api.DryRunOperation)
	bad("another algorithm", map[string]any{"SigningAlgorithm": "RSASSA_PSS_SHA_256"}, api.InvalidKeyUsage)
	bad("a bad digest", map[string]any{"MessageType": "DIGEST"}, api.Validation)
	bad("a malformed call", map[string]any{"MessageType": "NONSENSE"}, api.Validation)
	cost("a disabled key", 0, func() {
		a.Call("POST", path+"/disable", nil, nil)
		refusal(t, a.sign(a.user), 409, api.Disabled)
		a.Call("POST", path+"/enable", nil, nil)
	})
	cost("a call of another", 0, func() { a.denied("another", a.sign(a.other), "no identity-based policy") })
	cost("a call of the administrator", 0, func() { a.allowed("the administrator", a.sign(a.Admin), "role/administrator") })
	cost("an operation that it does not have", 0, func() {
		a.denied("encrypt", a.Send(a.user.Token, "POST", path+"/encrypt", map[string]any{"Plaintext": []byte("m")}), "")
	})
	cost("DescribeKey", 0, func() { a.allowed("describe", a.Send(a.user.Token, "GET", path, nil), "grant/"+id) })
	cost("a signature that is not good", 0, func() {
		refusal(t, a.Send(a.user.Token, "POST", path+"/verify", map[string]any{"Message": []byte("m"), "Signature": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"}), 400, api.KMSInvalidSignature)
	})
	cost("GetPublicKey", 1, func() { a.allowed("public key", a.Send(a.user.Token, "GET", path+"/public-key", nil), "grant/"+id) })
	cost("Sign", 1, func() { a.allowed("sign", a.sign(a.user), "grant/"+id) })
	cost("a file", 1, func() { a.allowed("file", a.Send(a.user.Token, "PUT", path+"/sign", "a file"), "grant/"+id) })
	cost("the next", 0, func() {
		a.denied("sign", a.sign(a.user), "no identity-based policy allows the kms:Sign action")
		a.denied("describe", a.Send(a.user.Token, "GET", path, nil), "no identity-based policy")
		refusal(t, a.Send(a.user.Token, "GET", path+"/public-key", nil), 403, api.AccessDenied)
	})
}

// TestUsesAreNotWasted: what is allowed otherwise takes none, and a second grant
// goes on when the first is used up.
func TestUsesAreNotWasted(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	first, second := a.counted(a.signing, 1, "Sign"), a.counted(a.signing, 2, "Sign")
	a.attach(a.user, "may", statement("Allow", "", "kms:Sign", `{"StringEquals":{"kms:MessageType":"DIGEST"}}`))
	sum := sha256.Sum256([]byte("m"))
	a.allowed("by the policy", a.signWith(a.user, a.signing, map[string]any{"Message": sum[:], "MessageType": "DIGEST"}), "policy/may/1")
	open := a.grant(a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}}).GrantId
	a.allowed("by the other grant", a.sign(a.user), "grant/"+open)
	a.Call("POST", "/v1/keys/"+a.signing+"/revoke-grant", map[string]any{"GrantId": open}, nil)
	var by []string
	for range 3 {
		if got := a.sign(a.user); got.Status != 200 {
			t.Errorf("%s", got.Body)
		}
		by = append(by, a.reason())
	}
	a.denied("all are used up", a.sign(a.user), "no identity-based policy")
	slices.Sort(by)
	want := []string{"grant/" + first, "grant/" + second, "grant/" + second}
	if slices.Sort(want); !slices.Equal(by, want) {
		t.Errorf("%v, want %v", by, want)
	}
}

// TestAskingForApprovalTakesNoUse: the signature does.
func TestAskingForApprovalTakesNoUse(t *testing.T) {
	t.Parallel()
	q := newQuorum(t)
	q.ci = q.Principal("job", policy.RoleUser)
	a := &asked{Gateway: q.Gateway, t: t, user: q.ci}
	id := a.counted(q.key, 1, "Sign")
	q.approve(q.ask("one"), q.anna, q.ben)
	if left := a.usesLeft(q.key, id); left != 1 {
		t.Errorf("%d uses are left", left)
	}
	q.signs("one")
	refusal(t, q.sign(q.ci, "one"), 403, api.AccessDenied)
}

// TestTheSameGrantAgain, by its name, is one that allows something: not one that is
// used up and still listed.
func TestTheSameGrantAgain(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	nightly := func() string {
		return a.grant(a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}, "Uses": 2, "Name": "nightly"}).GrantId
	}
	first := nightly()
	a.allowed("one use", a.sign(a.user), "grant/"+first)
	if again := nightly(); again != first {
		t.Error("a grant with a use left is made again")
	}
	a.allowed("the other", a.sign(a.user), "grant/"+first)
	second := nightly()
	if second == first || nightly() != second {
		t.Errorf("%s, then %s", first, second)
	}
	a.allowed("with the second", a.sign(a.user), "grant/"+second)
	if n := len(a.grants("/v1/keys/" + a.signing + "/grants").Grants); n != 2 {
		t.Errorf("%d grants", n)
	}
}

// TestUsesOfEncryption: with secrets, too, and ReEncrypt, which is two uses of the
// key and one call, costs one.
func TestUsesOfEncryption(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	mac := a.CreateKey(api.HMAC256, api.GenerateVerifyMac).KeyId
	agreeing := a.CreateKey(api.P256, api.KeyAgreement).KeyId
	rsa := a.CreateKey(api.RSA2048, api.EncryptDecrypt).KeyId
	sealed := encrypt(a.Gateway, a.sealing, []byte("m"), nil)
	peer := publicDER(t, a.Gateway, agreeing)
	var oaep api.EncryptResponse
	a.Call("POST", "/v1/keys/"+rsa+"/encrypt", map[string]any{"Plaintext": []byte("m"), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, &oaep)
	var good api.GenerateMacResponse
	macIn := map[string]any{"Message": []byte("m"), "MacAlgorithm": "HMAC_SHA_256"}
	a.Call("POST", "/v1/keys/"+mac+"/generate-mac", macIn, &good)
	for _, c := range []struct {
		key, path string
		in        map[string]any
		cost      int
		grants    []string
	}{
		{a.sealing, "/encrypt", map[string]any{"Plaintext": []byte("m")}, 1, []string{"Encrypt"}},
		{a.sealing, "/decrypt", map[string]any{"CiphertextBlob": sealed}, 1, []string{"Decrypt"}},
		{a.sealing, "/decrypt", map[string]any{"CiphertextBlob": sealed, "DryRun": true}, 0, []string{"Decrypt"}},
		{a.sealing, "/decrypt", map[string]any{"CiphertextBlob": []byte("x")}, 0, []string{"Decrypt"}},
		{a.sealing, "/decrypt", map[string]any{"CiphertextBlob": flipped(sealed, len(sealed)-1)}, 1, []string{"Decrypt"}}, // only the token knows
		{a.sealing, "", map[string]any{"CiphertextBlob": sealed, "DestinationKeyId": a.sealing}, 1, []string{"ReEncryptFrom", "ReEncryptTo"}},
		{a.sealing, "", map[string]any{"CiphertextBlob": sealed, "DestinationKeyId": a.sealing, "DryRun": true}, 0, []string{"ReEncryptFrom", "ReEncryptTo"}},
		{a.sealing, "/generate-data-key", map[string]any{"KeySpec": "AES_256"}, 1, []string{"GenerateDataKey"}},
		{a.sealing, "/generate-data-key", map[string]any{"KeySpec": "AES_256", "DryRun": true}, 0, []string{"GenerateDataKey"}},
		{a.sealing, "/generate-data-key-without-plaintext", map[string]any{"KeySpec": "AES_256"}, 1, []string{"GenerateDataKeyWithoutPlaintext"}},
		{a.sealing, "/generate-data-key-pair", map[string]any{"KeyPairSpec": "ECC_NIST_P256"}, 1, []string{"GenerateDataKeyPair"}},
		{mac, "/generate-mac", macIn, 1, []string{"GenerateMac"}},
		{mac, "/verify-mac", with(macIn, "Mac", good.Mac), 1, []string{"VerifyMac"}},
		{mac, "/verify-mac", with(with(macIn, "Mac", good.Mac), "DryRun", true), 0, []string{"VerifyMac"}},
		{agreeing, "/derive-shared-secret", map[string]any{"KeyAgreementAlgorithm": "ECDH", "PublicKey": peer}, 1, []string{"DeriveSharedSecret"}},
		{agreeing, "/derive-shared-secret", map[string]any{"KeyAgreementAlgorithm": "ECDH", "PublicKey": []byte("x")}, 0, []string{"DeriveSharedSecret"}},
		{rsa, "/encrypt", map[string]any{"Plaintext": []byte("m"), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, 1, []string{"Encrypt"}},
		{rsa, "/decrypt", map[string]any{"CiphertextBlob": oaep.CiphertextBlob, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, 1, []string{"Decrypt"}},
		{a.signing, "/history", nil, 1, []string{"GetPublicKey"}},
		{a.signing, "/public-keys", nil, 1, []string{"GetPublicKey"}},
	} {
		id := a.counted(c.key, 1, c.grants...)
		path, method := "/v1/keys/"+c.key+c.path, "POST"
		if c.path == "" {
			path = "/v1/re-encrypt"
		}
		if c.in == nil {
			method = "GET"
		}
		got := a.Send(a.user.Token, method, path, body(c.in))
		if left := a.usesLeft(c.key, id); left != 1-c.cost || got.Status == 403 {
			t.Errorf("%s %v: %d %s, %d uses are left", path, c.in, got.Status, got.Body, left)
		}
		if again := a.Send(a.user.Token, method, path, body(c.in)); c.cost == 1 && again.Status != 403 && again.Code() != string(api.AccessDenied) {
			t.Errorf("%s again: %d %s", path, again.Status, again.Body)
		}
		a.Call("POST", "/v1/keys/"+c.key+"/revoke-grant", map[string]any{"GrantId": id}, nil)
	}
}

// body leaves out a body that is not there.
func body(in map[string]any) any {
	if in == nil {
		return nil
	}
	return in
}

// TestUsesAcrossProcesses: of the calls of two processes on one database, exactly
// as many sign as the grant has uses, and each leaves one record.
func TestUsesAcrossProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		const uses, calls = 5, 12
		key := one.CreateKey(api.P256, api.SignVerify).KeyId
		user := one.Principal("user", policy.RoleUser)
		var made api.CreateGrantResponse
		one.Call("POST", "/v1/keys/"+key+"/grants", map[string]any{"GranteePrincipal": user.ARN, "Operations": []string{"Sign"}, "Uses": uses}, &made)
		noError(t, two.Store.Follow(t.Context()))
		signed, denied := race(t, user.Token, key, calls, one, two)
		if signed != uses || denied != 2*calls-uses {
			t.Errorf("%d signed, %d denied", signed, denied)
		}
		var recorded int
		for _, g := range []*gatewaytest.Gateway{one, two} {
			for _, r := range g.Records() {
				if r.Operation == "Sign" && r.Outcome == "allowed" {
					recorded++
					if r.Reason != "grant/"+made.GrantId || r.SignatureHash == "" {
						t.Errorf("%+v", r)
					}
				}
			}
			if g.Token.Stats().Calls == 0 {
				t.Error("the process never asked its token")
			}
		}
		if recorded != uses {
			t.Errorf("%d records of signatures", recorded)
		}
	})
}

// race has each process asked for so many signatures at the same time.
func race(t *testing.T, token, key string, calls int, gateways ...*gatewaytest.Gateway) (signed, denied int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, g := range gateways {
		for range calls {
			all.Go(func() {
				a := g.Send(token, "POST", "/v1/keys/"+key+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"})
				mu.Lock()
				defer mu.Unlock()
				switch a.Status {
				case http.StatusOK:
					signed++
				case http.StatusForbidden:
					denied++
				default:
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
	}
	all.Wait()
	return signed, denied
}

// TestUsesWithoutADatabase: where uses cannot be counted, a counted grant allows
// nothing, and everything else goes on.
func TestUsesWithoutADatabase(t *testing.T) {
	t.Parallel()
	server := storetest.New(t)
	a := newAsked(t, gatewaytest.Options{StoreDSN: server.DSN(t), StaleLimit: time.Hour})
	a.counted(a.signing, 3, "Sign")
	open := a.grant(a.signing, map[string]any{"GranteePrincipal": a.other.ARN, "Operations": []string{"Sign"}}).GrantId
	noError(t, server.Stop())
	refused := a.sign(a.user)
	refusal(t, refused, 503, api.ServiceUnavailable)
	if !strings.Contains(string(refused.Body), "has a number of uses, and the gateway cannot reach its database now") || refused.Header.Get("Retry-After") == "" {
		t.Errorf("%v %s", refused.Header, refused.Body)
	}
	a.allowed("a grant without uses", a.sign(a.other), "grant/"+open)
	signatures := func() string { // the watch on the token calls it, too
		metrics := string(a.Send(a.Admin.Token, "GET", "/metrics", nil).Body)
		_, count, found := strings.Cut(metrics, `hsmgate_token_call_seconds_count{mechanism="CKM_ECDSA",token="default"} `)
		if count, _, _ = strings.Cut(count, "\n"); !found || count == "" {
			t.Fatal(metrics)
		}
		return count
	}
	before := signatures()
	refusal(t, a.sign(a.user), 503, api.ServiceUnavailable)
	if after := signatures(); after != before {
		t.Errorf("the key was used: %s signatures, and %s before", after, before)
	}
}

// TestGrantExpires by the clock of the service, and is removed a day later, once,
// with a record.
func TestGrantExpires(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *gatewaytest.Gateway) {
		a := &asked{Gateway: one, t: t, signing: one.CreateKey(api.P256, api.SignVerify).KeyId, user: one.Principal("user", policy.RoleUser)}
		at := one.Now().Add(time.Hour)
		in := map[string]any{"Name": "g", "GranteePrincipal": a.user.ARN, "Operations": []string{"Sign", "RetireGrant"}, "ExpiresAt": api.NewTime(at)}
		g := a.grant(a.signing, in)
		if again := a.grant(a.signing, in); again.GrantId != g.GrantId {
			t.Error("the same again is another grant")
		}
		in["ExpiresAt"] = api.NewTime(at.Add(time.Minute))
		other := a.grant(a.signing, in)
		if other.GrantId == g.GrantId {
			t.Error("a grant that ends later is taken for the same")
		}
		a.Call("POST", "/v1/keys/"+a.signing+"/revoke-grant", map[string]any{"GrantId": other.GrantId}, nil)
		list := a.grants("/v1/keys/" + a.signing + "/grants").Grants
		if len(list) != 1 || list[0].ExpiresAt == nil || list[0].ExpiresAt.Sub(at).Abs() > time.Second || list[0].Uses != nil {
			t.Fatalf("%+v", list)
		}
		a.allowed("before", a.sign(a.user), "grant/"+g.GrantId)
		for _, g := range []*gatewaytest.Gateway{one, two} {
			g.Advance(time.Hour)
		}
		a.denied("after", a.sign(a.user), "no identity-based policy")
		rounds(t, one, two)
		if len(a.grants("/v1/keys/"+a.signing+"/grants").Grants) != 1 {
			t.Error("it is gone at once")
		}
		for _, g := range []*gatewaytest.Gateway{one, two} {
			g.Advance(25 * time.Hour)
		}
		rounds(t, one, two)
		if list := a.grants("/v1/keys/" + a.signing + "/grants").Grants; len(list) != 0 {
			t.Errorf("%+v", list)
		}
		var ended []audit.Record
		for _, p := range []*gatewaytest.Gateway{one, two} {
			for _, r := range p.Records() {
				if r.Operation == "ExpireGrant" && r.Phase == "" {
					ended = append(ended, r)
				}
			}
		}
		if len(ended) != 1 || ended[0].GrantID != g.GrantId || ended[0].Grantee != a.user.ARN || ended[0].KeyID != a.signing || ended[0].Outcome != "allowed" || ended[0].Face != "internal" {
			t.Errorf("%+v", ended)
		}
	})
}

// rounds has each process do what is due, at the same time.
func rounds(t *testing.T, gateways ...*gatewaytest.Gateway) {
	t.Helper()
	var all sync.WaitGroup
	for _, g := range gateways {
		noError(t, g.Store.Follow(t.Context()))
		all.Go(func() { g.Service.Round(t.Context()) })
	}
	all.Wait()
	for _, g := range gateways {
		noError(t, g.Store.Follow(t.Context()))
	}
}

// TestGrantEndsAreChecked: bounds, and what would outlast the grant.
func TestGrantEndsAreChecked(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	for what, c := range map[string]struct {
		more map[string]any
		want string
	}{
		"no uses":       {map[string]any{"Uses": 0}, "'uses' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"many uses":     {map[string]any{"Uses": 1_000_000_001}, "less than or equal to 1000000000"},
		"half a use":    {map[string]any{"Uses": 1.5}, "Member Uses must be a whole number"},
		"a past":        {map[string]any{"ExpiresAt": 1}, "ExpiresAt 1970-01-01T00:00:01Z is not in the future"},
		"a text":        {map[string]any{"ExpiresAt": "tomorrow"}, "Member ExpiresAt must be a number of seconds"},
		"grants, uses":  {map[string]any{"Uses": 1, "Operations": []string{"Sign", "CreateGrant"}}, "does not allow CreateGrant"},
		"grants, times": {map[string]any{"ExpiresAt": api.NewTime(a.Now().Add(time.Hour)), "Operations": []string{"CreateGrant"}}, "does not allow CreateGrant"},
	} {
		in := map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}}
		for k, v := range c.more {
			in[k] = v
		}
		got := a.Send(a.Admin.Token, "POST", "/v1/keys/"+a.signing+"/grants", in)
		if got.Status != 400 || !strings.Contains(string(got.Body), c.want) {
			t.Errorf("%s: %d %s, want %s", what, got.Status, got.Body, c.want)
		}
	}
	for _, most := range []int{1, 1_000_000_000} {
		if id := a.counted(a.signing, most, "Sign"); a.usesLeft(a.signing, id) != most {
			t.Errorf("%d uses", most)
		}
	}
}

// TestUseIsGoneWithoutARecord: it is taken before, so a call that cannot be
// recorded has cost one, and gives nothing.
func TestUseIsGoneWithoutARecord(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	id := a.counted(a.signing, 2, "Sign")
	move(t, a.AuditPath, a.AuditPath+".away")
	if got := a.sign(a.user); got.Status != 503 || strings.Contains(string(got.Body), "Signature\"") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	move(t, a.AuditPath+".away", a.AuditPath)
	until(t, "the log mends", func() bool { return a.Audit.Ready() == nil })
	if g, _ := a.Store.Grant(id); *g.UsesLeft != 1 {
		t.Errorf("%d uses are left", *g.UsesLeft)
	}
	a.allowed("the last", a.sign(a.user), "grant/"+id)
	a.denied("no more", a.sign(a.user), fmt.Sprintf("not authorized to perform: %s", "kms:Sign"))
}

// TestNamedGrantIsMadeAnew: the same name again gives the same grant as long as it
// allows anything.
func TestNamedGrantIsMadeAnew(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	nightly := func() string {
		return a.grant(a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}, "Uses": 1, "Name": "nightly"}).GrantId
	}
	first := nightly()
	if again := nightly(); again != first {
		t.Errorf("%s after %s", again, first)
	}
	a.allowed("the first", a.sign(a.user), "grant/"+first)
	next := nightly()
	a.allowed("the next night", a.sign(a.user), "grant/"+next)
}

// TestGrantRecord: the record of a new grant says what it allows, and until when.
func TestGrantRecord(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	at := a.Now().Add(time.Hour).Truncate(time.Second)
	a.grant(a.sealing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Encrypt", "Decrypt"}, "Uses": 3, "ExpiresAt": at.Unix()})
	records := a.Records()
	r := records[len(records)-1]
	if r.Operation != "CreateGrant" || r.GrantOperations != "Decrypt,Encrypt" || r.GrantUses != 3 || r.GrantExpires != at.UTC().Format(time.RFC3339) {
		t.Errorf("%+v", r)
	}
}
