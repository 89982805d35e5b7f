package gateway

import (
	"reflect"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
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
