package awsclients

import (
	"crypto/sha256"
	"strings"
	"testing"
)

// testRegions uses one multi-Region key from two regions of one endpoint: a
// client chooses by its region setting alone.
func (b *bench) testRegions(t *testing.T) {
	west := b.admin
	west.region = "eu-west-1"
	made := b.must(t, b.admin, "CreateKey", params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "MultiRegion": true}).object(t, "KeyMetadata")
	id, arn := made.str(t, "KeyId"), made.str(t, "Arn")
	if kind := made.object(t, "MultiRegionConfiguration").str(t, "MultiRegionKeyType"); !strings.HasPrefix(id, "mrk-") || kind != "PRIMARY" {
		t.Errorf("%v", made)
	}
	replica := b.must(t, b.admin, "ReplicateKey", params{"KeyId": id, "ReplicaRegion": west.region, "Description": "in the west"}).object(t, "ReplicaKeyMetadata")
	if replica.str(t, "Arn") != strings.Replace(arn, b.admin.region, west.region, 1) || replica.object(t, "MultiRegionConfiguration").object(t, "PrimaryKey").str(t, "Arn") != arn {
		t.Errorf("%v", replica)
	}
	digest := sha256.Sum256([]byte("m"))
	sign := params{"KeyId": id, "Message": digest[:], "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
	signed := b.must(t, b.admin, "Sign", sign)
	verify := params{"Signature": signed.blob(t, "Signature")}
	for name, v := range sign {
		verify[name] = v
	}
	if out := b.must(t, west, "Verify", verify); out.str(t, "KeyId") != replica.str(t, "Arn") || out["SignatureValid"] != true {
		t.Errorf("%v", out)
	}
	sign["KeyId"] = arn
	if err := b.refused(t, west, "Sign", sign); err.code != "NotFoundException" || !strings.Contains(err.message, "Invalid arn "+b.admin.region) {
		t.Errorf("the ARN of another region: %v", err)
	}

	for as, key := range map[access]string{b.admin: id, west: b.must(t, west, "CreateKey", params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}).object(t, "KeyMetadata").str(t, "KeyId")} {
		b.must(t, as, "CreateAlias", params{"AliasName": "alias/regions/same", "TargetKeyId": key})
		if got := b.must(t, as, "DescribeKey", params{"KeyId": "alias/regions/same"}).object(t, "KeyMetadata").str(t, "KeyId"); got != key {
			t.Errorf("in %s the alias names %s, not %s", as.region, got, key)
		}
	}
	b.must(t, b.admin, "UpdatePrimaryRegion", params{"KeyId": id, "PrimaryRegion": west.region})
	if err := b.refused(t, b.admin, "ReplicateKey", params{"KeyId": id, "ReplicaRegion": west.region}); err.code != "UnsupportedOperationException" {
		t.Errorf("from a replica: %v", err)
	}
	b.must(t, west, "UpdatePrimaryRegion", params{"KeyId": id, "PrimaryRegion": b.admin.region})
}
