package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// PutApprovalRule gives a key a rule. One that lets through what the present rule
// does not is a request to the present approvers.
func (s *Service) PutApprovalRule(ctx context.Context, c *Call, in *api.PutApprovalRuleRequest) (*api.ApprovalRequested, *api.Error) {
	if err := s.checkUsage(c, c.key, api.SignVerify); err != nil {
		return nil, err
	}
	rule, err := s.newRule(ctx, in.ApprovalRule)
	if err != nil {
		return nil, err
	}
	return s.changeRule(ctx, c, rule, in.Reason)
}

// DeleteApprovalRule asks the approvers of a key to take its rule away.
func (s *Service) DeleteApprovalRule(ctx context.Context, c *Call, _ *api.DeleteApprovalRuleRequest) (*api.ApprovalRequested, *api.Error) {
	if s.store.ApprovalRule(c.key.ID) == nil {
		return nil, noRule(c, api.NotFound)
	}
	return s.changeRule(ctx, c, nil, "")
}

// GetApprovalRule tells the rule of a key.
func (s *Service) GetApprovalRule(_ context.Context, c *Call, _ *api.GetApprovalRuleRequest) (*api.GetApprovalRuleResponse, *api.Error) {
	rule := s.store.ApprovalRule(c.key.ID)
	if rule == nil {
		return nil, noRule(c, api.NotFound)
	}
	return &api.GetApprovalRuleResponse{KeyId: c.record.KeyARN, ApprovalRule: rule.ApprovalRule}, nil
}

// newRule checks a rule: each approver is somebody who can call, and each is another person.
func (s *Service) newRule(ctx context.Context, in api.ApprovalRule) (*store.ApprovalRule, *api.Error) {
	approvers := slices.Sorted(slices.Values(in.Approvers))
	for i, arn := range approvers {
		if s.checkPrincipal(arn) != nil { // perhaps one that was made a moment ago
			_ = s.store.Follow(ctx) // what cannot be read now is refused below
		}
		if err := s.checkPrincipal(arn); err != nil {
			return nil, err
		}
		switch role := policy.RoleOf(arn); {
		case !s.canApprove(arn):
			return nil, api.Errorf(api.InvalidArn, "%q cannot approve: name a user or a role of account %s, or one session of a role.", arn, s.names.Account)
		case i > 0 && arn == approvers[i-1]:
			return nil, api.Errorf(api.Validation, "%s stands among the approvers twice.", arn)
		case role != "" && slices.Contains(approvers, role):
			return nil, api.Errorf(api.Validation, "%s is a session of %s, which is an approver, too: name one of them, so that nobody approves twice.", arn, role)
		}
	}
	if in.Required > len(approvers) {
		return nil, api.Errorf(api.Validation, "The rule requires %d approvals and names %d approvers.", in.Required, len(approvers))
	}
	return &store.ApprovalRule{ApprovalRule: api.ApprovalRule{Approvers: approvers, Required: in.Required}}, nil
}

func (s *Service) canApprove(arn string) bool {
	for _, prefix := range []string{"arn:aws:iam::" + s.names.Account + ":user/", "arn:aws:iam::" + s.names.Account + ":role/", "arn:aws:sts::" + s.names.Account + ":assumed-role/"} {
		if strings.HasPrefix(arn, prefix) {
			return true
		}
	}
	return false
}

// changeRule sets a rule, or asks for that.
func (s *Service) changeRule(ctx context.Context, c *Call, next *store.ApprovalRule, reason string) (*api.ApprovalRequested, *api.Error) {
	doc := api.ApprovalDocument{RemoveRule: next == nil, Reason: reason}
	if next != nil {
		doc.Rule = &next.ApprovalRule
	}
	if err := s.makeRoom(ctx, c); err != nil {
		return nil, err
	}
	var asked *store.Approval
	var before *store.ApprovalRule
	err := s.changeApprovals(ctx, c, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, *api.Error) {
		asked, before = nil, now.Rule
		c.record.ApprovalID, c.record.Digest = "", ruleHash(next)
		if now.Rule == nil || stricter(now.Rule, next) {
			return nil, next, nil
		}
		var err *api.Error
		doc.Replaces = ruleHash(now.Rule)
		if asked, err = s.newApproval(c, doc, approvalLife); err != nil {
			return nil, nil, err
		}
		return s.insertApproval(c, now, asked)
	})
	if err != nil {
		return nil, err
	}
	if asked != nil {
		s.undoApproval(c, asked.ID, takenBack)
		return requested(asked), nil
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.ChangeApprovals(ctx, c.key.ID, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) {
			if ruleHash(now.Rule) != ruleHash(next) { // another process changed it meanwhile
				return nil, now.Rule, nil
			}
			return nil, before, nil
		})
	})
	return &api.ApprovalRequested{}, nil
}

// dropRules takes the rules away that an operator has dropped on the machine, with a
// record of each.
func (s *Service) dropRules(ctx context.Context) {
	dropped := func(k *store.Key) bool { return k.Rule != nil && !k.Rule.DroppedAt.IsZero() }
	for _, k := range s.store.AllKeys() {
		if !dropped(k) {
			continue
		}
		err := s.alone(ctx, k, dropped, func(k *store.Key) error {
			c := byItself("DropApprovalRule", k)
			c.record.PermissionChange = true
			return s.ofItself(ctx, c, func() error {
				return s.store.ChangeApprovals(ctx, k.ID, func(now store.Approvals) (*store.Approval, *store.ApprovalRule, error) {
					if now.Rule != nil && !now.Rule.DroppedAt.IsZero() {
						return nil, nil, nil
					}
					return nil, now.Rule, nil
				})
			})
		})
		if err != nil {
			s.log.Error("an approval rule that an operator has dropped stays", logKey(k.ID, err)...)
		}
	}
}
