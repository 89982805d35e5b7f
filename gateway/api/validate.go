package api

import (
	"fmt"
	"slices"
	"strings"
)

// Checker gathers everything that is wrong with the members of a request, in
// the words of AWS, so that a caller mends all of it at once.
type Checker struct{ problems []string }

// Err returns nil or one Validation error that names every problem.
func (c *Checker) Err() *Error {
	switch n := len(c.problems); n {
	case 0:
		return nil
	case 1:
		return Errorf(Validation, "1 validation error detected: %s", c.problems[0])
	default:
		return Errorf(Validation, "%d validation errors detected: %s", n, strings.Join(c.problems, "; "))
	}
}

func (c *Checker) add(value, member, constraint string) {
	c.problems = append(c.problems,
		fmt.Sprintf("Value%s at '%s' failed to satisfy constraint: %s", value, member, constraint))
}

// quoted shows a value in an error, unless it is too long to be of use.
func quoted(v string) string {
	if len(v) > 256 {
		return ""
	}
	return " '" + v + "'"
}

const notNull = "Member must not be null"

func (c *Checker) length(value, member string, n, low, high int) {
	switch {
	case n < low:
		c.add(value, member, fmt.Sprintf("Member must have length greater than or equal to %d", low))
	case n > high:
		c.add(value, member, fmt.Sprintf("Member must have length less than or equal to %d", high))
	}
}

// required checks a string member that must be there.
func (c *Checker) required(member, v string, low, high int) {
	if v == "" {
		c.add(" null", member, notNull)
		return
	}
	c.length(quoted(v), member, len(v), low, high)
}

// text checks a string member that may be absent.
func (c *Checker) text(member, v string, high int) {
	c.length(quoted(v), member, len(v), 0, high)
}

// blob checks a binary member, whose value never stands in an error.
func (c *Checker) blob(member string, v []byte, low, high int) {
	if v == nil {
		c.add(" null", member, notNull)
		return
	}
	c.length("", member, len(v), low, high)
}

func (c *Checker) enum(member, v string, set []string, required bool) {
	if v == "" && !required {
		return
	}
	if v == "" {
		c.add(" null", member, notNull)
		return
	}
	if !slices.Contains(set, v) {
		c.add(quoted(v), member, "Member must satisfy enum value set: ["+strings.Join(set, ", ")+"]")
	}
}

func (c *Checker) between(member string, v *int, low, high int) {
	switch {
	case v == nil:
	case *v < low:
		c.add(fmt.Sprintf(" '%d'", *v), member, fmt.Sprintf("Member must have value greater than or equal to %d", low))
	case *v > high:
		c.add(fmt.Sprintf(" '%d'", *v), member, fmt.Sprintf("Member must have value less than or equal to %d", high))
	}
}

func (c *Checker) aliasName(v string) {
	c.required("aliasName", v, 1, 256)
	for _, r := range v {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/_-", r) {
			c.add(quoted(v), "aliasName", "Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$")
			return
		}
	}
}

func (c *Checker) marker(v string) {
	c.text("marker", v, 1024)
}

func (c *Checker) grantTokens(v []string) {
	if len(v) > 10 {
		c.add("", "grantTokens", "Member must have length less than or equal to 10")
	}
}
