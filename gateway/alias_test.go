package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// TestAliasNames is the table of what an alias may be called.
func TestAliasNames(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify)
	for _, c := range []struct {
		name string
		code api.Code
		text string
	}{
		{"alias/release", "", ""},
		{"alias/team/release_2-b", "", ""},
		{"alias/" + strings.Repeat("x", 250), "", ""},
		{"alias/aws", "", ""},
		{"alias/release", api.AlreadyExists, "An alias with the name arn:aws:kms:eu-central-1:111122223333:alias/release already exists"},
		{"alias/" + strings.Repeat("x", 251), api.Validation, "less than or equal to 256"},
		{"release", api.Validation, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{"Alias/release", api.Validation, "Alias must start with the prefix"},
		{"", api.Validation, "Value null at 'aliasName'"},
		{"alias/", api.InvalidAliasName, ""},
		{"alias/a:b", api.InvalidAliasName, ""},
		{"alias/aws/s3", api.NotAuthorized, "reserved"},
		{"alias/a b", api.Validation, "^[a-zA-Z0-9:/_-]+$"},
		{"alias/ä", api.Validation, "^[a-zA-Z0-9:/_-]+$"},
		{"alias/a\x00", api.Validation, "^[a-zA-Z0-9:/_-]+$"},
		{"alias/a.b", api.Validation, "^[a-zA-Z0-9:/_-]+$"},
	} {
		a := g.Send(g.Admin.Token, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: c.name, TargetKeyId: key.KeyId})
		if c.code == "" && a.Status != 200 || c.code != "" && a.Code() != string(c.code) || !strings.Contains(unescaped(a.Body), c.text) {
			t.Errorf("%.40q: %d %s", c.name, a.Status, a.Body)
		}
	}
}

func unescaped(b []byte) string { return strings.ReplaceAll(string(b), `\"`, `"`) }

// TestAliasesNameKeys shows whom an alias may name, and what it then stands for.
func TestAliasesNameKeys(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	first, second := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.RSA2048, api.SignVerify)
	encrypting, symmetric := g.CreateKey(api.RSA2048, api.EncryptDecrypt), g.CreateKey(api.Symmetric, api.EncryptDecrypt)
	create := func(name, target string) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: name, TargetKeyId: target})
	}
	if a := create("alias/a", first.Arn); a.Status != 200 {
		t.Fatalf("%s", a.Body)
	}
	refusal(t, create("alias/b", "alias/a"), 400, api.Validation) // Aliases must refer to keys. Not aliases
	refusal(t, create("alias/b", strings.Replace(first.Arn, "key/"+first.KeyId, "alias/a", 1)), 400, api.Validation)
	refusal(t, create("alias/b", "1234abcd-12ab-34cd-56ef-1234567890ab"), 404, api.NotFound)
	named := func() string {
		var out api.DescribeKeyResponse
		g.Call("GET", "/v1/keys/alias%2Fa", nil, &out)
		return out.KeyMetadata.KeyId
	}
	if named() != first.KeyId {
		t.Error("the alias names another key")
	}
	update := func(name, target string) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "PUT", "/v1/aliases/"+name, map[string]string{"TargetKeyId": target})
	}
	refusal(t, update("alias%2Fa", encrypting.KeyId), 400, api.Validation)
	refusal(t, update("alias%2Fnone", second.KeyId), 404, api.NotFound)
	refusal(t, update("a", second.KeyId), 400, api.Validation)
	refusal(t, update("alias%2Fa", "alias/a"), 400, api.Validation)
	if a := update("alias/a", second.KeyId); a.Status != 200 || named() != second.KeyId {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := create("alias/sealing", encrypting.KeyId); a.Status != 200 {
		t.Fatalf("%s", a.Body)
	}
	refusal(t, update("alias%2Fsealing", symmetric.KeyId), 400, api.Validation) // one usage, another type
	// What manages a key is done by its id: an alias may be moved in between.
	for _, path := range []string{"/enable", "/disable", "/schedule-deletion", "/cancel-deletion"} {
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/alias%2Fa"+path, nil), 404, api.NotFound)
	}
	g.Call("DELETE", "/v1/aliases/alias/a", nil, nil)
	refusal(t, g.Send(g.Admin.Token, "DELETE", "/v1/aliases/alias/a", nil), 404, api.NotFound)
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/keys/alias/a", nil), 404, api.NotFound)
}

