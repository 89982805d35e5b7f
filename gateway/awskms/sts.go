package awskms

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

const (
	stsService = "sts"
	stsVersion = "2011-06-15"
	stsRegion  = "us-east-1" // some clients sign for it whatever their own is, as STS is in no region
)

// isForm tells a request of AWS STS, whose protocol is another (awsQuery), from
// one of AWS KMS.
func isForm(r *http.Request) bool {
	values := r.Header["Content-Type"]
	if len(values) != 1 || r.Header["X-Amz-Target"] != nil {
		return false
	}
	media, _, err := mime.ParseMediaType(values[0])
	return err == nil && media == "application/x-www-form-urlencoded"
}

func (h *handler) serveSTS(w http.ResponseWriter, r *http.Request, id string) {
	var op *gateway.Op
	out, err := h.guarded(w, r, id, func(w http.ResponseWriter, r *http.Request, id string) (out any, err *api.Error) {
		out, op, err = h.sts(w, r, id)
		return out, err
	})
	answerSTS(w, id, op, out, err)
}

// sts is serve for AWS STS.
func (h *handler) sts(w http.ResponseWriter, r *http.Request, id string) (any, *gateway.Op, *api.Error) {
	body, release, err := h.room.readUnknown(r, MaxBody)
	defer release()
	if err != nil {
		h.logRefusal(r, id, &refusal{reason: reasonBody, Error: err})
		return nil, nil, err
	}
	form, err := readForm(body)
	if err != nil {
		h.logRefusal(r, id, &refusal{reason: reasonBody, Error: err})
		return nil, nil, err
	}
	op, unknown := action(form)
	call := h.newCall(r, id)
	defer receipt(w, call)
	if op == gateway.AssumeRoleWithWebIdentity {
		out, err := h.exchange(r, call, form)
		return out, op, err
	}
	caller, signed, refused := h.authenticate(r, body, stsService)
	if refused != nil {
		h.logRefusal(r, id, refused)
		if unknown == nil {
			unknown = refused.Error
		}
		return nil, op, unknown
	}
	call.Principal, call.AccessKey = caller, signed.accessKey
	if unknown != nil {
		return nil, op, h.Service.Reject(r.Context(), call, unknownName, unknown)
	}
	out, err := h.Service.Do(r.Context(), call, op, func(in any) *api.Error { return decodeForm(form, in) })
	return out, op, err
}

// exchange is the one operation that is not signed: the token in it says who calls.
func (h *handler) exchange(r *http.Request, call *gateway.Call, form map[string]string) (any, *api.Error) {
	token := form["WebIdentityToken"]
	in := new(api.AssumeRoleWithWebIdentityRequest)
	err := decodeForm(form, in)
	if err == nil {
		err = required(form, "RoleArn", "RoleSessionName", "WebIdentityToken")
	}
	proven := false
	var out any
	if err == nil {
		out, proven, err = h.Service.Exchange(r.Context(), call, token, in)
	}
	if err != nil && !proven {
		h.logRefusal(r, call.RequestID, &refusal{reason: reasonWebIdentity, Error: err})
	}
	return out, err
}

// required names, in the words of AWS, the first parameter that is not there.
func required(form map[string]string, names ...string) *api.Error {
	for _, name := range names {
		if form[name] == "" {
			return api.Errorf(api.Validation, "1 validation error detected: Value null at '%s%s' failed to satisfy constraint: Member must not be null", string(name[0]|0x20), name[1:])
		}
	}
	return nil
}

// readForm reads parameters, each of which stands there once.
func readForm(body []byte) (map[string]string, *api.Error) {
	values, err := url.ParseQuery(string(body))
	if err != nil || !utf8.Valid(body) {
		return nil, api.Errorf(api.Serialization, "The body is not a form: name=value&name=value, percent-encoded UTF-8.")
	}
	form := make(map[string]string, len(values))
	for name, of := range values {
		if len(of) != 1 {
			return nil, api.Errorf(api.Validation, "The parameter %.64q stands in the request %d times, not once.", name, len(of))
		}
		form[name] = of[0]
	}
	return form, nil
}

// action finds the operation that a form asks for.
func action(form map[string]string) (*gateway.Op, *api.Error) {
	for _, op := range gateway.STS {
		if op.Name == form["Action"] && form["Version"] == stsVersion {
			return op, nil
		}
	}
	return nil, api.Errorf(api.UnknownOperation, "Could not find operation %.64s for version %.64s", form["Action"], form["Version"])
}

// decodeForm reads parameters into the members of their names. One that would
// change what the session may do must not be passed over.
func decodeForm(form map[string]string, in any) *api.Error {
	members := make(map[string]any, len(form))
	for name, value := range form {
		if slices.Contains([]string{"Action", "Version", "WebIdentityToken"}, name) {
			continue
		}
		field, ok := reflect.TypeOf(in).Elem().FieldByName(name)
		if !ok {
			return api.Errorf(api.Validation, "The parameter %.64s of %.64s is not supported by this gateway. Leave it out.", name, form["Action"])
		}
		members[name] = value
		if field.Type.Kind() == reflect.Pointer { // to a number
			n, err := strconv.Atoi(value)
			if err != nil {
				return api.Errorf(api.Validation, "%s is a whole number, not %.64q.", name, value)
			}
			members[name] = n
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		return api.Errorf(api.Serialization, "The form cannot be read.")
	}
	return api.Decode(body, in, true)
}
