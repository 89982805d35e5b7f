package identity

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

const deploySession = "arn:aws:sts::123456789012:assumed-role/deploy/run-7"

// withRole has the role deploy, of key-1, with tags and a policy.
func withRole(t testing.TB) *Identities {
	t.Helper()
	i, _, _ := newIdentities(t)
	role, err := i.CreateRole(t.Context(), "deploy", policy.RoleUser, []string{"key-1"}, now)
	ok(t, err)
	equal(t, role.ARN, "arn:aws:iam::123456789012:role/deploy")
	ok(t, i.PutPolicy(t.Context(), "p", `{"Statement": {"Effect": "Allow", "Action": "kms:Sign", "Resource": "*"}}`, now))
	ok(t, i.AttachPolicy(t.Context(), role.ARN, "p"))
	ok(t, i.TagPrincipal(t.Context(), role.ARN, []store.Tag{{Name: "Team", Value: "core"}, {Name: "tier", Value: "1"}}, nil))
	return i
}

func TestAssume(t *testing.T) {
	t.Parallel()
	i := withRole(t)
	proof := Proof{
		Session: "run-7", Tags: map[string]string{"team": "web", "branch": "main"}, Claims: map[string][]string{"sub": {"repo:x"}},
		CertificateSubject: "CN=x", CertificateSANs: []string{"dns:x"}, Expires: now.Add(time.Minute),
	}
	p, err := i.Assume("deploy", proof, now)
	ok(t, err)
	equal(t, len(p.Policies), 1)
	if !regexp.MustCompile(`^AROA[A-Z2-7]{17}:run-7$`).MatchString(p.ID) {
		t.Errorf("id %q", p.ID)
	}
	p.Policies, p.ID = nil, ""
	equal(t, p, policy.Principal{ARN: deploySession, Role: policy.RoleUser, Keys: map[string]bool{"key-1": true},
		Tags: map[string]string{"team": "web", "branch": "main", "tier": "1"}, Claims: proof.Claims, CertificateSubject: "CN=x", CertificateSANs: []string{"dns:x"}})
	plain, err := i.Assume("deploy", Proof{Session: "run-7"}, now)
	ok(t, err)
	equal(t, plain.Tags, map[string]string{"Team": "core", "tier": "1"}) // one session leaves nothing to the next

	refused := func(role string, p Proof, want error) {
		t.Helper()
		got, err := i.Assume(role, p, now)
		is(t, err, want)
		equal(t, got.ARN, "")
	}
	refused("none", Proof{Session: "run-7"}, ErrUnknown)
	refused("ci", Proof{Session: "run-7"}, ErrUnknown) // a user
	refused("", Proof{Session: "run-7"}, ErrUnknown)
	refused("deploy", Proof{Session: "run-7", Expires: now}, ErrExpired)
	for _, name := range []string{"", "a", strings.Repeat("n", 65), "a b", "a/b", "a*", "a:b", "ab\n", "ää"} {
		refused("deploy", Proof{Session: name}, ErrInvalid)
	}
	many := map[string]string{}
	for n := range maxTags + 1 {
		many[strings.Repeat("n", n+1)] = ""
	}
	for _, tags := range []map[string]string{{"": "x"}, {"aws:x": "x"}, {"x": "\x00"}, {"a": "1", "A": "2"}, many} {
		refused("deploy", Proof{Session: "run-7", Tags: tags}, ErrInvalid)
	}
	ok(t, i.DeletePrincipal(t.Context(), i.RoleARN("deploy")))
	refused("deploy", Proof{Session: "run-7"}, ErrUnknown)
}

// TestRolesHaveNoCredentials: nor can a role have the name of somebody else.
func TestRolesHaveNoCredentials(t *testing.T) {
	t.Parallel()
	i := withRole(t)
	_, err := i.IssueBearer(t.Context(), i.RoleARN("deploy"), time.Hour, now)
	is(t, err, ErrInvalid)
	_, _, err = i.IssueAccessKey(t.Context(), i.RoleARN("deploy"), time.Hour, now)
	is(t, err, ErrInvalid)
	if !strings.Contains(err.Error(), "is a role, which has no credentials of its own") {
		t.Error(err)
	}
	_, err = i.CreateRole(t.Context(), "ci", policy.RoleUser, nil, now)
	is(t, err, store.ErrExists)
	_, err = i.CreatePrincipal(t.Context(), "deploy", policy.RoleUser, nil, now)
	is(t, err, store.ErrExists)
	_, err = i.CreateRole(t.Context(), "a/b", policy.RoleUser, nil, now)
	is(t, err, ErrInvalid)
	for arn, want := range map[string]string{
		i.RoleARN("deploy"): "deploy", i.PrincipalARN("ci"): "", i.RoleARN("a/b"): "", i.RoleARN(""): "", "": "", "arn:aws:iam::999999999999:role/deploy": "",
	} {
		if name, ok := i.RoleName(arn); ok != (want != "") || ok && name != want {
			t.Errorf("%s: %q %v", arn, name, ok)
		}
	}
}
