package identity

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

const (
	audience   = "hsmgate"
	repository = "example/app"
	tag        = "refs/tags/v1.2.0"
)

// github is what an operator writes for GitHub, but for the issuer.
func github(s *identitytest.Issuer) Provider {
	return Provider{
		Name: "github", Preset: "github", Issuer: s.URL, Audiences: []string{"other", audience}, CAFile: s.CAFile,
		Rules: []ClaimRule{{Role: "deploy", Claims: map[string]string{"repository": "example/app", "ref": "refs/tags/*"}}},
	}
}

// trusting has the role deploy and these providers.
func trusting(t testing.TB, providers ...Provider) *Identities {
	t.Helper()
	i := withRole(t)
	ok(t, i.TrustProviders(providers, zap.NewNop()))
	return i
}

func TestWebIdentity(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	i := trusting(t, github(s))
	token := s.Token(identitytest.GitHub(s.URL, audience, repository, tag, now))
	role, proof, err := i.WebIdentity(t.Context(), token, "", now)
	ok(t, err)
	equal(t, role, "deploy")
	equal(t, proof.Session, "example-app@10516830201")
	equal(t, proof.Tags, map[string]string{"repository": repository, "repository_owner": "example"})
	equal(t, proof.Claims["job_workflow_ref"], []string{"example/app/.github/workflows/release.yml@" + tag})
	equal(t, proof.Claims["exp"], []string{"1772367000"})
	equal(t, proof.Provider+" "+proof.Subject, "github repo:example/app:ref:refs/tags/v1.2.0")
	equal(t, proof.Expires.UTC(), now.Add(11*time.Minute))

	p, err := i.WebPrincipal(t.Context(), token, now)
	ok(t, err)
	equal(t, p.ARN, "arn:aws:sts::123456789012:assumed-role/deploy/example-app@10516830201")
	equal(t, p.IdentityProvider+" "+p.IdentitySubject, "github repo:example/app:ref:refs/tags/v1.2.0")
	equal(t, policy.Evaluate(policy.Request{Principal: p, Action: "kms:Sign", KeyID: "key-1", ResourceARN: "arn:aws:kms:eu-central-1:123456789012:key/key-1"}).Allowed, true)

	// The same role by its ARN, and no other one.
	role, _, err = i.WebIdentity(t.Context(), token, i.RoleARN("deploy"), now)
	ok(t, err)
	equal(t, role, "deploy")
	for _, arn := range []string{i.RoleARN("other"), i.PrincipalARN("deploy"), "deploy", i.RoleARN(""), "arn:aws:iam::999999999999:role/deploy"} {
		_, _, err = i.WebIdentity(t.Context(), token, arn, now)
		is(t, err, ErrDenied)
		is(t, err, ErrToken)
	}
	// Without the role, the token is nobody's at once.
	ok(t, i.DeletePrincipal(t.Context(), i.RoleARN("deploy")))
	_, err = i.WebPrincipal(t.Context(), token, now)
	is(t, err, ErrToken)
}

// TestProviders: tokens as the three kinds of provider send them.
func TestProviders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		preset  string
		claims  func(issuer string) map[string]any
		rule    map[string]string
		session string
		tags    map[string]string
		claim   string
		value   []string
	}{
		{"github", func(s string) map[string]any { return identitytest.GitHub(s, audience, repository, tag, now) },
			map[string]string{"sub": "repo:example/app:ref:refs/tags/*", "runner_environment": "github-hosted"}, "example-app@10516830201",
			map[string]string{"repository": repository, "repository_owner": "example"}, "ref_protected", []string{"true"}},
		{"gitlab", func(s string) map[string]any {
			return identitytest.GitLab(s, audience, "example/tools/app", "main", now)
		},
			map[string]string{"project_path": "example/*", "ref_protected": "true", "groups_direct": "example/tools"}, "example-tools-app@302",
			map[string]string{"project_path": "example/tools/app", "namespace_path": "example"}, "groups_direct", []string{"example", "example/tools"}},
		{"kubernetes", func(s string) map[string]any { return identitytest.Kubernetes(s, audience, "build", "signer", now) },
			map[string]string{"kubernetes.io/namespace": "build", "kubernetes.io/serviceaccount/name": "signer"}, "build@signer",
			map[string]string{"namespace": "build", "serviceaccount": "signer"}, "kubernetes.io/pod/name", []string{"signer-69cbfb9798-jv9gn"}},
	} {
		t.Run(test.preset, func(t *testing.T) {
			t.Parallel()
			s := identitytest.NewIssuer(t)
			p := Provider{Name: "p", Preset: test.preset, Issuer: s.URL, Audiences: []string{audience}, Algorithms: []string{"RS256", "ES256"},
				Rules: []ClaimRule{{Role: "deploy", Claims: test.rule}}}
			i := trusting(t, p)
			for _, kid := range []string{"rsa", "ec"} {
				_, proof, err := i.WebIdentity(t.Context(), s.Sign(kid, test.claims(s.URL), nil), "", now)
				ok(t, err)
				equal(t, proof.Session, test.session)
				equal(t, proof.Tags, test.tags)
				equal(t, proof.Claims[test.claim], test.value)
				_, err = i.Assume("deploy", proof, now)
				ok(t, err)
			}
		})
	}
}

