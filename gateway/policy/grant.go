package policy

import "time"

// Grant lets one principal use one key (KMS Developer Guide, grants). It only
// ever allows.
type Grant struct {
	ID                string
	KeyID             string // the resolved key id
	Grantee           string // an ARN
	RetiringPrincipal string // an ARN; "" for none
	// Operations are names of grant operations, for example "Sign", or actions of this
	// gateway, which no caller can grant.
	Operations []string

	// The call's encryption context is these pairs, or contains these pairs; nil
	// for no constraint. As in AWS KMS they bind only operations that have an
	// encryption context; one that has none, such as Sign, is then not allowed.
	EncryptionContextEquals map[string]string
	EncryptionContextSubset map[string]string

	Expires  time.Time // it allows nothing from then on; zero for never
	UsesLeft *int64    // nil when uses are not counted
}

// counts: DescribeKey and RetireGrant are no uses of the key.
func (g *Grant) counts(op string) bool {
	return g.UsesLeft != nil && op != "DescribeKey" && op != "RetireGrant"
}

const statementGrant = "grant/"

// allows reports whether the grant allows the request, for the operation op.
func (g *Grant) allows(e *evaluation, op string) bool {
	switch {
	case g.KeyID == "" || g.KeyID != e.r.KeyID:
		return false
	case op == "RetireGrant":
		return g.mayRetire(e) && g.live(e.r.Time)
	}
	return e.is(g.Grantee) && g.has(op) && (op != "CreateGrant" || g.covers(e.r.Call.GrantOperations)) && g.live(e.r.Time) && g.constraintsHold(op, e.r)
}

// mayRetire: a grant may be retired by its retiring principal, and by its
// grantee when RetireGrant is among its operations; no other grant may be (KMS
// API reference, RetireGrant).
func (g *Grant) mayRetire(e *evaluation) bool {
	if g.ID == "" || g.ID != e.r.GrantID {
		return false
	}
	return e.is(g.RetiringPrincipal) || e.is(g.Grantee) && g.has("RetireGrant")
}

func (g *Grant) has(op string) bool {
	for _, o := range g.Operations {
		if o == op {
			return true
		}
	}
	return false
}

// covers: a grant lets its grantee make grants of no more than it allows itself
// (KMS Developer Guide, create-grant-overview, Granting CreateGrant permission).
func (g *Grant) covers(operations []string) bool {
	for _, o := range operations {
		if !g.has(o) {
			return false
		}
	}
	return true
}

// live: without a time, a grant that expires is not live.
func (g *Grant) live(now time.Time) bool {
	if g.UsesLeft != nil && *g.UsesLeft <= 0 {
		return false
	}
	return g.Expires.IsZero() || !now.IsZero() && now.Before(g.Expires)
}

// constraintsHold follows the KMS API reference, GrantConstraints: they do not
// bind DescribeKey, and a grant made under them must be as strict.
func (g *Grant) constraintsHold(op string, r *Request) bool {
	if g.EncryptionContextEquals == nil && g.EncryptionContextSubset == nil || op == "DescribeKey" {
		return true
	}
	got := r.Call.EncryptionContext
	equals := g.EncryptionContextEquals == nil ||
		len(got) == len(g.EncryptionContextEquals) && contains(got, g.EncryptionContextEquals)
	subset := contains(got, g.EncryptionContextSubset)
	switch op {
	case "CreateGrant":
		if g.EncryptionContextEquals != nil && r.Call.GrantConstraintType != "EncryptionContextEquals" {
			return false
		}
		return r.Call.GrantConstraintType != "" && equals && subset
	case "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
		"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext":
		return equals && subset
	}
	return false
}

// contains reports whether have has every pair of want, exactly.
func contains(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
