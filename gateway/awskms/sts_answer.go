package awskms

import (
	"bytes"
	"encoding/xml"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// stsErrors are the codes that AWS STS has other names or statuses for (AWS STS
// API reference, Common Errors, and the errors of each operation). The names of
// the others are those of AWS KMS without their "Exception".
var stsErrors = map[api.Code]struct {
	name   string
	status int
}{
	api.AccessDenied:          {"AccessDenied", http.StatusForbidden},
	api.IDPCommunicationError: {"IDPCommunicationError", http.StatusBadRequest},
	api.Internal:              {"InternalFailure", http.StatusInternalServerError},
	api.InvalidSignature:      {"SignatureDoesNotMatch", http.StatusForbidden},
	api.MissingAuthentication: {"MissingAuthenticationToken", http.StatusForbidden},
	api.RequestEntityTooLarge: {"RequestEntityTooLarge", http.StatusRequestEntityTooLarge},
	api.Serialization:         {"MalformedInput", http.StatusBadRequest},
	api.UnknownOperation:      {"InvalidAction", http.StatusBadRequest},
	api.UnrecognizedClient:    {"InvalidClientTokenId", http.StatusForbidden},
	api.Validation:            {"ValidationError", http.StatusBadRequest},
}

type stsError struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Error     struct{ Type, Code, Message string }
	RequestId string
}

// answerSTS writes the one response of a request to AWS STS.
func answerSTS(w http.ResponseWriter, id string, op *gateway.Op, out any, err *api.Error) {
	status, body := http.StatusOK, []byte(nil)
	if err == nil {
		var cause error
		if body, cause = stsResult(op.Name, id, out); cause != nil {
			err = &api.Error{Code: api.Internal, Message: "The answer could not be written. Tell an operator the request id " + id + "."}
		}
	}
	if err != nil {
		status, body = stsFailure(id, op, err)
		if err.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(err.RetryAfter.Seconds()))))
		}
	}
	defer clear(body) // a secret may stand in it
	h := w.Header()
	h.Set("Content-Type", "text/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set(requestIDHeader, id)
	w.WriteHeader(status)
	_, _ = w.Write(body) // XML, every text of which is escaped; the client may be gone: its call is recorded all the same
}

// stsResult is <ActionResponse><ActionResult>…</ActionResult><ResponseMetadata>…
func stsResult(action, id string, out any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("<" + action + `Response xmlns="` + stsNamespace + `">`)
	if err := xml.NewEncoder(&b).EncodeElement(out, xml.StartElement{Name: xml.Name{Local: action + "Result"}}); err != nil {
		return nil, err
	}
	b.WriteString("<ResponseMetadata><RequestId>" + id + "</RequestId></ResponseMetadata></" + action + "Response>")
	return b.Bytes(), nil
}

func stsFailure(id string, op *gateway.Op, err *api.Error) (int, []byte) {
	name, status := strings.TrimSuffix(string(err.Code), "Exception"), err.Code.AWSStatus()
	if of, ok := stsErrors[err.Code]; ok {
		name, status = of.name, of.status
	}
	if err.Code == api.ExpiredToken { // of the identity token, or of the session that signed
		if name, status = "ExpiredToken", http.StatusForbidden; op == gateway.AssumeRoleWithWebIdentity {
			name, status = "ExpiredTokenException", http.StatusBadRequest
		}
	}
	e := stsError{RequestId: id}
	e.Error.Type, e.Error.Code, e.Error.Message = "Sender", name, err.Message
	if status >= http.StatusInternalServerError {
		e.Error.Type = "Receiver"
	}
	body, cause := xml.Marshal(e)
	if cause != nil {
		return http.StatusInternalServerError, nil
	}
	return status, body
}
