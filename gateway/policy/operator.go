package policy

import "strings"

// comparison is what an operator does with one value of the request and one of
// the policy.
type comparison uint8

const (
	stringEquals comparison = iota
	stringEqualsFold
	stringLike
	numericEquals
	numericLess
	numericLessEquals
	numericGreater
	numericGreaterEquals
	dateEquals
	dateLess
	dateLessEquals
	dateGreater
	dateGreaterEquals
	boolEquals
	binaryEquals
	ipIn
	arnLike
	null
)

// set is the set operator before an operator's name.
type set uint8

const (
	noSet set = iota
	forAnyValue
	forAllValues
)

// operator is a whole operator, for example ForAnyValue:StringNotLikeIfExists.
type operator struct {
	compare  comparison
	negated  bool
	ifExists bool
	set      set
}

// operators are those of the IAM User Guide,
// reference_policies_elements_condition_operators, without set and IfExists.
var operators = []struct {
	name string
	operator
}{
	{"StringEquals", operator{compare: stringEquals}},
	{"StringNotEquals", operator{compare: stringEquals, negated: true}},
	{"StringEqualsIgnoreCase", operator{compare: stringEqualsFold}},
	{"StringNotEqualsIgnoreCase", operator{compare: stringEqualsFold, negated: true}},
	{"StringLike", operator{compare: stringLike}},
	{"StringNotLike", operator{compare: stringLike, negated: true}},
	{"NumericEquals", operator{compare: numericEquals}},
	{"NumericNotEquals", operator{compare: numericEquals, negated: true}},
	{"NumericLessThan", operator{compare: numericLess}},
	{"NumericLessThanEquals", operator{compare: numericLessEquals}},
	{"NumericGreaterThan", operator{compare: numericGreater}},
	{"NumericGreaterThanEquals", operator{compare: numericGreaterEquals}},
	{"DateEquals", operator{compare: dateEquals}},
	{"DateNotEquals", operator{compare: dateEquals, negated: true}},
	{"DateLessThan", operator{compare: dateLess}},
	{"DateLessThanEquals", operator{compare: dateLessEquals}},
	{"DateGreaterThan", operator{compare: dateGreater}},
	{"DateGreaterThanEquals", operator{compare: dateGreaterEquals}},
	{"Bool", operator{compare: boolEquals}},
	{"BinaryEquals", operator{compare: binaryEquals}},
	{"IpAddress", operator{compare: ipIn}},
	{"NotIpAddress", operator{compare: ipIn, negated: true}},
	{"ArnEquals", operator{compare: arnLike}},
	{"ArnLike", operator{compare: arnLike}},
	{"ArnNotEquals", operator{compare: arnLike, negated: true}},
	{"ArnNotLike", operator{compare: arnLike, negated: true}},
	{"Null", operator{compare: null}},
}

// findOperator reads an operator's name, which is case-sensitive. problem says
// what would be right when there is none.
func findOperator(name string) (op operator, problem string) {
	base := name
	var of set
	if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		base, of = rest, forAnyValue
	} else if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		base, of = rest, forAllValues
	}
	base, ifExists := strings.CutSuffix(base, "IfExists")
	names := make([]string, len(operators))
	for i, o := range operators {
		if o.name != base {
			names[i] = o.name
			continue
		}
		if o.compare == null && (ifExists || of != noSet) {
			return op, "the operator Null takes neither IfExists nor a set operator: Null would be right"
		}
		o.ifExists, o.set = ifExists, of
		return o.operator, ""
	}
	problem = "unknown condition operator " + quoted(name)
	if n := nearest(base, names); n != "" {
		return op, problem + ": " + name[:strings.LastIndex(name, base)] + n + suffix(ifExists) + " would be right"
	}
	return op, problem + ": StringEquals, NumericEquals, DateLessThan, Bool, IpAddress, ArnLike, Null or another operator of IAM would be right"
}

func suffix(ifExists bool) string {
	if ifExists {
		return "IfExists"
	}
	return ""
}

// fits reports whether the operator compares values of a kind; if not, wants is
// the family of operators that does.
func (op operator) fits(k valueKind) (ok bool, wants string) {
	switch k {
	case kindString:
		return op.compare <= stringLike || op.compare == binaryEquals || op.compare == null, "a String operator"
	case kindARN:
		return op.compare <= stringLike || op.compare == binaryEquals || op.compare == arnLike || op.compare == null, "an Arn or String operator"
	case kindNumber:
		return op.numeric() || op.compare == null, "a Numeric operator"
	case kindDate:
		return op.date() || op.compare == null, "a Date operator"
	case kindEpoch:
		return op.numeric() || op.date() || op.compare == null, "a Date or Numeric operator"
	case kindBool:
		return op.compare == boolEquals || op.compare == null, "Bool"
	}
	return op.compare == ipIn || op.compare == null, "IpAddress or NotIpAddress"
}

func (op operator) numeric() bool {
	return op.compare >= numericEquals && op.compare <= numericGreaterEquals
}

func (op operator) date() bool { return op.compare >= dateEquals && op.compare <= dateGreaterEquals }
