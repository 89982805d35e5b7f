package identity

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// Provider is an issuer of OIDC tokens that is trusted, and the roles that its
// tokens have.
type Provider struct {
	// Name names the provider in the audit log: lower-case letters, digits and -.
	Name string `yaml:"name"`
	// Preset fills in what is not set here: github (GitHub Actions), gitlab (GitLab
	// CI/CD) or kubernetes (service accounts). docs/identity.md has them.
	Preset string `yaml:"preset"`
	// Issuer is the iss of its tokens, exactly: an https URL.
	Issuer string `yaml:"issuer"`
	// Audiences are those of which a token's aud has to have one.
	Audiences []string `yaml:"audiences"`
	// Algorithms are those that its tokens may be signed with: RS256, RS384, RS512,
	// PS256, PS384, PS512, ES256, ES384, ES512, EdDSA. Default RS256.
	Algorithms []string `yaml:"algorithms"`
	// JWKSURL is where its public keys are. Default: what
	// /.well-known/openid-configuration of the issuer names.
	JWKSURL string `yaml:"jwks_url"`
	// JWKSFile holds its public keys, for networks without a way to the provider.
	// It is read anew when it changes.
	JWKSFile string `yaml:"jwks_file"`
	// CAFile holds the CAs, PEM, that its https certificate may be of. Default:
	// those of the machine.
	CAFile string `yaml:"ca_file"`
	// Tags are those of the caller (aws:PrincipalTag), each with the claim that its
	// value is of.
	Tags map[string]string `yaml:"tags"`
	// Session names the caller's session: text with {claim} in it. A character that
	// no session may have becomes -, and of a long name the last 64 characters
	// stay. Default {sub}.
	Session string `yaml:"session"`
	// Rules give roles. The first whose claims all fit holds.
	Rules []ClaimRule `yaml:"rules"`
}

// ClaimRule gives a role to tokens.
type ClaimRule struct {
	// Role is the name of the role.
	Role string `yaml:"role"`
	// Claims are those that a token has to have, each with its value. * stands for any
	// characters and ? for one, but neither for a colon; a * alone is any value. Of
	// a claim with several values, one has to fit. A member of an object is
	// object/member.
	Claims map[string]string `yaml:"claims"`
}

// Pinned algorithms: none and those of shared secrets are not among them.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// provider is a Provider, ready for use.
type provider struct {
	Provider
	algorithms []jose.SignatureAlgorithm
	rules      []claimRule
	keys       keyFinder
}

type claimRule struct {
	role   string
	claims map[string]policy.Like
}

var (
	validProvider = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	validTemplate = regexp.MustCompile(`^([A-Za-z0-9_+=,.@-]|\{[^{}]+\})+$`)
)

// CheckProviders names everything that is wrong with the settings.
func CheckProviders(all []Provider) error {
	_, err := compileProviders(all)
	return err
}

func compileProviders(all []Provider) ([]*provider, error) {
	var made []*provider
	var problems []error
	names, issuers := make(map[string]bool), make(map[string]bool)
	for _, one := range all {
		p, wrong := one.compile()
		if names[p.Name] {
			wrong = append(wrong, fmt.Errorf("name: %q is there twice", p.Name))
		}
		if issuers[p.Issuer] {
			wrong = append(wrong, fmt.Errorf("issuer: %q is there twice: put the rules of one issuer into one list", p.Issuer))
		}
		names[p.Name], issuers[p.Issuer] = true, true
		for _, w := range wrong {
			problems = append(problems, fmt.Errorf("identity_providers: %q: %w", p.Name, w))
		}
		made = append(made, p)
	}
	return made, errors.Join(problems...)
}

// compile fills in the preset and checks.
func (c Provider) compile() (p *provider, problems []error) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	pre, ok := presets[c.Preset]
	if !ok {
		wrong("preset: %q is not github, gitlab or kubernetes", c.Preset)
	}
	p = &provider{Provider: c.with(pre)}
	if !validProvider.MatchString(p.Name) || p.Name == certificateProvider {
		wrong("name: lower-case letters, digits and -, at most 32, are asked for, and not %s", certificateProvider)
	}
	if err := checkURL(p.Issuer); err != nil {
		wrong("issuer: %w", err)
	}
	if len(p.Audiences) == 0 || slices.Contains(p.Audiences, "") {
		wrong("audiences: at least one is needed, such as hsmgate, and none is empty: a token for somebody else is not for this gateway")
	}
	for _, name := range p.Algorithms {
		if !slices.Contains(algorithms, jose.SignatureAlgorithm(name)) {
			wrong("algorithms: %q is none of %s", name, joined(algorithms))
		}
		p.algorithms = append(p.algorithms, jose.SignatureAlgorithm(name))
	}
	if p.JWKSURL != "" && p.JWKSFile != "" {
		wrong("jwks_url, jwks_file: name one")
	}
	if p.JWKSURL != "" {
		if err := checkURL(p.JWKSURL); err != nil {
			wrong("jwks_url: %w", err)
		}
	}
	if !validTemplate.MatchString(p.Session) {
		wrong("session: %q: letters, digits and _+=,.@- are asked for, and {claim}", p.Session)
	}
	for name, claim := range p.Tags {
		if checkTag(name, "") != nil || claim == "" {
			wrong("tags: %q: %q is not a tag with the claim that its value is of", name, claim)
		}
	}
	return p, append(problems, p.compileRules(pre)...)
}

// with fills in what is not set.
func (c Provider) with(pre preset) Provider {
	if c.Issuer == "" {
		c.Issuer = pre.issuer
	}
	if c.Session == "" {
		c.Session = pre.session
	}
	if c.Tags == nil {
		c.Tags = pre.tags
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{string(jose.RS256)}
	}
	return c
}

func (p *provider) compileRules(pre preset) (problems []error) {
	if len(p.Rules) == 0 {
		problems = append(problems, errors.New("rules: without any, no token has a role"))
	}
	for i, r := range p.Rules {
		made := claimRule{role: r.Role, claims: make(map[string]policy.Like, len(r.Claims))}
		bound, bare := false, true
		for name, value := range r.Claims {
			made.claims[name] = policy.NewLike(value)
			bare = bare && value == "*"
			bound = bound || pre.bindsTenant(name, value)
		}
		switch {
		case !validName.MatchString(r.Role):
			problems = append(problems, fmt.Errorf("rules: number %d: role %q is not the name of a role", i+1, r.Role))
		case bare:
			problems = append(problems, fmt.Errorf("rules: number %d: claims: at least one with a value is needed, or every token of the issuer has the role", i+1))
		case len(pre.tenants) > 0 && !bound:
			problems = append(problems, fmt.Errorf("rules: number %d: claims: everybody may have a token of this issuer: one of %s is needed, with no wildcard before its first /, and a sub begins with %s<owner>/", i+1, strings.Join(pre.tenants, ", "), pre.subject))
		}
		p.rules = append(p.rules, made)
	}
	return problems
}

func joined(list []jose.SignatureAlgorithm) string {
	return strings.Trim(fmt.Sprint(list), "[]")
}

// role finds the first rule that fits, of those for one role where that is named.
func (p *provider) role(claims map[string][]string, named string) (string, bool) {
	for _, r := range p.rules {
		if (named == "" || named == r.role) && r.fits(claims) {
			return r.role, true
		}
	}
	return "", false
}

func (r claimRule) fits(claims map[string][]string) bool {
	for name, want := range r.claims {
		if !slices.ContainsFunc(claims[name], want.Match) {
			return false
		}
	}
	return true
}
