package rest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestPathsReachOwnKeysOnly spells keys in every way that a path allows.
func TestPathsReachOwnKeysOnly(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	own, other := g.CreateKey(api.P256, api.SignVerify), g.CreateKey(api.P256, api.SignVerify)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/own", TargetKeyId: own.KeyId}, nil)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/team/own", TargetKeyId: own.KeyId}, nil)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/other", TargetKeyId: other.KeyId}, nil)
	user := g.Principal("user", policy.RoleUser, own.KeyId)
	aliasARN := strings.Replace(own.Arn, "key/"+own.KeyId, "alias/own", 1)

	for _, name := range []string{
		own.KeyId, own.Arn[:strings.Index(own.Arn, "/")] + "%2F" + own.KeyId, url.PathEscape(own.Arn), url.PathEscape(aliasARN),
		"alias%2Fown", "alias%2fown", "alias/own", "alias%2Fteam%2Fown", "%61lias%2Fown", "alias/team%2Fown", "alias/%6fwn",
	} {
		a := g.Send(user.Token, "GET", "/v1/keys/"+name, nil)
		if a.Status != http.StatusOK || !strings.Contains(string(a.Body), own.KeyId) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if a := g.Send(user.Token, "PUT", "/v1/keys/"+name+"/sign", "file"); a.Status != http.StatusOK {
			t.Errorf("%s/sign: %d %s", name, a.Status, a.Body)
		}
	}
	for _, name := range []string{
		other.KeyId, url.PathEscape(other.Arn), "alias%2Fother", "alias/other", "%61lias/other", "%61lias%2Fother",
		own.KeyId + "%2F..%2F" + other.KeyId, own.KeyId + "/../" + other.KeyId, own.KeyId + "/%2e%2e/" + other.KeyId, "../keys/" + other.KeyId, "./" + other.KeyId,
		own.KeyId + ";" + other.KeyId, own.KeyId + "%00", own.KeyId + "%20", "%20" + own.KeyId, own.KeyId + "%3F", own.KeyId + "%23", own.KeyId + "%0a",
		strings.ToUpper(own.KeyId), "%25" + own.KeyId, "alias%252Fown", "alias%252Fother", "alias//own", "alias/own/", "alias/", "/" + own.KeyId, "Alias/own", "ALIAS%2Fown",
		"alias%5Cown", "*", "%2A", "alias%2F*", "alias/%ff", "%ff", "%C0%AFalias/own", own.KeyId + "%2Fsign", own.KeyId + "/", "alias/own;x", "alias/own%3Fx", "alias/own%00",
	} {
		for method, path := range map[string]string{"GET": "/v1/keys/" + name, "PUT": "/v1/keys/" + name + "/sign"} {
			before := len(outcomes(g))
			a := g.Send(user.Token, method, path, nil)
			if a.Status < 400 || a.Status >= 500 || strings.Contains(string(a.Body), other.KeyId) && !strings.Contains(name, other.KeyId) {
				t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
			if n := len(outcomes(g)) - before; n != 1 {
				t.Errorf("%s %s: %d records", method, path, n)
			}
		}
	}
}

// TestForbiddenAndUnknownAnswerAlike: who may not see a key does not learn
// whether it exists, by any of its names.
func TestForbiddenAndUnknownAnswerAlike(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	other := g.CreateKey(api.P256, api.SignVerify)
	g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/other", TargetKeyId: other.KeyId}, nil)
	disabled := g.CreateKey(api.P256, api.SignVerify)
	g.Call("POST", "/v1/keys/"+disabled.KeyId+"/disable", nil, nil)
	user := g.Principal("user", policy.RoleUser)
	unknown := "1234abcd-12ab-34cd-56ef-1234567890ab"
	pairs := map[string]string{
		other.KeyId: unknown, disabled.KeyId: unknown, "alias%2Fother": "alias%2Fnoneh",
		url.PathEscape(other.Arn): url.PathEscape(strings.Replace(other.Arn, other.KeyId, unknown, 1)),
	}
	for _, op := range []struct{ method, path, body string }{
		{"GET", "/v1/keys/{}", ""}, {"GET", "/v1/keys/{}/public-key", ""}, {"PUT", "/v1/keys/{}/sign", "x"},
		{"POST", "/v1/keys/{}/verify", `{"Message":"AAAA","Signature":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}`},
		{"POST", "/v1/keys/{}/encrypt", `{"Plaintext":"AAAA"}`}, {"POST", "/v1/keys/{}/decrypt", `{"CiphertextBlob":"AAAA"}`},
		{"POST", "/v1/keys/{}/enable", ""}, {"POST", "/v1/keys/{}/disable", ""}, {"POST", "/v1/keys/{}/schedule-deletion", ""}, {"POST", "/v1/keys/{}/cancel-deletion", ""},
	} {
		for forbidden, absent := range pairs {
			shape := func(name string) (int, string, string) {
				contentType := "application/octet-stream"
				if op.body != "x" {
					contentType = "application/json"
				}
				a := g.Send(user.Token, op.method, strings.Replace(op.path, "{}", name, 1), op.body, "Content-Type", contentType)
				plain, _ := url.PathUnescape(name)
				text := strings.ReplaceAll(detail(t, a), plain[strings.LastIndex(plain, "/")+1:], "NAME")
				return a.Status, a.Code(), text
			}
			s1, c1, t1 := shape(forbidden)
			s2, c2, t2 := shape(absent)
			if s1 != 403 || s1 != s2 || c1 != c2 || t1 != t2 {
				t.Errorf("%s %s:\n%d %s %s\n%d %s %s", op.method, op.path, s1, c1, t1, s2, c2, t2)
			}
		}
	}
}
