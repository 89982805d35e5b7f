package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

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

// with sets the condition keys of a request.
func with(t testing.TB, r policy.Request, v values) policy.Request {
	t.Helper()
	r.Key = &policy.Key{}
	for name, l := range v {
		if err := r.Set(name, l...); err != nil {
			t.Fatal(err)
		}
	}
	return r
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
