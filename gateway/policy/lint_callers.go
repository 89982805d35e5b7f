package policy

import (
	"slices"
	"strings"
)

// aboutRoles are those among aboutCallers that are for a role; the others are for a user.
var aboutRoles = setOf("sts:*")

// AboutCaller says what an action is for that is about a caller: "role" or "user".
// It is "" for any other action.
func AboutCaller(action string) string {
	i, known := actionIndex[action]
	switch {
	case !known || !aboutCallers.has(i):
		return ""
	case aboutRoles.has(i):
		return "role"
	}
	return "user"
}

// callers warns of actions for users and roles where nothing of that kind is meant, and
// of users and roles as the resource of other actions.
func (l *linter) callers() {
	others := l.s.effective().without(aboutCallers)
	only := l.kind == IdentityPolicy && l.s.onlyCallers()
	if only && others == l.s.effective() {
		l.warn(l.element("Resource"), "never", "only sts:AssumeRole and the actions for access keys are about a role or a user: the ARN of a key, or \"*\", would be right")
		return
	}
	for at, i := range l.named {
		what := AboutCaller(actions[i])
		switch {
		case what != "" && l.kind == KeyPolicy:
			l.warn(at, "never", "%s is about a %s, so that no key policy decides on it: an identity policy would", actions[i], what)
		case what != "" && !l.s.mayMean(what):
			l.warn(at, "never", "%s is about a %s: a Resource such as arn:aws:iam::*:%s/name would be right", actions[i], what, what)
		case only && onKeys.has(i):
			l.warn(at, "never", "%s is not about a role or a user: a statement of its own for that would be right", actions[i])
		}
	}
}

// onlyCallers reports whether the resources can mean nothing but roles and users.
func (s *statement) onlyCallers() bool {
	return !s.notResource && !slices.ContainsFunc(s.resources, func(p pattern) bool { return part(whole(p.tokens), partService) != "iam" })
}

// mayMean reports whether the resources can mean a role, or a user.
func (s *statement) mayMean(what string) bool {
	return s.notResource || slices.ContainsFunc(s.resources, func(p pattern) bool {
		text := whole(p.tokens)
		service := wildcards(part(text, partService))
		return p.everything() || !service.isPlain && service.match("iam", nil) == yes || service.plain == "iam" && strings.HasPrefix(part(text, partResource), what+"/")
	})
}
