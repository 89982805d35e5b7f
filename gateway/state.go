package gateway

import "github.com/hsmgate/hsmgate/gateway/api"

// States says in which states a key may be for an operation: the rows of the
// key-state table of the AWS KMS developer guide.
type States int

const (
	anyState    States = iota
	usable             // enabled only
	notPending         // not waiting for its deletion
	onlyPending        // waiting for its deletion
)

// check answers with the error that AWS KMS has for a key in that state.
func (st States) check(arn string, state api.KeyState) *api.Error {
	switch {
	case st == usable && state != api.Enabled && state != api.PendingDeletion:
		return unusable(arn, state)
	case (st == usable || st == notPending) && state == api.PendingDeletion:
		return api.Errorf(api.KMSInvalidState, "%s is pending deletion.", arn)
	case st == onlyPending && state != api.PendingDeletion:
		return api.Errorf(api.KMSInvalidState, "%s is not pending deletion.", arn)
	}
	return nil
}

// unusable is the error for the use of a key that is not enabled.
func unusable(arn string, state api.KeyState) *api.Error {
	words := map[api.KeyState]string{
		api.PendingImport: "pending import", api.PendingReplicaDeletion: "pending replica deletion",
		api.Unavailable: "unavailable", api.Creating: "creating", api.Updating: "updating",
	}
	switch word, known := words[state]; {
	case state == api.DisabledState:
		return api.Errorf(api.Disabled, "%s is disabled.", arn)
	case known:
		return api.Errorf(api.KMSInvalidState, "%s is %s.", arn, word)
	}
	return api.Errorf(api.KMSInvalidState, "%s is %s.", arn, state)
}
