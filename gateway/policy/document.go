package policy

// Kind says what a policy is attached to, and with that which elements it has.
type Kind uint8

const (
	// KeyPolicy is the policy of one key: it has principals, and "*" as
	// Resource means this key.
	KeyPolicy Kind = iota + 1
	// IdentityPolicy is attached to a principal or role: it has no principals.
	IdentityPolicy
)

// Limits of a policy's text.
const (
	// MaxKeyPolicy is the size of a key policy in bytes (KMS Developer Guide,
	// resource-limits).
	MaxKeyPolicy = 32768
	// MaxIdentityPolicy is the size of an identity policy in bytes: that of the
	// largest inline policy of IAM (IAM User Guide, reference_iam-quotas).
	MaxIdentityPolicy = 10240
)

// Document is a policy that Parse has read and compiled. It is read-only and
// may be used by many requests at a time.
type Document struct {
	kind       Kind
	version    string
	id         string
	text       string
	statements []statement
	denies     []int // indices of the Deny statements
	allows     []int // indices of the Allow statements
}

// Kind is what the document was parsed as.
func (d *Document) Kind() Kind { return d.kind }

// Version is the version of the policy language.
func (d *Document) Version() string { return d.version }

// ID is the Id element, "" when there is none.
func (d *Document) ID() string { return d.id }

// Len is the number of statements.
func (d *Document) Len() int { return len(d.statements) }

// MarshalJSON gives the policy as it was written, without white space between
// its tokens. It parses to an equal Document.
func (d *Document) MarshalJSON() ([]byte, error) { return []byte(d.text), nil }

// statement is one compiled statement.
type statement struct {
	name string // the Sid, or the statement's number from 1
	full string // key-policy/<name>, for a key policy
	deny bool

	principals   []principal
	notPrincipal bool
	actions      []actionPattern
	actionSet    actionSet // of all of them
	notAction    bool
	resources    []pattern
	notResource  bool
	conditions   []condition
}

// principal is one value of Principal.
type principal struct {
	any     bool
	account string // every principal of it, or for Allow: its identity policies may decide
	arn     string
}

// reach says how a statement names the caller.
type reach uint8

const (
	notNamed reach = iota
	viaAccount
	directly
)

// element is where a statement did not match.
type element uint8

const (
	matched element = iota
	missPrincipal
	missAction
	missResource
	missCondition
)

// match decides whether the statement applies to the request. at is the index
// of the condition that does not hold.
func (s *statement) match(e *evaluation, key bool) (how reach, miss element, at int) {
	how = directly
	if key {
		if how = s.names(e); how == notNamed {
			return how, missPrincipal, 0
		}
	}
	if !s.hasAction(e) {
		return how, missAction, 0
	}
	if !s.hasResource(e) {
		return how, missResource, 0
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e, s.deny) {
			return how, missCondition, i
		}
	}
	return how, matched, 0
}

// names says how the statement names the caller. NotPrincipal is for Deny alone:
// it spares the principals it names, and an account among them spares only its
// root user (IAM User Guide, reference_policies_elements_notprincipal).
func (s *statement) names(e *evaluation) reach {
	best := notNamed
	for i := range s.principals {
		p := &s.principals[i]
		switch {
		case p.any, e.is(p.arn):
			best = directly
		case p.account != "" && p.account == e.account:
			if s.notPrincipal && part(e.r.Principal.ARN, partResource) != "root" {
				continue
			}
			best = max(best, viaAccount)
		}
	}
	if !s.notPrincipal {
		return best
	}
	if best == notNamed {
		return directly
	}
	return notNamed
}

func (s *statement) hasAction(e *evaluation) bool {
	if e.action >= 0 {
		return s.actionSet.has(e.action) != s.notAction
	}
	for i := range s.actions {
		if s.actions[i].pattern.match(e.actionLower, nil) == yes {
			return !s.notAction
		}
	}
	return s.notAction
}

// hasResource: a resource whose variable the request does not resolve matches
// nothing; as NotResource it makes an Allow not apply. Where it has several values
// for the variable, an Allow does not apply and a Deny does.
func (s *statement) hasResource(e *evaluation) bool {
	unknown, ambiguous := false, false
	for i := range s.resources {
		p := &s.resources[i]
		if p.everything() {
			return !s.notResource
		}
		switch p.match(e.resource, e) {
		case yes:
			return !s.notResource
		case unresolved:
			unknown = true
		case open:
			ambiguous = true
		}
	}
	if ambiguous {
		return s.deny
	}
	return s.notResource && (s.deny || !unknown)
}
