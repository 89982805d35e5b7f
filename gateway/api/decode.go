package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Decode fills a request from a body: one JSON object and nothing after it;
// members by their exact names; nulls are absent members. A member that the
// request does not have, or an object in it, is refused if strict, and ignored
// otherwise, as AWS does. An empty body is an empty object.
func Decode(body []byte, in any, strict bool) *Error {
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) { // encoding/json would replace what it cannot read
		return Errorf(Serialization, "The body is not UTF-8.")
	}
	given, ok := object(body)
	if !ok {
		return Errorf(Serialization, "The body is not one JSON object.")
	}
	return decodeObject(given, reflect.ValueOf(in).Elem(), strict, "")
}

func object(raw []byte) (members map[string]json.RawMessage, ok bool) {
	err := json.Unmarshal(raw, &members)
	return members, err == nil && members != nil
}

// decodeObject fills a struct, whose members errors name after the prefix at.
func decodeObject(given map[string]json.RawMessage, v reflect.Value, strict bool, at string) *Error {
	members := membersOf(v.Type())
	if strict {
		if err := allKnown(given, members, at); err != nil {
			return err
		}
	}
	for _, m := range members {
		raw, there := given[m.name]
		if !there || raw[0] == 'n' {
			continue
		}
		if err := decodeMember(raw, v.FieldByIndex(m.index), m, strict, at+m.name); err != nil {
			return err
		}
	}
	return nil
}

func decodeMember(raw json.RawMessage, field reflect.Value, m member, strict bool, name string) *Error {
	wrong := func() *Error { return Errorf(Serialization, "Member %s must be %s.", name, m.form) }
	switch t := field.Type(); {
	case t.Kind() == reflect.Pointer && isObject(t.Elem()):
		given, ok := object(raw)
		if !ok {
			return wrong()
		}
		field.Set(reflect.New(t.Elem()))
		return decodeObject(given, field.Elem(), strict, name+".")
	case t.Kind() == reflect.Slice && isObject(t.Elem()):
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return wrong()
		}
		field.Set(reflect.MakeSlice(t, len(list), len(list)))
		for i, element := range list {
			given, ok := object(element)
			if !ok {
				return wrong()
			}
			if err := decodeObject(given, field.Index(i), strict, fmt.Sprintf("%s.%d.", name, i+1)); err != nil {
				return err
			}
		}
	// encoding/json would also take a list of numbers for a blob.
	case m.blob && raw[0] != '"' || json.Unmarshal(raw, field.Addr().Interface()) != nil:
		return wrong()
	}
	return nil
}

// isObject says whether a type travels as an object with members of its own.
func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Time]()
}

func allKnown(given map[string]json.RawMessage, members []member, at string) *Error {
	for name := range given {
		if !slices.ContainsFunc(members, func(m member) bool { return m.name == name }) {
			return Errorf(Serialization, "The request has no member %.64q. See /openapi.yaml.", at+name)
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
	if t == reflect.TypeFor[Time]() {
		return "a number of seconds since 1970"
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
	case reflect.Map:
		return "an object of strings"
	}
	return "an object"
}
