package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// pause says whether to try again, and after how long: what the gateway asks for and up
// to half as much again, or else at random up to 100 ms doubled with each attempt, so
// that callers who were refused together do not come back together. A request that may
// be repeated is tried again, too, where nobody knows what became of it, and goes on
// while the gateway is away for a time.
func (c *Client) pause(err error, attempt int, repeatable bool) (time.Duration, bool) {
	waits := c.waits(err) // which takes note of what came
	longest := c.MaxWait
	if longest == 0 {
		longest = 10 * time.Second
	}
	if err == nil || attempt >= c.attempts() && !(repeatable && waits) {
		return 0, false
	}
	upTo := min(100*time.Millisecond<<min(attempt-1, 20), longest)
	var e *ResponseError
	if !errors.As(err, &e) {
		return rand.N(upTo + 1), repeatable && onTheWay(err) //nolint:gosec // G404: jitter is no secret
	}
	if e.Err.Code == api.ReceiptUnavailable { // it is of one more signature, each time
		return 0, false
	}
	if again, unknown := e.passing(); !again || unknown && !repeatable || e.Err.RetryAfter > longest {
		return 0, false
	}
	if wait := e.Err.RetryAfter; wait > 0 {
		return wait + rand.N(wait/2+1), true //nolint:gosec // G404: as above
	}
	return rand.N(upTo + 1), true //nolint:gosec // G404: as above
}

// passing says whether another attempt may do better, and whether nobody knows what became of this one: the gateway that
// answers 429 or 503 has not done what was asked, and a proxy that answers for it may not have heard.
func (e *ResponseError) passing() (again, unknown bool) {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true, e.foreign
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return true, true
	}
	return false, false
}

// attempts is how often a call is tried.
func (c *Client) attempts() int {
	if c.Attempts == 0 {
		return 4
	}
	return c.Attempts
}

// onTheWay says whether a request failed on its way: another attempt may do better.
func onTheWay(err error) bool {
	var failed *url.Error
	var answer *cutError
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
		(errors.As(err, &failed) && failed.Op != "parse" || errors.As(err, &answer))
}

// cutError is the error of an answer that broke off.
type cutError struct {
	url   string
	cause error
}

func (e *cutError) Error() string { return "the answer of " + e.url + " broke off: " + e.cause.Error() }
func (e *cutError) Unwrap() error { return e.cause }

// fits says whether the pause ends before the deadline of ctx: if not, the
// refusal is a better answer than 'deadline exceeded'.
func fits(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > pause
}

// outage is a time in which a gateway that has answered does not.
type outage struct {
	mu       sync.Mutex
	answered bool      // at least once
	since    time.Time // zero: it is not away
}

// waits says, after an attempt that ended with err, whether the gateway is away, and not
// yet for too long.
func (c *Client) waits(err error) bool {
	var e *ResponseError
	refused := errors.As(err, &e)
	o := &c.outage
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil, refused && !(e.Status >= http.StatusBadGateway && e.Status <= http.StatusGatewayTimeout):
		o.answered, o.since = true, time.Time{}
		return false
	case !o.answered || !refused && !onTheWay(err):
		return false
	case o.since.IsZero():
		o.since = time.Now()
	}
	longest := c.RetryFor
	if longest == 0 {
		longest = 30 * time.Second
	}
	return c.attempts() > 1 && time.Since(o.since) < longest
}
