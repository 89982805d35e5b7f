package policy

import (
	"net/netip"
	"time"
)

// condition is one condition key under one operator. Its values are in the
// member that the operator compares.
type condition struct {
	operator
	name string // operator and key as the policy names them
	key  keyRef

	patterns []pattern
	numbers  []float64
	dates    []time.Time
	prefixes []netip.Prefix
	bools    [2]bool // whether false, true is among the values
	bytes    []string
}

// holds decides a condition. Several values of the policy are alternatives; a
// negated operator wants none of them to match (IAM User Guide,
// reference_policies_condition-logic-multiple-context-keys-or-values).
//
// What cannot be decided, an ambiguous value, makes an Allow not apply and a
// Deny apply.
func (c *condition) holds(e *evaluation, deny bool) bool {
	v := e.lookup(c.key)
	switch {
	case c.compare == null:
		return c.bools[index(!v.present)]
	case v.ambiguous:
		return deny
	case !v.present:
		return c.ifExists || c.set == forAllValues || c.set == noSet && c.negated
	}
	switch {
	case v.keys != nil:
		return c.overKeys(e, v.keys, deny)
	case v.list != nil:
		return c.overList(e, v.list, deny)
	}
	return c.one(e, &v, deny)
}

func (c *condition) overKeys(e *evaluation, keys map[string]string, deny bool) bool {
	for k := range keys {
		if got := c.one(e, &value{s: k}, deny); got != (c.set == forAllValues) {
			return got
		}
	}
	return c.set == forAllValues
}

func (c *condition) overList(e *evaluation, list []string, deny bool) bool {
	if c.set == noSet && len(list) > 1 {
		return deny // a claim with several values
	}
	for _, s := range list {
		got := c.one(e, &value{s: s}, deny)
		if c.set == noSet || got != (c.set == forAllValues) {
			return got
		}
	}
	return c.set == forAllValues
}

// one compares one value of the request with those of the policy. A value of
// the policy whose variable the request does not resolve matches nothing; in a
// negated comparison an Allow does not apply then. One for whose variable it has
// several values is ambiguous.
func (c *condition) one(e *evaluation, v *value, deny bool) bool {
	if c.patterns == nil {
		return c.typed(v) != c.negated
	}
	unknown, ambiguous := false, false
	for i := range c.patterns {
		switch c.text(&c.patterns[i], v.s, e) {
		case yes:
			return !c.negated
		case unresolved:
			unknown = true
		case open:
			ambiguous = true
		}
	}
	if ambiguous {
		return deny
	}
	return c.negated && (deny || !unknown)
}

func (c *condition) text(p *pattern, s string, e *evaluation) verdict {
	if c.compare == stringEqualsFold {
		return p.matchFold(s, e)
	}
	return p.match(s, e)
}

func (c *condition) typed(v *value) bool {
	switch {
	case c.compare == boolEquals:
		return c.bools[index(v.b)]
	case c.compare == binaryEquals:
		for _, b := range c.bytes {
			if b == v.s {
				return true
			}
		}
	case c.compare == ipIn:
		for _, p := range c.prefixes {
			if p.Contains(v.ip) {
				return true
			}
		}
	case c.date():
		for _, d := range c.dates {
			if ordered(c.compare-dateEquals, v.t.Compare(d)) {
				return true
			}
		}
	default:
		for _, n := range c.numbers {
			if ordered(c.compare-numericEquals, compareNumbers(v.n, n)) {
				return true
			}
		}
	}
	return false
}

// ordered reads the outcome of a comparison, in the order that both the numeric
// and the date operators are listed in.
func ordered(want comparison, got int) bool {
	switch want {
	case 0:
		return got == 0
	case numericLess - numericEquals:
		return got < 0
	case numericLessEquals - numericEquals:
		return got <= 0
	case numericGreater - numericEquals:
		return got > 0
	}
	return got >= 0
}

func compareNumbers(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}
