package gateway

import (
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// TestOnlyEnabledKeysAreUsed: every other state has its error, with the words of
// the key-state table of the AWS KMS developer guide.
func TestOnlyEnabledKeysAreUsed(t *testing.T) {
	t.Parallel()
	words := map[api.KeyState]string{
		api.DisabledState: "is disabled.", api.PendingDeletion: "is pending deletion.", api.PendingImport: "is pending import.",
		api.PendingReplicaDeletion: "is pending replica deletion.", api.Unavailable: "is unavailable.", api.Creating: "is creating.", api.Updating: "is updating.",
	}
	for _, name := range api.Values("KeyState") {
		err := usable.check("arn", api.KeyState(name))
		if name == string(api.Enabled) {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		code := api.KMSInvalidState
		if name == string(api.DisabledState) {
			code = api.Disabled
		}
		if err == nil || err.Code != code || err.Message != "arn "+words[api.KeyState(name)] {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := usable.check("arn", "Nonsense"); err == nil {
		t.Error("a key in a state that nobody knows is used")
	}
}