// TestRefusedTokens: each is refused, and the text for the log says why without
// the token.
func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	s, other := identitytest.NewIssuer(t), identitytest.NewIssuer(t)
	for kid, algorithm := range map[string]jose.SignatureAlgorithm{"ed": jose.EdDSA, "p384": jose.ES384, "twin": jose.RS256} {
		s.AddKey(kid, algorithm)
	}
	s.Publish("twin", other.Public("rsa"), jose.RS256)
	s.Publish("secret", []byte(strings.Repeat("k", 32)), jose.HS256)
	s.AddHiddenKey("hidden", jose.RS256)
	second := github(other)
	second.Name = "second"
	i := trusting(t, github(s), second)

	good := identitytest.GitHub(s.URL, audience, repository, tag, now)
	with := func(name string, value any) map[string]any {
		c := maps.Clone(good)
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	publicPEM, err := x509.MarshalPKIXPublicKey(s.Public("rsa"))
	ok(t, err)
	asSecret := func(key []byte) string {
		return identitytest.Sign(t, jose.HS256, key, good, (&jose.SignerOptions{}).WithHeader("kid", "rsa").WithType("JWT"))
	}
	none := func(algorithm string) string {
		text, err := json.Marshal(good)
		ok(t, err)
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+algorithm+`","kid":"rsa"}`)) + "." + base64.RawURLEncoding.EncodeToString(text) + "."
	}
	token := s.Token(good)
	head, tail, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(tail, ".")
	at := now.Unix()

	for _, test := range []struct{ name, token, why string }{
		{"none", none("none"), `algorithm "none"`},
		{"None", none("NoNe"), `algorithm "NoNe"`},
		{"no algorithm", none(""), `algorithm ""`},
		{"wrong audience", s.Token(with("aud", "sts.amazonaws.com")), "audience"},
		{"audience in another case", s.Token(with("aud", "HSMGATE")), "audience"},
		{"no audience", s.Token(with("aud", nil)), "audience"},
		{"no audience in the list", s.Token(with("aud", []string{})), "audience"},
		{"wrong issuer", s.Token(with("iss", "https://issuer.example.com")), "none that is trusted"},
		{"issuer with a slash", s.Token(with("iss", s.URL+"/")), "none that is trusted"},
		{"no issuer", s.Token(with("iss", nil)), "none that is trusted"},
		{"expired", s.Token(with("exp", at-61)), "it was good until 2026-03-01T11:58:59Z"},
		{"not yet valid", s.Token(with("nbf", at+61)), "not valid yet"},
		{"issued in the future", s.Token(with("iat", at+61)), "in the future"},
		{"no exp", s.Token(with("exp", nil)), "never expires"},
		{"exp is null", s.Sign("rsa", strings.Replace(string(marshal(t, good)), `"exp":1772367000`, `"exp":null`, 1), nil), "never expires"},
		{"exp is text", s.Token(with("exp", "1772367000")), "cannot be read"},
		{"exp is too large", s.Sign("rsa", strings.Replace(string(marshal(t, good)), `"exp":1772367000`, `"exp":1e300`, 1), nil), "cannot be read"},
		{"no subject", s.Token(with("sub", nil)), "no subject"},
		{"unknown kid", s.Sign("hidden", good, nil), "no such key"},
		{"no kid", s.Sign("rsa", good, map[string]any{"kid": ""}), "no such key"},
		{"two keys of one kid", s.Sign("twin", good, nil), "several keys"},
		{"another key of the provider", s.Sign("hidden", good, map[string]any{"kid": "rsa"}), "signature is wrong"},
		{"public key as secret, DER", asSecret(publicPEM), `algorithm "HS256"`},
		{"public key as secret, PEM", asSecret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicPEM})), `algorithm "HS256"`},
		{"secret in the key set", identitytest.Sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), good, (&jose.SignerOptions{}).WithHeader("kid", "secret")), `algorithm "HS256"`},
		{"another provider's key", other.Token(good), "signature is wrong"},
		{"another provider's claims", s.Token(with("iss", other.URL)), "signature is wrong"},
		{"crit", s.Sign("rsa", good, map[string]any{"crit": []string{"exp"}}), "crit"},
		{"b64", s.Sign("rsa", good, map[string]any{"b64": true}), "crit or b64"},
		{"type", s.Sign("rsa", good, map[string]any{"typ": "logout+jwt"}), "type"},
		{"type is no text", s.Sign("rsa", good, map[string]any{"typ": 7}), "type"},
		{"EdDSA", s.Sign("ed", good, nil), "algorithm EdDSA is not among RS256"},
		{"ES384", s.Sign("p384", good, nil), "algorithm ES384 is not among RS256"},
		{"RS512 by the same key", identitytest.Sign(t, jose.RS512, s.Private("rsa"), good, (&jose.SignerOptions{}).WithHeader("kid", "rsa")), "algorithm RS512"},
		{"RS256 by an EC key", s.Sign("hidden", good, map[string]any{"kid": "ec"}), "the key is for"},
		{"huge", s.Token(with("x", strings.Repeat("x", maxJWT))), "bytes, more than"},
		{"other repository", s.Token(identitytest.GitHub(s.URL, audience, "example/app2", tag, now)), "no rule fits"},
		{"branch", s.Token(identitytest.GitHub(s.URL, audience, repository, "refs/heads/main", now)), "no rule fits"},
		{"wildcard in a claim", s.Token(identitytest.GitHub(s.URL, audience, "*", tag, now)), "no rule fits"},
		{"claim in another case", s.Token(renamed(good, "repository", "Repository")), "no rule fits"},
		{"no repository", s.Token(with("repository", nil)), "no rule fits"},
		{"repository is a list", s.Token(with("repository", []string{repository, "example/other"})), "several times"},
		{"claim twice", s.Sign("rsa", strings.Replace(string(marshal(t, good)), "{", `{"repository":"example/other",`, 1), nil), "cannot be read"},
		{"claim twice, by an object", s.Token(with("a", map[string]any{"b/c": 1, "b": map[string]any{"c": 2}})), "is there twice"},
		{"deep objects", s.Token(with("a", nested(maxDepth))), "within each other"},
		{"a tag that cannot be", s.Token(with("repository_owner", "a\nb")), "repository_owner"},
		{"a long tag", s.Token(with("repository_owner", strings.Repeat("x", 257))), "repository_owner"},
		{"no session", s.Token(with("run_id", nil)), "run_id"},
		{"header alone", head + "..", "cannot be read"},
		{"no signature", head + "." + body + ".", "signature is wrong"},
		{"signature of zeros", head + "." + body + "." + strings.Repeat("A", len(signature)), "signature is wrong"},
		{"other claims", head + "." + base64.RawURLEncoding.EncodeToString(marshal(t, with("ref", "refs/tags/v9"))) + "." + signature, "signature is wrong"},
		{"claims are a list", s.Sign("rsa", "[]", nil), "cannot be read"},
		{"claims are no JSON", s.Sign("rsa", "{", nil), "cannot be read"},
		{"claims and more", s.Sign("rsa", string(marshal(t, good))+"{}", nil), "cannot be read"},
		{"JSON form", `{"payload":"` + body + `","protected":"` + head + `","signature":"` + signature + `"}`, "not a signed JWT"},
		{"padding", head + "=." + body + "." + signature, "not a signed JWT"},
		{"encrypted", head + "." + body + "." + signature + "." + body + "." + signature, "not a signed JWT"},
		{"dots", "..", `algorithm ""`},
		{"empty", "", "not a signed JWT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := i.WebIdentity(t.Context(), test.token, "", now)
			is(t, err, ErrToken)
			if !strings.Contains(err.Error(), test.why) {
				t.Errorf("%v does not say %q", err, test.why)
			}
			for part := range strings.SplitSeq(test.token, ".") {
				if len(part) > 20 && strings.Contains(err.Error(), part[:20]) {
					t.Errorf("%v holds a part of the token", err)
				}
			}
		})
	}
	_, _, err = i.WebIdentity(t.Context(), token, "", now)
	ok(t, err) // all of that was refused for its own reason
}

