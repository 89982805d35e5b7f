package gateway_test

import (
	"fmt"
	"net"
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
	userARN = "arn:aws:iam::" + gatewaytest.Account + ":user/"
	rootARN = "arn:aws:iam::" + gatewaytest.Account + ":root"
)

// statement is one statement of a policy as a test writes it.
func statement(effect, who, action string, condition ...string) string {
	s := `{"Effect":"` + effect + `","Action":"` + action + `","Resource":"*"`
	if who != "" {
		s += `,"Principal":{"AWS":"` + who + `"}`
	}
	for _, c := range condition {
		s += `,"Condition":` + c
	}
	return s + "}"
}

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// byAccount leaves it to roles and identity policies.
var byAccount = statement("Allow", rootARN, "kms:*")

// asked is a gateway with one symmetric and one signing key, and callers.
type asked struct {
	*gatewaytest.Gateway
	t                *testing.T
	signing, sealing string
	user, other      gatewaytest.Credentials
}

func newAsked(t *testing.T, o gatewaytest.Options) *asked {
	t.Helper()
	g := gatewaytest.NewWith(t, o)
	return &asked{Gateway: g, t: t, signing: g.CreateKey(api.P256, api.SignVerify).KeyId, sealing: g.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId,
		user: g.Principal("user", policy.RoleUser), other: g.Principal("other", policy.RoleUser)}
}

func (a *asked) put(key string, statements ...string) {
	a.t.Helper()
	a.Call("PUT", "/v1/keys/"+key+"/policy", map[string]any{"Policy": document(statements...)}, nil)
}

