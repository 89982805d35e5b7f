package gateway

import (
	"slices"
	"strings"
	"testing"
)

// TestRefusedByAccessKey: a call that is signed with an access key is denied these operations and no other, and the words
// of the denial name what they change.
func TestRefusedByAccessKey(t *testing.T) {
	var got []string
	for _, op := range append(slices.Clone(Ops), Timestamp) {
		err := (&Call{AccessKey: "AKIA", op: op}).bySignature()
		if err == nil {
			continue
		}
		got = append(got, op.Name)
		for _, word := range []string{op.Name, "approvals", "publications", "access keys", "bearer token"} {
			if !strings.Contains(err.Message, word) {
				t.Errorf("%s: %s does not say %q", op.Name, err.Message, word)
			}
		}
		if denied := (&Call{op: op}).bySignature(); denied != nil {
			t.Errorf("%s, with another credential: %v", op.Name, denied)
		}
	}
	want := []string{"PutApprovalRule", "DeleteApprovalRule", "RequestApproval", "ApproveRequest", "RejectRequest", "CancelApproval",
		"PublishKey", "UnpublishKey", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"}
	if !slices.Equal(got, want) {
		t.Errorf("denied are %v", got)
	}
}
