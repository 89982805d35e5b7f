package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// TestTokenErrors says what a caller is told for each kind of failure of the
// token. What an operator has to know stays in the cause.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	s := &Service{names: testNames}
	call := &Call{RequestID: "r-1", key: &store.Key{Region: testNames.Region, ID: ownKey}}
	for _, c := range []struct {
		cause   error
		code    api.Code
		outcome api.Outcome
		retry   bool
		text    string
	}{
		{&hsm.Error{Kind: hsm.ErrUnavailable}, api.KeyUnavailable, api.Failed, true, "does not answer now"},
		{&hsm.Error{Kind: hsm.ErrTimeout}, api.KeyUnavailable, api.Failed, true, "does not answer now"},
		{&hsm.Error{Kind: hsm.ErrPINRefused}, api.KeyUnavailable, api.Failed, true, "cannot log in to the token"},
		{context.DeadlineExceeded, api.KeyUnavailable, api.Failed, true, "does not answer now"},
		{context.Canceled, api.DependencyTimeout, api.Failed, false, "The caller went away"},
		{&hsm.Error{Kind: hsm.ErrBusy}, api.Throttling, api.Failed, true, "Reduce the frequency"},
		{&hsm.Error{Kind: hsm.ErrKeyMissing}, api.KMSInvalidState, api.Invalid, false, ownARN + " is unavailable: its key material is missing"},
		{&hsm.Error{Kind: hsm.ErrUnprotected}, api.KMSInvalidState, api.Invalid, false, ownARN + " is unavailable: the token does not protect"},
		{&hsm.Error{Kind: hsm.ErrUnsupported, Detail: "no curve"}, api.UnsupportedOperation, api.Invalid, false, "no curve"},
		{&hsm.Error{Kind: hsm.ErrUnsupported}, api.UnsupportedOperation, api.Invalid, false, "the mechanism is missing"},
		{&hsm.Error{Kind: hsm.ErrBadCiphertext}, api.InvalidCiphertext, api.Invalid, false, "was not made for this key"},
		{&hsm.Error{Kind: hsm.ErrTokenFull}, api.LimitExceeded, api.Invalid, false, "no room"},
		{&hsm.Error{Kind: hsm.ErrFailed, Detail: "a secret detail"}, api.Internal, api.Failed, false, "request r-1"},
		{&hsm.Error{Kind: hsm.ErrInvalid, Detail: "a secret detail"}, api.Internal, api.Failed, false, "request r-1"},
		{errors.New("a secret detail"), api.Internal, api.Failed, false, "request r-1"},
	} {
		err := s.tokenError(call, c.cause)
		if err.Code != c.code || err.Code.Outcome() != c.outcome || (err.RetryAfter > 0) != c.retry || !strings.Contains(err.Message, c.text) {
			t.Errorf("%v: %+v", c.cause, err)
		}
		if strings.Contains(err.Message, "secret") || !errors.Is(err, c.cause) {
			t.Errorf("%v: the cause is told or lost: %+v", c.cause, err)
		}
	}
}
