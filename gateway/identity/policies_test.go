package identity

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

const mayDescribe = `{"Version":"2012-10-17","Statement":{"Sid":"look","Effect":"Allow","Action":"kms:DescribeKey","Resource":"*",
	"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}}`

// TestPoliciesReachTheNextRequest: attached, tagged, replaced, detached.
func TestPoliciesReachTheNextRequest(t *testing.T) {
	t.Parallel()
	i, _, _ := newIdentities(t)
	ctx, now := t.Context(), time.Now()
	p, err := i.CreatePrincipal(ctx, "new", policy.RoleUser, nil, now)
	ok(t, err)
	token, err := i.IssueBearer(ctx, p.ARN, time.Hour, now)
	ok(t, err)
	decide := func() policy.Decision {
		t.Helper()
		p, err := i.Bearer(token, now)
		ok(t, err)
		return policy.Evaluate(policy.Request{Principal: p, Action: "kms:DescribeKey", KeyID: "k", ResourceARN: "arn:aws:kms:r:" + account + ":key/k", Time: now})
	}
	if decide().Allowed {
		t.Error("allowed without a policy")
	}
	ok(t, i.PutPolicy(ctx, "look", mayDescribe, now))
	ok(t, i.AttachPolicy(ctx, p.ARN, "look"))
	ok(t, i.AttachPolicy(ctx, p.ARN, "look"))
	if decide().Allowed {
		t.Error("allowed without the tag")
	}
	ok(t, i.TagPrincipal(ctx, p.ARN, []store.Tag{{Name: "Team", Value: "blue"}}, nil))
	ok(t, i.TagPrincipal(ctx, p.ARN, []store.Tag{{Name: "team", Value: "red"}}, nil))
	if d := decide(); !d.Allowed || d.Statement != "policy/look/look" {
		t.Errorf("%+v", d)
	}
	ok(t, i.TagPrincipal(ctx, p.ARN, nil, []string{"team"}))
	if decide().Allowed {
		t.Error("allowed when the tag is gone")
	}
	ok(t, i.TagPrincipal(ctx, p.ARN, []store.Tag{{Name: "team", Value: "red"}}, nil))
	ok(t, i.PutPolicy(ctx, "look", `{"Statement":{"Effect":"Deny","Action":"kms:*","Resource":"*"}}`, now))
	if d := decide(); d.Allowed || d.Statement != "policy/look/1" {
		t.Errorf("%+v", d)
	}
	if err := i.DeletePolicy(ctx, "look"); !errors.Is(err, store.ErrState) {
		t.Error(err)
	}
	ok(t, i.DetachPolicy(ctx, p.ARN, "look"))
	if err := i.DetachPolicy(ctx, p.ARN, "look"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	ok(t, i.DeletePolicy(ctx, "look"))
}

func TestPoliciesRefuse(t *testing.T) {
	t.Parallel()
	i, _, _ := newIdentities(t)
	ctx, now := t.Context(), time.Now()
	p, err := i.CreatePrincipal(ctx, "new", policy.RoleUser, nil, now)
	ok(t, err)
	for name, text := range map[string]string{"a b": mayDescribe, "": mayDescribe, "ok": `{"Statement":[]}`} {
		if err := i.PutPolicy(ctx, name, text, now); err == nil {
			t.Errorf("%q %s is accepted", name, text)
		}
	}
	for n := range maxPolicies + 1 {
		name := fmt.Sprint("p", n)
		ok(t, i.PutPolicy(ctx, name, mayDescribe, now))
		if err := i.AttachPolicy(ctx, p.ARN, name); (err == nil) != (n < maxPolicies) {
			t.Errorf("policy %d: %v", n, err)
		}
	}
	if err := i.AttachPolicy(ctx, p.ARN+"x", "p0"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	for _, tag := range []store.Tag{{Name: ""}, {Name: "aws:x"}, {Name: "a\n"}, {Name: "a", Value: "*"}} {
		if err := i.TagPrincipal(ctx, p.ARN, []store.Tag{tag}, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", tag, err)
		}
	}
}

// TestChangesOfTwoProcessesAddUp: what one has taken away, the other does not bring
// back, which has not heard of it.
func TestChangesOfTwoProcessesAddUp(t *testing.T) {
	t.Parallel()
	path, ctx := filepath.Join(t.TempDir(), "hsmgate.db"), t.Context()
	one, err := New(openStore(t, path), seal, account)
	ok(t, err)
	p, err := one.CreatePrincipal(ctx, "p", policy.RoleUser, nil, now)
	ok(t, err)
	for _, name := range []string{"a", "b"} {
		ok(t, one.PutPolicy(ctx, name, mayDescribe, now))
	}
	ok(t, one.AttachPolicy(ctx, p.ARN, "a"))
	ok(t, one.TagPrincipal(ctx, p.ARN, []store.Tag{{Name: "a", Value: "1"}}, nil))
	two, err := New(openStore(t, path), seal, account)
	ok(t, err)
	ok(t, one.DetachPolicy(ctx, p.ARN, "a"))
	ok(t, two.AttachPolicy(ctx, p.ARN, "b"))
	ok(t, two.TagPrincipal(ctx, p.ARN, []store.Tag{{Name: "b", Value: "2"}}, nil))
	ok(t, one.TagPrincipal(ctx, p.ARN, nil, []string{"a"}))
	got := one.Principals()[0]
	if !slices.Equal(got.Policies, []string{"b"}) || !slices.Equal(got.Tags, []store.Tag{{Name: "b", Value: "2"}}) {
		t.Errorf("%v %v", got.Policies, got.Tags)
	}
	is(t, two.DetachPolicy(ctx, p.ARN, "a"), store.ErrNotFound)
}
