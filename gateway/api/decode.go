package api

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Decode fills a request from a body: one JSON object and nothing after it;
// members by their exact names; nulls are absent members. A member that the
// request does not have is refused if strict, and ignored otherwise, as AWS
// does. An empty body is an empty object.
func Decode(body []byte, in any, strict bool) *Error {
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) { // encoding/json would replace what it cannot read
		return Errorf(Serialization, "The body is not UTF-8.")
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(body, &given); err != nil || given == nil {
		return Errorf(Serialization, "The body is not one JSON object.")
	}
	v := reflect.ValueOf(in).Elem()
	members := membersOf(v.Type())
	if strict {
		if err := allKnown(given, members); err != nil {
			return err
		}
	}
	for _, m := range members {
		raw, there := given[m.name]
		if !there || raw[0] == 'n' {
			continue
		}
		// encoding/json would also take a list of numbers for a blob.
		if m.blob && raw[0] != '"' || json.Unmarshal(raw, v.FieldByIndex(m.index).Addr().Interface()) != nil {
			return Errorf(Serialization, "Member %s must be %s.", m.name, m.form)
		}
	}
	return nil
}

func allKnown(given map[string]json.RawMessage, members []member) *Error {
	for name := range given {
		if !slices.ContainsFunc(members, func(m member) bool { return m.name == name }) {
			return Errorf(Serialization, "The request has no member %.64q. See /openapi.yaml.", name)
		}
	}
	return nil
}

// member is a field of a request as it travels.
type member struct {
	name  string
	index []int
	blob  bool
	form  string // in words
}

var memberCache sync.Map // reflect.Type -> []member

// membersOf lists the members of a request type. encoding/json is not left to
// match names by itself, since it does so without regard to case.
func membersOf(t reflect.Type) []member {
	if known, ok := memberCache.Load(t); ok {
		return known.([]member)
	}
	var members []member
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		blob := f.Type == reflect.TypeFor[[]byte]()
		members = append(members, member{name: name, index: f.Index, blob: blob, form: formOf(f.Type, blob)})
	}
	memberCache.Store(t, members)
	return members
}

func formOf(t reflect.Type, blob bool) string {
	if blob {
		return "a string in base64 (RFC 4648, section 4)"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return "a list of strings"
		}
		return "a list of objects"
	}
	return "an object"
}