// attach gives a principal an identity policy of that name.
func (a *asked) attach(who gatewaytest.Credentials, name string, statements ...string) {
	a.t.Helper()
	noError(a.t, a.Identities.PutPolicy(a.t.Context(), name, document(statements...), a.Now()))
	noError(a.t, a.Identities.AttachPolicy(a.t.Context(), who.ARN, name))
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (a *asked) sign(who gatewaytest.Credentials, header ...string) gatewaytest.Answer {
	return a.signWith(who, a.signing, nil, header...)
}

func (a *asked) signWith(who gatewaytest.Credentials, ref string, more map[string]any, header ...string) gatewaytest.Answer {
	a.t.Helper()
	in := map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"}
	for k, v := range more {
		in[k] = v
	}
	return a.Send(who.Token, "POST", "/v1/keys/"+strings.ReplaceAll(ref, "/", "%2F")+"/sign", in, header...)
}

func (a *asked) encryptWith(who gatewaytest.Credentials, context map[string]string, tokens ...string) gatewaytest.Answer {
	a.t.Helper()
	return a.Send(who.Token, "POST", "/v1/keys/"+a.sealing+"/encrypt", map[string]any{"Plaintext": []byte("m"), "EncryptionContext": context, "GrantTokens": tokens})
}

// last is the last record of a call.
func (a *asked) reason() string {
	records := a.Records()
	return records[len(records)-1].Reason
}

func (a *asked) allowed(what string, got gatewaytest.Answer, reason string) {
	a.t.Helper()
	if got.Status != 200 || a.reason() != reason {
		a.t.Errorf("%s: %d %s by %s, want it allowed by %s", what, got.Status, got.Body, a.reason(), reason)
	}
}

func (a *asked) denied(what string, got gatewaytest.Answer, because string) {
	a.t.Helper()
	if got.Code() != string(api.AccessDenied) || !strings.Contains(string(got.Body), because) {
		a.t.Errorf("%s: %d %s, want a denial %s", what, got.Status, got.Body, because)
	}
}

// TestPolicySeparatesRoles: who manages the policy of a key need not be able to
// use it, nor the reverse, and an administrator has no back door.
func TestPolicySeparatesRoles(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	keeper := a.Principal("keeper", policy.RoleUser)
	path := "/v1/keys/" + a.signing + "/policy"
	text := document(
		`{"Sid":"keep","Effect":"Allow","Principal":{"AWS":"`+keeper.ARN+`"},"Action":["kms:*KeyPolicy"],"Resource":"*"}`,
		`{"Sid":"use","Effect":"Allow","Principal":{"AWS":"`+a.user.ARN+`"},"Action":"kms:Sign","Resource":"*"}`)
	locked := a.Send(a.Admin.Token, "PUT", path, map[string]any{"Policy": text})
	refusal(t, locked, 400, api.MalformedPolicyDocument)
	if !strings.Contains(string(locked.Body), "The new key policy will not allow you to update the key policy in the future.") {
		t.Errorf("%s", locked.Body)
	}
	a.Call("PUT", path, map[string]any{"Policy": text, "BypassPolicyLockoutSafetyCheck": true}, nil)
	if r := a.reason(); r != "role/administrator" {
		t.Errorf("put by %s", r)
	}
	a.allowed("the user signs", a.sign(a.user), "key-policy/use")
	a.denied("the user reads the policy", a.Send(a.user.Token, "GET", path, nil), "because no identity-based policy allows the kms:GetKeyPolicy action")
	a.denied("the keeper signs", a.sign(keeper), "because no identity-based policy allows the kms:Sign action")
	a.denied("the administrator signs", a.sign(a.Admin), "because no resource-based policy allows the kms:Sign action")
	a.denied("the administrator takes it back", a.Send(a.Admin.Token, "PUT", path, map[string]any{"Policy": document(byAccount)}), "because no resource-based policy allows")
	var out api.GetKeyPolicyResponse
	decodeTo(t, a.Send(keeper.Token, "GET", path, nil), &out)
	if out.Policy != text || out.PolicyName != "default" {
		t.Errorf("%+v", out)
	}
	decodeTo(t, a.Send(keeper.Token, "PUT", path, map[string]any{"Policy": document(byAccount), "BypassPolicyLockoutSafetyCheck": true}), &struct{}{})
	a.allowed("the administrator signs again", a.sign(a.Admin), "role/administrator")
	a.denied("the user no longer", a.sign(a.user), "because no identity-based policy allows")
}

// TestExplicitDenyWins over roles, identity policies, grants and the key policy.
func TestExplicitDenyWins(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.attach(a.user, "may", statement("Allow", "", "kms:*"))
	a.grant(a.signing, map[string]any{"GranteePrincipal": a.other.ARN, "Operations": []string{"Sign"}})
	a.put(a.signing, byAccount, statement("Deny", "*", "kms:Sign"))
	for name, who := range map[string]gatewaytest.Credentials{"administrator": a.Admin, "policy": a.user} {
		a.denied(name, a.sign(who), "with an explicit deny in a resource-based policy")
	}
	a.denied("grantee", a.sign(a.other), "because no identity-based policy allows") // of itself it may nothing
	if r := a.reason(); r != "key-policy/2" {
		t.Errorf("decided by %s", r)
	}
	a.put(a.signing, byAccount)
	a.allowed("policy", a.sign(a.user), "policy/may/1")
	a.attach(a.user, "not", statement("Deny", "", "kms:Sign"))
	a.attach(a.Admin, "nor", statement("Deny", "", "kms:Sign"))
	a.denied("identity", a.sign(a.user), "with an explicit deny in an identity-based policy")
	a.denied("identity of the administrator", a.sign(a.Admin), "with an explicit deny in an identity-based policy")
}

func TestPolicyRefusals(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Quotas: gateway.Quotas{PolicyBytes: 2000}})
	path := "/v1/keys/" + a.signing + "/policy"
	for text, want := range map[string]struct {
		code api.Code
		text string
	}{
		"{}": {api.MalformedPolicyDocument, "line 1, column 1"},
		document(strings.Replace(byAccount, "kms:*", "kms:Sgin", 1)): {api.MalformedPolicyDocument, "kms:Sign would be right"},
		document(statement("Allow", "", "kms:*")):                    {api.MalformedPolicyDocument, "Principal"},
		document(byAccount) + strings.Repeat(" ", 2000):              {api.LimitExceeded, "at most 2000"},
	} {
		for _, call := range []struct {
			method, path string
			in           map[string]any
		}{
			{"PUT", path, map[string]any{"Policy": text}},
			{"POST", "/v1/keys", map[string]any{"Policy": text}},
		} {
			got := a.Send(a.Admin.Token, call.method, call.path, call.in)
			if got.Code() != string(want.code) || !strings.Contains(string(got.Body), want.text) {
				t.Errorf("%s %s: %d %s", call.method, text, got.Status, got.Body)
			}
		}
	}
	refusal(t, a.Send(a.Admin.Token, "PUT", path, map[string]any{"Policy": document(byAccount), "PolicyName": "mine"}), 400, api.Validation)
	refusal(t, a.Send(a.Admin.Token, "GET", path+"?PolicyName=mine", nil), 404, api.NotFound)
	var out api.GetKeyPolicyResponse
	a.Call("GET", path, nil, &out)
	if !strings.Contains(out.Policy, `"Enable IAM User Permissions"`) || !strings.Contains(out.Policy, rootARN) {
		t.Errorf("the default policy is %s", out.Policy)
	}
	if _, err := policy.Parse([]byte(out.Policy), policy.KeyPolicy); err != nil {
		t.Error(err)
	}
	var names api.ListKeyPoliciesResponse
	a.Call("GET", "/v1/keys/"+a.signing+"/policies", nil, &names)
	if fmt.Sprint(names.PolicyNames) != "[default]" || names.Truncated {
		t.Errorf("%+v", names)
	}
}

