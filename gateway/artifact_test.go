package gateway_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/gatewaytest"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/identity/identitytest"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// stated are the members that say what a signature is for.
func stated(name string, context map[string]string) map[string]any {
	return map[string]any{"SigningContext": context, "Artifact": map[string]any{"Name": name, "Version": "1.2",
		"Digest": "sha256:" + strings.Repeat("0a", sha256.Size)}}
}

// TestPolicyAsksWhatASignatureIsFor: its artifact and its context, and denies calls
// that state none; every record has them.
func TestPolicyAsksWhatASignatureIsFor(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	a.attach(a.user, "packages", statement("Allow", "", "kms:Sign", `{"StringLike":{"hsmgate:ArtifactName":"example-*"},"StringEquals":{"hsmgate:SigningContext:stage":"nightly"},
		"ForAllValues:StringEquals":{"hsmgate:SigningContextKeys":["stage","run"]},"Null":{"hsmgate:SigningContextKeys":"false"}}`))
	a.attach(a.other, "release", statement("Allow", "", "kms:*", `{"StringEquals":{"hsmgate:ArtifactVersion":"1.2","hsmgate:ArtifactDigest":"sha256:`+strings.Repeat("0a", sha256.Size)+`"}}`))
	nightly := map[string]string{"stage": "nightly", "run": "7"}
	a.allowed("as stated", a.signWith(a.user, a.signing, stated("example-tool", nightly)), "policy/packages/1")
	a.allowed("by version and digest", a.signWith(a.other, a.signing, stated("x", nil)), "policy/release/1")
	last := a.Records()[len(a.Records())-2]
	if !maps.Equal(last.SigningContext, nightly) || last.ArtifactName != "example-tool" || last.ArtifactVersion != "1.2" || last.ArtifactDigest != "sha256:"+strings.Repeat("0a", 32) {
		t.Errorf("%+v", last)
	}
	if last.Digest != named(sha256.Sum256([]byte("m"))) {
		t.Errorf("the digest of what was signed: %s", last.Digest)
	}
	why := "because no identity-based policy allows the kms:Sign action"
	for what, more := range map[string]map[string]any{
		"another artifact": stated("other-tool", nightly),
		"no artifact":      {"SigningContext": nightly},
		"another stage":    stated("example-tool", map[string]string{"stage": "release"}),
		"a further pair":   stated("example-tool", map[string]string{"stage": "nightly", "more": ""}),
		"no context":       stated("example-tool", nil),
		"nothing":          {},
	} {
		a.denied(what, a.signWith(a.user, a.signing, more), why)
		want, _ := more["SigningContext"].(map[string]string)
		if r := a.Records(); r[len(r)-1].Outcome != "denied" || !maps.Equal(r[len(r)-1].SigningContext, want) {
			t.Errorf("%s: %+v", what, r[len(r)-1])
		}
	}
	a.denied("nothing stated", a.sign(a.other), why)
	dry := stated("example-tool", nightly)
	dry["DryRun"] = true
	refusal(t, a.signWith(a.user, a.signing, dry), 412, api.DryRunOperation)
	dry = stated("other-tool", nightly)
	dry["DryRun"] = true
	a.denied("a dry run", a.signWith(a.user, a.signing, dry), why)
}

func named(sum [sha256.Size]byte) string { return "sha256:" + hexOf(sum[:]) }

