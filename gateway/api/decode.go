package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Decode fills a request from a body: one JSON object and nothing after it;
// members by their exact names; nulls are absent members. A member that the
// request does not have is refused if strict, and ignored otherwise, as AWS
// does; but one that only REST has is refused then, since it may narrow what is
// asked for. An empty body is an empty object.
func Decode(body []byte, in any, strict bool) *Error {
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) { // encoding/json would replace what it cannot read
		return Errorf(Serialization, "The body is not UTF-8.")
	}
	if start := skipSpace(body, 0); json.Valid(body) && body[start] == '{' {
		return decodeObject(body[start:], reflect.ValueOf(in).Elem(), strict, "")
	}
	return Errorf(Serialization, "The body is not one JSON object.")
}

// decodeObject fills a struct from a valid JSON object, whose members errors name
// after the prefix at.
func decodeObject(text []byte, v reflect.Value, strict bool, at string) *Error {
	members := membersOf(v.Type())
	given := make([][]byte, len(members))
	for name, value := range object(text) {
		i := slices.IndexFunc(members, func(m member) bool { return m.name == string(name) })
		switch {
		case i >= 0:
			if members[i].onREST && !strict {
				return Errorf(Validation, "AWS KMS has no member %s, so it is taken on REST alone. See /openapi.yaml.", at+string(name))
			}
			given[i] = value // the last one counts
		case strict:
			return Errorf(Serialization, "The request has no member %.64q. See /openapi.yaml.", at+string(name))
		}
	}
	for i, m := range members {
		if given[i] == nil || given[i][0] == 'n' {
			continue
		}
		if err := m.decode(v.FieldByIndex(m.index), given[i], strict, at+m.name); err != nil {
			return err
		}
	}
	return nil
}

// decode reads a value into the field of the member, which errors call name.
func (m member) decode(field reflect.Value, value []byte, strict bool, name string) *Error {
	t := field.Type()
	switch {
	case t.Kind() == reflect.Pointer && isObject(t.Elem()) && value[0] == '{':
		field.Set(reflect.New(t.Elem()))
		return decodeObject(value, field.Elem(), strict, name+".")
	case t.Kind() == reflect.Slice && isObject(t.Elem()) && value[0] == '[':
		return m.decodeList(field, value, strict, name)
	case (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) && isObject(t.Elem()), !m.set(field, value):
		return m.wrong(name)
	}
	return nil
}

func (m member) decodeList(field reflect.Value, value []byte, strict bool, name string) *Error {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		return m.wrong(name)
	}
	field.Set(reflect.MakeSlice(field.Type(), len(list), len(list)))
	for i, element := range list {
		if element[0] != '{' {
			return m.wrong(name)
		}
		if err := decodeObject(element, field.Index(i), strict, fmt.Sprintf("%s.%d.", name, i+1)); err != nil {
			return err
		}
	}
	return nil
}

func (m member) wrong(name string) *Error {
	return Errorf(Serialization, "Member %s must be %s.", name, m.form)
}

// isObject says whether a type travels as an object with members of its own.
func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Time]()
}

// object yields the names and the values, as they stand, of the valid JSON object
// that body begins with. encoding/json would make a map of them first.
func object(body []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := skipSpace(body, 1); body[i] != '}'; {
			end := endOf(body, i)
			name := body[i+1 : end-1]
			if bytes.IndexByte(name, '\\') >= 0 {
				var text string
				_ = json.Unmarshal(body[i:end], &text) // valid
				name = []byte(text)
			}
			i = skipSpace(body, skipSpace(body, end)+1) // the colon
			end = endOf(body, i)
			if !yield(name, body[i:end]) {
				return
			}
			if i = skipSpace(body, end); body[i] == ',' {
				i = skipSpace(body, i+1)
			}
		}
	}
}

func skipSpace(body []byte, i int) int {
	for i < len(body) && (body[i] == ' ' || body[i] == '\t' || body[i] == '\r' || body[i] == '\n') {
		i++
	}
	return i
}

// endOf is where the valid JSON value ends that begins at i and that something
// follows.
func endOf(body []byte, i int) int {
	for depth := 0; ; {
		switch body[i] {
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case '"':
			for i++; body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
			i++
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			for !strings.ContainsRune(" \t\r\n,:]}", rune(body[i])) {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

// member is a field of a request as it travels.
type member struct {
	name  string
	index []int
	blob  bool
	text  bool
	// onREST: the member is tagged face:"rest", and the AWS face does not take it.
	onREST bool
	form   string // in words
}

// set reads a value into the field of the member. A text without escapes, as
// nearly all are, is taken as it stands.
func (m member) set(field reflect.Value, value []byte) bool {
	plain := value[0] == '"' && bytes.IndexByte(value, '\\') < 0
	switch {
	case m.text && plain:
		field.SetString(string(value[1 : len(value)-1]))
		return true
	case m.blob && plain:
		blob, err := base64.StdEncoding.AppendDecode([]byte{}, value[1:len(value)-1])
		field.SetBytes(blob)
		return err == nil
	case m.blob && value[0] != '"': // encoding/json would also take a list of numbers
		return false
	}
	return json.Unmarshal(value, field.Addr().Interface()) == nil
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
		text := f.Type.Kind() == reflect.String
		members = append(members, member{name: name, index: f.Index, blob: blob, text: text, onREST: f.Tag.Get("face") == "rest", form: formOf(f.Type, blob)})
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
