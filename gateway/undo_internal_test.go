package gateway

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TestUndo: what a call changed is as before when its record cannot be kept.
func TestUndo(t *testing.T) {
	t.Parallel()
	s := changeableService(t)
	s.quotas = s.quotas.withDefaults()
	text := "another"
	for name, in := range map[string]any{
		"UpdateKeyDescription": &api.UpdateKeyDescriptionRequest{Description: &text},
		"TagResource":          &api.TagResourceRequest{Tags: []api.Tag{{TagKey: "a", TagValue: "2"}, {TagKey: "b"}}},
		"UntagResource":        &api.UntagResourceRequest{TagKeys: []string{"a"}},
		"DisableKey":           &api.DisableKeyRequest{},
		"ScheduleKeyDeletion":  &api.ScheduleKeyDeletionRequest{},
	} {
		before, _ := s.store.Key(testNames.Region, ownKey)
		if len(before.Tags) == 0 {
			_, err := s.TagResource(t.Context(), &Call{op: &Op{}, key: before}, &api.TagResourceRequest{Tags: []api.Tag{{TagKey: "a", TagValue: "1"}}})
			if err != nil {
				t.Fatal(err)
			}
			before, _ = s.store.Key(testNames.Region, ownKey)
		}
		op, _ := OpNamed(name)
		c := &Call{op: op, key: before}
		if _, err := op.run(t.Context(), s, c, in); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if changed, _ := s.store.Key(testNames.Region, ownKey); reflect.DeepEqual(changed, before) {
			t.Errorf("%s changed nothing", name)
		}
		c.undo()
		if after, _ := s.store.Key(testNames.Region, ownKey); !reflect.DeepEqual(after, before) {
			t.Errorf("%s: %+v, before %+v", name, after, before)
		}
	}
}

// TestTagsOfAnotherStay: a change that is taken back leaves what another process
// has changed since.
func TestTagsOfAnotherStay(t *testing.T) {
	t.Parallel()
	tags := func(text ...string) (all []store.Tag) {
		for _, t := range text {
			all = append(all, store.Tag{Name: t[:1], Value: t[1:]})
		}
		return all
	}
	for what, c := range map[string]struct{ before, after, now, want []store.Tag }{
		"nothing since":      {tags("a1", "b1"), tags("a2", "c1"), tags("a2", "c1"), tags("a1", "b1")},
		"another tag":        {tags("a1"), tags("a2"), tags("a2", "x1"), tags("a1", "x1")},
		"the same tag":       {tags("a1"), tags("a2"), tags("a3"), tags("a3")},
		"it was taken away":  {tags("a1"), tags("a2"), nil, nil},
		"it was put back":    {tags("a1"), nil, tags("a2"), tags("a2")},
		"one left unchanged": {tags("a1", "b1"), tags("a1", "b2"), tags("b2"), tags("b1")},
	} {
		got := withoutChange(c.now, c.before, c.after)
		slices.SortFunc(got, func(a, b store.Tag) int { return strings.Compare(a.Name, b.Name) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

// TestPolicyOfAnotherStays: a policy that is taken back leaves the one that another
// process has put since, and gives way to the one that it really replaced.
func TestPolicyOfAnotherStays(t *testing.T) {
	t.Parallel()
	s := changeableService(t)
	s.quotas = s.quotas.withDefaults()
	text := func(sid string) string {
		return `{"Version":"2012-10-17","Statement":{"Sid":"` + sid + `","Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}`
	}
	set := func(sid string) {
		doc, err := store.NewDocument(text(sid), policy.KeyPolicy)
		if err == nil {
			err = s.store.ChangeKeyPolicy(t.Context(), testNames.Region, ownKey, func(*store.Document) *store.Document { return doc })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct{ decided, replaced, since, want string }{
		"nothing else": {"a", "a", "", "a"},
		"one since":    {"a", "a", "c", "c"},
		"one before":   {"a", "b", "", "b"},
	} {
		set(c.decided)
		key, _ := s.store.Key(testNames.Region, ownKey)
		set(c.replaced)
		op, _ := OpNamed("PutKeyPolicy")
		call := &Call{op: op, key: key}
		if _, err := op.run(t.Context(), s, call, &api.PutKeyPolicyRequest{Policy: text("new"), BypassPolicyLockoutSafetyCheck: true}); err != nil {
			t.Fatal(err)
		}
		if c.since != "" {
			set(c.since)
		}
		call.undo()
		if key, _ = s.store.Key(testNames.Region, ownKey); key.Policy.Text != text(c.want) {
			t.Errorf("%s: %s", what, key.Policy.Text)
		}
	}
}
