package gateway_test

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// narrower are the numbers that AWS KMS bounds more tightly than its model says
// (its API reference).
var narrower = map[string][2]int{
	"ScheduleKeyDeletion.pendingWindowInDays": {7, 30},
	"ListAliases.limit":                       {1, 100},
	"ListGrants.limit":                        {1, 100},
	"ListRetirableGrants.limit":               {1, 100},
	"ListResourceTags.limit":                  {1, 50},
}

// TestModelLimits breaks each constraint of the model, one member at a time, and
// wants the words of AWS for it. What is just within its bounds is no fault.
func TestModelLimits(t *testing.T) {
	t.Parallel()
	m := readModel(t)
	broken := 0
	for name, op := range m.Operations {
		l := limits{T: t, model: m, operation: name, request: api.Types[name].Request}
		l.structure(m.Shapes[op.Input], "", func(in reflect.Value) reflect.Value { return in })
		broken += l.broken
	}
	if broken < 460 { // so that a walk that finds nothing is no success
		t.Errorf("only %d constraints were broken", broken)
	}
}

// limits breaks the constraints of one request.
type limits struct {
	*testing.T
	*model
	operation string
	request   reflect.Type
	broken    int
}

// member finds a member in a request, and makes what it is in.
type member func(in reflect.Value) reflect.Value

func (l *limits) structure(s shape, at string, in member) {
	for name, target := range s.Members {
		field := func(root reflect.Value) reflect.Value { return made(in(root)).FieldByName(name) }
		path := at + strings.ToLower(name[:1]) + name[1:]
		if slices.Contains(s.Required, name) && !strings.HasSuffix(path, "tagValue") { // an absent TagValue is empty
			l.refused(path, in, func(v reflect.Value) { made(v) }, "Member must not be null")
		}
		l.value(l.Shapes[target], path, field)
	}
}

