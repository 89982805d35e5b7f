package policy

import (
	"errors"
	"strings"
)

// An ARN is arn:partition:service:region:account:resource; the resource may
// hold colons (IAM User Guide, reference_identifiers, IAM ARNs).
const arnParts = 6

var errARN = errors.New("arn:partition:service:region:account:resource would be right")

// compileARN reads an ARN in which each part may have wildcards, and the
// resource part variables; or a single variable that stands for all of it.
func compileARN(text string, vars bool) (pattern, error) {
	p, err := compile(text, true, vars)
	if err != nil {
		return p, err
	}
	if len(p.tokens) == 1 && p.tokens[0].kind == variable {
		return p, nil
	}
	colons := 0
	for i := range p.tokens {
		t := &p.tokens[i]
		switch {
		case t.kind == literal:
			colons += strings.Count(t.text, ":")
		case t.kind == variable && colons < arnParts-1:
			return p, errors.New("the ARN " + quoted(text) + " has a policy variable before its fifth colon: only the resource part may have one")
		default:
			t.inPart = colons < arnParts-1
		}
	}
	if !strings.HasPrefix(text, "arn:") || colons < arnParts-1 {
		return p, errors.New("the ARN " + quoted(text) + " is malformed: " + errARN.Error())
	}
	return p, nil
}

// part gives the n-th part of an ARN, without allocating; "" when there is none.
func part(arn string, n int) string {
	for range n {
		_, rest, ok := strings.Cut(arn, ":")
		if !ok {
			return ""
		}
		arn = rest
	}
	if n < arnParts-1 {
		arn, _, _ = strings.Cut(arn, ":")
	}
	return arn
}

const (
	partPartition = 1
	partService   = 2
	partRegion    = 3
	partAccount   = 4
	partResource  = 5
)

func accountOf(arn string) string { return part(arn, partAccount) }

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// sessionOf reports whether caller is a session of the role: a policy that names
// the role means them too (IAM User Guide, reference_policies_elements_principal,
// IAM role principals). An assumed-role ARN has the role's name without its path.
func sessionOf(caller, role string) bool {
	session, ok := strings.CutPrefix(part(caller, partResource), "assumed-role/")
	if !ok || part(caller, partService) != "sts" || part(role, partService) != "iam" ||
		accountOf(caller) != accountOf(role) || part(caller, partPartition) != part(role, partPartition) {
		return false
	}
	path, ok := strings.CutPrefix(part(role, partResource), "role/")
	name, _, named := strings.Cut(session, "/")
	return ok && named && name != "" && path[strings.LastIndexByte(path, '/')+1:] == name
}

// RoleOf is the ARN of the role that a session is of; "" for any other principal.
func RoleOf(session string) string {
	name, ok := strings.CutPrefix(part(session, partResource), "assumed-role/")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, "/")
	return "arn:" + part(session, partPartition) + ":iam::" + accountOf(session) + ":role/" + name
}

// Sharer is what callers are told apart by where they share something, such as turns and
// limits: one for all sessions of a role, whose names cost nothing to make, and else the
// ARN itself. It is a part of the ARN, so that it costs no allocation.
func Sharer(arn string) string {
	if strings.HasPrefix(part(arn, partResource), "assumed-role/") {
		return arn[:strings.LastIndexByte(arn, '/')]
	}
	return arn
}

// IsPrincipal says whether s is the ARN of one principal, as a grant names it: a
// root, user, role, assumed-role session or federated user.
func IsPrincipal(s string) bool {
	p, ok := parsePrincipal(s)
	return ok && p.arn != ""
}

// is reports whether a policy or grant that names arn means the caller.
func (e *evaluation) is(arn string) bool {
	caller := e.r.Principal.ARN
	return arn != "" && (caller == arn || e.session && sessionOf(caller, arn))
}