// TestPolicyOfANewKey: CreateKey and ReplicateKey keep it, and check it first.
func TestPolicyOfANewKey(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Regions: []string{"eu-west-1"}})
	only := document(statement("Allow", a.user.ARN, "kms:*"))
	before := a.Store.KeyCount()
	for _, origin := range []string{"AWS_KMS", "EXTERNAL"} {
		refusal(t, a.Send(a.Admin.Token, "POST", "/v1/keys", map[string]any{"Policy": only, "Origin": origin}), 400, api.MalformedPolicyDocument)
	}
	if a.Store.KeyCount() != before {
		t.Error("a refused key was made")
	}
	var made api.CreateKeyResponse
	a.Call("POST", "/v1/keys", map[string]any{"Policy": only, "BypassPolicyLockoutSafetyCheck": true, "MultiRegion": true, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}, &made)
	id := made.KeyMetadata.KeyId
	a.allowed("his", a.signWith(a.user, id, nil), "key-policy/1")
	a.denied("the administrator's", a.signWith(a.Admin, id, nil), "no resource-based policy")
	replicate := map[string]any{"ReplicaRegion": "eu-west-1", "Policy": document(byAccount, statement("Allow", a.user.ARN, "kms:*"))}
	a.denied("a replica is a new key", a.Send(a.user.Token, "POST", "/v1/keys/"+id+"/replicate", replicate), "kms:CreateKey on resource: *")
	a.attach(a.user, "make", statement("Allow", "", "kms:CreateKey", `{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`))
	var replica api.ReplicateKeyResponse
	decodeTo(t, a.Send(a.user.Token, "POST", "/v1/keys/"+id+"/replicate", replicate), &replica)
	if replica.ReplicaPolicy != replicate["Policy"] {
		t.Errorf("%+v", replica)
	}
	if got := a.signWith(a.Admin, id, nil, "Hsmgate-Region", "eu-west-1"); got.Status != 200 {
		t.Errorf("each region has a policy of its own: %s", got.Body)
	}
}

