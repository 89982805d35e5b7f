package policy

import (
	"slices"
	"strings"
)

var everyKMSAction = setOf("kms:*")

// tooMuch warns of an Allow for everybody, and of one that lets the same principal
// manage keys and use them.
func (l *linter) tooMuch(effective actionSet) {
	if len(l.s.conditions) > 0 {
		return
	}
	who, someone := l.element("Principal"), l.kind == IdentityPolicy
	for _, p := range l.s.principals {
		if p.any {
			l.warn(who, "everybody", "the statement allows everybody, without a condition: the principals by name, or a Condition, would be better")
			return
		}
		someone = someone || p.account == ""
	}
	if someone && everyKMSAction.without(effective).empty() {
		l.warn(l.element("Action", "NotAction"), "everything",
			"whom it is for may manage keys and use them, and change this policy: the actions by name, or a Condition, would be better")
	}
}

// others warns of an Allow for every user and role in place of whom it is for.
func (l *linter) others(effective actionSet) {
	if l.kind == KeyPolicy || len(l.s.conditions) > 0 || !l.s.meansCallers() {
		return
	}
	as := effective.within(aboutCallers).without(l.d.denied())
	if as.empty() {
		return
	}
	l.warn(l.element("Action", "NotAction"), "others",
		"whom it is for may act as every other user or role, by %s: the ARNs of users or roles as its Resource, or a Deny, would be better", as.first())
}

// meansCallers reports whether the resources mean every user and role.
func (s *statement) meansCallers() bool {
	if !s.notResource {
		return s.meansService()
	}
	return !slices.ContainsFunc(s.resources, func(p pattern) bool { return strings.Contains(whole(p.tokens), ":iam:") })
}

// denied are the actions that the document denies whatever they are on.
func (d *Document) denied() (all actionSet) {
	for _, i := range d.denies {
		if s := &d.statements[i]; len(s.conditions) == 0 && !s.notResource && s.meansService() {
			all = all.with(s.effective())
		}
	}
	return all
}
