package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

const root = `"Principal":{"AWS":"arn:aws:iam::` + account + `:root"}`

const everything = "everything whom it is for may manage keys and use them, and change this policy: the actions by name, or a Condition, would be better"

// TestLint: each warning with the statement that deserves it, and next to it the
// statement that does not. Identity policies are those without a principal.
func TestLint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		statement string
		want      string // the code and part of the text; "" for none
	}{
		{`"Effect":"Allow","Principal":"*","Action":"kms:Verify","Resource":"*"`, "everybody the statement allows everybody"},
		{`"Effect":"Allow","Principal":{"AWS":["` + alice + `","*"]},"Action":"kms:Verify","Resource":"*"`, "everybody"},
		{`"Effect":"Allow","Principal":"*","Action":"kms:Verify","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"` + account + `"}}`, ""},
		{`"Effect":"Deny","Principal":"*","Action":"kms:Verify","Resource":"*"`, ""},

		{`"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":"kms:*","Resource":"*"`, "everything whom it is for may manage keys and use them"},
		{`"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":["kms:[A-M]*","*"],"Resource":"*"`, "refused"},
		{`"Effect":"Allow","Action":"*","Resource":"*"`, everything + "\nothers"},
		{`"Effect":"Allow","NotAction":"hsmgate:*","Resource":"*"`, everything + "\nothers whom it is for may act as every other user or role, by sts:AssumeRole"},
		{`"Effect":"Allow","NotAction":["hsmgate:*","sts:*"],"Resource":"*"`, "everything"},
		{`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}`, ""},
		{`"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"NotAction":"kms:Sign","Resource":"*"`, ""},
		{`"Effect":"Allow",` + root + `,"Action":"kms:*","Resource":"*"`, ""},
		{`"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"kms:*","Resource":"*"`, ""},
		{`"Effect":"Deny","Action":"*","Resource":"*"`, ""},

		{`"Effect":"Allow","Action":"hsmgate:*","Resource":"*"`, "others whom it is for may act as every other user or role, by hsmgate:CreateAccessKey"},
		{`"Effect":"Allow","Action":"sts:AssumeRole","Resource":["arn:aws:iam::*:role/a","*"]`, "others"},
		{`"Effect":"Allow","Action":"hsmgate:UpdateAccessKey","NotResource":"arn:aws:kms:*:*:key/a"`, "others"},
		{`"Effect":"Allow","Action":"hsmgate:*AccessKey*","NotResource":"arn:aws:iam::*:user/a"`, ""},
		{`"Effect":"Allow","Action":["sts:AssumeRole","hsmgate:*AccessKey*"],"Resource":["arn:aws:iam::*:role/a","arn:aws:iam::*:user/${aws:username}"]`, ""},
		{`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, ""},
		{`"Effect":"Allow","Action":"hsmgate:*","Resource":"*"},{"Effect":"Deny","Action":"hsmgate:*AccessKey*","Resource":"*"`, ""},
		{`"Effect":"Allow","Action":"hsmgate:*","Resource":"*"},{"Effect":"Deny","Action":"hsmgate:CreateAccessKey","Resource":"*"`, "others whom it is for may act as every other user or role, by hsmgate:DeleteAccessKey"},
		{`"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"`, ""},
		{`"Effect":"Allow",` + root + `,"Action":"hsmgate:*","Resource":"*"`, ""},

		{`"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256"}}`,
			"never no request for kms:Decrypt has kms:SigningAlgorithm: the condition never holds"},
		{`"Effect":"Deny","Action":"kms:Decrypt","Resource":"*","Condition":{"StringNotEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256"}}`,
			"always no request for kms:Decrypt has kms:SigningAlgorithm: the condition always holds"},
		{`"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"Null":{"kms:SigningAlgorithm":"true"}}`, "always"},
		{`"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"Null":{"kms:SigningAlgorithm":"false"}}`, "never"},
		{`"Effect":"Allow","Action":["kms:Sign","kms:Verify"],"Resource":"*","Condition":{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256"}}`, ""},
		{`"Effect":"Allow","Action":["kms:Encrypt","kms:DescribeKey"],"Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:a":"b"}}`,
			"never no request for kms:DescribeKey has kms:EncryptionContext:a: a statement of its own"},
		{`"Effect":"Allow","Action":["kms:Encrypt","kms:DescribeKey"],"Resource":"*","Condition":{"StringEqualsIfExists":{"kms:EncryptionContext:a":"b"}}`, ""},
		{`"Effect":"Allow","Action":["kms:Encrypt","kms:Desc*"],"Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:a":"b"}}`, ""},
		{`"Effect":"Deny","Action":["kms:Encrypt","kms:DescribeKey"],"Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:a":"b"}}`, ""},
		{`"Effect":"Allow","Action":"kms:EnableKey","Resource":"*","Condition":{"StringEquals":{"kms:RequestAlias":"alias/a"}}`, "never"},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"x"}}`, "never"},
		{`"Effect":"Allow","Action":"kms:ListKeys","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"x"}}`, "never"},
		{`"Effect":"Allow","Action":"kms:CreateKey","Resource":"*","Condition":{"StringEquals":{"kms:KeySpec":"RSA_4096"}}`, ""},

		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-06-01"},"DateLessThan":{"aws:CurrentTime":"2026-01-01"}}`,
			"never DateGreaterThan aws:CurrentTime and DateLessThan aws:CurrentTime exclude each other"},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2026-01-01"},"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01"}}`, "never"},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"DateLessThanEquals":{"aws:CurrentTime":"2026-01-01"},"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01"}}`, ""},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01"},"DateLessThan":{"aws:CurrentTime":"9999-06-01"}}`, ""},
		{`"Effect":"Allow","Action":"kms:ScheduleKeyDeletion","Resource":"*","Condition":{"NumericGreaterThan":{"kms:ScheduleKeyDeletionPendingWindowInDays":"20"},"NumericLessThan":{"kms:ScheduleKeyDeletionPendingWindowInDays":"10"}}`, "never"},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"Null":{"aws:PrincipalTag/a":"true"},"StringEquals":{"aws:PrincipalTag/A":"b"}}`, "never"},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*","Condition":{"Null":{"aws:PrincipalTag/a":"false"},"StringEquals":{"aws:PrincipalTag/a":"b"}}`, ""},

		{`"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"a"}}`,
			`absent ForAllValues:StringEquals kms:EncryptionContextKeys holds for requests that have no value, too: "Null": {"kms:EncryptionContextKeys": "false"} beside it`},
		{`"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"a"},"Null":{"kms:EncryptionContextKeys":"false"}}`, ""},
		{`"Effect":"Deny","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"a"}}`, ""},
		{`"Effect":"Allow","Action":"kms:TagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}`, ""},
		{`"Effect":"Allow","Action":["kms:TagResource","kms:CreateKey"],"Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}`, "absent"},

		{`"Effect":"Deny","NotAction":"*","Resource":"*"`, "nothing the statement is for no action"},
		{`"Effect":"Deny","Action":"*","NotResource":"*"`, "nothing the statement is for no resource"},
		{`"Effect":"Allow",` + root + `,"Action":["kms:Sign","kms:ListKeys"],"Resource":"*"`, "never kms:ListKeys is about no key, so that no key policy decides on it"},
		{`"Effect":"Allow",` + root + `,"Action":["kms:Sign","kms:List*"],"Resource":"*"`, ""},
		{`"Effect":"Allow",` + root + `,"Action":"kms:Sign","Resource":"arn:aws:kms:*:*:alias/a"`, "never a key policy is never asked about an alias"},
		{`"Effect":"Allow","Action":"kms:ListKeys","Resource":"` + keyARN + `"`, `never kms:ListKeys is about no key: only the Resource "*" means it`},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":["arn:aws:kms:*:*:alias/a","arn:aws:kms:*:*:alias/${aws:username}"]`, "never only CreateAlias, UpdateAlias and DeleteAlias are about an alias"},
		{`"Effect":"Allow","Action":["kms:Sign","kms:CreateAlias"],"Resource":"arn:aws:kms:*:*:alias/a"`, ""},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":["arn:aws:kms:*:*:alias/a","` + keyARN + `"]`, ""},

		{`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/a","Condition":{"StringEquals":{"aws:ResourceTag/team":"x"}}`, "never no request for sts:AssumeRole has aws:ResourceTag/team"},
		{`"Effect":"Allow","Action":"hsmgate:CreateAccessKey","Resource":"arn:aws:iam::*:user/a","Condition":{"StringEquals":{"kms:KeySpec":"RSA_2048"}}`, "never no request for hsmgate:CreateAccessKey has kms:KeySpec"},
		{`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/a","Condition":{"StringEquals":{"aws:ResourceAccount":"` + account + `"}}`, ""},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"arn:aws:iam::*:role/a"`, "never only sts:AssumeRole and the actions for access keys are about a role or a user"},
		{`"Effect":"Allow","Action":"kms:S*","Resource":["arn:aws:iam::*:role/a","arn:aws:iam::*:user/${aws:username}"]`, "never only sts:AssumeRole"},
		{`"Effect":"Allow","Action":["kms:Sign","sts:AssumeRole"],"Resource":"arn:aws:iam::*:role/a"`, "never kms:Sign is not about a role or a user: a statement of its own"},
		{`"Effect":"Allow","Action":["kms:Sign","sts:AssumeRole"],"Resource":["` + keyARN + `","arn:aws:iam::*:role/a"]`, ""},
		{`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + keyARN + `"`, "never sts:AssumeRole is about a role: a Resource such as arn:aws:iam::*:role/name would be right"},
		{`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:user/a"`, "never sts:AssumeRole is about a role"},
		{`"Effect":"Deny","Action":"hsmgate:UpdateAccessKey","Resource":"arn:aws:iam::*:role/a"`, "never hsmgate:UpdateAccessKey is about a user"},
		{`"Effect":"Deny","Action":"hsmgate:UpdateAccessKey","Resource":"*"`, ""},
		{`"Effect":"Deny","Action":"sts:AssumeRole","NotResource":"arn:aws:iam::*:role/a"`, ""},
		{`"Effect":"Deny","Action":"sts:AssumeRole","Resource":"arn:aws:*:*:*:*"`, ""},
		{`"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Resource":"*"`, "never sts:AssumeRole is about a role, so that no key policy decides on it"},

		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*"},{"Sid":"Again","Action":"kms:Sign","Effect":"Allow","Resource":"*"`, "repeated the statement says what statement 1 says"},
		{`"Effect":"Allow","Action":"kms:Sign","Resource":"*"},{"Sid":"Other","Action":"kms:Verify","Effect":"Allow","Resource":"*"`, ""},
	} {
		text := []byte(document("{" + c.statement + "}"))
		_, found, err := policy.Lint(text, policy.KindOf(text))
		got := ""
		for _, w := range found {
			got += w.Code + " " + w.Text + "\n"
		}
		if err != nil {
			got = "refused"
		}
		if (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") > 1+strings.Count(c.want, "\n") {
			t.Errorf("%s\ngot  %q\nwant %q", c.statement, got, c.want)
		}
	}
}

