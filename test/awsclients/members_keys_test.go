package awsclients

import (
	"slices"
	"strings"
	"testing"
)

// onlyFor is a policy under which one principal alone may do anything with a key:
// its maker could not change it again.
func onlyFor(who string) string {
	return policyOf(`{"Effect":"Allow","Principal":{"AWS":"` + who + `"},"Action":"kms:*","Resource":"*"}`)
}

const lockedOut = "The new key policy will not allow you to update the key policy in the future."

// testNewKeys makes a key with all that a key may be made with.
func (b *bench) testNewKeys(t *testing.T) {
	who, as := b.caller()
	in := params{
		"Policy": onlyFor(who), "Description": "all members", "KeySpec": pair, "KeyUsage": "SIGN_VERIFY", "MultiRegion": true,
		"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "second", "Tags": []params{{"TagKey": "team", "TagValue": "a"}},
	}
	wantError(t, b.refused(t, b.admin, "CreateKey", in), "MalformedPolicyDocumentException", lockedOut)
	in["BypassPolicyLockoutSafetyCheck"] = true
	m := b.must(t, b.admin, "CreateKey", in).object(t, "KeyMetadata")
	for member, want := range map[string]any{
		"Description": "all members", "KeySpec": pair, "CustomerMasterKeySpec": pair, "KeyUsage": "SIGN_VERIFY", "MultiRegion": true,
		"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "second",
	} {
		if m[member] != want {
			t.Errorf("%s is %v, want %v", member, m[member], want)
		}
	}
	b.ownedBy(t, as, b.admin, m.str(t, "Arn"), in)

	m = b.must(t, b.admin, "CreateKey", params{"CustomerMasterKeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY"}).object(t, "KeyMetadata")
	if m["KeySpec"] != "ECC_NIST_P384" {
		t.Errorf("%v", m)
	}
}

// ownedBy looks that a key has the policy and tags that it was made with, and that
// they decide: the owner may do what its maker may not.
func (b *bench) ownedBy(t *testing.T, owner, maker access, arn string, in params) {
	t.Helper()
	b.denied(t, maker, "DescribeKey", params{"KeyId": arn})
	if p := b.must(t, owner, "GetKeyPolicy", params{"KeyId": arn, "PolicyName": "default"}).str(t, "Policy"); p != in["Policy"] {
		t.Errorf("the policy is %s", p)
	}
	if tags := b.must(t, owner, "ListResourceTags", params{"KeyId": arn}); !slices.Equal(tags.strings(t, "Tags", "TagKey"), []string{"team"}) || !slices.Equal(tags.strings(t, "Tags", "TagValue"), []string{"a"}) {
		t.Errorf("the tags are %v", tags)
	}
	sign := with(signing, params{"KeyId": arn})
	b.must(t, owner, "Sign", sign)
	b.denied(t, maker, "Sign", sign)
}

// testReplicas makes a replica with all that is its own.
func (b *bench) testReplicas(t *testing.T) {
	who, as := b.caller()
	west, westAdmin := as, b.admin
	west.region, westAdmin.region = "eu-west-1", "eu-west-1"
	made := b.must(t, b.admin, "CreateKey", params{"KeySpec": pair, "KeyUsage": "SIGN_VERIFY", "MultiRegion": true, "Description": "the primary"}).object(t, "KeyMetadata")
	in := params{"KeyId": made.str(t, "KeyId"), "ReplicaRegion": "eu-west-1", "Policy": onlyFor(who), "Description": "the replica", "Tags": []params{{"TagKey": "team", "TagValue": "a"}}}
	wantError(t, b.refused(t, b.admin, "ReplicateKey", in), "MalformedPolicyDocumentException", lockedOut)
	in["BypassPolicyLockoutSafetyCheck"] = true
	out := b.must(t, b.admin, "ReplicateKey", in)
	arn := strings.Replace(made.str(t, "Arn"), b.admin.region, west.region, 1)
	if m := out.object(t, "ReplicaKeyMetadata"); m["Arn"] != arn || m["Description"] != "the replica" || out["ReplicaPolicy"] != in["Policy"] ||
		!slices.Equal(out.strings(t, "ReplicaTags", "TagValue"), []string{"a"}) {
		t.Errorf("%v", out)
	}
	b.ownedBy(t, west, westAdmin, arn, in)
	if m := b.must(t, b.admin, "DescribeKey", params{"KeyId": made.str(t, "Arn")}).object(t, "KeyMetadata"); m["Description"] != "the primary" {
		t.Errorf("the primary became %v", m)
	}
	b.denied(t, as, "Sign", with(signing, params{"KeyId": made.str(t, "Arn")}))
}

// testRandom has random bytes made by the token of a key store.
func (b *bench) testRandom(t *testing.T) {
	in := params{"NumberOfBytes": 33, "CustomKeyStoreId": "second"}
	one, two := b.must(t, b.admin, "GenerateRandom", in).blob(t, "Plaintext"), b.must(t, b.admin, "GenerateRandom", in).blob(t, "Plaintext")
	if len(one) != 33 || len(two) != 33 || slices.Equal(one, two) {
		t.Errorf("%x and %x", one, two)
	}
	in["CustomKeyStoreId"] = "third"
	wantError(t, b.refused(t, b.admin, "GenerateRandom", in), "CustomKeyStoreNotFoundException", "")
}
