package gateway

import (
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// States are the states in which a key may be for an operation: a row of the
// key-state table of the AWS KMS developer guide.
type States uint8

// The columns of the table. The third holds PendingReplicaDeletion, too.
const (
	enabled States = 1 << iota
	disabled
	pendingDeletion
	pendingImport
	unavailable
	creating
	updating

	anyState = enabled | disabled | pendingDeletion | pendingImport | unavailable | creating | updating
)

// Rows of the table.
const (
	usable      = enabled | updating
	rotatable   = usable | pendingImport           // there the key's origin is what is wrong
	switchable  = enabled | disabled | unavailable // EnableKey, DisableKey
	deletable   = anyState &^ pendingDeletion &^ updating
	importable  = enabled | disabled | pendingImport
	notPending  = anyState &^ pendingDeletion
	onlyPending = pendingDeletion
)

var columns = map[api.KeyState]States{
	api.Enabled: enabled, api.DisabledState: disabled,
	api.PendingDeletion: pendingDeletion, api.PendingReplicaDeletion: pendingDeletion,
	api.PendingImport: pendingImport, api.Unavailable: unavailable, api.Creating: creating, api.Updating: updating,
}

// check answers with the error that AWS KMS has for a key in that state.
func (st States) check(arn string, state api.KeyState) *api.Error {
	switch {
	case st&columns[state] != 0:
		return nil
	case st == onlyPending:
		return api.Errorf(api.KMSInvalidState, "%s is not pending deletion.", arn)
	case state == api.DisabledState:
		return api.Errorf(api.Disabled, "%s is disabled.", arn)
	}
	return api.Errorf(api.KMSInvalidState, "%s is %s.", arn, words(state))
}

// words writes a state as AWS KMS's errors do: pending replica deletion.
func words(state api.KeyState) string {
	var b strings.Builder
	for i, r := range string(state) {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}
