package policy_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

const (
	account = "111122223333"
	region  = "eu-central-1"
	keyARN  = "arn:aws:kms:" + region + ":" + account + ":key/" + mine
	alice   = "arn:aws:iam::" + account + ":user/alice"
)

// values are what a test gives a request: condition keys with their values.
type values map[string][]string

// request makes the request of a caller for the key of these tests.
func request(caller, action string) policy.Request {
	return policy.Request{
		Principal: policy.Principal{ARN: caller},
		Action:    action, KeyID: mine, Resource: "alias/release", ResourceARN: keyARN,
	}
}

// with sets the condition keys of a request. Keys that the gateway derives from
// the ARNs of caller and key, such as aws:username, cannot be set.
func with(t testing.TB, r policy.Request, v values) policy.Request {
	t.Helper()
	key := &policy.Key{}
	r.Key = key
	for name, l := range v {
		if !set(&r, key, name, l) {
			t.Fatalf("no request can set %s to %q", name, l)
		}
	}
	return r
}

// texts are the members that hold one text.
func texts(r *policy.Request, k *policy.Key) map[string]*string {
	c := &r.Call
	return map[string]*string{
		"kms:SigningAlgorithm": &c.SigningAlgorithm, "kms:EncryptionAlgorithm": &c.EncryptionAlgorithm,
		"kms:MacAlgorithm": &c.MacAlgorithm, "kms:KeyAgreementAlgorithm": &c.KeyAgreementAlgorithm,
		"kms:MessageType": &c.MessageType, "kms:RequestAlias": &c.RequestAlias, "kms:DataKeyPairSpec": &c.DataKeyPairSpec,
		"kms:WrappingAlgorithm": &c.WrappingAlgorithm, "kms:WrappingKeySpec": &c.WrappingKeySpec,
		"kms:ExpirationModel": &c.ExpirationModel, "kms:PrimaryRegion": &c.PrimaryRegion, "kms:ReplicaRegion": &c.ReplicaRegion,
		"kms:GranteePrincipal": &c.GranteePrincipal, "kms:RetiringPrincipal": &c.RetiringPrincipal,
		"kms:GrantConstraintType": &c.GrantConstraintType,
		"kms:KeySpec":             &k.Spec, "kms:CustomerMasterKeySpec": &k.Spec, "kms:KeyUsage": &k.Usage,
		"kms:CustomerMasterKeyUsage": &k.Usage, "kms:KeyOrigin": &k.Origin, "kms:MultiRegionKeyType": &k.MultiRegionKeyType,
		"kms:ViaService": &r.Caller.ViaService, "aws:UserAgent": &r.Caller.UserAgent, "aws:RequestedRegion": &r.Caller.Region,
		"aws:userid": &r.Principal.ID, "hsmgate:CertificateSubject": &r.Principal.CertificateSubject,
		"hsmgate:ArtifactName": &c.ArtifactName, "hsmgate:ArtifactVersion": &c.ArtifactVersion, "hsmgate:ArtifactDigest": &c.ArtifactDigest,
	}
}

func set(r *policy.Request, k *policy.Key, name string, l []string) bool {
	c := &r.Call
	if p := texts(r, k)[name]; p != nil && len(l) == 1 {
		*p = l[0]
		return true
	}
	for prefix, m := range map[string]*map[string]string{
		"kms:EncryptionContext:": &c.EncryptionContext, "aws:PrincipalTag/": &r.Principal.Tags, "aws:ResourceTag/": &k.Tags,
		"aws:RequestTag/": &c.Tags, "hsmgate:SigningContext:": &c.SigningContext,
	} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && len(l) == 1 {
			return put(m, rest, l[0])
		}
	}
	if rest, ok := strings.CutPrefix(name, "hsmgate:Claim/"); ok {
		if r.Principal.Claims == nil {
			r.Principal.Claims = make(map[string][]string)
		}
		r.Principal.Claims[rest] = l
		return true
	}
	return setTyped(r, k, name, l)
}

func put(m *map[string]string, key, value string) bool {
	if *m == nil {
		*m = make(map[string]string)
	}
	(*m)[key] = value
	return true
}

