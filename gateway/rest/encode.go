package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// encode answers in the form that Accept asks for, JSON unless it names another.
func (f *face) encode(ec echo.Context, out any) error {
	switch out := out.(type) {
	case *api.SignResponse:
		switch form, _ := wanted(ec.Request(), signatureForms); form {
		case "application/octet-stream":
			return ec.Blob(http.StatusOK, form, out.Signature)
		case "text/plain":
			return ec.String(http.StatusOK, base64.StdEncoding.EncodeToString(out.Signature)+"\n")
		}
	case *api.GetPublicKeyResponse:
		if form, _ := wanted(ec.Request(), publicKeyForms); form != "" {
			body, err := publicKeyForm(out, form)
			if err != nil {
				return f.problem(ec, err)
			}
			return ec.Blob(http.StatusOK, form, body)
		}
	case *api.ListPublicKeysResponse:
		if form, _ := wanted(ec.Request(), keySetForms); form != "" {
			set, err := gateway.NewWebKeySet(out)
			if err != nil {
				return f.problem(ec, api.Errorf(api.UnsupportedOperation, "A key of spec %s has no JWK form. Ask for JSON (Accept: application/json).", out.KeySpec))
			}
			return writeJSON(ec, http.StatusOK, form, set)
		}
	case *api.GetKeyHistoryResponse:
		return writeJSON(ec, http.StatusOK, "application/jose+json", out)
	}
	return writeJSON(ec, http.StatusOK, "application/json", out)
}

// The forms beyond JSON in which an answer can be had.
var (
	signatureForms = []string{"application/octet-stream", "text/plain"}
	keySetForms    = []string{jwksForm}
	publicKeyForms = []string{"application/octet-stream", "text/plain", pemForm, jwkForm, sshForm}
)

// wanted is the first media type of Accept that is among forms, or "" for JSON;
// false if Accept asks for neither.
func wanted(r *http.Request, forms []string) (string, bool) {
	accept := r.Header.Get("Accept")
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, _, err := mime.ParseMediaType(part)
		switch {
		case err != nil:
		case mediaType == "application/json" || mediaType == "application/*" || mediaType == "*/*":
			return "", true
		case slices.Contains(forms, mediaType):
			return mediaType, true
		}
	}
	return "", accept == ""
}

// acceptable refuses an answer that cannot be given before anything is done.
func acceptable(r *http.Request, in any) *api.Error {
	var forms []string
	switch in.(type) {
	case *api.SignRequest:
		forms = signatureForms
	case *api.GetPublicKeyRequest:
		forms = publicKeyForms
	case *api.ListPublicKeysRequest:
		forms = keySetForms
	default:
		return nil // JSON, whatever is asked for
	}
	if _, ok := wanted(r, forms); !ok {
		return api.Errorf(api.NotAcceptable, "The answer cannot be had as %.64q. Accept may name application/json, %s.", r.Header.Get("Accept"), strings.Join(forms, ", "))
	}
	return nil
}

func writeJSON(ec echo.Context, status int, mediaType string, v any) error {
	body := bytes.NewBuffer(make([]byte, 0, 1024))
	err := json.NewEncoder(body).Encode(v)
	defer clear(body.Bytes()) // a plaintext may stand in it
	if err != nil {
		return err
	}
	ec.Response().Header().Set("Content-Length", strconv.Itoa(body.Len())) // net/http would send a long one in chunks
	return ec.Blob(status, mediaType, body.Bytes())
}

// problem is an error as RFC 9457 has it, with the code of AWS KMS beside it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Code      string `json:"code"`
	RequestID string `json:"requestId"`
}

// problem answers with an error. It returns nil always, since echo would answer
// the error of a route once more.
func (f *face) problem(ec echo.Context, err *api.Error) error {
	if err.RetryAfter > 0 {
		seconds := (err.RetryAfter + time.Second - 1) / time.Second
		ec.Response().Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	id := requestID(ec)
	status := err.Code.RESTStatus()
	writeErr := writeJSON(ec, status, "application/problem+json", problem{
		Type: "urn:hsmgate:error:" + string(err.Code), Title: err.Code.Title(), Status: status,
		Detail: err.Message, Code: string(err.Code), RequestID: id,
	})
	if writeErr != nil {
		f.Log.Debug("the answer could not be written", zap.String("requestId", id), zap.Error(writeErr))
	}
	return nil
}
