package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
)

// pages reads a list in pages of two, and calls between after each. It returns
// the names of the entries in their order.
func pages(t testing.TB, g *gatewaytest.Gateway, path, list, name string, between func(page int)) []string {
	t.Helper()
	var all []string
	for n, marker := 0, ""; ; n++ {
		a := g.Send(g.Admin.Token, "GET", path+"?Limit=2"+marker, nil)
		var page map[string]json.RawMessage
		var rows []map[string]any
		if a.Status != 200 || json.Unmarshal(a.Body, &page) != nil || json.Unmarshal(page[list], &rows) != nil {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		for _, row := range rows {
			all = append(all, row[name].(string))
		}
		if string(page["Truncated"]) != "true" {
			return all
		}
		var next string
		if err := json.Unmarshal(page["NextMarker"], &next); err != nil {
			t.Fatal(err)
		}
		marker = "&Marker=" + url.QueryEscape(next)
		between(n)
	}
}

// whole checks that nothing that was there throughout is missing and nothing
// stands twice.
func whole(t *testing.T, what string, got, throughout []string) {
	t.Helper()
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("%s: out of order or twice: %v", what, got)
	}
	for _, name := range throughout {
		if !slices.Contains(got, name) {
			t.Errorf("%s: %s is missing from %v", what, name, got)
		}
	}
}

// TestPagesWhileAliasesChange: the last one of a page, on which the marker
// stands, goes away; others come before and after it.
func TestPagesWhileAliasesChange(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	alias := func(name string) {
		g.Call("POST", "/v1/aliases", api.CreateAliasRequest{AliasName: "alias/" + name, TargetKeyId: key}, nil)
	}
	var throughout []string
	for i := range 10 {
		alias(fmt.Sprintf("n%d", i))
		if i != 1 && i != 3 {
			throughout = append(throughout, fmt.Sprintf("alias/n%d", i))
		}
	}
	got := pages(t, g, "/v1/aliases", "Aliases", "AliasName", func(page int) {
		switch page {
		case 0:
			g.Call("DELETE", "/v1/aliases/alias/n1", nil, nil) // the marker
			alias("a")                                         // before it
			alias("n1x")                                       // right after it
		case 1:
			g.Call("DELETE", "/v1/aliases/alias/n3", nil, nil) // not seen yet
			alias("z")
		}
	})
	whole(t, "aliases", got, append(throughout, "alias/n1x", "alias/z"))
}

// TestPagesWhileKeysChange.
func TestPagesWhileKeysChange(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	ids := make([]string, 8)
	for i := range ids {
		ids[i] = g.CreateKey(api.P256, api.SignVerify).KeyId
	}
	slices.Sort(ids)
	got := pages(t, g, "/v1/keys", "Keys", "KeyId", func(page int) {
		if page > 1 {
			return
		}
		if err := g.Store.DeleteKey(t.Context(), gatewaytest.Region, ids[2*page+1]); err != nil { // the marker
			t.Fatal(err)
		}
		g.CreateKey(api.P256, api.SignVerify)
	})
	whole(t, "keys", got, []string{ids[0], ids[2], ids[4], ids[5], ids[6], ids[7]})
}

// TestPagesWhileTagsChange.
func TestPagesWhileTagsChange(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	for _, name := range strings.Split("b c d e f ä ö 大", " ") {
		putTags(g, key, api.Tag{TagKey: name})
	}
	got := pages(t, g, "/v1/keys/"+key+"/tags", "Tags", "TagKey", func(page int) {
		switch page {
		case 0:
			g.Call("POST", "/v1/keys/"+key+"/untag", map[string]any{"TagKeys": []string{"c"}}, nil) // the marker
			putTags(g, key, api.Tag{TagKey: "a"}, api.Tag{TagKey: "ca"})
		case 1:
			putTags(g, key, api.Tag{TagKey: "b", TagValue: "new"}, api.Tag{TagKey: "z"})
		}
	})
	whole(t, "tags", got, []string{"b", "ca", "d", "e", "f", "z", "ä", "ö", "大"})
}

// TestForeignMarkers: what is no marker of a list, or that of another, is refused.
func TestForeignMarkers(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(t)
	key := g.CreateKey(api.P256, api.SignVerify).KeyId
	tag := "tag:" + base64.RawURLEncoding.EncodeToString([]byte("a"))
	lists := map[string]string{"/v1/keys": key, "/v1/aliases": "alias/a", "/v1/keys/" + key + "/tags": tag}
	for path := range lists {
		for _, marker := range []string{key, "alias/a", tag, "x", " ", "0", "alias/", "alias/ä", "alias/a b", "tag:", "tag:%", "tag:YQ==", "tag:_w", "mrk-1", strings.ToUpper(key), key + " "} {
			a := g.Send(g.Admin.Token, "GET", path+"?Marker="+url.QueryEscape(marker), nil)
			if marker == lists[path] {
				if a.Status != 200 {
					t.Errorf("%s after %q: %d %s", path, marker, a.Status, a.Body)
				}
				continue
			}
			if a.Status != 400 || a.Code() != string(api.InvalidMarker) {
				t.Errorf("%s after %q: %d %s", path, marker, a.Status, a.Body)
			}
		}
	}
}
