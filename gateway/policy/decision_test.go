package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// The words of AWS for each way to be denied (IAM User Guide,
// troubleshoot_access-denied).
func TestReasons(t *testing.T) {
	denies := document(statement("Allow", ""), statement("Deny", ""))
	bob := `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:user/bob"},"Action":"*","Resource":"*"}}`
	root := `{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"*","Resource":"*"}}`
	denyAll := attach(t, "d", `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)
	for _, c := range []struct {
		key     string
		attach  []policy.Attached
		because string
	}{
		{denies, nil, "with an explicit deny in a resource-based policy"},
		{root, []policy.Attached{denyAll}, "with an explicit deny in an identity-based policy"},
		{bob, nil, "because no resource-based policy allows the kms:Sign action"},
		{root, nil, "because no identity-based policy allows the kms:Sign action"},
	} {
		r := request(alice, "kms:Sign")
		r.KeyPolicy, r.Principal.Policies = must(t, c.key, policy.KeyPolicy), c.attach
		if d := policy.Evaluate(r); d.Allowed || d.Because() != c.because {
			t.Errorf("%s: %+v, %q", c.key, d, d.Because())
		}
	}
	if b := (policy.Decision{Allowed: true}).Because(); b != "" {
		t.Errorf("an allowed request has a reason: %q", b)
	}
}

// What a caller of Evaluate gets wrong is denied, never taken as if it were not
// there.
func TestUndecidable(t *testing.T) {
	open := must(t, document(statement("Allow", "")), policy.KeyPolicy)
	identity := must(t, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, policy.IdentityPolicy)
	for name, change := range map[string]func(r *policy.Request){
		"no ARN of the key":         func(r *policy.Request) { r.ResourceARN = "" },
		"an identity policy as key": func(r *policy.Request) { r.KeyPolicy = identity },
		"no caller":                 func(r *policy.Request) { r.Principal.ARN = "" },
		"a wildcard as action":      func(r *policy.Request) { r.Action = "kms:*" },
	} {
		r := request(alice, "kms:Sign")
		r.KeyPolicy = open
		if !policy.Evaluate(r).Allowed {
			t.Fatal("denied without a change")
		}
		change(&r)
		if d := policy.Evaluate(r); d.Allowed || d.Reason == "" {
			t.Errorf("%s: %+v", name, d)
		}
		if steps := policy.Explain(r); len(steps) != 1 || steps[0].Effect != "Deny" {
			t.Errorf("%s: %+v", name, steps)
		}
	}
	r := request(alice, "kms:Sign") // an Attached that Attach did not make
	r.Principal.Policies = []policy.Attached{{}}
	if policy.Evaluate(r).Allowed || len(policy.Explain(r)) != 1 {
		t.Error("an empty identity policy allows")
	}
	for _, d := range []*policy.Document{open, nil} {
		if _, err := policy.Attach("x", d); err == nil {
			t.Error("what is no identity policy is attached as one")
		}
	}
}

// A grant that expires is not live in a request without a time.
func TestGrantNeedsTime(t *testing.T) {
	r := request(alice, "kms:Sign")
	r.Grants = []policy.Grant{{ID: "g", KeyID: mine, Grantee: alice, Operations: []string{"Sign"}, Expires: time.Unix(1, 0)}}
	if policy.Evaluate(r).Allowed {
		t.Error("allowed")
	}
	r.Time = time.Unix(0, 0)
	if !policy.Evaluate(r).Allowed {
		t.Error("denied before it expires")
	}
}

func TestLockedOut(t *testing.T) {
	key := func(s string) *policy.Document { return must(t, s, policy.KeyPolicy) }
	root := key(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"kms:*","Resource":"*"}}`)
	direct := key(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":"kms:Put*","Resource":"*"}}`)
	office := key(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":"kms:Put*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}}`)
	signOnly := key(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:Sign","Resource":"*"}}`)
	denied := key(document(statement("Allow", ""), `{"Effect":"Deny","Principal":"*","Action":"kms:PutKeyPolicy","Resource":"*"}`))
	for i, c := range []struct {
		doc  *policy.Document
		role policy.Role
		want bool
	}{
		{root, "", true}, {root, policy.RoleAdministrator, false}, {root, policy.RoleUser, true},
		{direct, "", false}, {office, "", false}, {signOnly, policy.RoleAdministrator, true}, {denied, policy.RoleAdministrator, true}, {nil, policy.RoleAdministrator, true},
	} {
		r := request(alice, "kms:CreateKey")
		r.Principal.Role, r.Caller.SourceIP = c.role, netip.MustParseAddr("192.0.2.1")
		if got := policy.LockedOut(c.doc, r); got != c.want {
			t.Errorf("%d: locked out = %v", i, got)
		}
	}
	r := request(alice, "kms:PutKeyPolicy")
	r.Caller.SourceIP = netip.MustParseAddr("198.51.100.1")
	if !policy.LockedOut(office, r) {
		t.Error("not locked out from elsewhere")
	}
}

