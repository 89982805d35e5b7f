package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// notRecorded tells the caller that nothing was given out, since no record of
// it could be kept.
func notRecorded(cause error) *api.Error {
	return &api.Error{
		Code:       api.ServiceUnavailable,
		Message:    "The audit record could not be made durable, so the result was thrown away. An operator has to look at the audit log; then try again.",
		RetryAfter: time.Second,
		Cause:      cause,
	}
}

// unchanged tells the caller that the database takes no changes.
func unchanged(cause error) *api.Error {
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
		Message: "The gateway cannot write to its database now, so nothing can be changed; keys can be used. An operator has to look at the database; then try again."}
}

// uncounted tells the caller of an encryption that it could not be counted.
func uncounted(cause error) *api.Error {
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
		Message: "The gateway cannot reach its database now, where encryptions are counted before they are made, so nothing was encrypted. An operator has to look at the database; then try again."}
}

// tokenError turns an error of the token into what the caller is told.
func (s *Service) tokenError(c *Call, cause error) *api.Error {
	e := s.classify(c, cause)
	e.Cause = cause
	return e
}

func (s *Service) classify(c *Call, cause error) *api.Error {
	arn := ""
	if c.key != nil {
		arn = s.arn(c.key)
	}
	switch {
	case errors.Is(cause, context.Canceled):
		return api.Errorf(api.DependencyTimeout, "The caller went away before the token answered.")
	case errors.Is(cause, hsm.ErrBusy):
		return &api.Error{Code: api.Throttling, RetryAfter: time.Second,
			Message: "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."}
	case errors.Is(cause, hsm.ErrPINRefused): // not tried again before somebody has mended it
		return &api.Error{Code: api.KeyUnavailable, RetryAfter: time.Minute,
			Message: "The gateway cannot log in to the token that holds the key: an operator has to mend its PIN. Try again after that."}
	case errors.Is(cause, hsm.ErrUnavailable), errors.Is(cause, context.DeadlineExceeded):
		return &api.Error{Code: api.KeyUnavailable, RetryAfter: time.Second,
			Message: "The token that holds the key does not answer now. Try again."}
	case errors.Is(cause, hsm.ErrKeyMissing):
		return api.Errorf(api.KMSInvalidState, "%s is unavailable: its key material is missing from the token, or the token holds another key in its place.", arn)
	case errors.Is(cause, hsm.ErrUnprotected):
		return api.Errorf(api.KMSInvalidState, "%s is unavailable: the token does not protect its private key (it is extractable or not sensitive), so it is not used.", arn)
	case errors.Is(cause, hsm.ErrUnsupported):
		return api.Errorf(api.UnsupportedOperation, "The token cannot do this: %s", detail(cause))
	case errors.Is(cause, hsm.ErrBadCiphertext):
		return badCiphertext()
	case errors.Is(cause, hsm.ErrTokenFull):
		return api.Errorf(api.LimitExceeded, "The token has no room for another key.")
	}
	return internal(c.RequestID, cause)
}

func detail(cause error) string {
	var e *hsm.Error
	if errors.As(cause, &e) && e.Detail != "" {
		return e.Detail
	}
	return "the mechanism is missing."
}

// internal hides a cause that is no business of the caller.
func internal(requestID string, cause error) *api.Error {
	if errors.Is(cause, store.ErrUnavailable) {
		return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
			Message: "The gateway's database did not confirm the change, which may have been made all the same. Look whether it was, then try again."}
	}
	return &api.Error{Code: api.Internal, Cause: cause,
		Message: "An internal error occurred. An operator finds its cause in the log under request " + requestID + "."}
}