// TestFileStatesItsArtifact: in the query of a raw body, as in JSON.
func TestFileStatesItsArtifact(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	path := "/v1/keys/" + a.signing + "/sign?Artifact.Name=example%20tool&Artifact.Version=1.2&Artifact.Digest=sha512:" + strings.Repeat("0a", sha512.Size) +
		"&SigningContext.stage=nightly&SigningContext.a.b=c%3Dd"
	for _, method := range []string{"PUT", "POST"} {
		decodeTo(t, a.Send(a.Admin.Token, method, path, "a file"), &struct{}{})
		r := a.Records()[len(a.Records())-1]
		if r.ArtifactName != "example tool" || r.ArtifactVersion != "1.2" || !strings.HasPrefix(r.ArtifactDigest, "sha512:0a") ||
			!maps.Equal(r.SigningContext, map[string]string{"stage": "nightly", "a.b": "c=d"}) || r.Outcome != "allowed" {
			t.Errorf("%s: %+v", method, r)
		}
	}
	for query, want := range map[string]string{
		"Artifact.Name=a&Artifact.Name=b":               "Artifact.Name stands in the query 2 times",
		"Artifact={}":                                   "Artifact stands in the query with one parameter for each of its members",
		"SigningContext=x":                              "SigningContext stands in the query with one parameter for each",
		"Artifact.Colour=red":                           `no member \"Artifact.Colour\"`,
		"Colour.Artifact=red":                           `no member \"Colour.Artifact\"`,
		"SigningAlgorithm.x=1":                          `no member \"SigningAlgorithm.x\"`,
		"Artifact.Digest=sha256:0A":                     "'artifact.digest' failed to satisfy constraint",
		"Artifact.Name=a%0Ab":                           "'artifact.name' failed to satisfy constraint",
		"SigningContext.a=" + strings.Repeat("x", 8192): "'signingContext' failed to satisfy constraint: Member must have at most 8192 bytes in all",
	} {
		got := a.Send(a.Admin.Token, "PUT", "/v1/keys/"+a.signing+"/sign?"+query, "a file")
		if got.Status != 400 || !strings.Contains(string(got.Body), want) {
			t.Errorf("%.60s: %d %s, want %s", query, got.Status, got.Body, want)
		}
	}
}

// TestArtifactBounds: what a caller states is bounded and printable.
func TestArtifactBounds(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	with := func(member string, value any) gatewaytest.Answer {
		return a.signWith(a.Admin, a.signing, map[string]any{"Artifact": map[string]any{member: value}})
	}
	for _, good := range []struct{ member, value string }{
		{"Name", strings.Repeat("ü", 256)}, {"Version", strings.Repeat("1", 128)}, {"Name", "a/b@1 (~>日本)"},
		{"Digest", "sha384:" + strings.Repeat("f", 96)}, {"Digest", ""},
	} {
		if got := with(good.member, good.value); got.Status != 200 {
			t.Errorf("%s %q: %s", good.member, good.value, got.Body)
		}
	}
	for _, bad := range []struct {
		member string
		value  any
	}{
		{"Name", strings.Repeat("a", 257)}, {"Version", strings.Repeat("1", 129)}, {"Name", "a\u202eb"}, {"Name", "a\tb"}, {"Version", "\u0000"},
		{"Digest", strings.Repeat("0", 64)}, {"Digest", "sha256:" + strings.Repeat("0", 63)}, {"Digest", "md5:00"}, {"Digest", "sha256:" + strings.Repeat("0", 96)},
		{"Name", 1}, {"Colour", "red"},
	} {
		if got := with(bad.member, bad.value); got.Status != 400 || !strings.Contains(strings.ToLower(string(got.Body)), "artifact."+strings.ToLower(bad.member)) {
			t.Errorf("%s %q: %d %s", bad.member, bad.value, got.Status, got.Body)
		}
	}
	refusal(t, a.signWith(a.Admin, a.signing, map[string]any{"Artifact": "a"}), 400, api.Serialization)
	refusal(t, a.signWith(a.Admin, a.signing, map[string]any{"SigningContext": []string{"a"}}), 400, api.Serialization)
}

// TestGrantConstraintsAreForEncryption: what a caller states of a signature does
// not stand for an encryption context.
func TestGrantConstraintsAreForEncryption(t *testing.T) {
	t.Parallel()
	a := newAsked(t, gatewaytest.Options{})
	pairs := map[string]string{"tenant": "one"}
	a.grant(a.sealing, map[string]any{"GranteePrincipal": a.user.ARN, "Operations": []string{"Encrypt"}, "Constraints": map[string]any{"EncryptionContextSubset": pairs}})
	refusal(t, a.Send(a.user.Token, "POST", "/v1/keys/"+a.sealing+"/encrypt", map[string]any{"Plaintext": []byte("m"), "SigningContext": pairs}), 400, api.Serialization)
	a.denied("without a context", a.encryptWith(a.user, nil), "")
	var last audit.Record
	for _, r := range a.Records() {
		last = r
	}
	if last.SigningContext != nil || last.ArtifactName != "" {
		t.Errorf("%+v", last)
	}
}

