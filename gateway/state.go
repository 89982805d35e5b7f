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
	case st == usable && state == api.DisabledState:
		return api.Errorf(api.Disabled, "%s is disabled.", arn)
	case st == usable && state == api.Unavailable:
		return unavailable(arn)
	case (st == usable || st == notPending) && state == api.PendingDeletion:
		return api.Errorf(api.KMSInvalidState, "%s is pending deletion.", arn)
	case (st == usable || st == notPending) && state == api.PendingReplicaDeletion:
		return api.Errorf(api.KMSInvalidState, "%s is pending replica deletion.", arn)
	case st == onlyPending && state != api.PendingDeletion && state != api.PendingReplicaDeletion:
		return api.Errorf(api.KMSInvalidState, "%s is not pending deletion.", arn)
	}
	return nil
}

// unavailable is the error for a key whose custom key store is disconnected.
func unavailable(arn string) *api.Error {
	return api.Errorf(api.KMSInvalidState, "%s is unavailable. Its custom key store is disconnected.", arn)
}
