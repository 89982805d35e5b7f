package awsclients

import (
	"slices"
	"testing"
	"time"
)

// lastUsage came in 2026: the clients of a distribution do not know it yet.
const lastUsage = "GetKeyLastUsage"

// testTags says what a key is for and asks it, and when it was used.
func (b *bench) testTags(t *testing.T) {
	tag := func(name, value string) map[string]any { return map[string]any{"TagKey": name, "TagValue": value} }
	made := b.must(t, b.admin, "CreateKey", params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Tags": []any{tag("team", "packages"), tag("größe", "1")}}).object(t, "KeyMetadata")
	id, arn := made.str(t, "KeyId"), made.str(t, "Arn")
	b.must(t, b.admin, "TagResource", params{"KeyId": arn, "Tags": []any{tag("team", "releases"), tag("empty", "")}})
	b.must(t, b.admin, "UntagResource", params{"KeyId": id, "TagKeys": []string{"größe", "nothing"}})
	out := b.must(t, b.admin, "ListResourceTags", params{"KeyId": id})
	if names, values := out.strings(t, "Tags", "TagKey"), out.strings(t, "Tags", "TagValue"); !slices.Equal(names, []string{"empty", "team"}) || !slices.Equal(values, []string{"", "releases"}) {
		t.Errorf("tags %v", out)
	}
	wantError(t, b.refused(t, b.admin, "TagResource", params{"KeyId": id, "Tags": []any{tag("aws:team", "x")}}), "TagException", "Tags beginning with aws: are reserved")
	b.must(t, b.admin, "UpdateKeyDescription", params{"KeyId": id, "Description": "signs packages"})
	if d := b.must(t, b.admin, "DescribeKey", params{"KeyId": id}).object(t, "KeyMetadata").str(t, "Description"); d != "signs packages" {
		t.Errorf("described as %q", d)
	}
	if !b.asked(lastUsage) {
		return
	}
	b.must(t, b.admin, "Sign", params{"KeyId": id, "SigningAlgorithm": "ECDSA_SHA_256", "Message": []byte("x")})
	out = b.must(t, b.admin, lastUsage, params{"KeyId": id})
	use := out.object(t, "KeyLastUsage")
	if age := time.Since(use.time(t, "Timestamp")); age < -time.Second || age > time.Hour || use.str(t, "Operation") != "Sign" || out.str(t, "KeyId") != arn {
		t.Errorf("last use %v", out)
	}
}

// unsupported are the operations that the gateway refuses, with what they need.
func (b *bench) unsupported(id string) map[string]params {
	if !b.fast { // the AWS CLI is shown one: it reads all alike
		return map[string]params{"DeleteCustomKeyStore": {"CustomKeyStoreId": "second"}}
	}
	return map[string]params{
		"CreateCustomKeyStore": {"CustomKeyStoreName": "x"}, "UpdateCustomKeyStore": {"CustomKeyStoreId": "second"}, "DeleteCustomKeyStore": {"CustomKeyStoreId": "second"},
	}
}

// testUnsupported has each of them refused, with the client's own type of error.
func (b *bench) testUnsupported(t *testing.T) {
	id, _ := b.create(t, "ECC_NIST_P256", "SIGN_VERIFY")
	for op, in := range b.unsupported(id) {
		err := b.refused(t, b.admin, op, in)
		wantError(t, err, "UnsupportedOperationException", "")
		if b.fast && err.class != "UnsupportedOperationException" {
			t.Errorf("the client took %v for a %q", err, err.class)
		}
	}
}
