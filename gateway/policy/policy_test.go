package policy_test

import (
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

const (
	mine   = "1234abcd-12ab-34cd-56ef-1234567890ab"
	theirs = "ffffabcd-12ab-34cd-56ef-1234567890ab"
	none   = "" // a service-level action
)

var (
	admin = policy.Principal{ARN: "arn:aws:iam::000000000000:user/admin", Role: policy.RoleAdministrator}
	user  = policy.Principal{ARN: "arn:aws:iam::000000000000:user/ci", Role: policy.RoleUser, Keys: map[string]bool{mine: true}}
)

func decide(who policy.Principal, action, key string) policy.Decision {
	return policy.Evaluate(policy.Request{Principal: who, Action: action, KeyID: key, Resource: key})
}

func TestTruthTable(t *testing.T) {
	check := func(want bool, who policy.Principal, action, key string) {
		t.Helper()
		if got := decide(who, action, key); got.Allowed != want {
			t.Errorf("%s (%s) %s on %q: allowed = %v (%s %s), want %v", who.ARN, who.Role, action, key, got.Allowed, got.Statement, got.Reason, want)
		}
	}
	allow := func(who policy.Principal, action, key string) { t.Helper(); check(true, who, action, key) }
	deny := func(who policy.Principal, action, key string) { t.Helper(); check(false, who, action, key) }

	// A user uses its own keys.
	allow(user, "kms:DescribeKey", mine)
	allow(user, "kms:GetPublicKey", mine)
	allow(user, "kms:Sign", mine)
	allow(user, "kms:Verify", mine)
	allow(user, "kms:Encrypt", mine)
	allow(user, "kms:Decrypt", mine)
	allow(user, "kms:ReEncryptFrom", mine)
	allow(user, "kms:ReEncryptTo", mine)
	allow(user, "kms:GenerateDataKey", mine)
	allow(user, "kms:GenerateDataKeyWithoutPlaintext", mine)
	allow(user, "kms:GenerateDataKeyPair", mine)
	allow(user, "kms:GenerateDataKeyPairWithoutPlaintext", mine)
	allow(user, "kms:GenerateMac", mine)
	allow(user, "kms:VerifyMac", mine)
	allow(user, "kms:DeriveSharedSecret", mine)
	allow(user, "kms:Encapsulate", mine)
	allow(user, "kms:Decapsulate", mine)
	// Nobody else's.
	deny(user, "kms:DescribeKey", theirs)
	deny(user, "kms:GetPublicKey", theirs)
	deny(user, "kms:Sign", theirs)
	deny(user, "kms:Verify", theirs)
	deny(user, "kms:Encrypt", theirs)
	deny(user, "kms:Decrypt", theirs)
	deny(user, "kms:ReEncryptFrom", theirs)
	deny(user, "kms:ReEncryptTo", theirs)
	deny(user, "kms:GenerateDataKey", theirs)
	deny(user, "kms:GenerateMac", theirs)
	deny(user, "kms:DeriveSharedSecret", theirs)
	deny(user, "kms:Decapsulate", theirs)
	// It manages none, not even its own.
	deny(user, "kms:EnableKey", mine)
	deny(user, "kms:DisableKey", mine)
	deny(user, "kms:ScheduleKeyDeletion", mine)
	deny(user, "kms:CancelKeyDeletion", mine)
	deny(user, "kms:CreateAlias", mine)
	deny(user, "kms:UpdateAlias", mine)
	deny(user, "kms:DeleteAlias", mine)
	deny(user, "kms:ReEncrypt", mine) // no permission of AWS: each key has its own
	deny(user, "kms:PutKeyPolicy", mine)
	deny(user, "hsmgate:SignBatch", mine)
	// No service-level action, and a use without a key is none of its own.
	deny(user, "kms:CreateKey", none)
	deny(user, "kms:ListKeys", none)
	deny(user, "kms:ListAliases", none)
	deny(user, "kms:GenerateRandom", none)
	deny(user, "hsmgate:CreatePrincipal", none)
	deny(user, "kms:Sign", none)
	// Keys are compared exactly.
	deny(user, "kms:Sign", strings.ToUpper(mine))
	deny(user, "kms:Sign", mine+" ")
	deny(user, "kms:Sign", mine[:35])
	deny(user, "kms:Sign", "*")

	// An administrator does everything there is ...
	allow(admin, "kms:Sign", mine)
	allow(admin, "kms:Sign", theirs)
	allow(admin, "kms:ScheduleKeyDeletion", mine)
	allow(admin, "kms:CreateKey", none)
	allow(admin, "kms:ListKeys", none)
	allow(admin, "hsmgate:CreatePrincipal", none)
	// ... and nothing that is not.
	for _, action := range []string{"", "Sign", "kms", "kms:", ":Sign", "kms:*", "*", "KMS:Sign", "s3:GetObject", "kms:Sign ", " kms:Sign",
		"kms:Si gn", "kms::Sign", "kms:Sign\n", "kms:Sígn", "hsmgate:", "hsmgate:kms:Sign", "kmsx:Sign", "kms/Sign"} {
		deny(admin, action, mine)
		deny(user, action, mine)
	}
	for _, action := range []string{"kms:sign", "kms:SIGN"} {
		deny(user, action, mine) // allowed to a user are six spellings
	}

	// A role that is not known, an owner of keys or not, may do nothing.
	for _, role := range []policy.Role{"", "Administrator", "ADMINISTRATOR", "admin", "users", "*", "root"} {
		deny(policy.Principal{ARN: admin.ARN, Role: role, Keys: map[string]bool{mine: true}}, "kms:Sign", mine)
	}
	// Nor may a caller that is nobody, or a user with no keys.
	deny(policy.Principal{}, "kms:Sign", mine)
	deny(policy.Principal{Role: policy.RoleAdministrator}, "kms:Sign", mine)
	deny(policy.Principal{ARN: user.ARN, Role: policy.RoleUser}, "kms:Sign", mine)
	// A key that is listed as not allowed is not allowed, and "" is no key.
	deny(policy.Principal{ARN: user.ARN, Role: policy.RoleUser, Keys: map[string]bool{mine: false, "": true}}, "kms:Sign", mine)
	deny(policy.Principal{ARN: user.ARN, Role: policy.RoleUser, Keys: map[string]bool{mine: false, "": true}}, "kms:Sign", none)
}

func TestDecisionSaysWhy(t *testing.T) {
	for _, c := range []struct {
		got  policy.Decision
		want policy.Decision
	}{
		{decide(admin, "kms:Sign", mine), policy.Decision{Allowed: true, Statement: "role/administrator"}},
		{decide(user, "kms:Sign", mine), policy.Decision{Allowed: true, Statement: "role/user"}},
		{decide(user, "kms:Sign", theirs), policy.Decision{Statement: "default", Reason: "no identity-based policy allows the kms:Sign action"}},
		{decide(admin, "s3:Get\"\x00", none), policy.Decision{Statement: "default", Reason: `the action "s3:Get??" is not an action of this service`}},
		{decide(policy.Principal{}, "kms:Sign", mine), policy.Decision{Statement: "default", Reason: "the caller is not an authenticated principal"}},
	} {
		if c.got != c.want {
			t.Errorf("got  %+v\nwant %+v", c.got, c.want)
		}
	}
	if r := decide(admin, strings.Repeat("x", 1<<16), none).Reason; len(r) > 200 {
		t.Errorf("a long action makes a reason of %d bytes", len(r))
	}
}

// What the caller named never decides; only the id that it was resolved to.
func FuzzResourceDoesNotDecide(f *testing.F) {
	f.Add("kms:Sign", "alias/x", theirs)
	f.Add("kms:Decrypt", "arn:aws:kms:eu-west-1:000000000000:key/"+mine, mine)
	f.Fuzz(func(t *testing.T, action, resource, key string) {
		with := policy.Evaluate(policy.Request{Principal: user, Action: action, KeyID: key, Resource: resource})
		if with != decide(user, action, key) {
			t.Errorf("%s on %q: resource %q changes the decision", action, key, resource)
		}
		if with.Allowed && key != mine {
			t.Errorf("%s on %q is allowed", action, key)
		}
		if with.Allowed == (with.Reason != "") {
			t.Errorf("%+v", with)
		}
	})
}

func TestAllowedAllocatesNothing(t *testing.T) {
	for _, who := range []policy.Principal{admin, user} {
		r := policy.Request{Principal: who, Action: "kms:Sign", KeyID: mine, Resource: "alias/release"}
		if n := testing.AllocsPerRun(100, func() {
			if !policy.Evaluate(r).Allowed {
				t.Error("denied")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", who.Role, n)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	for name, r := range map[string]policy.Request{
		"user allowed":          {Principal: user, Action: "kms:Sign", KeyID: mine},
		"user denied":           {Principal: user, Action: "kms:Sign", KeyID: theirs},
		"administrator allowed": {Principal: admin, Action: "kms:ScheduleKeyDeletion", KeyID: mine},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				policy.Evaluate(r)
			}
		})
	}
}

// TestSharer: all sessions of a role are one, and a user with such a name is none of them.
func TestSharer(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:sts::111122223333:assumed-role/deploy/one":      "arn:aws:sts::111122223333:assumed-role/deploy",
		"arn:aws:sts::111122223333:assumed-role/deploy-2/one":    "arn:aws:sts::111122223333:assumed-role/deploy-2",
		"arn:aws:iam::111122223333:user/assumed-role/deploy/one": "arn:aws:iam::111122223333:user/assumed-role/deploy/one",
		"arn:aws:iam::111122223333:user/one":                     "arn:aws:iam::111122223333:user/one",
		"arn:aws:sts::111122223333:assumed-role/":                "arn:aws:sts::111122223333:assumed-role",
		"": "",
	} {
		if got := policy.Sharer(arn); got != want {
			t.Errorf("%s: %s, want %s", arn, got, want)
		}
		if n := testing.AllocsPerRun(10, func() { policy.Sharer(arn) }); n != 0 {
			t.Errorf("%s costs %v allocations", arn, n)
		}
	}
}
