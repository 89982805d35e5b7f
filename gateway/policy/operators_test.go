package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// allOperators are the operators that IAM documents, with their variants.
func allOperators() (all []string) {
	for _, o := range strings.Fields(`StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike
		NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals
		DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals
		Bool BinaryEquals IpAddress NotIpAddress ArnEquals ArnLike ArnNotEquals ArnNotLike`) {
		for _, set := range []string{"", "ForAnyValue:", "ForAllValues:"} {
			all = append(all, set+o, set+o+"IfExists")
		}
	}
	return append(all, "Null")
}

// TestOperatorsAreAll: the operators of the tables are those that a policy may have.
func TestOperatorsAreAll(t *testing.T) {
	t.Parallel()
	have := policy.Operators()
	for _, o := range have {
		if !slices.Contains(allOperators(), o) {
			t.Errorf("the tables do not ask for %s", o)
		}
	}
	for _, o := range allOperators() {
		_, base, set := strings.Cut(o, ":")
		if !set {
			base = o
		}
		if base = strings.TrimSuffix(base, "IfExists"); !slices.Contains(have, base) {
			t.Errorf("a policy may not have %s", o)
		}
	}
}

// alone gives the operator and the key of a condition that has one of each.
func alone(t *testing.T, condition string) (names []string) {
	var operators map[string]map[string]any
	if err := json.Unmarshal([]byte(condition), &operators); err != nil {
		t.Fatal(err)
	}
	for o, all := range operators {
		for key := range all {
			names = append(names, o, key)
		}
	}
	if len(names) != 2 {
		return nil
	}
	for _, k := range policy.ConditionKeys() {
		if strings.EqualFold(k, names[1]) || strings.HasSuffix(k, ":") && strings.HasPrefix(names[1], k) || strings.HasSuffix(k, "/") && strings.HasPrefix(names[1], k) {
			names[1] = k
		}
	}
	return names
}