// TestTextThatCannotBeStored is refused wherever a text is kept.
func TestTextThatCannotBeStored(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	bad := "a\x00b"
	for path, in := range map[string]any{
		"POST /v1/keys":                        api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, Description: bad},
		"POST /v1/keys ":                       api.CreateKeyRequest{Origin: api.OriginExternal, Description: bad},
		"POST /v1/keys  ":                      api.CreateKeyRequest{Tags: []api.Tag{{TagKey: "a", TagValue: bad}}},
		"PUT /v1/keys/" + key + "/description": map[string]string{"Description": bad},
		"POST /v1/keys/" + key + "/replicate":  map[string]string{"ReplicaRegion": "eu-west-1", "Description": bad},
		"POST /v1/keys/" + key + "/tags":       map[string]any{"Tags": []api.Tag{{TagKey: bad, TagValue: "b"}}},
	} {
		method, where, _ := strings.Cut(strings.TrimSpace(path), " ")
		a := g.Send(g.Admin.Token, method, where, in)
		if a.Status != 400 || a.Code() != string(api.Validation) || !strings.Contains(string(a.Body), "U+0000") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// TestFiftyAliases is the most that a key may have, made or moved to it.
func TestFiftyAliases(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	full, other := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.P256, api.SignVerify)
	for i := range 50 {
		g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: fmt.Sprintf("alias/n%02d", i), TargetKeyId: full.KeyId}, nil)
	}
	refusal(t, g.Send(g.Admin.Token, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/m", TargetKeyId: full.KeyId}), 400, api.LimitExceeded)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/m", TargetKeyId: other.KeyId}, nil)
	refusal(t, g.Send(g.Admin.Token, "PUT", "/v1/aliases/alias/m", map[string]string{"TargetKeyId": full.KeyId}), 400, api.LimitExceeded)
	g.Call("PUT", "/v1/aliases/alias/n00", map[string]string{"TargetKeyId": full.KeyId}, nil) // stays where it is

	var names []string
	for marker := ""; ; {
		var page api.ListAliasesResponse
		g.Call("GET", "/v1/aliases?Limit=7&KeyId="+full.KeyId+marker, nil, &page)
		for _, a := range page.Aliases {
			names = append(names, a.AliasName)
			if a.TargetKeyId != full.KeyId || a.AliasArn != strings.Replace(full.Arn, "key/"+full.KeyId, a.AliasName, 1) || a.CreationDate == nil || a.LastUpdatedDate == nil {
				t.Errorf("%+v", a)
			}
		}
		if page.Truncated != (page.NextMarker != "") || page.Truncated && len(page.Aliases) != 7 {
			t.Fatalf("%+v", page)
		}
		if !page.Truncated {
			break
		}
		marker = "&Marker=" + page.NextMarker
	}
	if len(names) != 50 || names[0] != "alias/n00" || names[49] != "alias/n49" {
		t.Errorf("%d names: %v", len(names), names)
	}
	var all, others, one api.ListAliasesResponse
	g.Call("GET", "/v1/aliases?Limit=100", nil, &all)
	g.Call("GET", "/v1/aliases?KeyId="+other.Arn, nil, &others)
	g.Call("GET", "/v1/aliases?Limit=1", nil, &one)
	if len(all.Aliases) != 51 || len(others.Aliases) != 1 || len(one.Aliases) != 1 || !one.Truncated {
		t.Errorf("%d, %d, %d aliases", len(all.Aliases), len(others.Aliases), len(one.Aliases))
	}
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/aliases?KeyId=alias/m", nil), 404, api.NotFound)
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/aliases?KeyId=1234abcd-12ab-34cd-56ef-1234567890ab", nil), 404, api.NotFound)
}

// TestKeysArePagedById.
func TestKeysArePagedById(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	made := make(map[string]bool)
	for range 5 {
		made[g.CreateKey(api.P256, api.SignVerify).KeyId] = true
	}
	last, marker := "", ""
	for {
		var page api.ListKeysResponse
		g.Call("GET", "/v1/keys?Limit=2"+marker, nil, &page)
		for _, k := range page.Keys {
			if !made[k.KeyId] || k.KeyId <= last || !strings.HasSuffix(k.KeyArn, ":key/"+k.KeyId) {
				t.Errorf("%+v after %s", k, last)
			}
			delete(made, k.KeyId)
			last = k.KeyId
		}
		if !page.Truncated {
			break
		}
		marker = "&Marker=" + page.NextMarker
	}
	if len(made) != 0 {
		t.Errorf("not listed: %v", made)
	}
}
