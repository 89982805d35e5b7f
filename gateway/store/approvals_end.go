package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/policy"
)

// RemoveApprovals removes requests that nobody needs any more. It says how many.
func (s *Store) RemoveApprovals(ctx context.Context, over func(*Approval) bool) (removed int, err error) {
	s.mu.RLock()
	some := slices.ContainsFunc(s.mem.approvals.sorted, over)
	s.mu.RUnlock()
	if !some {
		return 0, nil
	}
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		var gone []string
		for _, a := range s.mem.approvals.sorted {
			if !over(a) {
				continue
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM approvals WHERE id = ?", a.ID); err != nil {
				return nil, err
			}
			gone = append(gone, a.path())
		}
		removed = len(gone)
		return func(m *memory) {
			for _, path := range gone {
				m.approvals.remove(path)
			}
		}, nil
	})
	return removed, err
}

// forgetApprover takes a principal that is deleted, and the sessions of a role, out of
// all rules, removes what it has asked for and approved, and cancels the requests for
// rules that name it: another one of its name is not to have that.
func (s *Store) forgetApprover(ctx context.Context, tx *sql.Tx, arn string) (func(*memory), error) {
	gone := func(other string) bool { return other == arn || policy.RoleOf(other) == arn }
	voted := func(v Vote) bool { return gone(v.Approver) }
	asksFor := func(a *Approval) bool {
		return a.Ended == "" && a.Asked.Rule != nil && slices.ContainsFunc(a.Asked.Rule.Approvers, gone)
	}
	rules, changed, removed := map[string]*ApprovalRule{}, []*Approval{}, []string{}
	for id, all := range s.mem.lines {
		r := all[0].Rule
		if r == nil || !slices.ContainsFunc(r.Approvers, gone) {
			continue
		}
		left := *r
		left.Approvers = slices.DeleteFunc(slices.Clone(r.Approvers), gone)
		rules[id] = &left
		if err := saveRule(ctx, tx, id, &left); err != nil {
			return nil, err
		}
	}
	for _, a := range s.mem.approvals.sorted {
		var err error
		switch {
		case gone(a.Asked.Requester):
			removed = append(removed, a.path())
			_, err = tx.ExecContext(ctx, "DELETE FROM approvals WHERE id = ?", a.ID)
		case slices.ContainsFunc(a.Votes, voted) || asksFor(a):
			left := a.Clone()
			left.Votes = slices.DeleteFunc(left.Votes, voted)
			if asksFor(a) {
				left.Ended = string(api.ApprovalCancelled)
			}
			changed = append(changed, left)
			err = saveApproval(ctx, tx, left)
		}
		if err != nil {
			return nil, err
		}
	}
	return func(m *memory) {
		for id, r := range rules {
			m.setRule(id, r)
		}
		for _, a := range changed {
			m.approvals.put(a)
		}
		for _, path := range removed {
			m.approvals.remove(path)
		}
	}, nil
}
