package policy

import (
	"slices"
	"strings"
	"time"
)

// conditionNodes are the places of a statement's conditions, in their order.
func (l *linter) conditionNodes() (at []*node) {
	c := l.n.member("Condition")
	if c == nil {
		return nil
	}
	for _, operator := range c.members {
		for _, key := range operator.value.members {
			at = append(at, &node{at: key.at})
		}
	}
	return at
}

// conditions warns of those that the statement's actions decide beforehand, and of
// ForAllValues where it lets requests without a value pass.
func (l *linter) conditions(effective actionSet) {
	at := l.conditionNodes()
	for i := range l.s.conditions {
		c := &l.s.conditions[i]
		has := effective
		if on, some := only[c.key.id]; some {
			has = effective.within(on)
		}
		switch {
		case has.empty() && c.holdsWithout():
			l.warn(at[i], "always", "no request for %s has %s: the condition always holds", sample(effective), c.key)
		case has.empty():
			l.warn(at[i], "never", "no request for %s has %s: the condition never holds", sample(effective), c.key)
		case !l.s.deny && !c.holdsWithout():
			l.partly(at[i], c, has)
		case !l.s.deny && c.set == forAllValues && !effective.without(always[c.key.id]).empty() && !l.s.needs(c.key):
			l.warn(at[i], "absent", "%s holds for requests that have no value, too: \"Null\": {\"%s\": \"false\"} beside it would be right", c.name, c.key)
		}
	}
}

// partly warns of actions that the statement names, and that its condition never
// allows.
func (l *linter) partly(at *node, c *condition, has actionSet) {
	var never []string
	for _, i := range l.named {
		if !has.has(i) {
			never = append(never, actions[i])
		}
	}
	if len(never) > 0 {
		l.warn(at, "never", "no request for %s has %s: a statement of its own for that would be right", strings.Join(never, ", "), c.key)
	}
}

// holdsWithout reports whether a condition holds for a request without a value.
func (c *condition) holdsWithout() bool {
	if c.compare == null {
		return c.bools[index(true)]
	}
	return c.ifExists || c.set == forAllValues || c.set == noSet && c.negated
}

// needs reports whether another condition wants a value of the key.
func (s *statement) needs(k keyRef) bool {
	return slices.ContainsFunc(s.conditions, func(c condition) bool {
		return c.key.id == k.id && strings.EqualFold(c.key.rest, k.rest) && !c.holdsWithout()
	})
}

// sample names the actions of a set for a text.
func sample(s actionSet) string {
	if s.several() {
		return "these actions"
	}
	return s.first()
}

// contradictions warns of conditions on one key that exclude each other: a value
// that is to be absent and compared, and a range that ends before it begins.
func (l *linter) contradictions() {
	at := l.conditionNodes()
	for i := range l.s.conditions {
		for j := range i {
			a, b := &l.s.conditions[j], &l.s.conditions[i]
			if a.key.id == b.key.id && strings.EqualFold(a.key.rest, b.key.rest) && (a.excludes(b) || b.excludes(a)) {
				l.warn(at[i], "never", "%s and %s exclude each other: the statement never applies", a.name, b.name)
			}
		}
	}
}

// excludes finds the contradictions that can be seen without a request.
func (c *condition) excludes(o *condition) bool {
	if c.compare == null {
		return c.holdsWithout() && !c.bools[index(false)] && !o.holdsWithout()
	}
	if c.negated || o.negated || c.set != noSet || o.set != noSet || c.ifExists && o.ifExists {
		return false
	}
	least, openAt := c.least()
	most, openTo := o.most()
	if least == nil || most == nil {
		return false
	}
	return *least > *most || *least == *most && (openAt || openTo)
}

// least is the smallest value that an ordered condition takes, and whether that
// one itself is out; nil for another condition.
func (c *condition) least() (v *float64, out bool) {
	switch c.compare {
	case numericGreater, numericGreaterEquals:
		n := slices.Min(c.numbers)
		return &n, c.compare == numericGreater
	case dateGreater, dateGreaterEquals:
		n := seconds(slices.MinFunc(c.dates, time.Time.Compare))
		return &n, c.compare == dateGreater
	}
	return nil, false
}

// most is least for the largest value.
func (c *condition) most() (v *float64, out bool) {
	switch c.compare {
	case numericLess, numericLessEquals:
		n := slices.Max(c.numbers)
		return &n, c.compare == numericLess
	case dateLess, dateLessEquals:
		n := seconds(slices.MaxFunc(c.dates, time.Time.Compare))
		return &n, c.compare == dateLess
	}
	return nil, false
}

// seconds since 1970; UnixNano ends in the year 2262.
func seconds(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }
