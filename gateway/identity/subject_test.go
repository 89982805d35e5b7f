package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
)

// TestSubjects: attribute is compared with attribute, whatever is in a name.
func TestSubjects(t *testing.T) {
	t.Parallel()
	ca := identitytest.NewCA(t, "CA")
	name := func(pairs ...string) pkix.Name { // in the order of the certificate
		var n pkix.Name
		for k := 0; k < len(pairs); k += 2 {
			var oid []int
			for _, digit := range strings.Split(attributeKinds[pairs[k]], ".") {
				var number int
				for _, c := range digit {
					number = number*10 + int(c-'0')
				}
				oid = append(oid, number)
			}
			n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: oid, Value: pairs[k+1]})
		}
		return n
	}
	for _, test := range []struct {
		rule    string
		subject pkix.Name
		want    bool
	}{
		{"CN=builder-*,O=Example", name("O", "Example", "CN", "builder-7"), true},
		{"cn=builder-*, o=Example", name("O", "Example", "CN", "builder-7"), true},
		{"2.5.4.3=builder-*,2.5.4.10=Example", name("O", "Example", "CN", "builder-7"), true},
		{"CN=builder-*,O=Example", name("CN", "builder-7", "O", "Example"), false}, // another order is another name
		{"CN=builder-*,O=Example", name("CN", "builder-7,O=Example"), false},
		{"CN=builder-*,O=Example", name("O", "Other", "CN", "builder-7,O=Example"), false},
		{"CN=builder-*,O=Example", name("O", "Example", "CN", "builder-7", "CN", "admin"), false},
		{"CN=builder-*,O=Example", name("O", "Example", "OU", "x", "CN", "builder-7"), false},
		{"CN=builder-*,O=Example", name("C", "DE", "O", "Example", "CN", "builder-7"), false},
		{"CN=builder-*,OU=*,O=Example", name("O", "Example", "OU", "x", "CN", "builder-7"), true},
		{"CN=builder-*,O=Example", name("O", "example", "CN", "builder-7"), false},
		{"CN=builder-?", name("CN", "builder-77"), false},
		{"CN=a*", name("CN", "a:b"), false},
		{`CN=a\,O\=b,O=x`, name("O", "x", "CN", "a,O=b"), true},
		{`CN=\ \#a\2B\c3\a4`, name("CN", " #a+ä"), true},
		{"DC=build,DC=example,UID=*", name("UID", "7", "DC", "example", "DC", "build"), true},
		{"CN=*", name("CN", "*"), true},
		{"CN=a", name("CN", "*"), false},
		{"CN=a", pkix.Name{}, false},
	} {
		rules, err := compileCertificateRules([]CertificateRule{{Role: "r", Subject: test.rule}})
		ok(t, err)
		leaf := ca.Issue(func(c *x509.Certificate) { c.Subject = test.subject }).Leaf
		if got := rules[0].fits(&Certificate{leaf: leaf}); got != test.want {
			t.Errorf("%s fits %s: %v", test.rule, test.subject, got)
		}
	}
	// What conditions compare: RFC 4514, with its escapes, and all of the name.
	for want, subject := range map[string]pkix.Name{
		"CN=builder-7,O=Example":       name("O", "Example", "CN", "builder-7"),
		`CN=builder-7\,O=Example`:      name("CN", "builder-7,O=Example"),
		`CN=b,CN=a`:                    name("CN", "a", "CN", "b"),
		`CN=\ a\+b\"\\\<\>\;\ `:        name("CN", ` a+b"\<>; `),
		`CN=\#a`:                       name("CN", "#a"),
		"":                             {},
		`SERIALNUMBER=7,CN=a,O=b,C=DE`: name("C", "DE", "O", "b", "CN", "a", "SERIALNUMBER", "7"),
	} {
		names, err := subjectOf(ca.Issue(func(c *x509.Certificate) { c.Subject = subject }).Leaf)
		ok(t, err)
		equal(t, names.String(), want)
	}
}

// TestCertificateRulesRefused: each mistake is named.
func TestCertificateRulesRefused(t *testing.T) {
	t.Parallel()
	for why, rule := range map[string]CertificateRule{
		"role":                     {Role: "a/b", Subject: "CN=a"},
		"subject or sans":          {Role: "r"},
		"attribute=value":          {Role: "r", Subject: "builder"},
		`attribute "XY"`:           {Role: "r", Subject: "XY=a"},
		"has no value":             {Role: "r", Subject: "CN=,O=a"},
		"joined by +":              {Role: "r", Subject: "CN=a+O=b"},
		"in hex":                   {Role: "r", Subject: "CN=#0c0161"},
		"followed by":              {Role: "r", Subject: `CN=a\`},
		"always wildcards":         {Role: "r", Subject: `CN=a\2A`},
		`attribute ""`:             {Role: "r", Subject: "CN=a,=b"},
		`"": attribute`:            {Role: "r", Subject: "CN=a,"},
		`does not begin with dns:`: {Role: "r", SANs: []string{"builder.example.com"}},
		`"dns:" does not`:          {Role: "r", SANs: []string{"dns:"}},
	} {
		err := ClientCertificates{CAFile: "ca", Rules: []CertificateRule{rule}}.Check()
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	for _, c := range []ClientCertificates{{CRLFile: "x"}, {Required: true}, {Rules: []CertificateRule{{Role: "r", Subject: "CN=a"}}}} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), "ca_file is missing") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	ok(t, ClientCertificates{}.Check())
}

// FuzzSubjectRule: no text makes the parser panic, and one without wildcards and
// escapes means what it says.
func FuzzSubjectRule(f *testing.F) {
	for _, text := range []string{"CN=a,O=b", `CN=a\,b`, "CN=\\", "=", "1.2.3=x", "CN=a+O=b", "CN=#00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseSubject(text)
		if err == nil && len(all) == 0 {
			t.Errorf("%q is a subject of no attributes", text)
		}
		for _, a := range all {
			if a.kind == "" {
				t.Errorf("%q has an attribute of no kind", text)
			}
		}
	})
}
