package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// TestWhatTakesAUse: each operation that a grant may allow uses the key, but for those
// that look at it or are about grants, and RequestApproval, whose Sign is to come.
func TestWhatTakesAUse(t *testing.T) {
	t.Parallel()
	grantable := api.Values("GrantOperation")
	for _, op := range Ops {
		action := strings.TrimPrefix(op.permission, "kms:")
		want := slices.Contains(grantable, action) && !slices.Contains([]string{"DescribeKey", "CreateGrant", "RetireGrant", "RequestApproval"}, op.Name)
		if op.usesKey != want {
			t.Errorf("%s: %v", op.Name, op.usesKey)
		}
	}
}
