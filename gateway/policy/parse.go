package policy

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// versions of the policy language (IAM User Guide,
// reference_policies_elements_version).
const (
	version2012 = "2012-10-17"
	version2008 = "2008-10-17"
)

// parser compiles one policy.
type parser struct {
	reader
	kind      Kind
	variables bool // Version 2012-10-17 has policy variables
}

// Parse reads a policy. Whatever is unknown, malformed, of the wrong type or
// without effect is refused with an *Error that says where it is and what would
// be right: a policy that is accepted is a policy that is understood.
func Parse(text []byte, kind Kind) (*Document, error) {
	p := &parser{reader: reader{text: text}, kind: kind}
	d, err := p.document()
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (p *parser) document() (*Document, *Error) {
	limit := MaxIdentityPolicy
	switch p.kind {
	case KeyPolicy:
		limit = MaxKeyPolicy
	case IdentityPolicy:
	default:
		return nil, p.fail(0, "kind %d: KeyPolicy or IdentityPolicy would be right", p.kind)
	}
	if len(p.text) > limit {
		return nil, p.fail(limit, "the policy has %d bytes: at most %d would be right", len(p.text), limit)
	}
	root, err := p.read()
	if err != nil {
		return nil, err
	}
	m, err := p.elements(root, "a policy", "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	d := &Document{kind: p.kind, version: version2008}
	if err := p.head(d, m); err != nil {
		return nil, err
	}
	list := m["Statement"]
	if list == nil {
		return nil, p.fail(root.at, "the policy has no Statement: a list with at least one statement would be right")
	}
	if err := p.statements(d, list); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, p.text); err != nil {
		return nil, p.fail(0, "not JSON: %s", err)
	}
	d.text = compact.String()
	return d, nil
}

func (p *parser) head(d *Document, m map[string]*node) *Error {
	if v := m["Version"]; v != nil {
		if v.kind != '"' || v.text != version2012 && v.text != version2008 {
			return p.fail(v.at, "Version is %s: %q or %q would be right", shown(v), version2012, version2008)
		}
		d.version = v.text
	}
	p.variables = d.version == version2012
	if id := m["Id"]; id != nil {
		if id.kind != '"' {
			return p.fail(id.at, "Id is %s: a text would be right", id.what())
		}
		d.id = id.text
	}
	return nil
}

func (p *parser) statements(d *Document, list *node) *Error {
	items := list.items
	if list.kind != '[' {
		items = []*node{list}
	}
	if len(items) == 0 {
		return p.fail(list.at, "Statement is empty: at least one statement would be right")
	}
	seen := make(map[string]bool)
	for i, item := range items {
		s, sid, err := p.statement(item)
		if err != nil {
			return err
		}
		s.name = strconv.Itoa(i + 1)
		if sid != nil && sid.text != "" {
			if seen[sid.text] {
				return p.fail(sid.at, "the Sid %s is there twice: a Sid of its own for each statement would be right", quoted(sid.text))
			}
			seen[sid.text] = true
			s.name = sid.text
		}
		s.full = "key-policy/" + s.name
		d.statements = append(d.statements, s)
		if s.deny {
			d.denies = append(d.denies, i)
		} else {
			d.allows = append(d.allows, i)
		}
	}
	return nil
}

// elements checks that an object has none but the named elements.
func (p *parser) elements(n *node, what string, names ...string) (map[string]*node, *Error) {
	if n.kind != '{' {
		return nil, p.fail(n.at, "%s is %s: an object would be right", what, n.what())
	}
	m := make(map[string]*node, len(n.members))
	for _, e := range n.members {
		known := false
		for _, name := range names {
			known = known || e.name == name
		}
		if !known {
			right := strings.Join(names, ", ")
			if near := nearest(e.name, names); near != "" {
				right = near
			}
			return nil, p.fail(e.at, "unknown element %s of %s: %s would be right", quoted(e.name), what, right)
		}
		m[e.name] = e.value
	}
	return m, nil
}

func (p *parser) statement(n *node) (s statement, sid *node, err *Error) {
	m, err := p.elements(n, "a statement", "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return s, nil, err
	}
	if sid, err = p.sid(m["Sid"]); err != nil {
		return s, nil, err
	}
	switch e := m["Effect"]; {
	case e == nil:
		return s, nil, p.fail(n.at, "the statement has no Effect: Allow or Deny would be right")
	case e.kind != '"' || e.text != "Allow" && e.text != "Deny":
		return s, nil, p.fail(e.at, "Effect is %s: \"Allow\" or \"Deny\" would be right", shown(e))
	default:
		s.deny = e.text == "Deny"
	}
	for _, part := range []func(*statement, *node, map[string]*node) *Error{p.principals, p.actions, p.resources} {
		if err := part(&s, n, m); err != nil {
			return s, nil, err
		}
	}
	if c := m["Condition"]; c != nil {
		err = p.conditions(&s, c)
	}
	return s, sid, err
}

// maxSid keeps the records that name a statement short. IAM has no such limit.
const maxSid = 128

// sid: an identity policy's has letters and digits (IAM User Guide,
// reference_policies_elements_sid); a key policy's may have spaces too (KMS
// Developer Guide, key-policy-overview).
func (p *parser) sid(n *node) (*node, *Error) {
	if n == nil {
		return nil, nil
	}
	if n.kind != '"' {
		return nil, p.fail(n.at, "Sid is %s: a text would be right", n.what())
	}
	if len(n.text) > maxSid {
		return nil, p.fail(n.at, "the Sid has %d characters: at most %d would be right", len(n.text), maxSid)
	}
	for i := range len(n.text) {
		c := n.text[i]
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (p.kind == IdentityPolicy || c < ' ' || c > '~') {
			right := "letters and digits"
			if p.kind == KeyPolicy {
				right = "printable ASCII"
			}
			return nil, p.fail(n.at, "the Sid %s has other characters than it may: %s would be right", quoted(n.text), right)
		}
	}
	return n, nil
}

// pick gives the one of two elements that exclude each other.
func (p *parser) pick(n *node, m map[string]*node, name string) (v *node, not bool, err *Error) {
	is, isNot := m[name], m["Not"+name]
	switch {
	case is != nil && isNot != nil:
		return nil, false, p.fail(isNot.at, "the statement has both %s and Not%s: one of them would be right", name, name)
	case is == nil && isNot == nil:
		return nil, false, p.fail(n.at, "the statement has no %s: %s or Not%s would be right", name, name, name)
	case is != nil:
		return is, false, nil
	}
	return isNot, true, nil
}

// texts gives the texts of an element that is one text or a list of them.
func (p *parser) texts(n *node, what string) ([]*node, *Error) {
	items := []*node{n}
	if n.kind == '[' {
		items = n.items
	}
	if len(items) == 0 {
		return nil, p.fail(n.at, "%s is empty: at least one value would be right", what)
	}
	for _, i := range items {
		if i.kind != '"' {
			return nil, p.fail(i.at, "%s has %s: a text or a list of texts would be right", what, i.what())
		}
	}
	return items, nil
}

func (p *parser) actions(s *statement, n *node, m map[string]*node) *Error {
	v, not, err := p.pick(n, m, "Action")
	if err != nil {
		return err
	}
	s.notAction = not
	items, err := p.texts(v, "Action")
	if err != nil {
		return err
	}
	for _, i := range items {
		a, known := compileAction(i.text)
		if !known {
			return p.unknownAction(i)
		}
		s.actions = append(s.actions, a)
		for w := range a.set {
			s.actionSet[w] |= a.set[w]
		}
	}
	return nil
}

func (p *parser) unknownAction(n *node) *Error {
	if begun, _ := compileAction(n.text + "*"); begun.set.several() {
		return p.fail(n.at, "unknown action %s: %s* would be right", quoted(n.text), n.text)
	}
	if near := nearest(n.text, actions[:]); near != "" {
		return p.fail(n.at, "unknown action %s: %s would be right", quoted(n.text), near)
	}
	return p.fail(n.at, "unknown action %s: an action of kms or hsmgate, such as kms:Sign, kms:Generate* or kms:*, would be right", quoted(n.text))
}

func (p *parser) resources(s *statement, n *node, m map[string]*node) *Error {
	v, not, err := p.pick(n, m, "Resource")
	if err != nil {
		return err
	}
	s.notResource = not
	items, err := p.texts(v, "Resource")
	if err != nil {
		return err
	}
	for _, i := range items {
		r, err := p.resource(i)
		if err != nil {
			return err
		}
		s.resources = append(s.resources, r)
	}
	return nil
}

const resourceRight = "\"*\", or arn:aws:kms:<region>:<account>:key/<id> or :alias/<name>, with wildcards or not, would be right"

func (p *parser) resource(n *node) (pattern, *Error) {
	if n.text == "*" {
		return wildcards("*"), nil
	}
	if err := p.mayHaveVariables(n); err != nil {
		return pattern{}, err
	}
	r, err := compileARN(n.text, p.variables)
	if err != nil {
		return r, p.fail(n.at, "Resource: %s", err)
	}
	if !strings.HasPrefix(n.text, "arn:") {
		return r, p.fail(n.at, "Resource %s is only a policy variable: %s", quoted(n.text), resourceRight)
	}
	service, account, resource := part(n.text, partService), part(n.text, partAccount), part(n.text, partResource)
	kms := wildcards(service)
	// Of sts:AssumeRole, and of those for access keys.
	caller := p.kind == IdentityPolicy && service == "iam" && (strings.HasPrefix(resource, "role/") || strings.HasPrefix(resource, "user/"))
	if !caller && kms.match("kms", nil) != yes {
		return r, p.fail(n.at, "Resource %s is of the service %s: %s", quoted(n.text), quoted(service), resourceRight)
	}
	if !strings.ContainsAny(account, "*?") && !isAccount(account) {
		return r, p.fail(n.at, "Resource %s has the account %s: 12 digits would be right", quoted(n.text), quoted(account))
	}
	if !caller && !resourceType(resource) {
		return r, p.fail(n.at, "Resource %s is neither a key nor an alias: %s", quoted(n.text), resourceRight)
	}
	return r, nil
}

// resourceType reports whether the resource part can mean a key or an alias: up
// to its first wildcard or variable it agrees with key/ or alias/.
func resourceType(resource string) bool {
	fixed := resource
	if i := strings.IndexAny(resource, "*?$"); i >= 0 {
		fixed = resource[:i]
	}
	for _, prefix := range []string{"key/", "alias/"} {
		if strings.HasPrefix(fixed, prefix) && len(resource) > len(prefix) || len(fixed) < len(resource) && strings.HasPrefix(prefix, fixed) {
			return true
		}
	}
	return false
}

// mayHaveVariables refuses ${ in a version of the language in which it would be
// taken as it stands (IAM User Guide, reference_policies_variables).
func (p *parser) mayHaveVariables(n *node) *Error {
	if !p.variables && strings.Contains(n.text, "${") {
		return p.fail(n.at, "policy variables need the Version 2012-10-17: \"Version\": \"2012-10-17\" in the policy would be right")
	}
	return nil
}

// shown is a value as an error quotes it.
func shown(n *node) string {
	if n.kind == '"' {
		return quoted(n.text)
	}
	return n.what()
}

// badUTF8 is where a text stops being UTF-8, -1 when it does not.
func badUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
