package gateway_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

func (a *asked) grants(path string) api.ListGrantsResponse {
	a.t.Helper()
	var out api.ListGrantsResponse
	a.Call("GET", path, nil, &out)
	return out
}

func TestGrantAllowsItsOperations(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	in := map[string]any{"Name": "g", "GranteePrincipal": a.user.ARN, "RetiringPrincipal": a.other.ARN, "Operations": []string{"Sign", "DescribeKey"}}
	g := a.grant(a.signing, in)
	a.allowed("sign", a.sign(a.user), "grant/"+g.GrantId)
	a.allowed("describe", a.Send(a.user.Token, "GET", "/v1/keys/"+a.signing, nil), "grant/"+g.GrantId)
	a.denied("public key", a.Send(a.user.Token, "GET", "/v1/keys/"+a.signing+"/public-key", nil), "no identity-based policy")
	a.denied("another key", a.encryptWith(a.user, nil), "no identity-based policy")
	a.denied("another caller", a.sign(a.other), "no identity-based policy")

	again := a.grant(a.signing, map[string]any{"Name": "g", "GranteePrincipal": a.user.ARN, "RetiringPrincipal": a.other.ARN, "Operations": []string{"DescribeKey", "Sign", "Sign"}})
	if again.GrantId != g.GrantId || again.GrantToken == g.GrantToken {
		t.Errorf("the same again gives %+v after %+v", again, g)
	}
	in["Operations"] = []string{"Sign"}
	if other := a.grant(a.signing, in); other.GrantId == g.GrantId {
		t.Error("another grant of the name is taken for the same")
	}
	for _, r := range a.Records() {
		if r.Operation == "CreateGrant" && (r.GrantID == "" || r.Grantee != a.user.ARN) {
			t.Errorf("recorded without the grant: %+v", r)
		}
	}
	delete(in, "Name")
	if one, two := a.grant(a.signing, in), a.grant(a.signing, in); one.GrantId == two.GrantId {
		t.Error("grants without a name are taken for the same")
	}
	list := a.grants("/v1/keys/" + a.signing + "/grants?GrantId=" + g.GrantId)
	if len(list.Grants) != 1 || list.Truncated {
		t.Fatalf("%+v", list)
	}
	e := list.Grants[0]
	if e.Name != "g" || e.GranteePrincipal != a.user.ARN || e.RetiringPrincipal != a.other.ARN || e.IssuingAccount != rootARN ||
		!strings.HasSuffix(e.KeyId, ":key/"+a.signing) || len(e.Operations) != 2 || time.Since(e.CreationDate.Time) > time.Hour {
		t.Errorf("%+v", e)
	}
}

func TestGrantConstraints(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	operations := []string{"Encrypt", "Decrypt", "CreateGrant", "GenerateDataKey"}
	pair, more := map[string]string{"tenant": "one"}, map[string]string{"tenant": "one", "x": "y"}
	g := a.grant(a.sealing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": operations, "Constraints": map[string]any{"EncryptionContextEquals": pair}})
	s := a.grant(a.sealing, map[string]any{"GranteePrincipal": a.other.ARN, "Operations": operations, "Constraints": map[string]any{"EncryptionContextSubset": pair}})
	a.allowed("equals", a.encryptWith(a.user, pair), "grant/"+g.GrantId)
	a.denied("equals, more", a.encryptWith(a.user, more), "no identity-based policy")
	a.denied("equals, none", a.encryptWith(a.user, nil), "no identity-based policy")
	a.allowed("subset", a.encryptWith(a.other, more), "grant/"+s.GrantId)
	a.denied("subset, other", a.encryptWith(a.other, map[string]string{"Tenant": "one"}), "no identity-based policy")

	// A grantee makes grants of no more than he has.
	third := a.Principal("third", policy.RoleUser)
	pass := func(operations []string, constraints any) gatewaytest.Answer {
		return a.Send(a.user.Token, "POST", "/v1/keys/"+a.sealing+"/grants", map[string]any{"GranteePrincipal": third.ARN, "Operations": operations, "Constraints": constraints})
	}
	a.denied("without the constraint", pass([]string{"Encrypt"}, nil), "kms:CreateGrant")
	a.denied("a wider one", pass([]string{"Encrypt"}, map[string]any{"EncryptionContextSubset": pair}), "kms:CreateGrant")
	a.denied("another operation", pass([]string{"Encrypt", "ReEncryptFrom"}, map[string]any{"EncryptionContextEquals": pair}), "kms:CreateGrant")
	a.allowed("as strict", pass([]string{"Encrypt"}, map[string]any{"EncryptionContextEquals": pair}), "grant/"+g.GrantId)
	if got := a.encryptWith(third, pair); got.Status != 200 {
		t.Errorf("%s", got.Body)
	}
}

// TestGrantConditions: key policies decide who may make which grants.
func TestGrantConditions(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.put(a.sealing, byAccount, statement("Allow", a.user.ARN, "kms:CreateGrant",
		`{"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt"]},"StringEquals":{"kms:GranteePrincipal":"`+a.other.ARN+`","kms:GrantConstraintType":"EncryptionContextSubset"},"Bool":{"kms:GrantIsForAWSResource":"false"}}`))
	create := func(who string, constraint string, operations ...string) gatewaytest.Answer {
		return a.Send(a.user.Token, "POST", "/v1/keys/"+a.sealing+"/grants", map[string]any{"GranteePrincipal": who, "Operations": operations, "Constraints": map[string]any{constraint: map[string]string{"a": "b"}}})
	}
	a.allowed("as allowed", create(a.other.ARN, "EncryptionContextSubset", "Encrypt"), "key-policy/2")
	a.denied("another operation", create(a.other.ARN, "EncryptionContextSubset", "Decrypt"), "kms:CreateGrant")
	a.denied("another grantee", create(a.Admin.ARN, "EncryptionContextSubset", "Encrypt"), "kms:CreateGrant")
	a.denied("another constraint", create(a.other.ARN, "EncryptionContextEquals", "Encrypt"), "kms:CreateGrant")
}

func TestGrantsEnd(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	retire := func(who gatewaytest.Credentials, in map[string]any) gatewaytest.Answer {
		return a.Send(who.Token, "POST", "/v1/grants/retire", in)
	}
	in := map[string]any{"GranteePrincipal": a.user.ARN, "RetiringPrincipal": a.other.ARN, "Operations": []string{"Sign"}}
	arn := "arn:aws:kms:" + gatewaytest.Region + ":" + gatewaytest.Account + ":key/" + a.signing

	g := a.grant(a.signing, in)
	byToken, byID := map[string]any{"GrantToken": g.GrantToken}, map[string]any{"KeyId": arn, "GrantId": g.GrantId}
	a.denied("a grantee without the operation", retire(a.user, byToken), "kms:RetireGrant")
	a.denied("the same by id", retire(a.user, byID), "kms:RetireGrant")
	refusal(t, retire(a.other, map[string]any{"GrantToken": g.GrantToken, "DryRun": true}), 412, api.DryRunOperation)
	a.allowed("the retiring principal", retire(a.other, byID), "grant/"+g.GrantId)
	a.denied("it is over", a.sign(a.user), "no identity-based policy")
	refusal(t, retire(a.Admin, byToken), 400, api.InvalidGrantToken)
	refusal(t, retire(a.Admin, byID), 404, api.NotFound)
	for _, bad := range []map[string]any{{}, {"KeyId": arn}, {"GrantId": g.GrantId}, {"GrantToken": g.GrantToken, "GrantId": g.GrantId}} {
		refusal(t, retire(a.Admin, bad), 400, api.Validation)
		a.denied("malformed", retire(a.user, bad), "kms:RetireGrant on resource: *")
	}

	in["Operations"] = []string{"Sign", "RetireGrant"}
	g = a.grant(a.signing, in)
	a.allowed("the grantee with the operation", retire(a.user, map[string]any{"GrantToken": g.GrantToken}), "grant/"+g.GrantId)
	g = a.grant(a.signing, in)
	a.put(a.signing, byAccount, statement("Allow", a.user.ARN, "kms:R*Grant"))
	a.allowed("who the policy allows", retire(a.user, map[string]any{"GrantToken": g.GrantToken}), "key-policy/2")

	g = a.grant(a.signing, in)
	revoke := func(who gatewaytest.Credentials, key, id string) gatewaytest.Answer {
		return a.Send(who.Token, "POST", "/v1/keys/"+key+"/revoke-grant", map[string]any{"GrantId": id})
	}
	a.denied("a retiring principal does not revoke", revoke(a.other, a.signing, g.GrantId), "kms:RevokeGrant")
	refusal(t, revoke(a.Admin, a.sealing, g.GrantId), 404, api.NotFound)
	refusal(t, revoke(a.Admin, a.signing, "x"), 400, api.InvalidGrantId)
	a.allowed("revoked", revoke(a.Admin, a.signing, g.GrantId), "role/administrator")
	refusal(t, revoke(a.Admin, a.signing, g.GrantId), 404, api.NotFound)
	a.put(a.signing, byAccount)
	a.denied("after it", a.sign(a.user), "no identity-based policy")
}

func TestGrantTokens(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Regions: []string{"eu-west-1"}})
	g := a.grant(a.sealing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Encrypt"}})
	a.allowed("with its token", a.encryptWith(a.user, nil, g.GrantToken), "grant/"+g.GrantId)
	a.denied("it proves nothing", a.encryptWith(a.other, nil, g.GrantToken), "no identity-based policy")
	if !strings.HasPrefix(g.GrantToken, "g") {
		t.Errorf("a command line may take %s for a flag", g.GrantToken)
	}
	for _, bad := range []string{"x", g.GrantToken[:len(g.GrantToken)-1], g.GrantToken + "A", "A" + g.GrantToken[1:], strings.ToLower(g.GrantToken), g.GrantId} {
		refusal(t, a.encryptWith(a.user, nil, g.GrantToken, bad), 400, api.InvalidGrantToken)
		a.denied("not told to others", a.encryptWith(a.other, nil, bad), "no identity-based policy")
	}
	elsewhere := a.Send(a.Admin.Token, "POST", "/v1/grants/retire", map[string]any{"GrantToken": g.GrantToken}, "Hsmgate-Region", "eu-west-1")
	refusal(t, elsewhere, 400, api.InvalidGrantToken)
}