// TestClockSkew: a minute, and no more.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	s := identitytest.NewIssuer(t)
	i := trusting(t, github(s))
	claims := identitytest.GitHub(s.URL, audience, repository, tag, now)
	claims["nbf"], claims["iat"], claims["exp"] = now.Unix(), now.Unix(), now.Add(time.Minute).Unix()
	token := s.Token(claims)
	for after, want := range map[time.Duration]error{0: nil, -61 * time.Second: ErrToken, -60 * time.Second: nil, 119 * time.Second: nil, 121 * time.Second: ErrToken} {
		if _, err := i.WebPrincipal(t.Context(), token, now.Add(after)); (err == nil) != (want == nil) {
			t.Errorf("after %s: %v", after, err)
		}
	}
}

// TestHeadersThatNameKeys: keys and places in the header are as if they were not there.
func TestHeadersThatNameKeys(t *testing.T) {
	t.Parallel()
	s, evil := identitytest.NewIssuer(t), identitytest.NewIssuer(t)
	i := trusting(t, github(s))
	claims := identitytest.GitHub(s.URL, audience, repository, tag, now)
	for name, value := range map[string]any{
		"jwk": jose.JSONWebKey{Key: evil.Public("rsa"), KeyID: "rsa", Algorithm: "RS256"}, "jku": evil.URL + "/jwks", "x5u": evil.URL + "/jwks",
	} {
		_, _, err := i.WebIdentity(t.Context(), evil.Sign("rsa", claims, map[string]any{name: value}), "", now)
		is(t, err, ErrToken)
		_, _, err = i.WebIdentity(t.Context(), s.Sign("rsa", claims, map[string]any{name: value}), "", now)
		ok(t, err)
	}
	equal(t, evil.Asked.Load(), 0)
}