// TestConditions are those that the gateway has to bring the values for.
func TestConditions(t *testing.T) {
	t.Parallel()
	_, proxies, err := net.ParseCIDR("127.0.0.0/8")
	noError(t, err)
	a := newAsked(t, gatewaytest.Options{Trusted: []*net.IPNet{proxies}})
	noError(t, a.Identities.TagPrincipal(t.Context(), a.user.ARN, []store.Tag{{Name: "team", Value: "red"}}, nil))
	a.Call("POST", "/v1/keys/"+a.signing+"/tags", map[string]any{"Tags": []api.Tag{{TagKey: "team", TagValue: "red"}}}, nil)
	a.Call("POST", "/v1/aliases", map[string]any{"AliasName": "alias/red", "TargetKeyId": a.signing}, nil)
	soon := a.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	sign := func(ref string, more map[string]any, header ...string) func() gatewaytest.Answer {
		return func() gatewaytest.Answer { return a.signWith(a.user, ref, more, header...) }
	}
	for name, c := range map[string]struct {
		condition string
		yes, no   func() gatewaytest.Answer
	}{
		"address":       {`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, sign(a.signing, nil, "X-Forwarded-For", "192.0.2.7"), sign(a.signing, nil)},
		"agent":         {`{"StringLike":{"aws:UserAgent":"builder/*"}}`, sign(a.signing, nil, "User-Agent", "builder/1"), sign(a.signing, nil)},
		"request alias": {`{"StringEquals":{"kms:RequestAlias":"alias/red"}}`, sign("alias/red", nil), sign(a.signing, nil)},
		"algorithm":     {`{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256","kms:MessageType":"RAW"}}`, sign(a.signing, nil), sign(a.signing, map[string]any{"Message": make([]byte, 32), "MessageType": "DIGEST"})},
		"kind":          {`{"StringEquals":{"kms:KeySpec":"ECC_NIST_P256","kms:KeyUsage":"SIGN_VERIFY","kms:KeyOrigin":"AWS_KMS"},"Bool":{"kms:MultiRegion":"false"}}`, sign(a.signing, nil), nil},
		"aliases":       {`{"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/r*"}}`, sign(a.signing, nil), nil},
		"no such alias": {`{"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/x*"}}`, nil, sign("alias/red", nil)},
		"tags":          {`{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}`, sign(a.signing, nil), nil},
		"other tag":     {`{"StringEquals":{"aws:ResourceTag/team":"blue"}}`, nil, sign(a.signing, nil)},
		"region":        {`{"StringEquals":{"aws:RequestedRegion":"` + gatewaytest.Region + `"}}`, sign(a.signing, nil), nil},
		"not encrypted": {`{"Bool":{"aws:SecureTransport":"true"}}`, nil, sign(a.signing, nil)},
		"time":          {`{"DateLessThan":{"aws:CurrentTime":"` + soon + `"}}`, sign(a.signing, nil), nil},
	} {
		a.put(a.signing, byAccount, statement("Allow", a.user.ARN, "kms:Sign", c.condition))
		if c.yes != nil {
			a.allowed(name, c.yes(), "key-policy/2")
		}
		if c.no != nil {
			a.denied(name, c.no(), "no identity-based policy allows the kms:Sign action")
		}
	}
	a.put(a.signing, byAccount, statement("Allow", a.user.ARN, "kms:Sign", `{"DateLessThan":{"aws:CurrentTime":"`+soon+`"}}`))
	a.Advance(2 * time.Hour)
	a.denied("later", a.sign(a.user), "no identity-based policy")
}

func TestEncryptionContextConditions(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.put(a.sealing, byAccount,
		statement("Allow", a.user.ARN, "kms:*crypt*", `{"StringEquals":{"kms:EncryptionContext:tenant":"one"},"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["tenant"]}}`),
		statement("Allow", a.other.ARN, "kms:ReEncrypt*", `{"Bool":{"kms:ReEncryptOnSameKey":"true"}}`))
	got := a.encryptWith(a.user, map[string]string{"tenant": "one"})
	a.allowed("his tenant", got, "key-policy/2")
	var sealed api.EncryptResponse
	decodeInto(t, got, &sealed)
	a.denied("another tenant", a.encryptWith(a.user, map[string]string{"tenant": "two"}), "no identity-based policy")
	a.denied("more", a.encryptWith(a.user, map[string]string{"tenant": "one", "x": "y"}), "no identity-based policy")
	a.denied("none", a.encryptWith(a.user, nil), "no identity-based policy")
	decrypt := map[string]any{"CiphertextBlob": sealed.CiphertextBlob, "EncryptionContext": map[string]string{"tenant": "one"}}
	a.allowed("decrypted without naming the key", a.Send(a.user.Token, "POST", "/v1/decrypt", decrypt), "key-policy/2")
	decrypt["EncryptionContext"] = map[string]string{}
	a.denied("decrypted without the context", a.Send(a.user.Token, "POST", "/v1/decrypt", decrypt), "The ciphertext refers to a customer master key that does not exist")

	again := map[string]any{"CiphertextBlob": sealed.CiphertextBlob, "SourceEncryptionContext": map[string]string{"tenant": "one"}, "DestinationKeyId": a.sealing}
	a.allowed("on the same key", a.Send(a.other.Token, "POST", "/v1/re-encrypt", again), "key-policy/3")
	second := a.CreateKey(api.Symmetric, api.EncryptDecrypt).KeyId
	a.put(second, byAccount, statement("Allow", a.other.ARN, "kms:ReEncryptTo"))
	again["DestinationKeyId"] = second
	a.denied("to another key", a.Send(a.other.Token, "POST", "/v1/re-encrypt", again), "The ciphertext refers")
	again["DestinationEncryptionContext"] = map[string]string{"tenant": "two"}
	again["DestinationKeyId"] = a.sealing
	a.denied("each half by its own context", a.Send(a.user.Token, "POST", "/v1/re-encrypt", again), "kms:ReEncryptTo")
}

// TestTagConditions: what a call is to write.
func TestTagConditions(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.attach(a.user, "make", statement("Allow", "", "kms:CreateKey", `{"StringEquals":{"kms:KeySpec":"ECC_NIST_P256"}}`),
		statement("Allow", "", "kms:TagResource", `{"StringEquals":{"aws:RequestTag/team":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost"]}}`),
		statement("Allow", "", "kms:UntagResource", `{"ForAllValues:StringEquals":{"aws:TagKeys":["cost"]}}`))
	create := func(spec string, tags ...api.Tag) gatewaytest.Answer {
		return a.Send(a.user.Token, "POST", "/v1/keys", map[string]any{"KeySpec": spec, "KeyUsage": "SIGN_VERIFY", "Tags": tags})
	}
	red, blue := api.Tag{TagKey: "team", TagValue: "red"}, api.Tag{TagKey: "team", TagValue: "blue"}
	if got := create("ECC_NIST_P256"); got.Status != 200 {
		t.Errorf("%s", got.Body)
	}
	a.denied("another spec", create("RSA_2048"), "kms:CreateKey")
	a.denied("another tag", create("ECC_NIST_P256", blue), "kms:TagResource")
	a.allowed("red", create("ECC_NIST_P256", red), "policy/make/2")
	path := "/v1/keys/" + a.signing
	a.allowed("tag", a.Send(a.user.Token, "POST", path+"/tags", map[string]any{"Tags": []api.Tag{red, {TagKey: "cost"}}}), "policy/make/2")
	a.denied("tag", a.Send(a.user.Token, "POST", path+"/tags", map[string]any{"Tags": []api.Tag{red, {TagKey: "x"}}}), "kms:TagResource")
	a.allowed("untag", a.Send(a.user.Token, "POST", path+"/untag", map[string]any{"TagKeys": []string{"cost"}}), "policy/make/3")
	a.denied("untag", a.Send(a.user.Token, "POST", path+"/untag", map[string]any{"TagKeys": []string{"team"}}), "kms:UntagResource")
}

// TestAliasNeedsBothHalves: the permission on the alias and on the keys.
func TestAliasNeedsBothHalves(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	second := a.CreateKey(api.P256, api.SignVerify).KeyId
	arn := func(resource string) string {
		return "arn:aws:kms:" + gatewaytest.Region + ":" + gatewaytest.Account + ":" + resource
	}
	may := func(name, resource string) {
		a.attach(a.user, name, `{"Effect":"Allow","Action":"kms:*Alias","Resource":"`+resource+`"}`)
	}
	create := func() gatewaytest.Answer {
		return a.Send(a.user.Token, "POST", "/v1/aliases", map[string]any{"AliasName": "alias/a", "TargetKeyId": a.signing})
	}
	update := func() gatewaytest.Answer {
		return a.Send(a.user.Token, "PUT", "/v1/aliases/alias%2Fa", map[string]any{"TargetKeyId": second})
	}
	may("first", arn("key/"+a.signing))
	a.denied("without the alias", create(), arn("alias/a"))
	may("name", arn("alias/*"))
	a.allowed("with both", create(), "policy/first/1")
	a.denied("to another key", update(), arn("key/"+second))
	noError(t, a.Identities.DetachPolicy(t.Context(), a.user.ARN, "first"))
	may("second", arn("key/"+second))
	a.denied("from another key", update(), arn("key/"+a.signing))
	a.denied("delete", a.Send(a.user.Token, "DELETE", "/v1/aliases/alias%2Fa", nil), "kms:DeleteAlias")
	noError(t, a.Identities.AttachPolicy(t.Context(), a.user.ARN, "first"))
	if got := update(); got.Status != 200 {
		t.Errorf("%s", got.Body)
	}
}

// TestPolicyHidesKeys: a caller whose own permissions do not cover a name is told
// the same of a key that is not there, that has another policy, or that he may use
// otherwise.
func TestPolicyHidesKeys(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	second := a.CreateKey(api.P256, api.SignVerify).KeyId
	const none = "33333333-aaaa-4bbb-8ccc-333333333333"
	a.put(a.signing, byAccount, statement("Deny", "*", "kms:Sign"))
	a.Call("PUT", "/v1/keys/"+second+"/policy", map[string]any{"Policy": document(statement("Allow", a.other.ARN, "kms:*")), "BypassPolicyLockoutSafetyCheck": true}, nil)
	text := func(who gatewaytest.Credentials, id string) string {
		var p struct{ Code, Detail string }
		decodeInto(t, a.signWith(who, id, nil), &p)
		return p.Code + strings.ReplaceAll(p.Detail, id, "KEY")
	}
	for _, id := range []string{a.signing, second} {
		if got, want := text(a.user, id), text(a.user, none); got != want {
			t.Errorf("%s tells\n%s, and of no key\n%s", id, got, want)
		}
	}
	if got := text(a.Admin, none); !strings.HasPrefix(got, string(api.NotFound)) {
		t.Errorf("who may use all keys is told %s", got)
	}
	a.attach(a.user, "all", statement("Allow", "", "kms:Sign"))
	if got := text(a.user, none); !strings.HasPrefix(got, string(api.NotFound)) {
		t.Errorf("who may use all keys is told %s", got)
	}
	if got := text(a.user, second); !strings.Contains(got, "no resource-based policy") {
		t.Errorf("who may use all keys is told %s", got)
	}
}

// TestOtherProcessesSeePolicies, and grants by their tokens at once.
func TestOtherProcessesSeePolicies(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	b := gatewaytest.NewWith(t, gatewaytest.Options{Beside: a.Gateway, Name: "two"}) // without Watch: it hears of nothing by itself
	g := a.grant(a.sealing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Encrypt"}})
	in := map[string]any{"Plaintext": []byte("m")}
	if got := b.Send(a.user.Token, "POST", "/v1/keys/"+a.sealing+"/encrypt", in); got.Code() != string(api.AccessDenied) {
		t.Errorf("before it has heard of the grant: %d %s", got.Status, got.Body)
	}
	in["GrantTokens"] = []string{g.GrantToken}
	if got := b.Send(a.user.Token, "POST", "/v1/keys/"+a.sealing+"/encrypt", in); got.Status != 200 {
		t.Errorf("with the token: %s", got.Body)
	}
	a.put(a.signing, byAccount, statement("Deny", a.Admin.ARN, "kms:Sign"))
	noError(t, b.Store.Follow(t.Context()))
	if got := b.Send(b.Admin.Token, "POST", "/v1/keys/"+a.signing+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"}); got.Code() != string(api.AccessDenied) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func (a *asked) grant(key string, in map[string]any) (out api.CreateGrantResponse) {
	a.t.Helper()
	a.Call("POST", "/v1/keys/"+key+"/grants", in, &out)
	return out
}

// TestAccessChangesAreTakenBack when their record cannot be kept.
func TestAccessChangesAreTakenBack(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	before := document(byAccount, statement("Allow", a.user.ARN, "kms:Sign"))
	path := "/v1/keys/" + a.signing
	a.Call("PUT", path+"/policy", map[string]any{"Policy": before}, nil)
	grant := map[string]any{"GranteePrincipal": a.other.ARN, "Operations": []string{"Sign"}}
	g := a.grant(a.signing, grant)
	for what, call := range map[string]func() gatewaytest.Answer{
		"a policy": func() gatewaytest.Answer {
			return a.Send(a.Admin.Token, "PUT", path+"/policy", map[string]any{"Policy": document(byAccount)})
		},
		"a grant": func() gatewaytest.Answer { return a.Send(a.Admin.Token, "POST", path+"/grants", grant) },
		"an end": func() gatewaytest.Answer {
			return a.Send(a.Admin.Token, "POST", path+"/revoke-grant", map[string]any{"GrantId": g.GrantId})
		},
		"a retreat": func() gatewaytest.Answer {
			return a.Send(a.Admin.Token, "POST", "/v1/grants/retire", map[string]any{"GrantToken": g.GrantToken})
		},
	} {
		withoutRecord(t, a.Gateway, call)
		var now api.GetKeyPolicyResponse
		a.Call("GET", path+"/policy", nil, &now)
		var grants api.ListGrantsResponse
		a.Call("GET", path+"/grants", nil, &grants)
		if now.Policy != before || len(grants.Grants) != 1 || grants.Grants[0].GrantId != g.GrantId {
			t.Errorf("%s is not taken back: %s %+v", what, now.Policy, grants)
		}
	}
}

// TestReplicasAreKeysThatAreMade: what denies to make a key of a kind denies to
// replicate one.
func TestReplicasAreKeysThatAreMade(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Regions: []string{west}})
	key := createMulti(t, a.Gateway)
	replica := func() gatewaytest.Answer {
		return in(a.Gateway, home, "POST", "/v1/keys/"+key.KeyId+"/replicate", map[string]string{"ReplicaRegion": west})
	}
	for _, condition := range []string{`{"Bool":{"kms:MultiRegion":"true"}}`, `{"StringEquals":{"kms:KeySpec":"` + string(key.KeySpec) + `"}}`, `{"StringEquals":{"kms:MultiRegionKeyType":"REPLICA"}}`} {
		a.attach(a.Admin, "no-replica", statement("Deny", "", "kms:CreateKey", condition))
		a.denied(condition, replica(), "kms:CreateKey")
	}
	a.attach(a.Admin, "no-replica", statement("Deny", "", "kms:CreateKey", `{"StringEquals":{"kms:MultiRegionKeyType":"PRIMARY"}}`))
	a.allowed("a replica", replica(), "role/administrator")
}
