package client

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// refusal reads a problem document (RFC 9457). Whatever else stands between the
// gateway and us answers in other forms: then the status says what it was.
func refusal(resp *http.Response, body []byte) *ResponseError {
	var problem struct {
		Detail, Code, RequestID string
	}
	e := &ResponseError{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id"), Err: &api.Error{}}
	e.Err.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "application/problem+json" && json.Unmarshal(body, &problem) == nil && problem.Code != "" {
		e.Err.Code, e.Err.Message = api.Code(problem.Code), problem.Detail
		if problem.RequestID != "" {
			e.RequestID = problem.RequestID
		}
		return e
	}
	e.Err.Code, e.Err.Message = foreign(resp)
	if strings.Contains(string(body), "HTTP request to an HTTPS server") { // Go's, of a TLS port
		e.Err.Code, e.Err.Message = api.UnknownOperation, "the server speaks TLS at this port: use https:// in HSMGATE_URL"
	}
	return e
}

// foreign names an answer that is not of the gateway.
func foreign(resp *http.Response) (api.Code, string) {
	text := "the server answered " + resp.Status
	switch s := resp.StatusCode; {
	case s >= 300 && s < 400:
		return api.UnknownOperation, text + " to " + strconv.Quote(resp.Header.Get("Location")) +
			"; redirects are not followed, since the token would go with them: use that URL itself"
	case s == http.StatusUnauthorized:
		return api.MissingAuthentication, text
	case s == http.StatusForbidden:
		return api.AccessDenied, text
	case s == http.StatusTooManyRequests:
		return api.Throttling, text
	case s == http.StatusBadGateway, s == http.StatusServiceUnavailable, s == http.StatusGatewayTimeout:
		return api.ServiceUnavailable, text
	case s == http.StatusNotFound:
		return api.UnknownOperation, text + "; is the URL that of an hsmgate gateway?"
	}
	return api.Internal, text
}

// retryAfter reads seconds or an HTTP date (RFC 9110, section 10.2.3); 0 when
// there is none.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// pause says whether to try again, and after how long: what the gateway asks for and up
// to half as much again, or else at random up to 100 ms doubled with each attempt, so
// that callers who were refused together do not come back together. A request that may
// be repeated is tried again, too, where nobody knows what became of it.
func (c *Client) pause(err error, attempt int, repeatable bool) (time.Duration, bool) {
	attempts, longest := c.attempts(), c.MaxWait
	if longest == 0 {
		longest = 10 * time.Second
	}
	if err == nil || attempt >= attempts {
		return 0, false
	}
	upTo := min(100*time.Millisecond<<min(attempt-1, 20), longest)
	var e *ResponseError
	if !errors.As(err, &e) {
		return rand.N(upTo + 1), repeatable && onTheWay(err) //nolint:gosec // G404: jitter is no secret
	}
	unknown := e.Status == http.StatusBadGateway || e.Status == http.StatusGatewayTimeout
	if e.Err.Code == api.ReceiptUnavailable { // it is of one more signature, each time
		return 0, false
	}
	if e.Status != http.StatusTooManyRequests && e.Status != http.StatusServiceUnavailable && !(unknown && repeatable) || e.Err.RetryAfter > longest {
		return 0, false
	}
	if wait := e.Err.RetryAfter; wait > 0 {
		return wait + rand.N(wait/2+1), true //nolint:gosec // G404: as above
	}
	return rand.N(upTo + 1), true //nolint:gosec // G404: as above
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