// TestLintPlaces: a warning stands where an editor has to go.
func TestLintPlaces(t *testing.T) {
	t.Parallel()
	text := `{"Version": "2012-10-17", "Statement": [
  {"Sid": "One", "Effect": "Allow", "Principal": "*",
   "Action": "kms:Sign", "Resource": "*"},
  {"Effect": "Allow",
   "Principal": {"AWS": "111122223333"}, "Resource": "*",
   "Action": ["kms:Sign",
              "kms:ListKeys"],
   "Condition": {"StringEquals": {"aws:PrincipalTag/a": "b",
                                  "kms:MacAlgorithm": "x"}}}]}`
	doc, found, err := policy.Lint([]byte(text), policy.KeyPolicy)
	if err != nil || doc.Len() != 2 {
		t.Fatal(doc, err)
	}
	var got []string
	for _, w := range found {
		got = append(got, fmt.Sprintf("%d:%d %s %s", w.Line, w.Column, w.Statement, w.Code))
	}
	if want := "2:50 One everybody, 7:15 2 never, 9:35 2 never"; strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]policy.Kind{
		`{"Statement":{"Effect":"Allow","Principal":"*"}}`:                        policy.KeyPolicy,
		`{"Statement":[{"Effect":"Allow"},{"Effect":"Deny","NotPrincipal":"x"}]}`: policy.KeyPolicy,
		`{"Statement":{"Effect":"Allow","Action":"kms:Sign","Resource":"*"}}`:     policy.IdentityPolicy,
		`{"Statement":[{"Effect":"Allow","Principals":"*"}]}`:                     policy.IdentityPolicy,
		`{`: policy.KeyPolicy, ``: policy.KeyPolicy, `[]`: policy.IdentityPolicy, `7`: policy.IdentityPolicy,
	} {
		if got := policy.KindOf([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// FuzzLint: what Parse takes, Lint takes, and neither ends in a panic.
func FuzzLint(f *testing.F) {
	f.Add(document(statement("Allow", `{"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:TagKeys":"true"}}`)))
	f.Add(document(`{"Effect":"Deny","NotAction":["kms:*","hsmgate:*"],"NotResource":"arn:aws:kms:*:*:alias/*"}`))
	f.Add(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:Sign","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":["2026",1]}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []policy.Kind{policy.KeyPolicy, policy.IdentityPolicy} {
			_, refused := policy.Parse([]byte(text), kind)
			doc, found, err := policy.Lint([]byte(text), kind)
			if (refused == nil) != (err == nil) || err == nil && doc == nil {
				t.Fatalf("%v, %v", refused, err)
			}
			for _, w := range found {
				if w.Line < 1 || w.Column < 1 || w.Code == "" || w.Text == "" || w.Statement == "" {
					t.Fatalf("%+v", w)
				}
			}
		}
	})
}
