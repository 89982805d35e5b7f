package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// tagsOf lists all tags of a key, in pages of a few.
func tagsOf(t testing.TB, g *gatewaytest.Gateway, key string, limit int) string {
	t.Helper()
	var all []string
	for marker := ""; ; {
		var page api.ListResourceTagsResponse
		g.Call("GET", fmt.Sprintf("/v1/keys/%s/tags?Limit=%d%s", key, limit, marker), nil, &page)
		for _, tag := range page.Tags {
			all = append(all, tag.TagKey+"="+tag.TagValue)
		}
		if page.Truncated != (page.NextMarker != "") || page.Truncated && len(page.Tags) != limit {
			t.Fatalf("%+v", page)
		}
		if !page.Truncated {
			return strings.Join(all, " ")
		}
		marker = "&Marker=" + page.NextMarker
	}
}

func putTags(g *gatewaytest.Gateway, key string, tags ...api.Tag) gatewaytest.Answer {
	return g.Send(g.Admin.Token, "POST", "/v1/keys/"+key+"/tags", map[string]any{"Tags": tags})
}

// TestTagRules is the table of what a tag may be.
func TestTagRules(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	for _, c := range []struct {
		tags []api.Tag
		code api.Code
		text string
	}{
		{[]api.Tag{{TagKey: "team", TagValue: "packages"}}, "", ""},
		{[]api.Tag{{TagKey: "empty"}}, "", ""},
		{[]api.Tag{{TagKey: "Größe 大", TagValue: "a+b-c=d._:/@ 9"}}, "", ""},
		{[]api.Tag{{TagKey: strings.Repeat("ä", 128), TagValue: strings.Repeat("大", 256)}}, "", ""},
		{[]api.Tag{{TagKey: "my-aws:tag"}}, "", ""},
		{[]api.Tag{}, "", ""},
		{[]api.Tag{{TagKey: "a"}, {TagKey: "a", TagValue: "b"}}, api.InvalidTag, "Duplicate tag keys"},
		{[]api.Tag{{TagKey: "aws:owner"}}, api.InvalidTag, "Tags beginning with aws: are reserved"},
		{[]api.Tag{{TagKey: "AWS:owner"}}, api.InvalidTag, "Tags beginning with aws: are reserved"},
		{[]api.Tag{{TagKey: "a!"}}, api.InvalidTag, "is not valid: tag keys and values are made of"},
		{[]api.Tag{{TagKey: "a", TagValue: "b\n"}}, api.InvalidTag, "is not valid"},
		{[]api.Tag{{TagKey: "a", TagValue: "<b>"}}, api.InvalidTag, "is not valid"},
		{[]api.Tag{{TagKey: strings.Repeat("ä", 129)}}, api.Validation, "less than or equal to 128"},
		{[]api.Tag{{TagKey: "a", TagValue: strings.Repeat("b", 257)}}, api.Validation, "less than or equal to 256"},
		{[]api.Tag{{TagKey: ""}}, api.Validation, "Value null at 'tags.1.member.tagKey'"},
	} {
		a := putTags(g, key, c.tags...)
		if c.code == "" && a.Status != 200 || c.code != "" && a.Code() != string(c.code) || !strings.Contains(string(a.Body), c.text) {
			t.Errorf("%.60v: %d %s", c.tags, a.Status, a.Body)
		}
		if len(c.tags) == 0 {
			continue // no tags are no tags of a new key, either
		}
		a = g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, Tags: c.tags})
		if c.code == "" && a.Status != 200 || c.code != "" && a.Code() != string(c.code) {
			t.Errorf("CreateKey with %.60v: %d %s", c.tags, a.Status, a.Body)
		}
	}
	if objects, err := g.Token.Objects(t.Context()); err != nil || len(objects) != g.Store.KeyCount() {
		t.Errorf("%d objects of %d keys (%v)", len(objects), g.Store.KeyCount(), err)
	}
}

