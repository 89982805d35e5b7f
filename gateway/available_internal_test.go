package gateway

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// TestAvailableKeys: what package policy takes for granted of calls, to warn of
// conditions that never hold, is so: a call has no condition key but those that
// MayHave knows, and is about no key where AboutNoKey says so.
func TestAvailableKeys(t *testing.T) {
	t.Parallel()
	s := referenceService(t)
	key, _ := s.store.Key(testNames.Region, ownKey)
	seen := make(map[string]bool)
	for _, op := range slices.Concat([]*Op{GetMetrics, ReadLog}, Ops, STS) {
		if op.open {
			continue
		}
		in := op.New()
		fillIn(reflect.ValueOf(in).Elem())
		_, aboutKey := in.(interface{ KeyRef() string })
		c := &Call{op: op, in: in, key: key, Principal: referenceUsers[1], SourceAddress: "192.0.2.1"}
		arn := s.aboutCaller(c, in)
		if (arn != "") != (policy.AboutCaller(op.permission) != "") {
			t.Errorf("%s is about %q, and policy says otherwise", op.Name, arn)
		}
		if arn == "" && aboutKey == policy.AboutNoKey(op.permission) {
			t.Errorf("%s is about a key: %v, and policy says otherwise", op.Name, aboutKey)
		}
		_, aboutAlias := in.(interface{ Alias() string })
		if got := policy.MayHave(op.permission, "kms:RequestAlias"); got != (op.byAlias && !aboutAlias) {
			t.Errorf("%s may be about a key by its alias: %v", op.Name, got)
		}
		q := question{action: op.permission, arn: arn, resource: cmp.Or(arn, "*")}
		if aboutKey {
			q = s.onKey(c, key)
		}
		for _, name := range policy.ConditionKeys() {
			if strings.HasSuffix(name, ":") || strings.HasSuffix(name, "/") {
				name += "text"
			}
			r := s.request(c, q)
			r.Principal = policy.Principal{ARN: userOfTest}
			r.KeyPolicy = keyPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"Null":{"` + name + `":"false"}}}}`).Compiled
			has := policy.Evaluate(r).Allowed
			if has && !policy.MayHave(op.permission, name) {
				t.Errorf("%s has %s, and policy warns of it", op.Name, name)
			}
			seen[name] = seen[name] || has
		}
	}
	for _, name := range []string{"kms:SigningAlgorithm", "kms:EncryptionContext:text", "kms:GrantOperations", "aws:RequestTag/text", "aws:TagKeys", "kms:ValidTo", "kms:PrimaryRegion"} {
		if !seen[name] {
			t.Errorf("no call has %s: this test sees nothing", name)
		}
	}
}

const userOfTest = "arn:aws:iam::111122223333:user/t"

// fillIn puts something into every member of a request.
func fillIn(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillIn(v.Index(0))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fillIn(element)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("text"), element)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[api.Time]() {
			v.Set(reflect.ValueOf(api.Time{Time: time.Unix(7, 0).UTC()}))
			return
		}
		for i := range v.NumField() {
			fillIn(v.Field(i))
		}
	}
}