// TestStatedAndProven are kept apart in the record: what the caller says of where an
// artifact comes from, and what its identity token proves.
func TestStatedAndProven(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0a", 20)
	issuer := identitytest.NewIssuer(t)
	g := gatewaytest.NewWith(t, gatewaytest.Options{Providers: []identity.Provider{{
		Name: "ci", Issuer: issuer.URL, Audiences: []string{"hsmgate"}, Rules: []identity.ClaimRule{{Role: "release", Claims: map[string]string{"plan": "release"}}}}}})
	_, err := g.Identities.CreateRole(t.Context(), "release", policy.RoleAdministrator, nil, g.Now())
	noError(t, err)
	id := g.CreateKey(api.P256, api.SignVerify).KeyId
	stated := map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256",
		"Artifact": api.Artifact{Name: "app", Repository: "example/other", Commit: commit, Run: "run 1"}}
	for name, claims := range map[string]map[string]any{
		"github": {"repository": "example/app", "sha": "c0ffee", "run_id": "7", "workflow_ref": "example/app/.github/workflows/release.yml@refs/tags/v1"},
		"gitlab": {"project_path": "example/app", "sha": "c0ffee", "pipeline_id": "7", "ci_config_ref_uri": "gitlab.example.com/example/app//.gitlab-ci.yml@refs/tags/v1"},
		"none":   {},
	} {
		for claim, value := range map[string]any{"iss": issuer.URL, "sub": name, "aud": "hsmgate", "exp": g.Now().Add(time.Hour).Unix(), "plan": "release"} {
			claims[claim] = value
		}
		token := issuer.Token(claims)
		var session api.AssumeRoleWithWebIdentityResponse
		decodeTo(t, g.Send(token, "POST", "/v1/sessions", nil), &session)
		for _, bearer := range []string{token, session.BearerToken} {
			decodeTo(t, g.Send(bearer, "POST", "/v1/keys/"+id+"/sign", stated), &struct{}{})
			r := g.Records()[len(g.Records())-1]
			if r.ArtifactRepo != "example/other" || r.ArtifactCommit != commit || r.ArtifactRun != "run 1" {
				t.Errorf("%s, stated: %+v", name, r)
			}
			want := [4]string{}
			if name != "none" {
				want = [4]string{"example/app", "c0ffee", "7", fmt.Sprint(claims["workflow_ref"])}
			}
			if name == "gitlab" {
				want[3] = fmt.Sprint(claims["ci_config_ref_uri"])
			}
			if got := [4]string{r.ProvenRepo, r.ProvenCommit, r.ProvenRun, r.ProvenWorkflow}; got != want {
				t.Errorf("%s, proven: %q, want %q", name, got, want)
			}
		}
	}
	for name, value := range map[string]string{"Repository": "a\nb", "Commit": "main", "Run": strings.Repeat("x", 257)} {
		refusal(t, g.Send(g.Admin.Token, "POST", "/v1/keys/"+id+"/sign", map[string]any{"Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256",
			"Artifact": map[string]any{name: value}}), 400, api.Validation)
	}
	a := newAsked(t, gatewaytest.Options{})
	a.attach(a.user, "packages", statement("Allow", "", "kms:Sign", `{"StringEquals":{"hsmgate:ArtifactRepository":"example/app","hsmgate:ArtifactCommit":"`+commit+`","hsmgate:ArtifactRun":"7"}}`))
	with := func(run string) map[string]any {
		return map[string]any{"Artifact": api.Artifact{Repository: "example/app", Commit: commit, Run: run}}
	}
	a.allowed("as stated", a.signWith(a.user, a.signing, with("7")), "policy/packages/1")
	a.denied("another run", a.signWith(a.user, a.signing, with("8")), "because no identity-based policy allows the kms:Sign action")
}