// TestTagsComeAndGo: one of the same name is replaced, one that is not there is
// taken off all the same, and they stay over a change of the key.
func TestTagsComeAndGo(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	var made api.CreateKeyResponse
	g.Call("POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, Tags: []api.Tag{{TagKey: "b", TagValue: "1"}, {TagKey: "a", TagValue: "2"}}}, &made)
	key, other := made.KeyMetadata.KeyId, g.CreateKey(api.P256, api.SignVerify).KeyId
	is := func(want string) {
		t.Helper()
		if got := tagsOf(t, g, key, 2); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	is("a=2 b=1")
	putTags(g, key, api.Tag{TagKey: "b", TagValue: "3"}, api.Tag{TagKey: "ü"}, api.Tag{TagKey: "B"})
	is("B= a=2 b=3 ü=")
	g.Call("POST", "/v1/keys/"+key+"/disable", nil, nil)
	g.Call("PUT", "/v1/keys/"+key+"/description", map[string]string{"Description": "what it is for"}, nil)
	is("B= a=2 b=3 ü=")
	g.Call("POST", "/v1/keys/"+key+"/untag", map[string]any{"TagKeys": []string{"a", "not there", "B", "aws:x"}}, nil)
	is("b=3 ü=")
	var described api.DescribeKeyResponse
	g.Call("GET", "/v1/keys/"+key, nil, &described)
	if d := described.KeyMetadata.Description; d != "what it is for" {
		t.Errorf("described as %q", d)
	}
	g.Call("PUT", "/v1/keys/"+key+"/description", map[string]string{"Description": ""}, nil)
	g.Call("GET", "/v1/keys/"+key, nil, &described)
	if d := described.KeyMetadata.Description; d != "" {
		t.Errorf("described as %q", d)
	}
	if got := tagsOf(t, g, other, 50); got != "" {
		t.Errorf("another key has %s", got)
	}
	for _, path := range []string{"/tags", "/untag"} { // by id and ARN alone
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/alias%2Fx"+path, map[string]any{}), 400, api.Validation)
	}
	refusal(t, g.Send(g.Admin.Token, "GET", "/v1/keys/alias%2Fx/tags", nil), 404, api.NotFound)
}

// TestQuotas: each is refused beyond, and what is there may be changed.
func TestQuotas(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewWith(t, gatewaytest.Options{Quotas: gateway.Quotas{Keys: 2, TagsPerKey: 3, AliasesPerKey: 1}})
	create := func(tags ...api.Tag) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/keys", api.CreateKeyRequest{KeySpec: api.P256, KeyUsage: api.SignVerify, Tags: tags})
	}
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	tags := []api.Tag{{TagKey: "a"}, {TagKey: "b"}, {TagKey: "c"}, {TagKey: "d"}}
	refusal(t, create(tags...), 400, api.InvalidTag)
	for _, c := range []struct {
		tags []api.Tag
		fits bool
	}{{tags, false}, {tags[:2], true}, {tags[1:3], true}, {tags[3:], false}, {tags[:3], true}} {
		a := putTags(g, key, c.tags...)
		if (a.Status == 200) != c.fits || !c.fits && (a.Code() != string(api.InvalidTag) || !strings.Contains(string(a.Body), "Too many tags")) {
			t.Errorf("%v: %d %s", c.tags, a.Status, a.Body)
		}
	}
	alias := func(name string) gatewaytest.Answer {
		return g.Send(g.Admin.Token, "POST", "/v1/aliases", api.CreateAliasRequest{AliasName: name, TargetKeyId: key})
	}
	if a := alias("alias/one"); a.Status != 200 {
		t.Errorf("%s", a.Body)
	}
	refusal(t, alias("alias/two"), 400, api.LimitExceeded)
	if a := create(); a.Status != 200 {
		t.Errorf("%s", a.Body)
	}
	a := create()
	refusal(t, a, 400, api.LimitExceeded)
	if !strings.Contains(string(a.Body), "quotas.keys") {
		t.Errorf("%s", a.Body)
	}
	if objects, err := g.Token.Objects(t.Context()); err != nil || len(objects) != 2 {
		t.Errorf("%d objects (%v)", len(objects), err)
	}
}

// TestQuotasAreThoseOfKMS where nothing is said.
func TestQuotasAreThoseOfKMS(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	tags := make([]api.Tag, 51)
	for i := range tags {
		tags[i].TagKey = fmt.Sprintf("t%02d", i)
	}
	refusal(t, putTags(g, key, tags...), 400, api.InvalidTag)
	if a := putTags(g, key, tags[:50]...); a.Status != 200 {
		t.Fatalf("%s", a.Body)
	}
	refusal(t, putTags(g, key, tags[50]), 400, api.InvalidTag)
	if got := strings.Fields(tagsOf(t, g, key, 7)); len(got) != 50 {
		t.Errorf("%d tags", len(got))
	}
}
