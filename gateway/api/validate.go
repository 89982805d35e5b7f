package api

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
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

// Present is Err without the members that are missing.
func (c *Checker) Present() *Error {
	there := Checker{slices.DeleteFunc(slices.Clone(c.problems), func(p string) bool { return strings.HasPrefix(p, "Value null at ") })}
	return there.Err()
}

func (c *Checker) add(value, member, constraint string) {
	c.problems = append(c.problems,
		fmt.Sprintf("Value%s at '%s' failed to satisfy constraint: %s", value, member, constraint))
}

// null says that a member is missing that must be there.
func (c *Checker) null(member string) { c.add(" null", member, "Member must not be null") }

// quoted shows a value in an error, unless it is too long to be of use.
func quoted(v string) string {
	if len(v) > 256 {
		return ""
	}
	return " '" + v + "'"
}

// broken names the first bound that a length breaks, or nothing.
func broken(n, low, high int) string {
	switch {
	case n < low:
		return fmt.Sprintf("Member must have length greater than or equal to %d", low)
	case n > high:
		return fmt.Sprintf("Member must have length less than or equal to %d", high)
	}
	return ""
}

// shape bounds a string: its length in characters, and the pattern that the
// whole of it matches.
type shape struct {
	low, high int
	pattern   string         // as AWS writes it
	matches   *regexp.Regexp // nil for any text
	secret    bool           // never shown in an error
}

// shaped makes a shape from a pattern of the AWS model, which is anchored there
// or not and always meant for the whole value.
func shaped(low, high int, pattern string) shape {
	re := regexp.MustCompile(`\\u([0-9A-F]{4})`).ReplaceAllString(pattern, `\x{$1}`)
	return shape{low: low, high: high, pattern: pattern, matches: regexp.MustCompile(`^(?:` + re + `)$`)}
}

func (s shape) hidden() shape {
	s.secret = true
	return s
}

// failure names what of the shape the value breaks, or nothing.
func (s shape) failure(v string) string {
	if text := broken(utf8.RuneCountInString(v), s.low, s.high); text != "" {
		return text
	}
	if s.matches == nil && strings.ContainsRune(v, 0) {
		return "Member must not hold the character U+0000, which cannot be stored"
	}
	if s.matches != nil && !s.matches.MatchString(v) {
		return "Member must satisfy regular expression pattern: " + s.pattern
	}
	return ""
}

// must checks a string that has to be there.
func (c *Checker) must(member, v string, s shape) {
	if v == "" {
		c.null(member)
		return
	}
	c.may(member, v, s)
}

// may checks a string that may be absent.
func (c *Checker) may(member, v string, s shape) {
	if v == "" {
		return
	}
	if text := s.failure(v); text != "" {
		shown := quoted(v)
		if s.secret {
			shown = ""
		}
		c.add(shown, member, text)
	}
}

// blob checks a binary member that has to be there. Its value never stands in
// an error.
func (c *Checker) blob(member string, v []byte, low, high int) {
	if v == nil {
		c.null(member)
		return
	}
	c.mayBlob(member, v, low, high)
}

// mayBlob checks a binary member that may be absent.
func (c *Checker) mayBlob(member string, v []byte, low, high int) {
	if v == nil {
		return
	}
	if text := broken(len(v), low, high); text != "" {
		c.add("", member, text)
	}
}

func (c *Checker) enum(member, v string, set []string, required bool) {
	if v == "" && !required {
		return
	}
	if v == "" {
		c.null(member)
		return
	}
	if !slices.Contains(set, v) {
		c.add(quoted(v), member, notAmong(set))
	}
}

