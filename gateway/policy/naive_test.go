package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// naive is the policy language a second time, written to be read and not to be
// fast: over the JSON as it comes, with the condition keys of a request in a map
// and a regular expression for every pattern. It shares nothing with the package.
type naive struct {
	caller, action, resource string
	administrator            bool // by role
	values                   values
}

func (n *naive) account() string  { return strings.Split(n.caller, ":")[4] }
func (n *naive) username() string { return n.caller[strings.LastIndex(n.caller, "/")+1:] }

// allowed decides as Evaluate does, within one account and without grants.
func (n *naive) allowed(t testing.TB, key, identity string) bool {
	allow, account, deny := n.document(t, key, true)
	identityAllow, _, identityDeny := n.document(t, identity, false)
	return !deny && !identityDeny && (allow || account && (identityAllow || n.byRole()))
}

// byRole: an administrator may do everything but act as somebody else.
func (n *naive) byRole() bool {
	return n.administrator && (!n.others() || n.resource == n.caller)
}

// others says whether the action is about a user or a role.
func (n *naive) others() bool {
	return n.action == "sts:AssumeRole" || strings.Contains(n.action, "AccessKey")
}

func (n *naive) document(t testing.TB, text string, key bool) (allow, account, deny bool) {
	var d map[string]any
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	for _, s := range anyList(d["Statement"]) {
		s := s.(map[string]any)
		isDeny := s["Effect"] == "Deny"
		direct, byAccount := true, false
		if key {
			direct, byAccount = n.principal(s)
		}
		if !direct && !byAccount || !n.actionMatches(s) || !n.resourceMatches(s, isDeny) || !n.conditionsHold(s, isDeny) {
			continue
		}
		switch {
		case isDeny:
			deny = true
		case direct:
			allow = true
		default:
			account = true
		}
	}
	return allow, account, deny
}

