package gateway_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/hsmgate/hsmgate/gateway"
	"github.com/hsmgate/hsmgate/gateway/api"
)

// pending are the operations of AWS KMS that gateway.Ops does not have.
var pending = []string{}

// differing are the members of the model that a Go type does not have, with the
// reason. There are none.
var differing = map[string]string{}

// beyond are the members of a Go type that AWS KMS does not have.
var beyond = map[string]string{
	"KeyVersion":       "the number of a version: AWS clients ignore it",
	"SourceKeyVersion": "the same of the key that decrypted",
	"SigningContext":   "what a signature is for: the AWS face refuses it",
	"Artifact":         "the same",
	"Receipt":          "of the audit record of a call: AWS clients ignore it, and the AWS face the wish for it",
	"IdempotencyKey":   "makes a repeat give the same signature: the same",
	"ExpiresAt":        "when a grant ends: the AWS face refuses it in requests",
	"Uses":             "how many a grant has: the same",
	"UsesLeft":         "how many are left: AWS clients ignore it",
	"Published":        "what lacks the OpenPGP certificate of a new version: the same",
}

// model is the service model in testdata.
type model struct {
	Errors     []string
	Operations map[string]struct {
		Input, Output string
		Errors        []string
	}
	Shapes map[string]shape
}

// shape is a type of the model. Members, Member, Key and Value name others.
type shape struct {
	Type               string
	Required           []string
	Members            map[string]string
	Member, Key, Value string
	Enum               []string
	Min, Max           *int
	Pattern            string
}

func readModel(t *testing.T) *model {
	t.Helper()
	text, err := os.ReadFile("testdata/kms-model.json")
	if err != nil {
		t.Fatal(err)
	}
	m := new(model)
	if err := json.Unmarshal(text, m); err != nil {
		t.Fatal(err)
	}
	if len(m.Operations) != 56 || len(m.Errors) != 48 {
		t.Fatalf("%d operations and %d errors in the model", len(m.Operations), len(m.Errors))
	}
	return m
}

// TestModelOperations: each is in the table, with the types that api has for it,
// or is known to be missing.
func TestModelOperations(t *testing.T) {
	t.Parallel()
	m := readModel(t)
	for name := range m.Operations {
		_, served := gateway.OpNamed(name)
		switch waits := slices.Contains(pending, name); {
		case served && waits:
			t.Errorf("%s is in gateway.Ops: take it out of pending", name)
		case !served && !waits:
			t.Errorf("%s is missing from gateway.Ops", name)
		}
	}
	for _, name := range pending {
		if _, ok := m.Operations[name]; !ok {
			t.Errorf("%s is pending, and no operation of AWS KMS", name)
		}
	}
	for _, op := range gateway.Ops {
		if request := reflect.TypeOf(op.New()).Elem(); request != api.Types[op.Name].Request {
			t.Errorf("%s takes %v, and api.Types has %v", op.Name, request, api.Types[op.Name].Request)
		}
	}
}

// TestModelMembers: every request and answer has the members of the model, with
// types that travel alike.
func TestModelMembers(t *testing.T) {
	t.Parallel()
	w := walk{T: t, model: readModel(t), used: make(map[string]bool)}
	for name, op := range w.Operations {
		types, ok := api.Types[name]
		if !ok {
			t.Errorf("api.Types has no %s", name)
			continue
		}
		w.structure(name+"'s request", w.Shapes[op.Input], types.Request)
		w.structure(name+"'s answer", w.Shapes[op.Output], types.Response)
	}
	for name := range api.Types {
		op, served := gateway.OpNamed(name)
		if _, ok := w.Operations[name]; !ok && !(served && op.BeyondKMS()) {
			t.Errorf("api.Types has %s, which is no operation of AWS KMS", name)
		}
	}
	for name := range differing {
		if !w.used[name] {
			t.Errorf("%s is listed as differing, and does not differ", name)
		}
	}
	for name := range beyond {
		if !w.used[name] {
			t.Errorf("%s is listed as beyond AWS KMS, and is nowhere", name)
		}
	}
}

// walk compares types with shapes.
type walk struct {
	*testing.T
	*model
	used map[string]bool // entries of differing and beyond
}

func (w *walk) structure(what string, s shape, t reflect.Type) {
	fields := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous && f.Tag.Get("json") != "-" {
			fields[f.Name] = f.Type
		}
	}
	for name, target := range s.Members {
		field, ok := fields[name]
		delete(fields, name)
		if at := what + "." + name; ok {
			w.member(at, w.Shapes[target], field)
		} else if w.used[at] = true; differing[at] == "" {
			w.Errorf("%s is missing from the Go type", at)
		}
	}
	for name := range fields {
		if w.used[name] = true; beyond[name] == "" {
			w.Errorf("%s.%s is not in the model", what, name)
		}
	}
}

// kinds are the Go kinds of a shape's type.
var kinds = map[string]reflect.Kind{
	"string": reflect.String, "boolean": reflect.Bool, "integer": reflect.Int, "blob": reflect.Slice,
	"list": reflect.Slice, "map": reflect.Map, "structure": reflect.Struct, "timestamp": reflect.Struct,
}

func (w *walk) member(what string, s shape, t reflect.Type) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if (s.Type == "timestamp") != (t == reflect.TypeFor[api.Time]()) || (s.Type == "blob") != (t == reflect.TypeFor[[]byte]()) || t.Kind() != kinds[s.Type] {
		w.Errorf("%s is %v, and a %s in the model", what, t, s.Type)
		return
	}
	switch s.Type {
	case "structure":
		w.structure(what, s, t)
	case "list":
		w.member(what+"[]", w.Shapes[s.Member], t.Elem())
	case "map":
		w.member(what+"{}", w.Shapes[s.Value], t.Elem())
	}
}

// TestModelValues: every enumeration is known, whole and in its order, which
// errors show.
func TestModelValues(t *testing.T) {
	t.Parallel()
	for name, s := range readModel(t).Shapes {
		if got := api.Values(name); s.Enum != nil && !slices.Equal(got, s.Enum) {
			t.Errorf("%s: %v, and in the model %v", name, got, s.Enum)
		}
	}
}

// TestModelErrors: each has its status, outcome and title, and is answered
// somewhere or known not to be.
func TestModelErrors(t *testing.T) {
	t.Parallel()
	m := readModel(t)
	codes, used := api.Codes(), answered(t)
	for _, name := range m.Errors {
		if !slices.Contains(codes, api.Code(name)) {
			t.Errorf("api has no code %s", name)
		}
		switch listed := unanswered[name] != ""; {
		case listed && used[name]:
			t.Errorf("%s is answered: take it out of the list", name)
		case !listed && !used[name]:
			t.Errorf("%s is answered nowhere, and not listed with a reason", name)
		}
	}
	for name := range unanswered {
		if !slices.Contains(m.Errors, name) {
			t.Errorf("%s is listed, and no error of AWS KMS", name)
		}
	}
	for name, op := range m.Operations {
		for _, e := range op.Errors {
			if !slices.Contains(m.Errors, e) {
				t.Errorf("%s declares %s, which the model does not list", name, e)
			}
		}
	}
}
