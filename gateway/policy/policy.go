// Package policy decides whether a principal may perform an action on a key.
//
// It is the policy language of AWS IAM as key policies and identity policies
// use it (docs/policy-language.md), the grants of AWS KMS, and two built-in
// roles. Parse reads and compiles a policy, and refuses whatever it does not
// know; Evaluate decides a Request and names what decided; Explain says why.
// All are pure functions: no I/O, no clock, no state.
package policy

import "strings"

// Role names a built-in set of permissions, which works as an identity policy.
// Any other value allows nothing.
type Role string

const (
	// RoleAdministrator may perform every kms: and hsmgate: action on
	// every key and on the service itself, and manage its own access keys. It may
	// not become another caller: see administratorMay.
	RoleAdministrator Role = "administrator"
	// RoleUser may describe and use the keys named in Principal.Keys, and
	// nothing else: no management of keys and no service-level action.
	RoleUser Role = "user"
)

// Valid reports whether r is one of the built-in roles.
func (r Role) Valid() bool { return r == RoleAdministrator || r == RoleUser }

// Decision is the answer to a Request and what led to it.
type Decision struct {
	Allowed bool
	// Statement names what decided: "key-policy/<Sid or number>",
	// "policy/<name>/<Sid or number>", "grant/<id>", "role/administrator",
	// "role/user", or "default" when nothing allowed the request.
	Statement string
	// Reason is why the request is denied, in the words of AWS (IAM User Guide,
	// troubleshoot_access-denied); "" when it is allowed. Because makes of it
	// the end of a sentence.
	Reason string
	// CountedGrant is the id of the grant that allows the request, where its uses
	// are counted: one of them has to be taken before the key is used.
	CountedGrant string
}

// Because ends the sentence "... is not authorized to perform: <action> on
// resource: <resource>", with "because ..." or "with an explicit deny ...".
func (d Decision) Because() string {
	if d.Reason == "" || strings.HasPrefix(d.Reason, "with an explicit deny") {
		return d.Reason
	}
	return "because " + d.Reason
}

const (
	statementAdministrator = "role/administrator"
	statementUser          = "role/user"
	statementDefault       = "default"

	denyInResource = "with an explicit deny in a resource-based policy"
	denyInIdentity = "with an explicit deny in an identity-based policy"
)

// NotInResource is the reason of a denial where the key policy allows nothing of an action.
func NotInResource(action string) string {
	return "no resource-based policy allows the " + action + " action"
}

// administratorMay reports whether RoleAdministrator allows the request. Access keys of
// other users and sessions of roles would give it what these are given, also where a
// key policy keeps a key from administrators: only identity policies give those.
func (e *evaluation) administratorMay() bool {
	return !e.actsAsOthers() || e.resource == e.r.Principal.ARN
}

// actsAsOthers reports whether an action is about callers: who may do it for another one
// can act as that one.
func (e *evaluation) actsAsOthers() bool {
	if e.action >= 0 {
		return aboutCallers.has(e.action)
	}
	return strings.HasPrefix(e.actionLower, "sts:") || strings.Contains(e.actionLower, "accesskey")
}

// userMay reports whether RoleUser allows the request: a use of one of the
// principal's own keys.
func userMay(r *Request) bool {
	switch r.Action {
	case "kms:DescribeKey", "kms:GetPublicKey", "kms:Sign", "kms:Verify", "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
		"kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext",
		"kms:GenerateMac", "kms:VerifyMac", "kms:DeriveSharedSecret", "kms:Encapsulate", "kms:Decapsulate", "hsmgate:ListApprovals":
		return r.KeyID != "" && r.Principal.Keys[r.KeyID]
	}
	return false
}

func deny(reason string) Decision {
	return Decision{Statement: statementDefault, Reason: reason}
}

// quoted is what callers wrote, in quotes, as an error or a reason shows it.
func quoted(s string) string { return `"` + printable(s) + `"` }

// printable keeps what callers wrote harmless and short in a text that reaches
// callers and logs.
func printable(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' {
			return '?'
		}
		return r
	}, s)
}