func TestIsJWT(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]bool{"a.b.c": true, "a.b.": true, "..": true, "": false, "a.b": false, "a.b.c.d.e": false, "hsmgate_aaaa_bbbb": false} {
		equal(t, IsJWT(token), want)
	}
}

// FuzzWebIdentity: no text is accepted but what the issuer signed, and none panics.
func FuzzWebIdentity(f *testing.F) {
	s := identitytest.NewIssuer(f)
	i := trusting(f, github(s))
	claims := identitytest.GitHub(s.URL, audience, repository, tag, now)
	good := s.Token(claims)
	_, _, err := i.WebIdentity(f.Context(), good, "", now)
	ok(f, err)
	f.Add(good, []byte(nil))
	f.Add(s.Sign("ec", claims, nil), []byte(`{"a":{"b":[1,true,null,"x",{}]},"a/b":2}`))
	f.Add("..", []byte(`{"exp":1e400}`))
	f.Add(strings.Replace(good, "e", "f", 1), []byte(`[]`))
	want, err := claimsOf(marshal(f, claims))
	ok(f, err)
	f.Fuzz(func(t *testing.T, token string, payload []byte) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nothing is fetched
		if _, proof, err := i.WebIdentity(ctx, token, "", now); err == nil {
			equal(t, proof.Claims, want)
		}
		if claims, err := claimsOf(payload); err == nil {
			for name, values := range claims {
				if len(values) == 0 {
					t.Errorf("claim %q has no value", name)
				}
			}
			if name, err := sessionName("{sub}@{run_id}", claims); err == nil && !validSession.MatchString(name) {
				t.Errorf("session %q", name)
			}
		}
	})
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	ok(t, err)
	return text
}

func renamed(claims map[string]any, from, to string) map[string]any {
	c := maps.Clone(claims)
	c[to] = c[from]
	delete(c, from)
	return c
}

func nested(n int) any {
	if n == 0 {
		return "x"
	}
	return map[string]any{"a": nested(n - 1)}
}

func writeFile(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	ok(t, os.WriteFile(path, text, 0o600))
	return path
}
