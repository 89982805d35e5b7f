package store

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/hsmgate/hsmgate/gateway/api"
)

func loadRules(ctx context.Context, r *reader) (map[string]*ApprovalRule, error) {
	approvers := map[string][]string{}
	err := r.each(ctx, kindKey, "SELECT key_id, arn FROM approvers", "key_id", "key_id, arn", func(scan func(...any) error) error {
		var id, arn string
		if err := scan(&id, &arn); err != nil {
			return err
		}
		approvers[id] = append(approvers[id], arn)
		return nil
	})
	if err != nil {
		return nil, err
	}
	rules := map[string]*ApprovalRule{}
	return rules, r.each(ctx, kindKey, "SELECT key_id, required, dropped_at FROM approval_rules", "key_id", "key_id", func(scan func(...any) error) error {
		var id string
		rule := new(ApprovalRule)
		if err := scan(&id, &rule.Required, (*micros)(&rule.DroppedAt)); err != nil {
			return err
		}
		rule.Approvers = sortedSet(approvers[id]) // a database may sort otherwise
		rules[id] = rule
		return nil
	})
}

// loadApprovals: a request whose columns cannot be read is for nothing.
func loadApprovals(ctx context.Context, r *reader) error {
	return r.each(ctx, kindApproval, "SELECT id, key_id, document, votes, used, ended, ended_by FROM approvals", "id", "id", func(scan func(...any) error) error {
		var id, keyID, document, votes, used, ended, by string
		if err := scan(&id, &keyID, &document, &votes, &used, &ended, &by); err != nil {
			return err
		}
		a := NewApproval(document)
		err := errors.Join(json.Unmarshal([]byte(votes), &a.Votes), json.Unmarshal([]byte(used), &a.Used))
		if err != nil || a.ID != id || a.KeyID != keyID {
			a.Asked = new(api.ApprovalDocument)
		}
		a.ID, a.KeyID, a.Ended, a.EndedBy = id, keyID, ended, by
		r.m.approvals.put(a)
		return nil
	})
}
