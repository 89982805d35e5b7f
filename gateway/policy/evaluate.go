package policy

import (
	"slices"
	"strings"
)

// evaluation is one request with what is worked out once for all statements.
type evaluation struct {
	r           *Request
	account     string // of the caller
	keyAccount  string // of the resource
	resource    string // an ARN, or "*" for the service itself
	foreign     bool   // they are two accounts
	session     bool   // the caller is a session of a role
	anonymous   bool   // the caller has shown no credential
	action      int    // index into actions, -1 when it is not there
	actionLower string // only when action is -1
}

// Evaluate decides one request. The default is to deny: an unknown role, a
// malformed action, an action of another service and a key that no policy, role
// or grant gives the principal are all denied.
//
// An explicit deny anywhere denies. Otherwise a statement of the key policy that
// names the principal allows, and so does a grant; and where the key policy
// allows the principal's account, an identity policy or role allows (KMS
// Developer Guide, policy-evaluation). A principal of another account needs the
// key policy or a grant, and an identity policy too. A request for no key is for
// identity policies alone. A grant whose uses are counted is asked last, so that
// none is taken for what is allowed anyway.
//
// An allowed request costs no allocation, but for the name of a grant and for
// policy variables that are not text.
func Evaluate(r Request) Decision {
	if reason := undecidable(&r); reason != "" {
		return deny(reason)
	}
	e := begin(&r)
	if d, denied := e.explicitDeny(); denied {
		return d
	}
	return e.decide()
}

// undecidable says why a request cannot be decided; "" when it can.
func undecidable(r *Request) string {
	switch {
	case r.Principal.ARN == "":
		return "the caller is not an authenticated principal"
	case !wellFormed(r.Action):
		return "the action " + quoted(r.Action) + " is not an action of this service"
	case r.KeyPolicy != nil && r.KeyPolicy.kind != KeyPolicy:
		return "the policy of the key is not a key policy"
	case r.ResourceARN == "" && r.KeyID != "" && (r.KeyPolicy != nil || len(r.Principal.Policies) > 0):
		return "the request names a key without its ARN"
	}
	return ""
}

// begin returns the evaluation by value: stored behind a pointer, the request
// would move to the heap.
func begin(r *Request) evaluation {
	e := evaluation{r: r, account: accountOf(r.Principal.ARN), keyAccount: accountOf(r.ResourceARN), resource: r.ResourceARN}
	e.foreign = e.keyAccount != "" && e.keyAccount != e.account
	e.session = strings.HasPrefix(part(r.Principal.ARN, partResource), "assumed-role/")
	e.anonymous = part(r.Principal.ARN, partResource) == anonymous
	if e.resource == "" {
		e.resource = "*"
	}
	var known bool
	if e.action, known = actionIndex[r.Action]; !known {
		e.action, e.actionLower = -1, strings.ToLower(r.Action)
	}
	return e
}

func (e *evaluation) explicitDeny() (Decision, bool) {
	if d := e.r.KeyPolicy; d != nil {
		for _, i := range d.denies {
			if _, miss, _ := d.statements[i].match(e, true); miss == matched {
				return Decision{Statement: d.statements[i].full, Reason: denyInResource}, true
			}
		}
	}
	for p := range e.r.Principal.Policies {
		a := &e.r.Principal.Policies[p]
		if a.doc == nil {
			continue
		}
		for _, i := range a.doc.denies {
			if _, miss, _ := a.doc.statements[i].match(e, false); miss == matched {
				return Decision{Statement: a.names[i], Reason: denyInIdentity}, true
			}
		}
	}
	return Decision{}, false
}

func (e *evaluation) decide() Decision {
	how, by := e.keyPolicy()
	if how < directly {
		if id := e.grant(false); id != "" {
			how, by = directly, statementGrant+id
		}
	}
	if how == directly && !e.foreign {
		return Decision{Allowed: true, Statement: by}
	}
	identity := e.identity()
	switch {
	case identity != "" && how == directly:
		return Decision{Allowed: true, Statement: by}
	case identity != "" && how == viaAccount:
		return Decision{Allowed: true, Statement: identity}
	}
	if how < directly && (identity != "" || !e.foreign) {
		if id := e.grant(true); id != "" {
			return Decision{Allowed: true, Statement: statementGrant + id, CountedGrant: id}
		}
	}
	if how == notNamed {
		return deny(NotInResource(e.r.Action))
	}
	return deny("no identity-based policy allows the " + e.r.Action + " action")
}

// keyPolicy says how far the key policy allows the request, and by which
// statement.
func (e *evaluation) keyPolicy() (best reach, by string) {
	d := e.r.KeyPolicy
	switch {
	case d == nil && e.foreign:
		return notNamed, ""
	case d == nil:
		return viaAccount, ""
	}
	for _, i := range d.allows {
		s := &d.statements[i]
		switch how, miss, _ := s.match(e, true); {
		case miss != matched:
		case how == directly:
			return directly, s.full
		default:
			best = viaAccount
		}
	}
	return best, ""
}

// grant finds a grant that allows the request, among those for which it is a use
// that is counted, or among the others. Its operations are those of AWS KMS, which
// have no prefix, or actions of this gateway.
func (e *evaluation) grant(counted bool) string {
	op := strings.TrimPrefix(e.r.Action, "kms:")
	for i := range e.r.Grants {
		if g := &e.r.Grants[i]; g.counts(op) == counted && g.allows(e, op) {
			return g.ID
		}
	}
	return ""
}

// identity finds the role or the statement of an identity policy that allows
// the request.
func (e *evaluation) identity() string {
	switch e.r.Principal.Role {
	case RoleAdministrator:
		if e.administratorMay() {
			return statementAdministrator
		}
	case RoleUser:
		if userMay(e.r) {
			return statementUser
		}
	}
	for p := range e.r.Principal.Policies {
		a := &e.r.Principal.Policies[p]
		if a.doc == nil {
			continue
		}
		for _, i := range a.doc.allows {
			if _, miss, _ := a.doc.statements[i].match(e, false); miss == matched {
				return a.names[i]
			}
		}
	}
	return ""
}

// LockedOut reports whether a principal could no longer change a key's policy
// once doc is that policy: the lock-out safety check of PutKeyPolicy and
// CreateKey (KMS API reference, BypassPolicyLockoutSafetyCheck). r is the call
// that brings doc; the next PutKeyPolicy is decided as if it came the same way.
func LockedOut(doc *Document, r Request) bool {
	if doc == nil {
		return true
	}
	r.Action, r.KeyPolicy, r.Grants = "kms:PutKeyPolicy", doc, nil
	r.Call = Parameters{}
	return !Evaluate(r).Allowed
}

// MayAllow reports whether a key policy could allow a request by itself: whether a statement of it does, if its conditions
// hold, which ask for what only a call has.
func MayAllow(doc *Document, r Request) bool {
	if doc == nil {
		return false
	}
	e := begin(&r)
	return slices.ContainsFunc(doc.allows, func(i int) bool {
		how, miss, _ := doc.statements[i].match(&e, true)
		return how == directly && (miss == matched || miss == missCondition)
	})
}