func TestGrantRefusals(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{Quotas: gateway.Quotas{GrantsPerKey: 1}})
	pair := map[string]string{"a": "b"}
	for name, c := range map[string]struct {
		key  string
		in   map[string]any
		code api.Code
	}{
		"no grantee":      {a.signing, map[string]any{"Operations": []string{"Sign"}}, api.Validation},
		"no operation":    {a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{}}, api.Validation},
		"usage":           {a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Encrypt"}}, api.Validation},
		"secret":          {a.sealing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"GetPublicKey"}}, api.Validation},
		"nobody":          {a.signing, map[string]any{"GranteePrincipal": userARN + "nobody", "Operations": []string{"Sign"}}, api.InvalidArn},
		"no principal":    {a.signing, map[string]any{"GranteePrincipal": "arn:aws:kms:x:" + gatewaytest.Account + ":key/x", "Operations": []string{"Sign"}}, api.InvalidArn},
		"all":             {a.signing, map[string]any{"GranteePrincipal": "*", "Operations": []string{"Sign"}}, api.Validation},
		"retiring nobody": {a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "RetiringPrincipal": userARN + "nobody", "Operations": []string{"Sign"}}, api.InvalidArn},
		"service":         {a.signing, map[string]any{"GranteeServicePrincipal": "s3.amazonaws.com", "Operations": []string{"Sign"}}, api.UnsupportedOperation},
		"context":         {a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}, "Constraints": map[string]any{"EncryptionContextEquals": pair}}, api.Validation},
		"two constraints": {a.sealing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Encrypt"}, "Constraints": map[string]any{"EncryptionContextEquals": pair, "EncryptionContextSubset": pair}}, api.Validation},
		"dry run":         {a.signing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}, "DryRun": true}, api.DryRunOperation},
	} {
		if got := a.Send(a.Admin.Token, "POST", "/v1/keys/"+c.key+"/grants", c.in); got.Code() != string(c.code) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	in := map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Sign"}}
	a.grant(a.signing, in)
	refusal(t, a.Send(a.Admin.Token, "POST", "/v1/keys/"+a.signing+"/grants", in), 400, api.LimitExceeded)
}

