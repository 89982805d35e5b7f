package rest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// maxBody is the longest JSON body in bytes; a file to sign has no limit.
const maxBody = 256 << 10

// maxBatchBody is the same for a batch: 1,000 digests with what is stated of each, or
// 700 of the longest messages.
const maxBatchBody = 4 << 20

// decode fills the request of an operation from path, query and body.
func decode(ec echo.Context, in any) *api.Error {
	r := ec.Request()
	err := acceptable(r, in)
	sign, isSign := in.(*api.SignRequest)
	switch {
	case err != nil:
	case r.Method == http.MethodGet:
		err = decodeQuery(r, in)
	case isSign && !isJSON(r):
		err = decodeFile(r, sign)
	default:
		err = decodeBody(r, in)
	}
	if err == nil {
		err = idempotencyKey(r, in)
	}
	if err != nil {
		_ = fromPath(ec, in) // the record of a malformed request names its key, too; err tells more than this one
		return err
	}
	if isSign && sign.Receipt {
		if form, _ := wanted(r, signatureForms); form != "" {
			return api.Errorf(api.NotAcceptable, "An answer in the form %s has no place for a receipt. Leave Accept out for JSON, which has.", form)
		}
	}
	return fromPath(ec, in)
}

// idempotencyHeader makes a call to Sign one that can be repeated, in place of the member
// IdempotencyKey.
const idempotencyHeader = "Idempotency-Key"

// idempotencyKey takes the header, which is not passed over where it would mean nothing:
// who sends it counts on it.
func idempotencyKey(r *http.Request, in any) *api.Error {
	values := r.Header.Values(idempotencyHeader)
	if len(values) == 0 {
		return nil
	}
	sign, ok := in.(*api.SignRequest)
	switch {
	case !ok:
		return api.Errorf(api.Validation, "%s is taken with Sign alone. Items of SignBatch have a member IdempotencyKey.", idempotencyHeader)
	case len(values) > 1 || values[0] == "":
		return api.Errorf(api.Validation, "Send one %s, which is not empty.", idempotencyHeader)
	case sign.IdempotencyKey != "" && sign.IdempotencyKey != values[0]:
		return api.Errorf(api.Validation, "IdempotencyKey in the request is not that of the header. Leave one of them out.")
	}
	sign.IdempotencyKey = values[0]
	return nil
}

// fromPath sets the key or the alias that the path names. A body may repeat it,
// but not contradict it.
func fromPath(ec echo.Context, in any) *api.Error {
	if !strings.Contains(ec.Path(), ":") {
		return nil
	}
	name, err := named(ec)
	if err != nil {
		return err
	}
	if target, ok := in.(interface {
		KeyRef() string
		SetKeyRef(string)
	}); ok {
		inRequest := target.KeyRef()
		target.SetKeyRef(name)
		if err := agrees("KeyId", inRequest, name); err != nil {
			return err
		}
	}
	if target, ok := in.(interface {
		Alias() string
		SetAliasName(string)
	}); ok {
		inRequest := target.Alias()
		target.SetAliasName(name)
		if err := agrees("AliasName", inRequest, name); err != nil {
			return err
		}
	}
	return nil
}

func agrees(member, request, path string) *api.Error {
	if request != "" && request != path {
		return api.Errorf(api.Validation, "%s in the request is not the one in the path. Leave it out.", member)
	}
	return nil
}

