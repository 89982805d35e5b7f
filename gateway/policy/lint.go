package policy

import (
	"slices"
	"strconv"
	"strings"
)

// Warning says where a policy that can be understood most likely does not do what
// its author meant.
type Warning struct {
	Line, Column int    // from 1, the column in bytes
	Statement    string // the Sid, or the number from 1
	Code         string // everybody, everything, others, never, always, absent, nothing, repeated: for tools
	Text         string
}

// Lint parses a policy and looks at it as a reviewer does. Its warnings are few
// and sure: each is about a statement that lets too much pass, or does nothing.
func Lint(text []byte, kind Kind) (*Document, []Warning, error) {
	p := &parser{reader: reader{text: text}, kind: kind}
	d, err := p.document()
	if err != nil {
		return nil, nil, err
	}
	root, err := p.read() // the places, which a document does not keep
	if err != nil {
		return nil, nil, err
	}
	l := &linter{parser: p}
	nodes := statementNodes(root)
	for i := range d.statements {
		l.d, l.s, l.n = d, &d.statements[i], nodes[i]
		l.statement()
		l.repeated(d, nodes[:i])
	}
	return d, l.found, nil
}

// KindOf guesses what a policy is attached to: one that names principals is a key's.
func KindOf(text []byte) Kind {
	r := &reader{text: text}
	root, err := r.read()
	if err != nil {
		return KeyPolicy // it is none; Parse says why
	}
	for _, s := range statementNodes(root) {
		if s.member("Principal") != nil || s.member("NotPrincipal") != nil {
			return KeyPolicy
		}
	}
	return IdentityPolicy
}

func statementNodes(root *node) []*node {
	switch list := root.member("Statement"); {
	case list == nil:
		return nil
	case list.kind == '[':
		return list.items
	default:
		return []*node{list}
	}
}

// member finds a member of an object; nil when there is none.
func (n *node) member(name string) *node {
	for _, e := range n.members {
		if e.name == name {
			return e.value
		}
	}
	return nil
}

// element finds the first of several elements of a statement.
func (l *linter) element(names ...string) *node {
	for _, name := range names {
		if n := l.n.member(name); n != nil {
			return n
		}
	}
	return l.n
}

// linter looks at one statement after the other.
type linter struct {
	*parser
	d     *Document
	s     *statement
	n     *node
	found []Warning
}

func (l *linter) warn(at *node, code, format string, args ...any) {
	e := l.fail(at.at, format, args...)
	l.found = append(l.found, Warning{e.Line, e.Column, l.s.name, code, e.Text})
}

func (l *linter) statement() {
	effective := l.s.effective()
	if effective.empty() {
		l.warn(l.element("NotAction", "Action"), "nothing", "the statement is for no action: NotAction names them all")
		return
	}
	if l.s.notResource && slices.ContainsFunc(l.s.resources, func(p pattern) bool { return p.everything() }) {
		l.warn(l.element("NotResource"), "nothing", "the statement is for no resource: NotResource names them all")
		return
	}
	if !l.s.deny {
		l.tooMuch(effective)
		l.others(effective)
	}
	l.places()
	l.conditions(effective)
	l.contradictions()
}

// effective is the set of actions that the statement is for.
func (s *statement) effective() actionSet {
	if s.notAction {
		return s.actionSet.others()
	}
	return s.actionSet
}

// named gives the actions that stand in the statement without wildcards, with
// their places.
func (l *linter) named(yield func(at *node, i int) bool) {
	n := l.n.member("Action")
	if n == nil {
		return
	}
	items := []*node{n}
	if n.kind == '[' {
		items = n.items
	}
	for k, item := range items {
		if strings.ContainsAny(item.text, "*?") {
			continue
		}
		for i := range actions {
			if l.s.actions[k].set.has(i) && !yield(item, i) {
				return
			}
		}
	}
}

// places warns of actions that the statement's resources, or a key policy, are
// never asked about.
func (l *linter) places() {
	for at, i := range l.named {
		switch {
		case !aboutNoKey.has(i):
		case l.kind == KeyPolicy:
			l.warn(at, "never", "%s is about no key, so that no key policy decides on it: an identity policy would", actions[i])
		case !l.s.notResource && !l.s.meansService():
			l.warn(at, "never", "%s is about no key: only the Resource \"*\" means it", actions[i])
		}
	}
	l.callers()
	if l.s.notResource || !l.s.onlyAliases() {
		return
	}
	switch {
	case l.kind == KeyPolicy:
		l.warn(l.element("Resource"), "never", "a key policy is never asked about an alias: \"*\" would be right")
	case l.s.effective().within(aboutAliases).empty():
		l.warn(l.element("Resource"), "never", "only CreateAlias, UpdateAlias and DeleteAlias are about an alias: the key's ARN, or a condition on kms:RequestAlias or kms:ResourceAliases, would be right")
	}
}

// meansService reports whether the resources mean the service itself.
func (s *statement) meansService() bool {
	return slices.ContainsFunc(s.resources, func(p pattern) bool { return p.everything() })
}

func (s *statement) onlyAliases() bool {
	return !slices.ContainsFunc(s.resources, func(p pattern) bool { return !p.ofAlias() })
}

// ofAlias reports whether a resource can mean nothing but aliases.
func (p *pattern) ofAlias() bool {
	return len(p.tokens) > 0 && p.tokens[0].kind == literal && strings.Contains(whole(p.tokens), ":alias/")
}

// whole is a pattern as it was written, but for variables.
func whole(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		switch t.kind {
		case star:
			b.WriteByte('*')
		case one:
			b.WriteByte('?')
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

// repeated warns of a statement that is there already, under another Sid.
func (l *linter) repeated(d *Document, before []*node) {
	for i, n := range before {
		if n.same(l.n, "Sid") {
			l.warn(l.n, "repeated", "the statement says what statement %s says", d.statements[i].name)
			return
		}
	}
}

// same compares two values, members in any order and without those that are named.
func (n *node) same(o *node, but ...string) bool { return n.canonical(but) == o.canonical(but) }

func (n *node) canonical(but []string) string {
	var parts []string
	for _, e := range n.members {
		if !slices.Contains(but, e.name) {
			parts = append(parts, strconv.Quote(e.name)+":"+e.value.canonical(nil))
		}
	}
	slices.Sort(parts)
	for _, i := range n.items {
		parts = append(parts, i.canonical(nil))
	}
	return string(n.kind) + strconv.Quote(n.text) + "(" + strings.Join(parts, ",") + ")"
}
