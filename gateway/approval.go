package gateway

import (
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// An approval is worth what the key's rule makes of it at the moment of its use: who
// is no approver any more has approved nothing.

// approverIn is whom of a rule a caller is: himself, or the role of his session. ""
// for none.
func approverIn(r *store.ApprovalRule, arn string) string {
	for _, who := range []string{arn, policy.RoleOf(arn)} {
		if r != nil && who != "" && slices.Contains(r.Approvers, who) {
			return who
		}
	}
	return ""
}

// person is who is behind an ARN. Whoever may assume a role chooses the names of its
// sessions, so that all of them are one, but for those that the rule names.
func person(r *store.ApprovalRule, arn string) string {
	if who := approverIn(r, arn); who != "" {
		return who
	}
	return roleOr(arn)
}

func roleOr(arn string) string { return orDefault(policy.RoleOf(arn), arn) }

// maySame says whether two may be one person. Two sessions of a role are two only where
// the rule names both.
func maySame(r *store.ApprovalRule, a, b string) bool {
	return person(r, a) == person(r, b) ||
		roleOr(a) == roleOr(b) && (approverIn(r, a) == "" || approverIn(r, b) == "")
}

// counted are the approvers whose consent to a request counts under a rule.
func counted(r *store.ApprovalRule, a *store.Approval) []string {
	who := []string{}
	for _, v := range a.Votes {
		if slices.Contains(r.Approvers, v.Approver) && !maySame(r, v.Approver, a.Asked.Requester) && !slices.Contains(who, v.Approver) {
			who = append(who, v.Approver)
		}
	}
	return who
}

func approvedBy(r *store.ApprovalRule, a *store.Approval) bool {
	return len(counted(r, a)) >= r.Required
}

// signaturesLeft is how many an approval is good for yet, if nothing ends it.
func signaturesLeft(a *store.Approval) (left int) {
	if w := a.Asked.Window; w != nil {
		return w.Count - a.Used[0]
	}
	for place := range a.Asked.Digests {
		left += a.Asked.SignaturesPerDigest - a.Used[place]
	}
	return left
}

func changesRule(a *store.Approval) bool { return a.Asked.Rule != nil || a.Asked.RemoveRule }

// over says whether the time of a request is over; one without a time has none.
func over(a *store.Approval, now time.Time) bool {
	return a.Asked.ExpirationDate == nil || !now.Before(a.Asked.ExpirationDate.Time)
}

// approvalStatus is what a request is worth now. r may be nil, where a key needs no approval.
func approvalStatus(r *store.ApprovalRule, a *store.Approval, now time.Time) api.ApprovalStatus {
	switch {
	case a.Ended != "":
		return api.ApprovalStatus(a.Ended)
	case !changesRule(a) && signaturesLeft(a) <= 0:
		return api.ApprovalSpent
	case over(a, now):
		return api.ApprovalExpired
	case r == nil || approvedBy(r, a):
		return api.ApprovalApproved
	}
	return api.ApprovalPending
}

// covers finds the place in a request that a signature is asked for; false where there
// is none, or no signature left for it.
func covers(a *store.Approval, algorithm api.SigningAlgorithm, digest string, now time.Time) (place int, ok bool) {
	if a.Asked.SigningAlgorithm != algorithm {
		return 0, false
	}
	if w := a.Asked.Window; w != nil {
		return 0, !now.Before(w.NotBefore.Time) && now.Before(w.NotAfter.Time) && a.Used[0] < w.Count
	}
	for place, d := range a.Asked.Digests {
		if d.Digest == digest {
			return place, a.Used[place] < a.Asked.SignaturesPerDigest
		}
	}
	return 0, false
}

// stricter says whether all that is approved under rule next is approved under r, too,
// for the same callers: a session that is not named any more would be one with all others
// of its role, which could then use what it has asked for.
func stricter(r *store.ApprovalRule, next *store.ApprovalRule) bool {
	return next != nil && next.Required >= r.Required && slices.Equal(sessionsIn(r), sessionsIn(next)) &&
		!slices.ContainsFunc(next.Approvers, func(arn string) bool { return !slices.Contains(r.Approvers, arn) })
}

// sessionsIn are the approvers of a rule that are sessions.
func sessionsIn(r *store.ApprovalRule) (arns []string) {
	for _, arn := range r.Approvers {
		if policy.RoleOf(arn) != "" {
			arns = append(arns, arn)
		}
	}
	return arns
}

// ruleHash is what the record of a rule has, and what a change of it is bound to.
func ruleHash(r *store.ApprovalRule) string {
	if r == nil {
		return ""
	}
	text, _ := json.Marshal(r.ApprovalRule) // strings and numbers always have a JSON form
	return hashOfText(string(text))
}

func hashOfText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return named(crypto.SHA256, sum[:])
}

// partsIn is what a rule lets its approvers do, and what those may do who have asked
// them: a grant, so that a policy may deny it.
func (s *Service) partsIn(k *store.Key, caller string) []policy.Grant {
	may := []string{"hsmgate:ListApprovals", "hsmgate:CancelApproval"}
	if approverIn(k.Rule, caller) != "" {
		may = append(may, "hsmgate:ApproveRequest")
	} else if !slices.ContainsFunc(s.store.Approvals(k.ID).Requests, func(a *store.Approval) bool {
		return person(k.Rule, a.Asked.Requester) == person(k.Rule, caller)
	}) {
		return nil
	}
	return []policy.Grant{{ID: "approval-rule", KeyID: k.ID, Grantee: caller, Operations: may}}
}

// digestFits says whether a digest is of the kind that an algorithm signs.
func digestFits(algorithm api.SigningAlgorithm, digest string) bool {
	kind, _, _ := strings.Cut(digest, ":")
	if algorithm == api.MLDSASHAKE256 && kind == "mu" {
		return true
	}
	hash := mechanisms[algorithm].Hash
	if hash == 0 {
		hash = crypto.SHA512
	}
	return kind+":" == hashNames[hash]
}
