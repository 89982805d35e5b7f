package audit

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// longest is a record whose every member is as long as it can be, each byte of it escaped.
func longest(t testing.TB) *Record {
	t.Helper()
	r := &Record{}
	members := reflect.ValueOf(r).Elem()
	for i := range members.NumField() {
		switch m := members.Field(i); m.Kind() {
		case reflect.String:
			m.SetString(strings.Repeat("\x01", MaxText+100))
		case reflect.Map:
			m.Set(reflect.ValueOf(map[string]string{"a": strings.Repeat("\x01", 400), "b": strings.Repeat("\x01", MaxPairs-500), "c": strings.Repeat("\x01", MaxPairs)}))
		case reflect.Int, reflect.Int64:
			m.SetInt(1<<63 - 1)
		case reflect.Bool:
			m.SetBool(true)
		case reflect.Uint64, reflect.Struct: // number and time
		default:
			t.Fatalf("a member of kind %v: bound it", m.Kind())
		}
	}
	return r
}

func TestNoLineIsLongerThanABundleHolds(t *testing.T) {
	r := longest(t)
	if n := len(appendBody(nil, r)); n <= maxBody {
		t.Fatalf("it is not long: %d bytes", n)
	}
	line := appendLine(nil, 1<<64-1, hash{}, appendBounded(nil, r))
	if len(line) > MaxLine || !json.Valid(line) {
		t.Fatalf("%d bytes", len(line))
	}
	for _, want := range []string{` [cut, 2148 bytes]"`, `" [cut, 3 pairs]":""`, `"a":"\u0001`} {
		if !strings.Contains(string(line), want) {
			t.Errorf("%s is not in the line", want)
		}
	}
	t.Logf("%d bytes", len(line))
	r = sample(1)
	r.UserAgent = strings.Repeat("é", MaxText)
	if string(appendBounded(nil, r)) != string(appendBody(nil, r)) {
		t.Error("a record that fits is changed")
	}
	r = longest(t)
	r.UserAgent = "é" + strings.Repeat("ö", MaxText)
	if s := shorten(r.UserAgent); !strings.HasPrefix(s, "é"+strings.Repeat("ö", 63)+" [cut") {
		t.Error(s)
	}
}
