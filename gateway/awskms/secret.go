package awskms

import (
	"errors"
	"net/http"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/identity"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// sessionHeader holds the session token of a temporary access key.
const sessionHeader = "X-Amz-Security-Token"

// secret finds the secret of the access key that a request names.
func (h *handler) secret(r *http.Request, a authorization, now time.Time) (string, policy.Principal, error) {
	if token := r.Header.Get(sessionHeader); token != "" {
		return h.Identities.TemporaryKey(a.accessKey, token, now)
	}
	return h.Identities.AccessKey(a.accessKey, now)
}

// unusableKey tells the caller the same of all access keys that may not be used,
// but for a session that is over; the operations log tells them apart.
func unusableKey(err error, session bool) *refusal {
	refused := refuse(reasonUnknownKey, api.UnrecognizedClient, "The security token included in the request is invalid.")
	switch {
	case session && errors.Is(err, identity.ErrExpired):
		return refuse(reasonExpiredToken, api.ExpiredToken, "The security token included in the request is expired")
	case session && (errors.Is(err, identity.ErrUnknown) || errors.Is(err, identity.ErrDisabled)):
		refused.reason = reasonSessionToken
	case errors.Is(err, identity.ErrDisabled):
		refused.reason = reasonDisabledKey
	case errors.Is(err, identity.ErrExpired):
		refused.reason = reasonExpiredKey
	case !errors.Is(err, identity.ErrUnknown):
		refused = refuse(reasonStore, api.ServiceUnavailable, "The access key cannot be checked now. An operator finds the cause in the log.")
		refused.Cause = err
	}
	return refused
}
