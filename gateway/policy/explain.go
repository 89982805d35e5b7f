package policy

import "strings"

// Step is one statement, role or grant that a decision looked at.
type Step struct {
	Statement string // as in Decision.Statement
	Effect    string // "Allow" or "Deny"
	Applies   bool
	Why       string // why it applies or does not
}

// Explain lists what the decision on a request looks at, in the order of the
// policies, and why each statement applies or not. It is for people: it looks
// also at what Evaluate no longer has to.
func Explain(r Request) []Step {
	if reason := undecidable(&r); reason != "" {
		return []Step{{Statement: statementDefault, Effect: "Deny", Applies: true, Why: reason}}
	}
	e := begin(&r)
	steps := e.explainKeyPolicy()
	for i := range r.Grants {
		steps = append(steps, e.explainGrant(&r.Grants[i]))
	}
	if r.Principal.Role.Valid() {
		steps = append(steps, e.explainRole())
	}
	for _, a := range r.Principal.Policies {
		if a.doc == nil {
			continue
		}
		for i := range a.doc.statements {
			steps = append(steps, e.explainStatement(&a.doc.statements[i], a.names[i], false))
		}
	}
	return steps
}

func (e *evaluation) explainKeyPolicy() (steps []Step) {
	d := e.r.KeyPolicy
	if d == nil {
		if e.r.KeyID != "" && !e.foreign {
			steps = append(steps, Step{Statement: "key-policy/default", Effect: "Allow", Applies: true,
				Why: "the key has no policy of its own: roles and identity policies of the account decide"})
		}
		return steps
	}
	for i := range d.statements {
		steps = append(steps, e.explainStatement(&d.statements[i], d.statements[i].full, true))
	}
	return steps
}

func (e *evaluation) explainStatement(s *statement, name string, key bool) Step {
	step := Step{Statement: name, Effect: "Allow"}
	if s.deny {
		step.Effect = "Deny"
	}
	how, miss, at := s.match(e, key)
	switch miss {
	case matched:
		step.Applies, step.Why = true, "everything in it matches"
		if how == viaAccount && !s.deny {
			step.Why = "everything in it matches; it lets the identity policies of account " + e.account + " decide"
		}
	case missPrincipal:
		step.Why = "it does not name the principal " + e.r.Principal.ARN
	case missAction:
		step.Why = "it is not for the action " + e.r.Action
	case missResource:
		step.Why = "it is not for the resource " + e.resource
	case missCondition:
		step.Why = "the condition does not hold: " + s.conditions[at].name + e.found(&s.conditions[at])
	}
	return step
}

// found says what the request has for a condition. Only whether there is a
// value is told, never the value: a context may hold what a log may not.
func (e *evaluation) found(c *condition) string {
	switch v := e.lookup(c.key); {
	case !v.present:
		return " (the request has no value for it)"
	case v.ambiguous:
		return " (the request has several values for it)"
	}
	return " (the request has another value)"
}

func (e *evaluation) explainRole() Step {
	step := Step{Statement: statementAdministrator, Effect: "Allow", Applies: e.administratorMay(), Why: "it is for every action on every key"}
	switch {
	case e.r.Principal.Role == RoleUser:
		step.Statement, step.Applies = statementUser, userMay(e.r)
		step.Why = "it is for uses of the principal's own keys"
	case !step.Applies:
		step.Why = "it is not for becoming another caller: an identity policy has to allow " + e.r.Action
	}
	return step
}

func (e *evaluation) explainGrant(g *Grant) Step {
	op := strings.TrimPrefix(e.r.Action, "kms:")
	step := Step{Statement: statementGrant + g.ID, Effect: "Allow", Applies: g.allows(e, op)}
	switch {
	case step.Applies:
		step.Why = "it is for this principal, key and operation, and its constraints hold"
	case g.KeyID != e.r.KeyID || g.KeyID == "":
		step.Why = "it is for another key"
	case !g.live(e.r.Time):
		step.Why = "it has expired or its uses are used up"
	case op == "RetireGrant":
		step.Why = "it is another grant, or the principal may not retire it"
	case !e.is(g.Grantee):
		step.Why = "it is for another principal"
	case !g.has(op):
		step.Why = "it is not for the action " + e.r.Action
	default:
		step.Why = "its constraints do not hold"
	}
	return step
}
