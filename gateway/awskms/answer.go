package awskms

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// requestIDHeader names the request to its client, on every response.
const requestIDHeader = "X-Amzn-Requestid"

// errorBody is how an error travels. The type must stand in the body: boto3
// does not look for it in the headers.
type errorBody struct {
	Type    string `json:"__type"`
	Message string `json:"message,omitempty"`
}

// answer writes the one response of a request.
func answer(w http.ResponseWriter, id string, out any, err *api.Error) {
	status := http.StatusOK
	if err == nil {
		var cause error
		if out, cause = json.Marshal(out); cause != nil {
			err = &api.Error{Code: api.Internal, Message: "The answer could not be written. Tell an operator the request id " + id + "."}
		}
	}
	if err != nil {
		status = err.Code.AWSStatus()
		out, _ = json.Marshal(errorBody{Type: string(err.Code), Message: err.Message})
		if err.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(err.RetryAfter.Seconds()))))
		}
	}
	body := out.([]byte)
	defer clear(body) // a plaintext may stand in it
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set(requestIDHeader, id)
	w.WriteHeader(status)
	_, _ = w.Write(body) // JSON, which no browser takes for HTML; the client may be gone: its call is recorded all the same
}
