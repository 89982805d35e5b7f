package gateway

import (
	"context"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// denialStep is what the time of a denial is a multiple of. What tells a key that is there from one that is not takes
// microseconds, far from the next step for nearly every call, so the time of an answer says nothing of it.
const denialStep = 5 * time.Millisecond

// holdDenial returns when a denial of a call that began at start may be answered; at once for all else.
func holdDenial(ctx context.Context, start time.Time, err *api.Error) {
	if err == nil || err.Code != api.AccessDenied {
		return
	}
	took := time.Since(start)
	wait := time.NewTimer(took.Truncate(denialStep) + denialStep - took)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}