func notAmong(set []string) string {
	return "Member must satisfy enum value set: [" + strings.Join(set, ", ") + "]"
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

// elements checks a list of strings. AWS names the list, not the element.
func (c *Checker) elements(member string, list []string, shown bool, failure func(string) string) {
	for _, v := range list {
		if text := failure(v); text != "" {
			value := ""
			if shown {
				value = quoted("[" + strings.Join(list, ", ") + "]")
			}
			c.add(value, member, "Member must satisfy constraint: ["+text+"]")
			return
		}
	}
}

// enums checks a list of names out of a set.
func enums[E ~string](c *Checker, member string, list []E, set []string) {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = string(v)
	}
	c.elements(member, names, true, func(v string) string {
		if slices.Contains(set, v) {
			return ""
		}
		return notAmong(set)
	})
}

// grantTokens checks the tokens of grants, which are not shown: each is a
// permission.
func (c *Checker) grantTokens(tokens []string) {
	if text := broken(len(tokens), 0, 10); text != "" {
		c.add("", "grantTokens", text)
	}
	c.elements("grantTokens", tokens, false, grantTokenShape.failure)
}

// marker checks a mark of a page.
func (c *Checker) marker(v string) { c.may("marker", v, markerShape) }

// version checks the number of a key's version, which no operation of AWS KMS
// has.
func (c *Checker) version(v *int) { c.between("keyVersion", v, 1, math.MaxInt32) }

// The shapes of the AWS model, under its names.
var (
	keyIDShape                  = shape{low: 1, high: 2048}
	aliasNameShape              = shaped(1, 256, `^[a-zA-Z0-9:/_-]+$`)
	markerShape                 = shaped(1, 1024, `[\u0020-\u00FF]*`)
	descriptionShape            = shape{high: 8192}
	policyShape                 = shaped(1, 131072, `[\u0009\u000A\u000D\u0020-\u00FF]+`)
	policyNameShape             = shaped(1, 128, `[\w]+`)
	tagKeyShape                 = shape{low: 1, high: 128}
	tagValueShape               = shape{high: 256}
	grantIDShape                = shape{low: 1, high: 128}
	grantNameShape              = shaped(1, 256, `^[a-zA-Z0-9:/_-]+$`)
	grantTokenShape             = shape{low: 1, high: 8192, secret: true}
	principalShape              = shaped(1, 256, `^[\w+=,.@:/-]+$`)
	servicePrincipalShape       = shaped(1, 128, `^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$`)
	sourceArnShape              = shaped(20, 512, `^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$`)
	regionShape                 = shaped(1, 32, `^([a-z]+-){2,3}\d+$`)
	keyMaterialIDShape          = shaped(64, 64, `^[a-f0-9]+$`)
	keyMaterialDescriptionShape = shaped(0, 256, `^[a-zA-Z0-9:/_\s.-]+$`)
	customKeyStoreIDShape       = shape{low: 1, high: 64}
	customKeyStoreNameShape     = shape{low: 1, high: 256}
	cloudHsmClusterIDShape      = shaped(19, 24, `cluster-[2-7a-zA-Z]{11,16}`)
	trustAnchorShape            = shape{low: 1, high: 5000}
	keyStorePasswordShape       = shape{low: 7, high: 32, secret: true}
	xksKeyIDShape               = shaped(1, 128, `^[a-zA-Z0-9-_.]+$`)
	xksAccessKeyIDShape         = shaped(20, 30, `^[A-Z2-7]+$`).hidden()
	xksSecretShape              = shaped(43, 64, `^[a-zA-Z0-9\/+=]+$`).hidden()
	xksEndpointShape            = shaped(10, 128, `^https://[a-zA-Z0-9.-]+$`)
	xksPathShape                = shaped(10, 128, `^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$`)
	xksServiceNameShape         = shaped(20, 64, `^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$`)
	accountIDShape              = shaped(12, 12, `[0-9]{12}`)

	// Those of ExplainAccess, which AWS KMS does not have.
	actionShape  = shaped(1, 128, `^(kms|hsmgate|sts):[A-Za-z0-9]+$`)
	addressShape = shaped(1, 64, `^[0-9a-fA-F:.]+$`)
)