func TestMayAllow(t *testing.T) {
	for text, want := range map[string]bool{
		`{"Effect":"Allow","Principal":"*","Action":"hsmgate:Timestamp","Resource":"*"}`:                                                   true,
		`{"Effect":"Allow","Principal":"*","Action":"hsmgate:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`: true,
		`{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}`:                                                               false,
		`{"Effect":"Allow","Principal":"*","Action":"hsmgate:Timestamp","Resource":"arn:aws:kms:local:` + account + `:key/other"}`:         false,
		`{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"hsmgate:*","Resource":"*"}`:                                     false,
		`{"Effect":"Deny","Principal":"*","Action":"hsmgate:Timestamp","Resource":"*"}`:                                                    false,
	} {
		r := request(alice, "hsmgate:Timestamp")
		r.Principal = policy.Anonymous(account)
		if got := policy.MayAllow(must(t, `{"Statement":`+text+`}`, policy.KeyPolicy), r); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if policy.MayAllow(nil, request(alice, "hsmgate:Timestamp")) {
		t.Error("a key without a policy lets strangers in")
	}
}

func TestExplain(t *testing.T) {
	r := request(alice, "kms:Sign")
	r.Principal.Role = policy.RoleUser
	r.KeyPolicy = must(t, document(
		`{"Sid":"Account","Effect":"Allow","Principal":{"AWS":"`+account+`"},"Action":"kms:*","Resource":"*"}`,
		`{"Sid":"Bob","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+account+`:user/bob"},"Action":"kms:*","Resource":"*"}`,
		`{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}`,
		statement("Deny", `{"StringEquals":{"kms:RequestAlias":"alias/old"}}`)), policy.KeyPolicy)
	r.Principal.Policies = []policy.Attached{attach(t, "p",
		document(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:kms:*:*:alias/*"}`))}
	r.Call.RequestAlias = "alias/secret"
	r.Grants = []policy.Grant{{ID: "g1", KeyID: mine, Grantee: alice, Operations: []string{"Verify"}}, {ID: "g2"},
		{ID: "g3", KeyID: mine, Grantee: alice, Operations: []string{"Sign"}, EncryptionContextEquals: map[string]string{"a": "b"}}}
	var got []string
	for _, s := range policy.Explain(r) {
		got = append(got, fmt.Sprintf("%s %s %v: %s", s.Effect, s.Statement, s.Applies, s.Why))
	}
	want := []string{
		"Allow key-policy/Account true: everything in it matches; it lets the identity policies of account 111122223333 decide",
		"Allow key-policy/Bob false: it does not name the principal arn:aws:iam::111122223333:user/alice",
		"Deny key-policy/3 false: it is not for the action kms:Sign",
		"Deny key-policy/Deny false: the condition does not hold: StringEquals kms:RequestAlias (the request has another value)",
		"Allow grant/g1 false: it is not for the action kms:Sign",
		"Allow grant/g2 false: it is for another key",
		"Allow grant/g3 false: its constraints do not hold",
		"Allow role/user false: it is for uses of the principal's own keys",
		"Allow policy/p/1 false: it is not for the resource " + keyARN,
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
	if strings.Contains(strings.Join(got, ""), "secret") {
		t.Error("an explanation holds a value of the request")
	}
}

// large is a key with ten statements and a hundred grants.
func large(t testing.TB) policy.Request {
	s := []string{
		`{"Effect":"Deny","Principal":"*","Action":"kms:ScheduleKeyDeletion","Resource":"*"}`,
		`{"Effect":"Allow","Principal":{"AWS":"` + alice + `"},"Action":["kms:Sign","kms:GetPublicKey"],"Resource":"*","Condition":{"StringLike":{"kms:SigningAlgorithm":"ECDSA_*"},"Bool":{"aws:SecureTransport":"true"}}}`,
		`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]}}}`,
		`{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}}`,
	}
	for i := range 6 {
		s = append(s, fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:user/u%d"},"Action":"kms:*","Resource":"*"}`, account, i))
	}
	r := request(alice, "kms:Sign")
	r.KeyPolicy = must(t, document(s...), policy.KeyPolicy)
	r.Time = time.Unix(1_800_000_000, 0)
	r.Caller = policy.Caller{SourceIP: netip.MustParseAddr("2001:db8::7"), SecureTransport: true}
	r.Key = &policy.Key{Tags: map[string]string{"cost": "1", "team": "red"}}
	r.Principal.Tags = map[string]string{"team": "red"}
	r.Call.SigningAlgorithm = "ECDSA_SHA_256"
	for i := range 100 {
		r.Grants = append(r.Grants, policy.Grant{ID: fmt.Sprint(i), KeyID: mine, Grantee: fmt.Sprintf("arn:aws:iam::%s:user/g%03d", account, i),
			Operations: []string{"Sign", "Verify"}, Expires: r.Time.Add(time.Hour)})
	}
	return r
}

// requests of the large key, with what decides them.
func largeRequests(t testing.TB) map[string]policy.Request {
	first, last, none := large(t), large(t), large(t)
	last.Principal.ARN = "arn:aws:iam::" + account + ":user/g099"
	none.Principal.ARN = "arn:aws:iam::" + account + ":user/g100"
	return map[string]policy.Request{"key-policy/2": first, "grant/99": last, "default": none}
}

func TestLarge(t *testing.T) {
	for by, r := range largeRequests(t) {
		d := policy.Evaluate(r)
		if d.Statement != by {
			t.Errorf("%+v, want %s", d, by)
		}
		allowed := map[string]float64{"key-policy/2": 0, "grant/99": 1, "default": 1}[by] // the text that names a grant, and the reason
		if n := testing.AllocsPerRun(100, func() { policy.Evaluate(r) }); n > allowed {
			t.Errorf("%s: %v allocations", by, n)
		}
	}
}

// BenchmarkLarge: a decision is to cost 5 µs at most, also on a machine that has
// other things to do, so it reports the processor's time beside the clock's.
func BenchmarkLarge(b *testing.B) {
	for by, r := range largeRequests(b) {
		b.Run(by, func(b *testing.B) {
			b.ReportAllocs()
			begun := cpu(b)
			for b.Loop() {
				policy.Evaluate(r)
			}
			b.ReportMetric(float64(cpu(b)-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu is the user and system time that this process has used, in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkParse(b *testing.B) {
	text, err := large(b).KeyPolicy.MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse(text, policy.KeyPolicy); err != nil {
			b.Fatal(err)
		}
	}
}
