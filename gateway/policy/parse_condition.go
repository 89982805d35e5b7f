package policy

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

func (p *parser) conditions(s *statement, n *node) *Error {
	if n.kind != '{' {
		return p.fail(n.at, "Condition is %s: {\"<operator>\": {\"<key>\": <value>}} would be right", n.what())
	}
	if len(n.members) == 0 {
		return p.fail(n.at, "Condition is empty: at least one operator would be right")
	}
	for _, e := range n.members {
		op, problem := findOperator(e.name)
		switch {
		case problem != "":
			return p.fail(e.at, "%s", problem)
		case e.value.kind != '{':
			return p.fail(e.value.at, "%s has %s: {\"<key>\": <value>} would be right", e.name, e.value.what())
		case len(e.value.members) == 0:
			return p.fail(e.value.at, "%s is empty: at least one condition key would be right", e.name)
		}
		seen := make(map[string]bool)
		for _, k := range e.value.members {
			folded := strings.ToLower(k.name)
			if seen[folded] {
				return p.fail(k.at, "%s is there twice in %s: one %s with all values would be right", quoted(k.name), e.name, printable(k.name))
			}
			seen[folded] = true
			c, err := p.condition(op, e.name, k)
			if err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

func (p *parser) condition(op operator, name string, k entry) (c condition, err *Error) {
	ref, problem := findKey(k.name)
	if problem != "" {
		return c, p.fail(k.at, "%s", problem)
	}
	info, shownKey := &keys[ref.id], printable(k.name)
	if ok, wants := op.fits(info.kind); !ok {
		return c, p.fail(k.at, "%s does not compare %s: %s would be right", name, shownKey, wants)
	}
	switch {
	case info.arity == many && op.set == noSet && op.compare != null:
		return c, p.fail(k.at, "%s has several values: ForAnyValue:%s or ForAllValues:%s would be right", shownKey, name, name)
	case op.set == forAllValues && (ref.id == keyEncryptionContext || ref.id == keyRequestTag || ref.id == keySigningContext):
		// KMS refuses it too (Developer Guide, conditions-kms).
		return c, p.fail(k.at, "OverlyPermissiveCondition: ForAllValues with %s, which has one value, matches requests that have none: %s would be right",
			shownKey, strings.TrimPrefix(name, "ForAllValues:"))
	}
	c = condition{operator: op, name: name + " " + shownKey, key: ref}
	items := []*node{k.value}
	if k.value.kind == '[' {
		items = k.value.items
	}
	if len(items) == 0 {
		return c, p.fail(k.value.at, "%s has no value: at least one would be right", shownKey)
	}
	for _, i := range items {
		if err := p.conditionValue(&c, i); err != nil {
			return c, err
		}
	}
	return c, nil
}

// conditionValue compiles one value for its operator.
func (p *parser) conditionValue(c *condition, n *node) *Error {
	wrong := func(right string) *Error {
		return p.fail(n.at, "%s has %s: %s would be right", c.name, shown(n), right)
	}
	switch {
	case c.compare == boolEquals || c.compare == null:
		if n.text != "true" && n.text != "false" || n.kind != 't' && n.kind != '"' {
			return wrong("true or false")
		}
		c.bools[index(n.text == "true")] = true
		return nil
	case c.numeric():
		v, ok := parseNumber(n.text)
		if !ok || n.kind != '"' && n.kind != '0' {
			return wrong("a decimal number")
		}
		c.numbers = append(c.numbers, v)
		return nil
	case c.date():
		t, ok := parseDate(n.text, n.kind == '0')
		if !ok || n.kind != '"' && n.kind != '0' {
			return wrong("a date such as 2026-01-31T12:00:00Z or seconds since 1970")
		}
		c.dates = append(c.dates, t)
		return nil
	case n.kind != '"':
		return wrong("a text")
	case c.compare == ipIn:
		prefix, right := parsePrefix(n.text)
		if right != "" {
			return wrong(right)
		}
		c.prefixes = append(c.prefixes, prefix)
		return nil
	case c.compare == binaryEquals:
		b, err := base64.StdEncoding.Strict().DecodeString(n.text)
		if err != nil || strings.ContainsAny(n.text, "\r\n") {
			return wrong("base64 with padding")
		}
		c.bytes = append(c.bytes, string(b))
		return nil
	}
	return p.conditionPattern(c, n)
}

// conditionPattern compiles a value of the String and Arn operators, which alone
// may have policy variables (IAM User Guide, reference_policies_variables).
func (p *parser) conditionPattern(c *condition, n *node) *Error {
	if err := p.mayHaveVariables(n); err != nil {
		return err
	}
	var v pattern
	var err error
	if c.compare == arnLike {
		v, err = compileARN(n.text, p.variables)
	} else {
		v, err = compile(n.text, c.compare == stringLike, p.variables)
	}
	if err != nil {
		return p.fail(n.at, "%s: %s", c.name, err)
	}
	c.patterns = append(c.patterns, v)
	return nil
}

// parseNumber reads an integer or decimal number (IAM User Guide,
// reference_policies_elements_condition_operators, Numeric).
func parseNumber(s string) (float64, bool) {
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if !allDigits(whole) || dotted && !allDigits(fraction) {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// dateLayouts are those of W3C NOTE-datetime. The time package takes a fraction
// behind the seconds by itself.
var dateLayouts = []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"}

// lastEpoch is the end of the year 9999, the last that a date can say.
const lastEpoch = 253402300799

// parseDate reads a date, or seconds since 1970; four digits in a text are a
// year.
func parseDate(s string, number bool) (time.Time, bool) {
	if allDigits(s) && (number || len(s) != 4) {
		n, err := strconv.ParseInt(s, 10, 64)
		return time.Unix(n, 0).UTC(), err == nil && n <= lastEpoch
	}
	if number || strings.Contains(s, ",") {
		return time.Time{}, false
	}
	for _, layout := range dateLayouts {
		// The time package takes an hour of one digit; its own form has two.
		if t, err := time.Parse(layout, s); err == nil && strings.HasPrefix(s, t.Format("2006-01-02T15:04")[:min(len(s), 16)]) {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// parsePrefix reads an address or a range; right says what would be right when
// it is neither. Without a length it is one address.
func parsePrefix(s string) (p netip.Prefix, right string) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return p, "an address without a zone"
		}
		p = netip.PrefixFrom(a, a.BitLen())
	} else if p, err = netip.ParsePrefix(s); err != nil {
		return p, "an address or a range such as 203.0.113.0/24 or 2001:db8::/32"
	}
	switch {
	case p.Addr().Is4In6():
		return p, fmt.Sprintf("the IPv4 form %s", p.Addr().Unmap())
	case p != p.Masked():
		return p, p.Masked().String()
	}
	return p, ""
}
