package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// generator makes policies and requests that have a good chance to meet.
type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func (g generator) some(from ...string) []string {
	l := make([]string, 1+g.IntN(2))
	for i := range l {
		l[i] = pick(g, from...)
	}
	return l
}

func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (g generator) document(key bool) string {
	s := make([]string, 1+g.IntN(4))
	for i := range s {
		s[i] = g.statement(key)
	}
	return document(s...)
}

func (g generator) statement(key bool) string {
	deny := g.IntN(4) == 0
	m := []string{`"Effect":"Allow"`}
	if deny {
		m[0] = `"Effect":"Deny"`
	}
	if key {
		m = append(m, g.principal(deny))
	}
	not := pick(g, "", "", "", "Not")
	m = append(m, fmt.Sprintf(`"%sAction":%s`, not, quote(g.some("*", "kms:*", "kms:S*", "kms:Sign", "kms:sign", "kms:?erify", "kms:Decrypt", "hsmgate:*", "*AccessKey", "sts:*"))))
	others := "arn:aws:iam::*:" + pick(g, "user/*", "role/deploy")
	if not = pick(g, "", "", "", "Not"); key { // whose policy is never about callers
		others = "*"
	}
	m = append(m, fmt.Sprintf(`"%sResource":%s`, not, quote(g.some("*", pick(g, "*", others), keyARN, "arn:aws:kms:*:*:key/*", "arn:*:k?s:eu-*:111122223333:*",
		"arn:aws:kms:*:*:alias/*", "arn:aws:kms:*:111122223333:key/${aws:PrincipalTag/team}", "arn:aws:kms:*:*:key/${aws:PrincipalTag/team, '1234abcd-12ab-34cd-56ef-1234567890ab'}"))))
	if g.IntN(3) > 0 {
		m = append(m, `"Condition":`+g.conditions())
	}
	return "{" + strings.Join(m, ",") + "}"
}

func (g generator) principal(deny bool) string {
	p := g.some(alice, alice, account, "arn:aws:iam::"+account+":root", "arn:aws:iam::"+account+":user/bob", "*", "arn:aws:iam::999999999999:root")
	if deny && g.IntN(3) == 0 {
		return `"NotPrincipal":{"AWS":` + quote(p) + `}`
	}
	return `"Principal":{"AWS":` + quote(p) + `}`
}

// domain is a family of operators with the keys and values they compare.
type domain struct{ operators, keys, policy, request []string }

var domains = []domain{
	{
		strings.Fields("StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike"),
		strings.Fields("kms:SigningAlgorithm kms:RequestAlias aws:PrincipalTag/team AWS:principaltag/TEAM aws:ResourceTag/team hsmgate:Claim/sub hsmgate:ArtifactName kms:EncryptionContext:app"),
		strings.Fields("red RED r* ?ed *e*d * ${aws:PrincipalTag/team} x${aws:PrincipalTag/team} ${aws:PrincipalTag/team,~'red'} ${hsmgate:Claim/sub}* ${*} ${?}ed a${$}b ${aws:username} alice gr?n"),
		strings.Fields("red RED rEd xred ed * ?ed a$b alice reed gr\u00fcn r\u212a"),
	},
	{
		strings.Fields("NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals"),
		strings.Fields("kms:RotationPeriodInDays kms:ScheduleKeyDeletionPendingWindowInDays"),
		strings.Fields("7 7.0 8 7.5 -1 30"), strings.Fields("7 8 30"),
	},
	{
		strings.Fields("DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals"),
		strings.Fields("aws:CurrentTime kms:ValidTo"),
		strings.Fields("2026-01-31T12:00:00Z 2026-01-31T13:00:00+01:00 1769860800 2026-02-01T00:00:00Z"),
		strings.Fields("2026-01-31T12:00:00Z 2026-02-01T00:00:00Z 2026-01-30T00:00:00Z"),
	},
	{strings.Fields("Bool"), strings.Fields("kms:MultiRegion aws:SecureTransport kms:ReEncryptOnSameKey"), strings.Fields("true false"), strings.Fields("true false")},
	{strings.Fields("BinaryEquals"), strings.Fields("kms:MessageType"), strings.Fields("cmVk UkVE"), strings.Fields("red RED")},
	{
		strings.Fields("IpAddress NotIpAddress"), strings.Fields("aws:SourceIp"),
		strings.Fields("203.0.113.0/24 203.0.113.7 2001:db8::/32 0.0.0.0/0 ::/0"), strings.Fields("203.0.113.7 203.0.113.8 198.51.100.1 2001:db8::1"),
	},
	{
		strings.Fields("ArnEquals ArnLike ArnNotEquals ArnNotLike"), strings.Fields("kms:GranteePrincipal kms:RetiringPrincipal aws:PrincipalArn"),
		strings.Fields("arn:aws:iam::*:user/* arn:*:iam:*:111122223333:user/${aws:username} arn:aws:iam::111122223333:*e* ${aws:PrincipalArn} arn:aws:iam::111122223333:?????a*"),
		strings.Fields("arn:aws:iam::111122223333:user/alice arn:aws:iam::111122223333:role/x arn:aws:iam::999999999999:user/a:b"),
	},
}

// many are the keys with several values.
var many = domain{domains[0].operators, strings.Fields("aws:TagKeys kms:EncryptionContextKeys kms:ResourceAliases kms:GrantOperations hsmgate:CertificateSAN hsmgate:Claim/groups"),
	domains[0].policy, domains[0].request}

func (g generator) conditions() string {
	m := make(map[string]map[string]any)
	for range 1 + g.IntN(3) {
		op, key, l := g.condition()
		if m[op] == nil {
			m[op] = make(map[string]any)
		}
		for k := range m[op] {
			if strings.EqualFold(k, key) {
				delete(m[op], k)
			}
		}
		for i := range l {
			l[i] = strings.ReplaceAll(l[i], "~", " ")
		}
		if m[op][key] = l; len(l) == 1 {
			m[op][key] = l[0]
		}
	}
	return quote(m)
}

func (g generator) condition() (op, key string, l []string) {
	d := pick(g, domains...)
	set := ""
	switch g.IntN(8) {
	case 0:
		return "Null", pick(g, append(d.keys, many.keys...)...), []string{pick(g, "true", "false")}
	case 1, 2:
		d, set = many, pick(g, "ForAnyValue:", "ForAllValues:")
	case 3:
		set = "ForAnyValue:"
	}
	return set + pick(g, d.operators...) + pick(g, "", "", "IfExists"), pick(g, d.keys...), g.some(d.policy...)
}

func (g generator) values() values {
	v := make(values)
	for _, d := range domains {
		for _, k := range d.keys {
			if g.IntN(2) == 0 && k != "aws:PrincipalArn" && !strings.HasPrefix(k, "AWS:") {
				v[k] = []string{pick(g, d.request...)}
			}
		}
	}
	for _, k := range []string{"kms:ResourceAliases", "kms:GrantOperations", "hsmgate:CertificateSAN", "hsmgate:Claim/groups", "hsmgate:Claim/sub"} {
		if g.IntN(2) == 0 {
			v[k] = g.some(many.request...)
		}
	}
	for _, k := range []string{"kms:EncryptionContext:red", "kms:EncryptionContext:App", "aws:RequestTag/red", "aws:RequestTag/alice", "aws:PrincipalTag/Team"} {
		if g.IntN(4) == 0 {
			v[k] = []string{pick(g, many.request...)}
		}
	}
	return v
}

