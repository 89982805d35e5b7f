package awsclients

import (
	"slices"
	"testing"
)

// pagesOfOne are the lists that come in pages, with what names an entry.
var pagesOfOne = []struct {
	op, list, name string
	in             params // KEY and WHO stand for the key and the principal of the test
	least          int
}{
	{"ListKeys", "Keys", "KeyId", params{}, 3},
	{"ListAliases", "Aliases", "AliasName", params{"KeyId": "KEY"}, 3},
	{"ListResourceTags", "Tags", "TagKey", params{"KeyId": "KEY"}, 3},
	{"ListGrants", "Grants", "GrantId", params{"KeyId": "KEY"}, 3},
	{"ListGrants", "Grants", "GrantId", params{"KeyId": "KEY", "GranteePrincipal": "WHO"}, 2},
	{"ListRetirableGrants", "Grants", "GrantId", params{"RetiringPrincipal": "WHO"}, 3},
	{"ListKeyRotations", "Rotations", "KeyMaterialId", params{"KeyId": "KEY"}, 2},
	{"ListKeyRotations", "Rotations", "KeyMaterialId", params{"KeyId": "KEY", "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}, 3},
	{"DescribeCustomKeyStores", "CustomKeyStores", "CustomKeyStoreId", params{}, 2},
	{"ListKeyPolicies", "PolicyNames", "", params{"KeyId": "KEY"}, 1},
}

// testPagesOfOne goes through each list with a Limit of one, from Marker to Marker.
func (b *bench) testPagesOfOne(t *testing.T) {
	key, who := b.listed(t)
	for _, l := range pagesOfOne {
		in := with(l.in, nil)
		for member, value := range in {
			switch value {
			case "KEY":
				in[member] = key
			case "WHO":
				in[member] = who
			}
		}
		names := func(out result) (all []string) {
			if l.name != "" {
				return out.strings(t, l.list, l.name)
			}
			for _, name := range out.list(t, l.list) {
				all = append(all, name.(string))
			}
			return all
		}
		whole := names(b.must(t, b.admin, l.op, in))
		in["Limit"] = 1
		var paged []string
		for {
			out := b.must(t, b.admin, l.op, in)
			page := names(out)
			if len(page) != 1 || (out["Truncated"] == true) != (out["NextMarker"] != nil) || len(paged) > len(whole) {
				t.Fatalf("%s %v: %v", l.op, in, out)
			}
			paged = append(paged, page...)
			if out["Truncated"] != true {
				break
			}
			in["Marker"] = out["NextMarker"]
		}
		if !slices.Equal(paged, whole) || len(whole) < l.least {
			t.Errorf("%s, one by one: %v, at once: %v, where there are %d", l.op, paged, whole, l.least)
		}
	}
}

// listed is a key with three of everything, two of the grants for one principal,
// who may retire all of them.
func (b *bench) listed(t *testing.T) (id, who string) {
	t.Helper()
	id, _ = b.create(t, box, "ENCRYPT_DECRYPT")
	who, _ = b.caller()
	other, _ := b.caller()
	for i, grantee := range []string{who, other, who} {
		name := string(rune('a' + i))
		b.create(t, box, "ENCRYPT_DECRYPT")
		b.must(t, b.admin, "CreateAlias", params{"AliasName": "alias/listed/" + name, "TargetKeyId": id})
		b.must(t, b.admin, "TagResource", params{"KeyId": id, "Tags": []params{{"TagKey": name, "TagValue": "x"}}})
		b.must(t, b.admin, "CreateGrant", params{"KeyId": id, "GranteePrincipal": grantee, "RetiringPrincipal": who, "Operations": []string{"Encrypt"}})
	}
	for range 2 {
		b.must(t, b.admin, "RotateKeyOnDemand", params{"KeyId": id})
	}
	return id, who
}

// onlyGrant is the one grant that ListGrants finds.
func (b *bench) onlyGrant(t *testing.T, in params) result {
	t.Helper()
	list := b.must(t, b.admin, "ListGrants", in).list(t, "Grants")
	if len(list) != 1 {
		t.Fatalf("%v: %v", in, list)
	}
	return list[0].(map[string]any)
}

// testFilters asks for some of what there is.
func (b *bench) testFilters(t *testing.T) {
	id, _ := b.create(t, box, "ENCRYPT_DECRYPT")
	one, _ := b.caller()
	two, _ := b.caller()
	grants := map[string]string{}
	for _, who := range []string{one, two} {
		grants[who] = b.must(t, b.admin, "CreateGrant", params{"KeyId": id, "GranteePrincipal": who, "Operations": []string{"Encrypt"}}).str(t, "GrantId")
	}
	for who, grant := range grants {
		for _, in := range []params{{"GrantId": grant}, {"GranteePrincipal": who}, {"GrantId": grant, "GranteePrincipal": who}} {
			if g := b.onlyGrant(t, with(in, params{"KeyId": id})); g["GrantId"] != grant || g["GranteePrincipal"] != who {
				t.Errorf("%v: %v", in, g)
			}
		}
	}
	for _, in := range []params{{"GrantId": grants[one], "GranteePrincipal": two}, {"GranteeServicePrincipal": "s3.amazonaws.com"}} {
		if list := b.must(t, b.admin, "ListGrants", with(in, params{"KeyId": id})).list(t, "Grants"); len(list) != 0 {
			t.Errorf("%v: %v", in, list)
		}
	}
	both := params{"KeyId": id, "GranteePrincipal": one, "GranteeServicePrincipal": "s3.amazonaws.com"}
	wantError(t, b.refused(t, b.admin, "ListGrants", both), "ValidationException", "You can specify GranteePrincipal or GranteeServicePrincipal, but not both.")
	both = params{"RetiringPrincipal": one, "RetiringServicePrincipal": "s3.amazonaws.com"}
	wantError(t, b.refused(t, b.admin, "ListRetirableGrants", both), "ValidationException", "You must specify RetiringPrincipal or RetiringServicePrincipal, but not both.")

	for _, member := range []string{"CustomKeyStoreId", "CustomKeyStoreName"} {
		if found := b.must(t, b.admin, "DescribeCustomKeyStores", params{member: "second"}).strings(t, "CustomKeyStores", member); !slices.Equal(found, []string{"second"}) {
			t.Errorf("by %s: %v", member, found)
		}
		wantError(t, b.refused(t, b.admin, "DescribeCustomKeyStores", params{member: "third"}), "CustomKeyStoreNotFoundException", "")
	}
}
