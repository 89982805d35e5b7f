package identity

import (
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestCheckProviders: each mistake is named with what would be right.
func TestCheckProviders(t *testing.T) {
	t.Parallel()
	good := func() Provider {
		return Provider{Name: "github", Preset: "github", Audiences: []string{"hsmgate"},
			Rules: []ClaimRule{{Role: "release", Claims: map[string]string{"repository": "example/*", "ref": "*"}}}}
	}
	p, problems := good().compile()
	equal(t, len(problems), 0)
	equal(t, p.Issuer, "https://token.actions.githubusercontent.com")
	equal(t, p.Session, "{repository}@{run_id}")
	equal(t, p.Algorithms, []string{"RS256"})

	for want, change := range map[string]func(*Provider){
		"preset: ":           func(p *Provider) { p.Preset = "gitea" },
		"name: ":             func(p *Provider) { p.Name = "Git Hub" },
		"not certificate":    func(p *Provider) { p.Name = "certificate" },
		"is asked for":       func(p *Provider) { p.Issuer = "http://issuer.example.com" },
		"not a URL":          func(p *Provider) { p.Issuer = "https://" },
		"of the form":        func(p *Provider) { p.Issuer = "https://issuer.example.com/?tenant=a" },
		"audiences: ":        func(p *Provider) { p.Audiences = nil },
		"none is empty":      func(p *Provider) { p.Audiences = []string{""} },
		`"none" is none of`:  func(p *Provider) { p.Algorithms = []string{"none"} },
		`"HS256" is none of`: func(p *Provider) { p.Algorithms = []string{"RS256", "HS256"} },
		"name one":           func(p *Provider) { p.JWKSURL, p.JWKSFile = "https://a.example.com", "f" },
		"jwks_url: ":         func(p *Provider) { p.JWKSURL = "http://a.example.com/jwks" },
		"session: ":          func(p *Provider) { p.Session = "{repository" },
		"session: \"a b\"":   func(p *Provider) { p.Session = "a b" },
		"tags: ":             func(p *Provider) { p.Tags = map[string]string{"aws:x": "x"} },
		"rules: without":     func(p *Provider) { p.Rules = nil },
		"role \"\"":          func(p *Provider) { p.Rules[0].Role = "" },
		"with a value":       func(p *Provider) { p.Rules[0].Claims = nil },
		"every token":        func(p *Provider) { p.Rules[0].Claims = map[string]string{"repository": "*"} },
		"everybody may":      func(p *Provider) { p.Rules[0].Claims = map[string]string{"ref": "refs/heads/main"} },
		"no wildcard":        func(p *Provider) { p.Rules[0].Claims = map[string]string{"repository": "example*/app"} },
		"before its first":   func(p *Provider) { p.Rules[0].Claims = map[string]string{"repository": "*/app"} },
	} {
		p := good()
		change(&p)
		if err := CheckProviders([]Provider{p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := CheckProviders([]Provider{good(), good()}); err == nil || strings.Count(err.Error(), "twice") != 2 {
		t.Error(err)
	}
	local := good()
	local.Preset, local.Issuer = "", "http://[::1]:8080"
	ok(t, CheckProviders([]Provider{local}))
}

// TestRules: the first rule that fits holds, whatever a later one says.
// TestRuleBindsTenant: a repository may choose what its sub is put together of, so that a
// rule for a sub counts where it begins with whose it is.
func TestRuleBindsTenant(t *testing.T) {
	for _, c := range []struct {
		preset, claim, value string
		want                 bool
	}{
		{"github", "sub", "repo:example/app:ref:refs/tags/*", true},
		{"github", "sub", "repo:example/*", true},
		{"github", "sub", "environment:release", false},
		{"github", "sub", "environment:release/x", false},
		{"github", "sub", "ref:refs/heads/main", false},
		{"github", "sub", "repo:example", false},
		{"github", "sub", "repo:/app", false},
		{"github", "sub", "repo:*/app", false},
		{"github", "sub", "repo:example*/app", false},
		{"github", "sub", "repo:environment:release/x", false},
		{"github", "sub", "repo?example/app", false},
		{"github", "sub", "project_path:example/app:ref", false},
		{"github", "repository_owner", "example", true},
		{"github", "repository_id", "4711", true},
		{"github", "environment", "example/app", false},
		{"gitlab", "sub", "project_path:example/app:ref_type:tag:ref:*", true},
		{"gitlab", "sub", "project_path:example*:ref", false},
		{"gitlab", "sub", "repo:example/app", false},
		{"gitlab", "project_path", "example/app", true},
	} {
		p := Provider{Name: "ci", Preset: c.preset, Audiences: []string{"hsmgate"}, Rules: []ClaimRule{{Role: "release", Claims: map[string]string{c.claim: c.value}}}}
		err := CheckProviders([]Provider{p})
		if (err == nil) != c.want || err != nil && !strings.Contains(err.Error(), "and a sub begins with "+presets[c.preset].subject+"<owner>/") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	rule := func(role string, claims ...string) claimRule {
		r := claimRule{role: role, claims: map[string]policy.Like{}}
		for n := 0; n < len(claims); n += 2 {
			r.claims[claims[n]] = policy.NewLike(claims[n+1])
		}
		return r
	}
	p := &provider{rules: []claimRule{
		rule("main", "repository", "example/app", "ref", "refs/heads/main"), rule("any", "repository", "example/app"), rule("group", "groups", "ops"), rule("main", "groups", "ops"),
	}}
	for _, test := range []struct {
		claims map[string][]string
		named  string
		want   string
	}{
		{map[string][]string{"repository": {"example/app"}, "ref": {"refs/heads/main"}}, "", "main"},
		{map[string][]string{"repository": {"example/app"}, "ref": {"refs/heads/main"}}, "any", "any"},
		{map[string][]string{"repository": {"example/app"}, "ref": {"refs/heads/x"}}, "", "any"},
		{map[string][]string{"repository": {"example/app"}, "ref": {"refs/heads/x"}}, "main", ""},
		{map[string][]string{"groups": {"dev", "ops"}}, "", "group"},
		{map[string][]string{"groups": {"dev", "ops"}}, "main", "main"},
		{map[string][]string{"groups": {"dev ops"}}, "", ""},
		{map[string][]string{}, "", ""},
	} {
		role, found := p.role(test.claims, test.named)
		if role != test.want || found != (test.want != "") {
			t.Errorf("%v as %q: %q", test.claims, test.named, role)
		}
	}
}

func TestSessionNames(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"example/app": "example-app", "a b\nc": "a-b-c", "äx": "-x", "": "--", "a": "a-", strings.Repeat("x", 70) + "@7": strings.Repeat("x", 62) + "@7",
	} {
		name, err := sessionName("{sub}", map[string][]string{"sub": {given}})
		ok(t, err)
		equal(t, name, want)
	}
}