// byAccount is a key policy that leaves all to identity policies, as it is where there is
// no key.
const byAccount = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"*","Resource":"*"}}`

// compareBoth decides one generated request with both evaluators.
func compareBoth(t *testing.T, a, b uint64) (allowed bool) {
	g := generator{rand.New(rand.NewPCG(a, b))}
	key, identity := g.document(true), g.document(false)
	n := &naive{caller: pick(g, alice, alice, "arn:aws:iam::"+account+":user/bob"), action: pick(g, "kms:Sign", "kms:Verify", "kms:Decrypt", "hsmgate:SignBatch", "hsmgate:CreateAccessKey", "sts:AssumeRole"),
		resource: keyARN, administrator: g.IntN(4) == 0, values: g.values()}
	if n.others() {
		n.resource, key = pick(g, alice, "arn:aws:iam::"+account+":user/bob", "arn:aws:iam::"+account+":role/deploy"), byAccount
	}
	r := with(t, request(n.caller, n.action), n.values)
	if r.KeyPolicy = must(t, key, policy.KeyPolicy); n.administrator {
		r.Principal.Role = policy.RoleAdministrator
	}
	if n.others() {
		r.KeyPolicy, r.KeyID, r.ResourceARN = nil, "", n.resource
	}
	r.Principal.Policies = []policy.Attached{attach(t, "p", identity)}
	d := policy.Evaluate(r)
	if want := n.allowed(t, key, identity); d.Allowed != want {
		t.Errorf("seed %d, %d: %+v, the naive evaluator says %v\nkey policy %s\nidentity policy %s\n%s %s %v\n%+v",
			a, b, d, want, key, identity, n.caller, n.action, n.values, policy.Explain(r))
	}
	if d.Allowed == (d.Reason != "") || d.Statement == "" {
		t.Errorf("seed %d, %d: %+v", a, b, d)
	}
	explained(t, r, d)
	return d.Allowed
}

// explained checks that an explanation agrees with the decision.
func explained(t *testing.T, r policy.Request, d policy.Decision) {
	denied, named := false, d.Statement == "default"
	for _, s := range policy.Explain(r) {
		denied = denied || s.Applies && s.Effect == "Deny"
		named = named || s.Statement == d.Statement && s.Applies && (s.Effect == "Allow") == d.Allowed
	}
	if denied && d.Allowed || !named {
		t.Errorf("%+v is explained by %+v", d, policy.Explain(r))
	}
}

func TestAgainstNaive(t *testing.T) {
	allowed := 0
	for i := range uint64(4000) {
		if compareBoth(t, i, 1) {
			allowed++
		}
	}
	if t.Logf("%d of 4000 allowed", allowed); allowed < 400 || allowed > 3600 {
		t.Errorf("%d of 4000 requests are allowed: the generator tests little", allowed)
	}
}

func FuzzAgainstNaive(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { compareBoth(t, a, b) })
}

// No text makes Parse panic; an error is within the text; what parses is the
// same policy again when it is written out.
func FuzzParse(f *testing.F) {
	for i := range uint64(20) {
		g := generator{rand.New(rand.NewPCG(i, 7))}
		f.Add([]byte(g.document(i%2 == 0)), i%2 == 0)
	}
	for _, c := range refused {
		f.Add([]byte(c.text), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, key bool) {
		kind := policy.IdentityPolicy
		if key {
			kind = policy.KeyPolicy
		}
		d, err := policy.Parse(text, kind)
		if err != nil {
			if inText(t, text, err) == nil {
				t.Fatal("a refusal does not say where")
			}
			return
		}
		again, err := d.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		d2, err := policy.Parse(again, kind)
		if err != nil {
			t.Fatalf("%q parses, but not %q: %v", text, again, err)
		}
		if !reflect.DeepEqual(d, d2) {
			t.Errorf("%q is another policy than %q", text, again)
		}
		r := request(alice, "kms:Sign")
		r.KeyPolicy = d
		if kind == policy.IdentityPolicy {
			r.KeyPolicy, r.Principal.Policies = nil, []policy.Attached{attach(t, "p", string(again))}
		}
		explained(t, r, policy.Evaluate(r))
	})
}
