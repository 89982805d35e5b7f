package gateway

import (
	"context"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// openRequest finds a request that can be approved, rejected or cancelled yet.
func (s *Service) openRequest(c *Call, now store.Approvals, id string) (*store.Approval, *api.Error) {
	a := now.Find(id)
	if a == nil {
		return nil, noApproval(c, id)
	}
	c.record.ApprovalID, c.record.Digest = a.ID, hashOfText(a.Document)
	if st := approvalStatus(now.Rule, a, s.now()); !isOpen(st) {
		return nil, api.Errorf(api.Conflict, "The request %s is %s.", id, st)
	}
	return a, nil
}

// approver is whom of the rule the caller is.
func (s *Service) approver(c *Call, now store.Approvals) (string, *api.Error) {
	who := approverIn(now.Rule, c.Principal.ARN)
	if who == "" {
		return "", refuseVote(c, "%s is no approver of %s.", c.Principal.ARN, c.record.KeyARN)
	}
	return who, nil
}

// refuseVote denies what the policy allows and the rule does not.
func refuseVote(c *Call, format string, args ...any) *api.Error {
	c.record.Reason = "approval-rule"
	return api.Errorf(api.AccessDenied, format, args...)
}

// ApproveRequest is the consent of an approver to what he has seen. With the last
// one that is needed, a change of the rule holds.
func (s *Service) ApproveRequest(ctx context.Context, c *Call, in *api.ApproveRequestRequest) (*api.Empty, *api.Error) {
	var who string
	var before, after *store.ApprovalRule
	err := s.changeApprovals(ctx, c, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, *api.Error) {
		a, err := s.openRequest(c, now, in.ApprovalId)
		if err != nil {
			return nil, nil, err
		}
		if who, err = s.approver(c, now); err != nil {
			return nil, nil, err
		}
		switch {
		case maySame(now.Rule, c.Principal.ARN, a.Asked.Requester):
			return nil, nil, refuseVote(c, "%s has asked for %s, and approvals are by others.", a.Asked.Requester, a.ID)
		case in.Hash != hashOfText(a.Document):
			return nil, nil, api.Errorf(api.Validation, "The hash of request %s is %s, not %s. Look at it again with DescribeApproval.", a.ID, hashOfText(a.Document), in.Hash)
		case slices.ContainsFunc(a.Votes, func(v store.Vote) bool { return v.Approver == who }):
			return nil, nil, api.Errorf(api.Conflict, "%s has approved %s already.", who, a.ID)
		}
		a = a.Clone()
		a.Votes = append(a.Votes, store.Vote{Approver: who, At: s.now()})
		before, after = now.Rule, now.Rule
		if changesRule(a) {
			after, err = s.nextRule(now.Rule, a)
		}
		return a, after, err
	})
	if err != nil {
		return nil, err
	}
	s.undoApproval(c, in.ApprovalId, func(now store.Approvals, a *store.Approval) *store.ApprovalRule {
		a.Votes = slices.DeleteFunc(a.Votes, func(v store.Vote) bool { return v.Approver == who })
		if a.Ended == string(api.ApprovalApplied) && ruleHash(now.Rule) == ruleHash(after) {
			a.Ended = ""
			return before
		}
		return now.Rule
	})
	return &api.Empty{}, nil
}

// nextRule is the rule of a key once a request to change it has its votes; the request
// has come to its end then. One that is about another rule than the present one is void.
func (s *Service) nextRule(r *store.ApprovalRule, a *store.Approval) (*store.ApprovalRule, *api.Error) {
	switch {
	case ruleHash(r) != a.Asked.Replaces:
		return nil, api.Errorf(api.Conflict, "The rule of the key has changed since %s was asked for. Ask again.", a.ID)
	case !approvedBy(r, a):
		return r, nil
	}
	a.Ended = string(api.ApprovalApplied)
	if a.Asked.Rule == nil {
		return nil, nil
	}
	return &store.ApprovalRule{ApprovalRule: *a.Asked.Rule}, nil
}

// RejectRequest ends a request, approved or not, on behalf of an approver.
func (s *Service) RejectRequest(ctx context.Context, c *Call, in *api.RejectRequestRequest) (*api.Empty, *api.Error) {
	return s.endApproval(ctx, c, in.ApprovalId, api.ApprovalRejected, func(now store.Approvals, _ *store.Approval) *api.Error {
		_, err := s.approver(c, now)
		return err
	})
}

// CancelApproval takes back a request, or what is left of an approval, on behalf of
// who has asked for it or of an approver.
func (s *Service) CancelApproval(ctx context.Context, c *Call, in *api.CancelApprovalRequest) (*api.Empty, *api.Error) {
	return s.endApproval(ctx, c, in.ApprovalId, api.ApprovalCancelled, func(now store.Approvals, a *store.Approval) *api.Error {
		if s.isHis(now.Rule, c, a) || approverIn(now.Rule, c.Principal.ARN) != "" {
			return nil
		}
		return refuseVote(c, "%s has not asked for %s and is no approver of %s.", c.Principal.ARN, a.ID, c.record.KeyARN)
	})
}

// endApproval ends a request. Where its record cannot be kept it stays ended: the record
// may have reached the disk all the same, and who ended it is not to see it signed.
func (s *Service) endApproval(ctx context.Context, c *Call, id string, as api.ApprovalStatus, may func(store.Approvals, *store.Approval) *api.Error) (*api.Empty, *api.Error) {
	err := s.changeApprovals(ctx, c, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, *api.Error) {
		a, err := s.openRequest(c, now, id)
		if err != nil {
			return nil, nil, err
		}
		if err := may(now, a); err != nil {
			return nil, nil, err
		}
		a = a.Clone()
		a.Ended, a.EndedBy = string(as), c.Principal.ARN
		return a, now.Rule, nil
	})
	if err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}
