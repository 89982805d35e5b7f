package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// condition is a key policy with a Condition on line 3; column 1 is its brace.
func condition(c string) string {
	return "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":\n\n" + c + "}]}"
}

// element is a key policy whose line 2 is one element.
func element(e string) string {
	has := func(name string) bool {
		return strings.Contains(e, `"`+name+`":`) || strings.Contains(e, `"Not`+name+`":`)
	}
	rest := []string{`"Effect":"Allow"`}
	if has("Effect") {
		rest = nil
	}
	for _, other := range []string{"Principal", "Action", "Resource"} {
		if !has(other) {
			rest = append(rest, fmt.Sprintf("%q:\"*\"", other))
		}
	}
	return "{\"Version\":\"2012-10-17\",\"Statement\":[{" + strings.Join(rest, ",") + ",\n" + e + "}]}"
}

// refused are texts that are no key policy, where that is said, and what is.
var refused = []struct {
	text   string
	line   int
	column int
	says   string
}{
	// JSON
	{``, 1, 1, "not JSON"},
	{`{`, 1, 2, "not JSON"},
	{"{\n  \"Statement\": [,]}", 2, 17, "not JSON: invalid character ','"},
	{"{\"Statement\":[]}\n{}", 2, 1, "not JSON"},
	{"\"a\xffb\"", 1, 3, "not UTF-8"},
	{`[]`, 1, 1, "a policy is a list: an object would be right"},
	{`null`, 1, 1, "a policy is null: an object would be right"},
	{`{"Statement":[],"Statement":[]}`, 1, 17, `"Statement" is there twice`},
	{element(`"Sid":"a","Sid":"b"`), 2, 11, `"Sid" is there twice`},
	{condition(`{"Bool":{},"Bool":{}}`), 3, 12, `"Bool" is there twice`},
	{element(`"Sid":"\u0100"`), 2, 7, "U+0100"},
	{element(`"Sid":"\u0001"`), 2, 7, "U+0001"},
	{strings.Repeat("[", 40) + strings.Repeat("]", 40), 1, 18, "nested deeper"},
	// The policy
	{`{}`, 1, 1, "no Statement"},
	{`{"Statement":[]}`, 1, 14, "Statement is empty"},
	{`{"Statement":"x"}`, 1, 14, "a statement is a text: an object would be right"},
	{`{"Statement":[1]}`, 1, 15, "a statement is a number"},
	{`{"Version":"2012-10-18","Statement":{}}`, 1, 12, `Version is "2012-10-18": "2012-10-17" or "2008-10-17" would be right`},
	{`{"Version":2012,"Statement":{}}`, 1, 12, "Version is a number"},
	{`{"Id":7,"Statement":{}}`, 1, 7, "Id is a number: a text would be right"},
	{`{"Statemen":{}}`, 1, 2, `unknown element "Statemen" of a policy: Statement would be right`},
	{`{"statement":{}}`, 1, 2, "Statement would be right"},
	{`{"Foo":{}}`, 1, 2, "Version, Id, Statement would be right"},
	// A statement
	{element(`"Sid":1`), 2, 7, "Sid is a number"},
	{element(`"Sid":"` + strings.Repeat("a", 129) + `"`), 2, 7, "129 characters: at most 128 would be right"},
	{condition(`{"Bool":{"aws:PrincipalTag/a\nb\u00e9":true}}`), 3, 10, "Bool does not compare aws:PrincipalTag/a?b?: a String operator"},
	{element(`"Sid":"tab\there"`), 2, 7, "printable ASCII would be right"},
	{`{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},` + "\n" + `{"Sid":"a","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`, 2, 8, `the Sid "a" is there twice`},
	{element(`"Effect":"allow"`), 2, 10, `Effect is "allow": "Allow" or "Deny" would be right`},
	{element(`"Effect":true`), 2, 10, "Effect is a boolean"},
	{`{"Statement":{"Principal":"*","Action":"*","Resource":"*"}}`, 1, 14, "no Effect"},
	{element(`"Conditions":{}`), 2, 1, "Condition would be right"},
	{element(`"Comment":"x"`), 2, 1, "unknown element"},
	{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, 1, 14, "the statement has no Principal: Principal or NotPrincipal would be right"},
	{`{"Statement":{"Effect":"Allow","Principal":"*","Resource":"*"}}`, 1, 14, "no Action"},
	{`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}`, 1, 14, "no Resource"},
	{element(`"Action":"*","NotAction":"kms:Sign"`), 2, 26, "both Action and NotAction"},
	{element(`"Resource":"*","NotResource":"*"`), 2, 30, "both Resource and NotResource"},
	{element(`"Principal":"*","NotPrincipal":"*"`), 2, 32, "both Principal and NotPrincipal"},
	// Actions
	{element(`"Action":"kms:Sgin"`), 2, 10, `unknown action "kms:Sgin": kms:Sign would be right`},
	{element(`"Action":["kms:Sign","kms:Verfy"]`), 2, 22, "kms:Verify would be right"},
	{element(`"Action":"Sign"`), 2, 10, "unknown action"},
	{element(`"Action":"s3:GetObject"`), 2, 10, "unknown action"},
	{element(`"Action":"kms:Sgin*"`), 2, 10, "unknown action"},
	{element(`"Action":"kms:"`), 2, 10, "unknown action"},
	{element(`"Action":""`), 2, 10, "unknown action"},
	{element(`"Action":"kms:ReEncrypt"`), 2, 10, "kms:ReEncrypt* would be right"},
	{element(`"Action":[]`), 2, 10, "Action is empty"},
	{element(`"Action":{}`), 2, 10, "Action has an object"},
	{element(`"Action":["*",null]`), 2, 15, "Action has null"},
	// Resources
	{element(`"Resource":"arn:aws:kms"`), 2, 12, "malformed: arn:partition:service:region:account:resource would be right"},
	{element(`"Resource":"key/1234"`), 2, 12, "malformed"},
	{element(`"Resource":"arn:aws:s3:::bucket"`), 2, 12, `is of the service "s3"`},
	{element(`"Resource":"arn:aws:iam::111122223333:role/x"`), 2, 12, `is of the service "iam"`}, // in a key policy
	{element(`"Resource":"arn:aws:kms:eu:1234:key/*"`), 2, 12, "12 digits would be right"},
	{element(`"Resource":"arn:aws:kms:eu:111122223333:keys/x"`), 2, 12, "neither a key nor an alias"},
	{element(`"Resource":"arn:aws:kms:eu:111122223333:key/"`), 2, 12, "neither a key nor an alias"},
	{element(`"Resource":"arn:aws:kms:eu:${aws:username}:key/x"`), 2, 12, "before its fifth colon"},
	{element(`"Resource":"${aws:username}"`), 2, 12, "only a policy variable"},
	{element(`"Resource":7`), 2, 12, "Resource has a number"},
	{element(`"Resource":"arn:aws:kms:eu:111122223333:key/${aws:usernam}"`), 2, 12, "aws:username would be right"},
	// Principals
	{element(`"Principal":"alice"`), 2, 13, `Principal is "alice"`},
	{element(`"Principal":["*"]`), 2, 13, "Principal is a list"},
	{element(`"Principal":{}`), 2, 13, "Principal is empty"},
	{element(`"Principal":{"aws":"*"}`), 2, 14, "unknown kind of principal"},
	{element(`"Principal":{"Service":"ec2.amazonaws.com"}`), 2, 14, "never call this gateway"},
	{element(`"Principal":{"AWS":"1234"}`), 2, 20, "malformed principal"},
	{element(`"Principal":{"AWS":["*","arn:aws:iam::111122223333:user/*"]}`), 2, 25, "malformed principal"},
	{element(`"Principal":{"AWS":"arn:aws:iam::111122223333:group/x"}`), 2, 20, "malformed principal"},
	{element(`"Principal":{"AWS":"arn:aws:iam::1111:root"}`), 2, 20, "malformed principal"},
	{element(`"Principal":{"AWS":"arn:aws:iam:eu:111122223333:user/x"}`), 2, 20, "malformed principal"},
	{element(`"Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/x"}`), 2, 20, "malformed principal"},
	{element(`"Principal":{"AWS":[]}`), 2, 20, "Principal is empty"},
	{element(`"NotPrincipal":{"AWS":"*"}`), 2, 16, "NotPrincipal with the Effect Allow"},
	// Conditions
	{condition(`[]`), 3, 1, "Condition is a list"},
	{condition(`{}`), 3, 1, "Condition is empty"},
	{condition(`{"StringEqual":{}}`), 3, 2, "StringEquals would be right"},
	{condition(`{"ForAnyValues:StringLike":{}}`), 3, 2, "unknown condition operator"},
	{condition(`{"ForAnyValue:StringLik":{}}`), 3, 2, "ForAnyValue:StringLike would be right"},
	{condition(`{"stringEqualsIfExists":{}}`), 3, 2, "StringEqualsIfExists would be right"},
	{condition(`{"NullIfExists":{}}`), 3, 2, "Null takes neither"},
	{condition(`{"ForAllValues:Null":{}}`), 3, 2, "Null takes neither"},
	{condition(`{"StringEquals":[]}`), 3, 17, "StringEquals has a list"},
	{condition(`{"StringEquals":{}}`), 3, 17, "StringEquals is empty"},
	{condition(`{"StringEquals":{"kms:SigningAlgoritm":"x"}}`), 3, 18, "kms:SigningAlgorithm would be right"},
	{condition(`{"StringEquals":{"s3:prefix":"x"}}`), 3, 18, "unknown condition key"},
	{condition(`{"StringEquals":{"kms:EncryptionContext:":"x"}}`), 3, 18, "ends too early"},
	{condition(`{"StringEquals":{"aws:username":"x","AWS:UserName":"y"}}`), 3, 37, "is there twice in StringEquals"},
	{condition(`{"StringEquals":{"aws:username":[]}}`), 3, 33, "has no value"},
	{condition(`{"StringEquals":{"aws:username":true}}`), 3, 33, "a text would be right"},
	{condition(`{"StringEquals":{"aws:username":["x",{}]}}`), 3, 38, "has an object: a text would be right"},
	{condition(`{"StringEquals":{"aws:TagKeys":"x"}}`), 3, 18, "ForAnyValue:StringEquals or ForAllValues:StringEquals would be right"},
	{condition(`{"ForAllValues:StringEquals":{"kms:EncryptionContext:a":"x"}}`), 3, 31, "OverlyPermissiveCondition"},
	{condition(`{"ForAllValues:StringEquals":{"aws:RequestTag/a":"x"}}`), 3, 31, "OverlyPermissiveCondition"},
	{condition(`{"NumericEquals":{"aws:username":"1"}}`), 3, 19, "a String operator would be right"},
	{condition(`{"StringEquals":{"kms:RotationPeriodInDays":"1"}}`), 3, 18, "a Numeric operator would be right"},
	{condition(`{"StringEquals":{"aws:CurrentTime":"1"}}`), 3, 18, "a Date operator would be right"},
	{condition(`{"StringEquals":{"aws:SourceIp":"1.2.3.4"}}`), 3, 18, "IpAddress or NotIpAddress would be right"},
	{condition(`{"StringEquals":{"aws:SecureTransport":"true"}}`), 3, 18, "Bool would be right"},
	{condition(`{"ArnLike":{"aws:username":"arn:aws:iam::1:x"}}`), 3, 13, "a String operator would be right"},
	{condition(`{"NumericEquals":{"kms:RotationPeriodInDays":"1e3"}}`), 3, 46, "a decimal number would be right"},
	{condition(`{"NumericEquals":{"kms:RotationPeriodInDays":"0x1"}}`), 3, 46, "a decimal number"},
	{condition(`{"NumericEquals":{"kms:RotationPeriodInDays":["1",""]}}`), 3, 51, "a decimal number"},
	{condition(`{"NumericEquals":{"kms:RotationPeriodInDays":"${aws:EpochTime}"}}`), 3, 46, "a decimal number"},
	{condition(`{"DateLessThan":{"aws:CurrentTime":"2026-13-01"}}`), 3, 36, "a date such as"},
	{condition(`{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00"}}`), 3, 36, "a date such as"},
	{condition(`{"DateLessThan":{"aws:CurrentTime":"2026-01-01T1:00:00Z"}}`), 3, 36, "a date such as"},
	{condition(`{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), 3, 36, "a date such as"},
	{condition(`{"DateLessThan":{"aws:CurrentTime":99999999999999}}`), 3, 36, "a date such as"},
	{condition(`{"Bool":{"aws:SecureTransport":"yes"}}`), 3, 32, "true or false would be right"},
	{condition(`{"Bool":{"aws:SecureTransport":1}}`), 3, 32, "true or false would be right"},
	{condition(`{"Null":{"aws:TagKeys":"True"}}`), 3, 24, "true or false would be right"},
	{condition(`{"BinaryEquals":{"kms:MessageType":"UkF"}}`), 3, 36, "base64 with padding would be right"},
	{condition(`{"IpAddress":{"aws:SourceIp":"203.0.113.0/33"}}`), 3, 30, "an address or a range"},
	{condition(`{"IpAddress":{"aws:SourceIp":"203.0.113"}}`), 3, 30, "an address or a range"},
	{condition(`{"IpAddress":{"aws:SourceIp":"203.0.113.5/24"}}`), 3, 30, "203.0.113.0/24 would be right"},
	{condition(`{"IpAddress":{"aws:SourceIp":"fe80::1%eth0"}}`), 3, 30, "without a zone"},
	{condition(`{"IpAddress":{"aws:SourceIp":"::ffff:203.0.113.5"}}`), 3, 30, "the IPv4 form 203.0.113.5"},
	{condition(`{"ArnLike":{"aws:PrincipalArn":"user/x"}}`), 3, 32, "malformed"},
	{condition(`{"ArnLike":{"aws:PrincipalArn":"*"}}`), 3, 32, "malformed"},
	{condition(`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:username}:user/x"}}`), 3, 32, "before its fifth colon"},
	{condition(`{"StringLike":{"hsmgate:ArtifactName":"${aws:username"}}`), 3, 39, "is not closed"},
	{condition(`{"StringLike":{"hsmgate:ArtifactName":"${}"}}`), 3, 39, "unknown condition key"},
	{condition(`{"StringLike":{"hsmgate:ArtifactName":"${aws:TagKeys}"}}`), 3, 39, "has several values"},
	{condition(`{"StringLike":{"hsmgate:ArtifactName":"${aws:username, none}"}}`), 3, 39, "not in single quotes"},
	{condition(`{"StringLike":{"hsmgate:ArtifactName":"` + strings.Repeat("${aws:username}", 9) + `"}}`), 3, 39, "more policy variables than 8"},
	{strings.Replace(condition(`{"StringLike":{"hsmgate:ArtifactName":"${aws:username}"}}`), "2012", "2008", 1), 3, 39, "need the Version 2012-10-17"},
	{"{\"Statement\":\n" + strings.Repeat(" ", policy.MaxKeyPolicy), 2, policy.MaxKeyPolicy - 13, "at most 32768 would be right"},
}

func TestRefused(t *testing.T) {
	for _, c := range refused {
		_, err := policy.Parse([]byte(c.text), policy.KeyPolicy)
		e := inText(t, []byte(c.text), err)
		if e == nil {
			continue
		}
		if e.Line != c.line || e.Column != c.column || !strings.Contains(e.Text, c.says) {
			t.Errorf("%.300s\ngot  %v\nwant line %d, column %d: ... %s", c.text, e, c.line, c.column, c.says)
		}
	}
}

// inText checks that an error is an *Error within the text.
func inText(t *testing.T, text []byte, err error) (e *policy.Error) {
	t.Helper()
	if !errors.As(err, &e) {
		t.Errorf("%.300s\ngot %v, no *Error", text, err)
		return nil
	}
	lines := strings.Split(string(text[:min(e.Offset, len(text))]), "\n")
	if e.Offset < 0 || e.Offset > len(text) || e.Line != len(lines) || e.Column != len(lines[len(lines)-1])+1 || e.Text == "" {
		t.Errorf("%.300s\n%+v is not a position in the text", text, e)
	}
	return e
}

func TestIdentityPolicyRefused(t *testing.T) {
	for text, says := range map[string]string{
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`:          "has no Principal",
		`{"Statement":{"Effect":"Deny","NotPrincipal":"*","Action":"*","Resource":"*"}}`:        "has no NotPrincipal",
		`{"Statement":{"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"}}`:              "letters and digits would be right",
		`{"Statement":{"Effect":"Allow","Action":"*"}}`:                                         "no Resource",
		`{"Statement":` + strings.Repeat(" ", policy.MaxIdentityPolicy) + `{"Effect":"Allow"}}`: "at most 10240 would be right",
	} {
		_, err := policy.Parse([]byte(text), policy.IdentityPolicy)
		if e := inText(t, []byte(text), err); e != nil && !strings.Contains(e.Text, says) {
			t.Errorf("%.200s\ngot %v\nwant %s", text, e, says)
		}
	}
	if _, err := policy.Parse([]byte(`{}`), 0); err == nil {
		t.Error("a kind that is none is taken")
	}
}

// The keys that a policy may name; docs/policy-language.md says when each is set.
func TestConditionKeys(t *testing.T) {
	want := strings.Fields(`kms:SigningAlgorithm kms:EncryptionAlgorithm kms:MacAlgorithm kms:KeyAgreementAlgorithm kms:MessageType
		kms:KeySpec kms:KeyUsage kms:KeyOrigin kms:CustomerMasterKeySpec kms:CustomerMasterKeyUsage kms:RequestAlias
		kms:ResourceAliases kms:EncryptionContext: kms:EncryptionContextKeys kms:GrantOperations kms:GranteePrincipal
		kms:RetiringPrincipal kms:GrantConstraintType kms:GrantIsForAWSResource kms:DataKeyPairSpec kms:RotationPeriodInDays
		kms:ScheduleKeyDeletionPendingWindowInDays kms:ValidTo kms:WrappingAlgorithm kms:WrappingKeySpec kms:MultiRegion
		kms:MultiRegionKeyType kms:PrimaryRegion kms:ReplicaRegion kms:ExpirationModel kms:ReEncryptOnSameKey
		kms:BypassPolicyLockoutSafetyCheck kms:CallerAccount kms:ViaService aws:PrincipalArn aws:PrincipalAccount
		aws:PrincipalType aws:userid aws:username aws:PrincipalTag/ aws:ResourceTag/ aws:RequestTag/ aws:TagKeys aws:SourceIp
		aws:CurrentTime aws:EpochTime aws:SecureTransport aws:UserAgent aws:RequestedRegion aws:ResourceAccount hsmgate:Claim/
		hsmgate:CertificateSubject hsmgate:CertificateSAN hsmgate:ArtifactName hsmgate:ArtifactVersion hsmgate:ArtifactDigest hsmgate:ArtifactRepository hsmgate:ArtifactCommit hsmgate:ArtifactRun
		hsmgate:SigningContext: hsmgate:SigningContextKeys`)
	if got := policy.ConditionKeys(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, a := range policy.Actions() {
		must(t, element(fmt.Sprintf(`"Action":%q`, a)), policy.KeyPolicy)
	}
}
