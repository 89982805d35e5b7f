// Package policy decides whether a principal may perform an action on a key.
//
// Evaluate is a pure function: no I/O, no clock, no state. It knows two
// built-in roles and nothing else; whatever no role allows is denied. A richer
// policy language (documents, statements, conditions, grants) belongs behind
// Evaluate and nowhere else: callers pass a Request and obey the Decision.
package policy

import "strings"

// Role names a built-in set of permissions. Any other value allows nothing.
type Role string

const (
	// RoleAdministrator may perform every kms: and hsmgate: action on
	// every key and on the service itself.
	RoleAdministrator Role = "administrator"
	// RoleUser may describe and use the keys named in Principal.Keys, and
	// nothing else: no management of keys and no service-level action.
	RoleUser Role = "user"
)

// Valid reports whether r is one of the built-in roles.
func (r Role) Valid() bool { return r == RoleAdministrator || r == RoleUser }

// Principal is an authenticated caller. It is read-only after it was made.
type Principal struct {
	ARN  string          // arn:aws:iam::<account>:user/<name>
	Role Role            // what the principal may do
	Keys map[string]bool // ids of the keys that RoleUser may use; other roles ignore it
}

// Request asks for one action of one principal.
type Request struct {
	Principal Principal
	Action    string // "service:Operation", for example "kms:Sign"; compared exactly
	KeyID     string // the resolved key id, never an alias or ARN; "" for a service-level action
	Resource  string // what the caller named, for the log; never used to decide
}

// Decision is the answer to a Request and what led to it.
type Decision struct {
	Allowed bool
	// Statement names what decided: "role/administrator", "role/user" or
	// "default" when nothing allowed the request.
	Statement string
	// Reason ends the sentence "... is not authorized to perform: <action>
	// because", in the words of AWS; "" when the request is allowed.
	Reason string
}

const (
	statementAdministrator = "role/administrator"
	statementUser          = "role/user"
	statementDefault       = "default"
)

// Evaluate decides one request. The default is to deny: an unknown role, a
// malformed action, an action of another service and a key that is not the
// principal's are all denied. An allowed request costs no allocation.
func Evaluate(r Request) Decision {
	switch {
	case r.Principal.ARN == "":
		return deny("the caller is not an authenticated principal")
	case !wellFormed(r.Action):
		return deny("the action " + quoted(r.Action) + " is not an action of this service")
	case r.Principal.Role == RoleAdministrator:
		return Decision{Allowed: true, Statement: statementAdministrator}
	case r.Principal.Role == RoleUser && userMay(r):
		return Decision{Allowed: true, Statement: statementUser}
	}
	return deny("no identity-based policy allows the " + r.Action + " action")
}

// userMay reports whether RoleUser allows the request: a use of one of the
// principal's own keys.
func userMay(r Request) bool {
	switch r.Action {
	case "kms:DescribeKey", "kms:GetPublicKey", "kms:Sign", "kms:Verify", "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo",
		"kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext",
		"kms:GenerateMac", "kms:VerifyMac", "kms:DeriveSharedSecret", "kms:Encapsulate", "kms:Decapsulate":
		return r.KeyID != "" && r.Principal.Keys[r.KeyID]
	}
	return false
}

// wellFormed reports whether an action is kms:Name or hsmgate:Name, the name
// made of letters and digits. A pattern such as kms:* is not an action.
func wellFormed(action string) bool {
	name, ok := strings.CutPrefix(action, "kms:")
	if !ok {
		name, ok = strings.CutPrefix(action, "hsmgate:")
	}
	if !ok || name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func deny(reason string) Decision {
	return Decision{Statement: statementDefault, Reason: reason}
}

// quoted keeps a malformed action harmless and short in a text that reaches
// callers and logs.
func quoted(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' {
			return '?'
		}
		return r
	}, s) + `"`
}
