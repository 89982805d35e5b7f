package awskms

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// decode fills a request from a body as AWS reads it: one JSON object; members
// by their exact names, unknown ones and nulls ignored; a member of the wrong
// type refused; nothing after the object. An empty body is an empty object.
func decode(body []byte, in any) *api.Error {
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) {
		return api.Errorf(api.Serialization, "The body is not UTF-8.")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return api.Errorf(api.Serialization, "The body is not one JSON object.")
	}
	v := reflect.ValueOf(in).Elem()
	for _, m := range membersOf(v.Type()) {
		raw, there := members[m.name]
		if !there || raw[0] == 'n' {
			continue
		}
		// encoding/json would also take a list of numbers for a blob.
		if m.blob && raw[0] != '"' {
			return wrongType(m.name)
		}
		if json.Unmarshal(raw, v.FieldByIndex(m.index).Addr().Interface()) != nil {
			return wrongType(m.name)
		}
	}
	return nil
}

func wrongType(member string) *api.Error {
	return api.Errorf(api.Serialization, "Member %s has the wrong type.", member)
}

// member is a field of a request as it travels.
type member struct {
	name  string
	index []int
	blob  bool // base64 in a string
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
		members = append(members, member{name: name, index: f.Index, blob: f.Type == reflect.TypeFor[[]byte]()})
	}
	memberCache.Store(t, members)
	return members
}
