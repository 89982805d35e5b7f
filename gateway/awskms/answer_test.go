package awskms

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

func TestAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		out    any
		err    *api.Error
		status int
		body   string
		retry  string
	}{
		"a result":         {out: &api.CancelKeyDeletionResponse{KeyId: "k"}, status: 200, body: `{"KeyId":"k"}`},
		"nothing to tell":  {out: &api.Empty{}, status: 200, body: `{}`},
		"a blob":           {out: &api.DecryptResponse{Plaintext: []byte("hi")}, status: 200, body: `{"KeyId":"","Plaintext":"aGk=","EncryptionAlgorithm":""}`},
		"an error":         {err: api.Errorf(api.NotFound, "no"), status: 400, body: `{"__type":"NotFoundException","message":"no"}`},
		"without message":  {err: &api.Error{Code: api.Serialization}, status: 400, body: `{"__type":"SerializationException"}`},
		"the cause stays":  {err: &api.Error{Code: api.Internal, Message: "m", Cause: errors.New("secret")}, status: 500, body: `{"__type":"KMSInternalException","message":"m"}`},
		"try again":        {err: &api.Error{Code: api.Throttling, RetryAfter: time.Second}, status: 400, body: `{"__type":"ThrottlingException"}`, retry: "1"},
		"part of a second": {err: &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Millisecond}, status: 503, body: `{"__type":"ServiceUnavailableException"}`, retry: "1"},
		"cannot be sent":   {out: func() {}, status: 500, body: `{"__type":"KMSInternalException","message":"The answer could not be written. Tell an operator the request id id-1."}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			answer(w, "id-1", c.out, c.err)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
			h := w.Result().Header
			if h.Get("Content-Type") != contentType || h.Get("x-amzn-RequestId") != "id-1" {
				t.Errorf("headers %v", h)
			}
			if got := h.Get("Retry-After"); got != c.retry {
				t.Errorf("Retry-After %q, want %q", got, c.retry)
			}
		})
	}
}

// Every code has a status that AWS clients read as its class: 4xx is theirs,
// 5xx is tried again.
func TestEveryCodeHasAStatus(t *testing.T) {
	for _, code := range api.Codes() {
		w := httptest.NewRecorder()
		answer(w, "id-1", nil, api.Errorf(code, "text"))
		var body struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Type != string(code) || body.Message != "text" {
			t.Errorf("%s: %s", code, w.Body)
		}
		if w.Code != http.StatusBadRequest && w.Code < 500 {
			t.Errorf("%s: %d", code, w.Code)
		}
	}
}

func TestTarget(t *testing.T) {
	header := func(mediaType, target string) http.Header {
		return http.Header{"Content-Type": {mediaType}, "X-Amz-Target": {target}}
	}
	for _, op := range gateway.Ops {
		if op.BeyondKMS() {
			continue
		}
		for _, media := range []string{contentType, contentType + "; charset=utf-8", "Application/X-AMZ-JSON-1.1"} {
			got, name, err := target(header(media, targetPrefix+op.Name))
			if err != nil || got != op || name != op.Name {
				t.Errorf("%s as %s: %v %q %v", op.Name, media, got, name, err)
			}
		}
	}
	for name, c := range map[string]struct {
		header http.Header
		name   string // in the audit record
	}{
		"one that AWS lacks":     {header(contentType, "TrentService.StealKey"), unknownName},
		"other case":             {header(contentType, "TrentService.sign"), unknownName},
		"other service":          {header(contentType, "DynamoDB_20120810.Sign"), unknownName},
		"no prefix":              {header(contentType, "Sign"), unknownName},
		"prefix alone":           {header(contentType, "TrentService."), unknownName},
		"space":                  {header(contentType, "TrentService.Sign "), unknownName},
		"none":                   {http.Header{"Content-Type": {contentType}}, unknownName},
		"two":                    {http.Header{"Content-Type": {contentType}, "X-Amz-Target": {"TrentService.Sign", "TrentService.Sign"}}, unknownName},
		"another content type":   {header("application/x-amz-json-1.0", "TrentService.Sign"), unknownName},
		"no content type":        {http.Header{"X-Amz-Target": {"TrentService.Sign"}}, unknownName},
		"two content types":      {http.Header{"Content-Type": {contentType, contentType}, "X-Amz-Target": {"TrentService.Sign"}}, unknownName},
		"content type with junk": {header(contentType+"; a=b; a=c", "TrentService.Sign"), unknownName},
	} {
		op, got, err := target(c.header)
		if op != nil || err == nil || err.Code != api.UnknownOperation || err.Message == "" || got != c.name {
			t.Errorf("%s: %v %q %v, want %q", name, op, got, err, c.name)
		}
	}
}