func anyList(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func (n *naive) principal(s map[string]any) (direct, account bool) {
	v, is := s["Principal"]
	if !is {
		v = s["NotPrincipal"]
	}
	if m, ok := v.(map[string]any); ok {
		v = m["AWS"]
	}
	for _, p := range anyList(v) {
		switch p := p.(string); {
		case p == "*" || p == n.caller:
			direct = true
		case p == n.account() || p == "arn:aws:iam::"+n.account()+":root":
			account = true
		}
	}
	if is {
		return direct, account
	}
	return !direct, false // the callers here are users: an account does not spare them
}

func (n *naive) actionMatches(s map[string]any) bool {
	v, is := s["Action"]
	if !is {
		v = s["NotAction"]
	}
	found := false
	for _, a := range anyList(v) {
		found = found || glob(a.(string), "(?i)").MatchString(n.action)
	}
	return found == is
}

var globs sync.Map // of the regular expressions that were made

// glob makes a regular expression of a pattern; flags are (?i) to ignore case.
func glob(pattern, flags string) *regexp.Regexp {
	if known, ok := globs.Load(flags + pattern); ok {
		return known.(*regexp.Regexp)
	}
	out := ""
	for _, r := range pattern {
		switch r {
		case '*':
			out += ".*"
		case '?':
			out += "."
		case '\x01': // a literal * and ?, put there by a variable
			out += `\*`
		case '\x02':
			out += `\?`
		default:
			out += regexp.QuoteMeta(string(r))
		}
	}
	made := regexp.MustCompile("(?s)" + flags + "^" + out + "$")
	globs.Store(flags+pattern, made)
	return made
}

var literalWildcards = strings.NewReplacer("*", "\x01", "?", "\x02")

var variablePattern = regexp.MustCompile(`\$\{([^},]*)(?:, '([^']*)')?\}`)

// substitute puts values in place of variables; not ok when one has none, open when
// one has several.
func (n *naive) substitute(s string) (text string, ok, open bool) {
	ok = true
	s = variablePattern.ReplaceAllStringFunc(s, func(v string) string {
		m := variablePattern.FindStringSubmatch(v)
		if m[1] == "*" || m[1] == "?" || m[1] == "$" {
			return literalWildcards.Replace(m[1])
		}
		l, present, sure := n.find(m[1])
		switch {
		case present && sure && len(l) == 1:
			return literalWildcards.Replace(l[0])
		case !present && strings.Contains(v, ","):
			return literalWildcards.Replace(m[2])
		case present:
			open = true
			return ""
		}
		ok = false
		return ""
	})
	return s, ok && !open, ok && open
}

// find finds the values of a condition key, without regard to case.
func (n *naive) find(key string) (l []string, present, sure bool) {
	sure = true
	own := values{"aws:username": {n.username()}, "aws:PrincipalArn": {n.caller}, "aws:PrincipalAccount": {n.account()},
		"kms:CallerAccount": {n.account()}, "aws:PrincipalType": {"User"}}
	for _, m := range []values{n.values, own} {
		for k, v := range m {
			if strings.EqualFold(k, key) {
				sure = sure && !present
				l, present = v, true
			}
		}
	}
	if !present && strings.EqualFold(key, "aws:SecureTransport") {
		return []string{"false"}, true, true
	}
	for set, prefix := range map[string]string{"kms:EncryptionContextKeys": "kms:EncryptionContext:", "aws:TagKeys": "aws:RequestTag/"} {
		for k := range n.values {
			if strings.EqualFold(key, set) && strings.HasPrefix(k, prefix) {
				l, present = append(l, strings.TrimPrefix(k, prefix)), true
			}
		}
	}
	return l, present, sure
}

func (n *naive) resourceMatches(s map[string]any, deny bool) bool {
	v, is := s["Resource"]
	if !is {
		v = s["NotResource"]
	}
	found, lost, open := false, false, false
	for _, r := range anyList(v) {
		if r == "*" {
			found = true
			continue
		}
		text, ok, several := n.substitute(r.(string))
		lost, open = lost || !ok, open || several
		found = found || ok && arnGlob(text, n.resource)
	}
	if open && !found {
		return deny
	}
	if is {
		return found
	}
	return !found && (deny || !lost)
}

// arnGlob compares two ARNs part by part.
func arnGlob(pattern, s string) bool {
	p, v := strings.SplitN(pattern, ":", 6), strings.SplitN(s, ":", 6)
	if len(p) != 6 || len(v) != 6 {
		return pattern == s
	}
	for i := range p {
		if !glob(p[i], "").MatchString(v[i]) {
			return false
		}
	}
	return true
}

func (n *naive) conditionsHold(s map[string]any, deny bool) bool {
	c, _ := s["Condition"].(map[string]any)
	for op, keys := range c {
		for key, want := range keys.(map[string]any) {
			if !n.holds(op, key, anyList(want), deny) {
				return false
			}
		}
	}
	return true
}

func (n *naive) holds(op, key string, want []any, deny bool) bool {
	got, present, sure := n.find(key)
	if op == "Null" {
		for _, w := range want {
			if text(w) == strconv.FormatBool(!present) {
				return true
			}
		}
		return false
	}
	set, base, qualified := strings.Cut(op, ":")
	if !qualified {
		set, base = "", op
	}
	base, ifExists := strings.CutSuffix(base, "IfExists")
	negated := strings.Contains(base, "Not")
	if !sure || present && set == "" && len(got) > 1 {
		return deny
	}
	if !present {
		switch {
		case ifExists, set == "ForAllValues":
			return true
		case set == "ForAnyValue":
			return false
		}
		return negated
	}
	every, some := true, false
	for _, g := range got {
		one := n.compare(strings.Replace(base, "Not", "", 1), g, want, negated, deny)
		every, some = every && one, some || one
	}
	if set == "ForAllValues" {
		return every
	}
	return some
}

// compare compares one value of the request with all of the policy.
func (n *naive) compare(op, got string, want []any, negated, deny bool) bool {
	found, lost, open := false, false, false
	for _, w := range want {
		s, ok, several := text(w), true, false
		if strings.HasPrefix(op, "String") || strings.HasPrefix(op, "Arn") {
			plain := s
			if !strings.HasSuffix(op, "Like") && !strings.HasPrefix(op, "Arn") {
				plain = literalOutside(s)
			}
			s, ok, several = n.substitute(plain)
		}
		lost, open = lost || !ok, open || several
		found = found || ok && equal(op, got, s)
	}
	if open && !found {
		return deny
	}
	if negated {
		return !found && (deny || !lost)
	}
	return found
}

// literalOutside makes wildcards outside of variables literal.
func literalOutside(s string) string {
	out, at := "", 0
	for _, m := range variablePattern.FindAllStringIndex(s, -1) {
		out += literalWildcards.Replace(s[at:m[0]]) + s[m[0]:m[1]]
		at = m[1]
	}
	return out + literalWildcards.Replace(s[at:])
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	return strconv.FormatFloat(v.(float64), 'f', -1, 64)
}

func equal(op, got, want string) bool {
	switch op {
	case "StringEquals", "StringLike":
		return glob(want, "").MatchString(got)
	case "StringEqualsIgnoreCase":
		return glob(want, "(?i)").MatchString(got)
	case "ArnEquals", "ArnLike":
		return arnGlob(want, got)
	case "Bool":
		return got == want
	case "BinaryEquals":
		b, _ := base64.StdEncoding.DecodeString(want)
		return string(b) == got
	case "IpAddress":
		return inRange(netip.MustParseAddr(got), want)
	}
	if rest, ok := strings.CutPrefix(op, "Numeric"); ok {
		g, _ := strconv.ParseFloat(got, 64)
		w, _ := strconv.ParseFloat(want, 64)
		return relation(rest, g-w)
	}
	g, _ := time.Parse(time.RFC3339, got)
	w, err := time.Parse(time.RFC3339, want)
	if err != nil {
		seconds, _ := strconv.ParseInt(want, 10, 64)
		w = time.Unix(seconds, 0)
	}
	return relation(strings.TrimPrefix(op, "Date"), g.Sub(w).Seconds())
}

func relation(name string, difference float64) bool {
	switch name {
	case "Equals":
		return difference == 0
	case "LessThan":
		return difference < 0
	case "LessThanEquals":
		return difference <= 0
	case "GreaterThan":
		return difference > 0
	case "GreaterThanEquals":
		return difference >= 0
	}
	panic("unknown relation " + name)
}

// inRange compares the first bits of two addresses of one family.
func inRange(a netip.Addr, text string) bool {
	address, length, ranged := strings.Cut(text, "/")
	b := netip.MustParseAddr(address)
	bits := b.BitLen()
	if ranged {
		bits, _ = strconv.Atoi(length)
	}
	x, y := a.AsSlice(), b.AsSlice()
	for i := range bits {
		if len(x) != len(y) || x[i/8]>>(7-i%8)&1 != y[i/8]>>(7-i%8)&1 {
			return false
		}
	}
	return len(x) == len(y)
}