func setTyped(r *policy.Request, k *policy.Key, name string, l []string) bool {
	c := &r.Call
	number, _ := strconv.Atoi(l[0])
	when, _ := time.Parse(time.RFC3339, l[0])
	flag := policy.FlagOf(l[0] == "true")
	switch name {
	case "kms:ResourceAliases":
		k.Aliases = l
	case "kms:GrantOperations":
		c.GrantOperations = l
	case "kms:EncryptionContextKeys":
		for _, key := range l {
			put(&c.EncryptionContext, key, "v")
		}
	case "hsmgate:SigningContextKeys":
		for _, key := range l {
			put(&c.SigningContext, key, "v")
		}
	case "hsmgate:CertificateSAN":
		r.Principal.CertificateSANs = l
	case "aws:TagKeys":
		c.TagKeys = l
	case "kms:GrantIsForAWSResource":
		c.GrantIsForAWSResource = flag
	case "kms:ReEncryptOnSameKey":
		c.ReEncryptOnSameKey = flag
	case "kms:BypassPolicyLockoutSafetyCheck":
		c.BypassPolicyLockoutSafetyCheck = flag
	case "kms:MultiRegion":
		k.MultiRegion = flag
	case "aws:SecureTransport":
		r.Caller.SecureTransport = l[0] == "true"
	case "kms:RotationPeriodInDays":
		c.RotationPeriodInDays = number
	case "kms:ScheduleKeyDeletionPendingWindowInDays":
		c.PendingWindowInDays = number
	case "kms:ValidTo":
		c.ValidTo = when
	case "aws:CurrentTime", "aws:EpochTime":
		r.Time = when
	case "aws:SourceIp":
		r.Caller.SourceIP, _ = netip.ParseAddr(l[0])
	default:
		return false
	}
	return true
}

// must parses a policy that is right.
func must(t testing.TB, text string, kind policy.Kind) *policy.Document {
	t.Helper()
	d, err := policy.Parse([]byte(text), kind)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

// statement is a key policy of one statement.
func statement(effect, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Sprintf(`{"Sid":%q,"Effect":%q,"Principal":"*","Action":"*","Resource":"*"%s}`, effect, effect, condition)
}

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// attach makes an identity policy that is right.
func attach(t testing.TB, name, text string) policy.Attached {
	t.Helper()
	a, err := policy.Attach(name, must(t, text, policy.IdentityPolicy))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSourceIPWithZone: a link-local address comes with the zone that it was seen in.
func TestSourceIPWithZone(t *testing.T) {
	t.Parallel()
	doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:Sign","Resource":"*"},
		{"Effect":"Deny","Principal":"*","Action":"kms:Sign","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"fe80::/10"}}}]}`), policy.KeyPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"fe80::1%eth0": false, "fe80::1": false, "2001:db8::1": true} {
		r := policy.Request{Principal: policy.Principal{ARN: "arn:aws:iam::111122223333:user/a"}, Action: "kms:Sign", KeyID: "k",
			ResourceARN: "arn:aws:kms:us-east-1:111122223333:key/k", KeyPolicy: doc, Caller: policy.Caller{SourceIP: netip.MustParseAddr(address)}}
		if d := policy.Evaluate(r); d.Allowed != want {
			t.Errorf("%s: %+v", address, d)
		}
	}
}

// TestAmbiguousVariables: a caller does not get around a Deny by a second tag whose
// key differs in case alone.
func TestAmbiguousVariables(t *testing.T) {
	t.Parallel()
	key := `"arn:aws:kms:` + region + `:` + account + `:key/${aws:RequestTag/team}"`
	same := `"Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"${aws:RequestTag/team}"}}`
	other := `"Resource":"*","Condition":{"StringNotEqualsIgnoreCase":{"aws:PrincipalTag/team":"${aws:RequestTag/team, 'x'}"}}`
	for _, rest := range []string{same, other, `"Resource":` + key, `"NotResource":` + key} {
		for effect, want := range map[string]bool{"Allow": false, "Deny": false, "Other": true} {
			text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:TagResource",` + rest + `}]}`
			switch effect {
			case "Allow":
				text = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:TagResource",` + rest + `}}`
			case "Other":
				text = strings.Replace(text, "kms:TagResource", "kms:Sign", 1)
			}
			doc, err := policy.Parse([]byte(text), policy.KeyPolicy)
			if err != nil {
				t.Fatal(err)
			}
			d := policy.Evaluate(policy.Request{Principal: policy.Principal{ARN: alice, Tags: map[string]string{"team": "x"}}, Action: "kms:TagResource",
				KeyID: mine, ResourceARN: keyARN, KeyPolicy: doc, Call: policy.Parameters{Tags: map[string]string{"team": "x", "Team": "y"}}})
			if d.Allowed != want {
				t.Errorf("%s %s: %+v", effect, rest, d)
			}
		}
	}
}