func (l *limits) value(s shape, path string, at member) {
	switch {
	case s.Type == "string" && s.Enum != nil:
		l.refused(path, at, text("nonsense"), "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
		for _, v := range s.Enum {
			l.taken(path, at, text(v))
		}
	case s.Type == "string":
		l.text(s, path, at)
	case s.Type == "blob":
		l.refused(path, at, blob(*s.Min-1), fmt.Sprintf("Member must have length greater than or equal to %d", *s.Min))
		l.refused(path, at, blob(*s.Max+1), fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
		l.taken(path, at, blob(*s.Max))
	case s.Type == "integer":
		low, high := *s.Min, *s.Max
		if bounds, ok := narrower[l.operation+"."+path]; ok {
			low, high = bounds[0], bounds[1]
		}
		l.refused(path, at, number(low-1), fmt.Sprintf("Member must have value greater than or equal to %d", low))
		l.refused(path, at, number(high+1), fmt.Sprintf("Member must have value less than or equal to %d", high))
		l.taken(path, at, number(low))
		l.taken(path, at, number(high))
	case s.Type == "structure":
		l.structure(s, path+".", at)
	case s.Type == "list":
		l.list(s, path, at)
	}
}

func (l *limits) list(s shape, path string, at member) {
	element := l.Shapes[s.Member]
	if s.Max != nil {
		l.refused(path, at, func(v reflect.Value) { v.Set(reflect.MakeSlice(v.Type(), *s.Max+1, *s.Max+1)) },
			fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
	}
	first := func(root reflect.Value) reflect.Value {
		v := at(root)
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return v.Index(0)
	}
	switch {
	case element.Type == "structure":
		l.structure(element, path+".1.member.", first)
	case element.Enum != nil:
		l.refused(path, first, text("nonsense"), "Member must satisfy constraint: [Member must satisfy enum value set: ["+strings.Join(element.Enum, ", ")+"]]")
		l.taken(path, first, text(element.Enum[0]))
	default:
		l.refused(path, first, text(""), fmt.Sprintf("Member must satisfy constraint: [Member must have length greater than or equal to %d]", *element.Min))
		l.refused(path, first, text(strings.Repeat("ü", *element.Max+1)), fmt.Sprintf("Member must satisfy constraint: [Member must have length less than or equal to %d]", *element.Max))
		l.taken(path, first, text(strings.Repeat("ü", *element.Max)))
	}
}

// text breaks the bounds of a string, which count characters, and its pattern.
func (l *limits) text(s shape, path string, at member) {
	if s.Min != nil && *s.Min > 1 {
		l.refused(path, at, text("a"), fmt.Sprintf("Member must have length greater than or equal to %d", *s.Min))
	}
	if s.Max == nil {
		return
	}
	l.refused(path, at, text(strings.Repeat("a", *s.Max+1)), fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
	if s.Pattern == "" {
		l.taken(path, at, text(strings.Repeat("ü", *s.Max)))
		return
	}
	l.refused(path, at, text(strings.Repeat("\u0100", *s.Max)), "Member must satisfy regular expression pattern: "+s.Pattern)
	l.refused(path, at, text(strings.Repeat("a", *s.Max-1)+"\u0100"), "Member must satisfy regular expression pattern: "+s.Pattern)
	l.taken(path, at, text(fitting(s)))
}

// fitting is a text of the shape's pattern.
func fitting(s shape) string {
	re := regexp.MustCompile("^(?:" + regexp.MustCompile(`\\u([0-9A-F]{4})`).ReplaceAllString(s.Pattern, `\x{$1}`) + ")$")
	for _, v := range []string{
		strings.Repeat("a", *s.Max), strings.Repeat("7", *s.Max), strings.Repeat("A", *s.Max), "kms.amazonaws.com", "eu-central-1", "cluster-2222aaaaBBBB", "https://proxy.example", "/a/kms/xks/v1",
		"com.amazonaws.vpce.eu-central-1.vpce-svc-0123456789abcdef0", "arn:aws:s3:eu-central-1:111122223333:bucket",
	} {
		if re.MatchString(v) && len(v) >= *s.Min && len(v) <= *s.Max {
			return v
		}
	}
	return "no text fits " + s.Pattern
}

func text(v string) func(reflect.Value) {
	return func(field reflect.Value) { made(field).SetString(v) }
}

func blob(n int) func(reflect.Value) {
	return func(field reflect.Value) { field.SetBytes(make([]byte, n)) }
}

func number(n int) func(reflect.Value) {
	return func(field reflect.Value) { made(field).SetInt(int64(n)) }
}

// made is what a member points to.
func made(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	v.Set(reflect.New(v.Type().Elem()))
	return v.Elem()
}

// refused wants a fault of the member, in these words.
func (l *limits) refused(path string, at member, set func(reflect.Value), want string) {
	l.Helper()
	l.broken++
	if got := l.check(at, set); !slices.ContainsFunc(got, func(p string) bool {
		return strings.HasSuffix(p, " at '"+path+"' failed to satisfy constraint: "+want)
	}) {
		l.Errorf("%s: %s is not refused with\n%s\nbut\n%.300s", l.operation, path, want, strings.Join(got, "\n"))
	}
}

// taken wants no fault of the member.
func (l *limits) taken(path string, at member, set func(reflect.Value)) {
	l.Helper()
	for _, p := range l.check(at, set) {
		if strings.Contains(p, " at '"+path+"'") {
			l.Errorf("%s: %.300s", l.operation, p)
		}
	}
}

// check sets one member of an empty request and returns what is wrong with it.
func (l *limits) check(at member, set func(reflect.Value)) []string {
	in := reflect.New(l.request)
	set(at(in.Elem()))
	var c api.Checker
	in.Interface().(interface{ Check(*api.Checker) }).Check(&c)
	err := c.Err()
	if err == nil {
		return nil
	}
	_, problems, _ := strings.Cut(err.Message, "detected: ")
	return strings.Split(problems, "; ")
}