func isJSON(r *http.Request) bool {
	if r.Header.Get("Content-Type") == "application/json" { // nearly always; parsing costs
		return true
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == "application/json"
}

// isForm says whether the body is one that curl -d or -F and browsers make:
// hardly ever what its sender means to sign.
func isForm(r *http.Request) bool {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return mediaType == "application/x-www-form-urlencoded" || mediaType == "multipart/form-data"
}

// decodeFile takes the body as the file to sign and the rest from the query.
func decodeFile(r *http.Request, in *api.SignRequest) *api.Error {
	if isForm(r) {
		return api.Errorf(api.UnsupportedMediaType, "A form is not what is to be signed. Send the file as it is, for example with curl -T FILE, or JSON with Content-Type: application/json.")
	}
	if err := decodeQuery(r, in); err != nil {
		return err
	}
	if in.Message != nil {
		return api.Errorf(api.Validation, "The message is the body. Leave Message out of the query.")
	}
	in.Body = r.Body
	return nil
}

func decodeBody(r *http.Request, in any) *api.Error {
	if len(r.URL.RawQuery) > 0 {
		return api.Errorf(api.Validation, "%s takes its members in the JSON body, not in the query.", r.Method)
	}
	most := int64(maxBody)
	if _, ok := in.(*api.SignBatchRequest); ok {
		most = maxBatchBody
	}
	if r.ContentLength > most {
		return tooLarge(most)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	switch {
	case err != nil:
		return &api.Error{Code: api.Serialization, Cause: err, Message: "The body ended before it was complete. Send it again."}
	case int64(len(body)) > most:
		return tooLarge(most)
	case len(body) == 0: // an operation may have nothing to say beyond its path
		return nil
	case !isJSON(r):
		return api.Errorf(api.UnsupportedMediaType, "Content-Type must be application/json.")
	}
	return api.Decode(body, in, true) // a misspelt member must not be taken for an absent one
}

func tooLarge(most int64) *api.Error {
	return api.Errorf(api.RequestEntityTooLarge, "A JSON body has at most %d bytes here. Sign a large message by its digest, or send it as the raw body.", most)
}

// decodeQuery reads query parameters with the strictness of a JSON body.
func decodeQuery(r *http.Request, in any) *api.Error {
	if r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return api.Errorf(api.Validation, "The query cannot be read: it is name=value&name=value, percent-encoded.")
	}
	members := make(map[string]any, len(query))
	for name, values := range query {
		if !utf8.ValidString(name + strings.Join(values, "")) {
			return api.Errorf(api.Serialization, "The query is not UTF-8.")
		}
		outer, inner, nested := cutNested(name, in)
		value, err := queryValue(name, values, in)
		switch {
		case err != nil:
			return err
		case !nested:
			members[name] = value
		case members[outer] == nil:
			members[outer] = map[string]any{inner: value}
		default:
			members[outer].(map[string]any)[inner] = value
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		return api.Errorf(api.Serialization, "The query cannot be read.")
	}
	return api.Decode(body, in, true) // a misspelt member must not be taken for an absent one
}

// cutNested parts the name of a parameter that is a member within a member: an
// object of texts stands in the query with one parameter for each, such as
// Artifact.Name and SigningContext.team.
func cutNested(name string, in any) (outer, inner string, nested bool) {
	outer, inner, nested = strings.Cut(name, ".")
	if !nested {
		return name, "", false
	}
	field, ok := reflect.TypeOf(in).Elem().FieldByName(outer)
	return outer, inner, ok && isNested(field.Type)
}

func isNested(t reflect.Type) bool {
	return t.Kind() == reflect.Map || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t != reflect.TypeFor[*api.Time]()
}

// queryValue reads a parameter as the member of its name has it. A list stands
// in the query once for each element; any other member stands there once.
func queryValue(name string, values []string, in any) (any, *api.Error) {
	kind := reflect.String
	if field, ok := reflect.TypeOf(in).Elem().FieldByName(name); ok {
		if isNested(field.Type) {
			return nil, api.Errorf(api.Validation, "%s stands in the query with one parameter for each of its members: %s.<name>=<value>.", name, name)
		}
		kind = kindOf(field.Type)
	}
	if kind == reflect.Slice {
		return values, nil
	}
	if len(values) != 1 {
		return nil, api.Errorf(api.Validation, "%s stands in the query %d times, not once.", cut(name, 64), len(values))
	}
	switch kind {
	case reflect.Int:
		n, err := strconv.Atoi(values[0])
		if err != nil {
			return nil, api.Errorf(api.Validation, "%s must be a whole number, not %q.", name, cut(values[0], 64))
		}
		return n, nil
	case reflect.Bool:
		if values[0] != "true" && values[0] != "false" {
			return nil, api.Errorf(api.Validation, "%s must be true or false, not %q.", name, cut(values[0], 64))
		}
		return values[0] == "true", nil
	}
	return values[0], nil
}

// kindOf is the form of a member in a query; a blob is text there.
func kindOf(t reflect.Type) reflect.Kind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.String {
		return reflect.String
	}
	return t.Kind()
}
