package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// approvalChange makes or replaces a request and sets the rule of its key, as
// store.ChangeApprovals does.
type approvalChange func(now store.Approvals) (*store.Approval, *store.ApprovalRule, *api.Error)

// changeApprovals refuses by memory first, so that a call that cannot succeed leaves
// no trace of a change; what counts is the answer inside the write.
func (s *Service) changeApprovals(ctx context.Context, c *Call, change approvalChange) *api.Error {
	before := s.store.Approvals(c.key.ID)
	_, after, err := change(before)
	if err != nil {
		return err
	}
	c.record.PermissionChange = after != before.Rule
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	var refused *api.Error
	cause := s.store.ChangeApprovals(ctx, c.key.ID, func(now store.Approvals) (put *store.Approval, rule *store.ApprovalRule, err error) {
		if put, rule, refused = change(now); refused == nil {
			refused = s.checkApprovers(now, put, rule)
		}
		c.record.PermissionChange = refused == nil && rule != now.Rule
		if refused != nil {
			return nil, nil, store.ErrState
		}
		return put, rule, nil
	})
	if refused != nil {
		return refused
	}
	if cause != nil {
		return s.stateError(c, cause)
	}
	return nil
}

// checkApprovers refuses a rule, and a request for one, that names somebody who was
// deleted meanwhile: the next of his name is not to be an approver.
func (s *Service) checkApprovers(now store.Approvals, put *store.Approval, rule *store.ApprovalRule) *api.Error {
	var named []string
	if rule != nil && rule != now.Rule {
		named = rule.Approvers
	}
	if put != nil && put.Ended == "" && put.Asked.Rule != nil {
		named = slices.Concat(named, put.Asked.Rule.Approvers)
	}
	for _, arn := range named {
		if err := s.checkPrincipal(arn); err != nil {
			return err
		}
	}
	return nil
}

// undoApproval takes a change of a request back, with what the change made of the rule.
func (s *Service) undoApproval(c *Call, id string, back func(now store.Approvals, a *store.Approval) *store.ApprovalRule) {
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.ChangeApprovals(ctx, c.key.ID, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) {
			a := now.Find(id)
			if a == nil {
				return nil, now.Rule, nil
			}
			a = a.Clone()
			return a, back(now, a), nil
		})
	})
}

// unspent tells the caller of Sign that its approval could not be spent.
func unspent(cause error) *api.Error {
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
		Message: "The gateway cannot reach its database now, where approvals are spent before a signature is made, so nothing was signed. An operator has to look at the database; then try again."}
}

// elsewhere: another process has just spent the approval that the 'started' record names.
var elsewhere = api.Errorf(api.ApprovalRequired, "The approval was spent at the same time.")

// spendApproval spends a signature of an approval before it is made, where the key has
// a rule: durably, and once in all processes, and no other than its 'started' record
// names. Whatever becomes of the signature after that, a crash too, the approval is
// spent. A dry run only looks.
func (s *Service) spendApproval(ctx context.Context, c *Call, in *api.SignRequest, digest string) *api.Error {
	if s.store.ApprovalRule(c.key.ID) == nil {
		return nil
	}
	err := elsewhere
	for err == elsewhere {
		c.record.ApprovalID = "" // the first choice is that of the record
		spend := func(now store.Approvals) (*store.Approval, *store.ApprovalRule, *api.Error) {
			return s.spend(c, now, in.SigningAlgorithm, digest)
		}
		if in.DryRun {
			_, _, err := spend(s.store.Approvals(c.key.ID))
			return err
		}
		err = s.changeApprovals(ctx, c, spend)
	}
	if err != nil && errors.Is(err.Cause, store.ErrUnavailable) {
		return unspent(err.Cause)
	}
	return err
}

// spend spends the approval that the record of the call names, or chooses one for it.
func (s *Service) spend(c *Call, now store.Approvals, algorithm api.SigningAlgorithm, digest string) (*store.Approval, *store.ApprovalRule, *api.Error) {
	named := c.record.ApprovalID
	if now.Rule == nil { // taken away meanwhile
		c.record.ApprovalID = ""
		return nil, nil, nil
	}
	for _, a := range now.Requests {
		if named != "" && a.ID != named || a.Ended != "" || over(a, s.now()) || !s.isHis(now.Rule, c, a) { // before the digests are looked through
			continue
		}
		place, ok := covers(a, algorithm, digest, s.now())
		if ok && approvalStatus(now.Rule, a, s.now()) == api.ApprovalApproved {
			c.record.ApprovalID = a.ID
			a = a.Clone()
			a.Used[place]++
			return a, now.Rule, nil
		}
	}
	if named != "" {
		return nil, nil, elsewhere
	}
	return nil, nil, s.needsApproval(c, now, algorithm, digest)
}

// isHis says whether a request is the caller's.
func (s *Service) isHis(r *store.ApprovalRule, c *Call, a *store.Approval) bool {
	return a.Asked.Requester != "" && person(r, a.Asked.Requester) == person(r, c.Principal.ARN)
}

// needsApproval tells who may sign what he lacks.
func (s *Service) needsApproval(c *Call, now store.Approvals, algorithm api.SigningAlgorithm, digest string) *api.Error {
	c.record.Reason = "approval-rule"
	for _, a := range slices.Backward(now.Requests) {
		if !s.isHis(now.Rule, c, a) || a.Asked.SigningAlgorithm != algorithm {
			continue
		}
		named := slices.ContainsFunc(a.Asked.Digests, func(d api.DigestToSign) bool { return d.Digest == digest })
		if st := approvalStatus(now.Rule, a, s.now()); named || a.Asked.Window != nil && (isOpen(st) || st == api.ApprovalSpent) {
			return api.Errorf(api.ApprovalRequired, "Signing %s with %s and %s needs %d approvals. Request %s has %d and is %s%s.", digest, c.record.KeyARN, algorithm,
				now.Rule.Required, a.ID, len(counted(now.Rule, a)), st, unopened(a, st, named))
		}
	}
	return api.Errorf(api.ApprovalRequired, "Signing %s with %s and %s needs %d approvals. Ask for them with RequestApproval (hsmgate approval request).",
		digest, c.record.KeyARN, algorithm, now.Rule.Required)
}

// unopened says why an approved request does not help.
func unopened(a *store.Approval, st api.ApprovalStatus, named bool) string {
	switch {
	case st != api.ApprovalApproved:
		return ""
	case named:
		return ", and all signatures over this digest were made"
	}
	return ", and its window opens at " + a.Asked.Window.NotBefore.UTC().Format(time.RFC3339)
}