func TestGrantPages(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	var ids []string
	for n, key := range []string{a.signing, a.sealing, a.signing} {
		who := []gatewaytest.Credentials{a.user, a.user, a.other}[n]
		ids = append(ids, a.grant(key, map[string]any{"GranteePrincipal": who.ARN, "RetiringPrincipal": a.other.ARN, "Operations": []string{"DescribeKey"}}).GrantId)
	}
	walk := func(path string) (seen []string) {
		t.Helper()
		for marker := ""; ; {
			page := a.grants(path + marker)
			for _, g := range page.Grants {
				seen = append(seen, g.GrantId)
			}
			if !page.Truncated {
				slices.Sort(seen)
				return seen
			}
			if len(page.Grants) != 1 {
				t.Fatalf("%+v", page)
			}
			marker = "&Marker=" + page.NextMarker
		}
	}
	want := slices.Sorted(slices.Values([]string{ids[0], ids[2]}))
	if got := walk("/v1/keys/" + a.signing + "/grants?Limit=1"); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := walk("/v1/keys/" + a.signing + "/grants?Limit=1&GranteePrincipal=" + a.user.ARN); !slices.Equal(got, ids[:1]) {
		t.Errorf("%v", got)
	}
	if got := walk("/v1/grants?Limit=1&RetiringPrincipal=" + a.other.ARN); !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
		t.Errorf("%v", got)
	}
	for _, path := range []string{"/v1/grants?RetiringPrincipal=" + a.other.ARN + "&Marker=x", "/v1/keys/" + a.signing + "/grants?Marker=x"} {
		refusal(t, a.Send(a.Admin.Token, "GET", path, nil), 400, api.InvalidMarker)
	}
	refusal(t, a.Send(a.Admin.Token, "GET", "/v1/grants", nil), 400, api.Validation)
	const service = "ServicePrincipal=s3.amazonaws.com"
	if got := walk("/v1/keys/" + a.signing + "/grants?Grantee" + service); len(got) != 0 {
		t.Errorf("grants for a service: %v", got)
	}
	for _, path := range []string{ // a service beside a principal, which AWS KMS refuses, too
		"/v1/grants?RetiringPrincipal=" + a.other.ARN + "&Retiring" + service,
		"/v1/keys/" + a.signing + "/grants?GranteePrincipal=" + a.user.ARN + "&Grantee" + service,
	} {
		refusal(t, a.Send(a.Admin.Token, "GET", path, nil), 400, api.Validation)
	}

	// They go with their key, and with their grantee.
	noError(t, a.Identities.DeletePrincipal(t.Context(), a.user.ARN))
	if got := walk("/v1/grants?Limit=1&RetiringPrincipal=" + a.other.ARN); !slices.Equal(got, ids[2:]) {
		t.Errorf("%v", got)
	}
	noError(t, a.Store.DeleteKey(t.Context(), gatewaytest.Region, a.signing))
	if got := walk("/v1/grants?Limit=1&RetiringPrincipal=" + a.other.ARN); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
