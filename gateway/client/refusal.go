package client

import (
	"encoding/json"
	"mime"
	"net/http"
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
	e.foreign = true
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
