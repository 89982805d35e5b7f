package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// ApprovalRule is the rule of a key. Immutable.
type ApprovalRule struct {
	api.ApprovalRule           // its approvers sorted
	DroppedAt        time.Time // an operator has dropped it, which is to be recorded before it holds; zero: nobody has
}

// Approval is a request for approval. Immutable.
type Approval struct {
	ID       string
	KeyID    string
	Document string                // what is approved
	Asked    *api.ApprovalDocument // the same; empty where the text is no document, so that it is for nothing
	Votes    []Vote                // in the order of time
	Used     map[int]int           // signatures made, by the place of the digest; 0 for a window
	Ended    string                // an api.ApprovalStatus, or "" while nobody has ended it
	EndedBy  string                // ARN
}

// Vote is the consent of an approver.
type Vote struct {
	Approver string // as the rule names him
	At       time.Time
}

func (a *Approval) path() string { return path(a.KeyID, a.ID) }

// NewApproval is a request for what a document asks.
func NewApproval(document string) *Approval {
	a := &Approval{Document: document, Asked: new(api.ApprovalDocument)}
	if err := json.Unmarshal([]byte(document), a.Asked); err != nil || !whole(a.Asked) {
		a.Asked = new(api.ApprovalDocument)
	}
	a.ID, a.KeyID = a.Asked.ApprovalId, a.Asked.KeyId
	return a
}

// whole says whether a document has what is counted on.
func whole(d *api.ApprovalDocument) bool {
	return d.ExpirationDate != nil && (d.Window == nil || d.Window.NotBefore != nil && d.Window.NotAfter != nil) && (d.Rule == nil || d.Rule.Required > 0)
}

// Clone is a copy to change. It shares the document alone.
func (a *Approval) Clone() *Approval {
	c := *a
	c.Votes, c.Used = slices.Clone(a.Votes), maps.Clone(a.Used)
	if c.Used == nil {
		c.Used = map[int]int{}
	}
	return &c
}

// Approvals are the rule of a key, nil for none, and all requests on it, the oldest first.
type Approvals struct {
	Rule     *ApprovalRule
	Requests []*Approval
}

// Find finds a request by its id; nil when there is none.
func (a Approvals) Find(id string) *Approval {
	for _, r := range a.Requests {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// ApprovalRule is the rule of a key in all of its regions; nil for none.
func (s *Store) ApprovalRule(keyID string) *ApprovalRule {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.rule(keyID)
}

// Approvals are the rule and the requests of a key.
func (s *Store) Approvals(keyID string) Approvals {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.approvalsOf(keyID)
}

// ApprovalCount is the number of requests on all keys.
func (s *Store) ApprovalCount() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.mem.approvals.sorted)
}

func (m *memory) rule(keyID string) *ApprovalRule {
	if all := m.lines[keyID]; len(all) > 0 {
		return all[0].Rule
	}
	return nil
}

func (m *memory) approvalsOf(keyID string) Approvals {
	first, _ := m.approvals.find(path(keyID, ""))
	next, _ := m.approvals.find(path(keyID, "\xff")) // after every id
	return Approvals{Rule: m.rule(keyID), Requests: slices.Clone(m.approvals.sorted[first:next])}
}

// ChangeApprovals makes or replaces one request on a key, nil for none, and gives the
// key the rule that is returned, all in one. Nobody else changes either meanwhile, in
// no process. An error of change is the answer, and nothing is changed then.
// ErrNotFound when there is no such key.
func (s *Store) ChangeApprovals(ctx context.Context, keyID string, change func(Approvals) (put *Approval, rule *ApprovalRule, err error)) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if len(s.mem.lines[keyID]) == 0 {
			return nil, fmt.Errorf("key %s: %w", keyID, ErrNotFound)
		}
		now := s.mem.approvalsOf(keyID)
		put, rule, err := change(now)
		if err != nil {
			return nil, err
		}
		if put != nil {
			put = put.stored()
			if err := saveApproval(ctx, tx, put); err != nil {
				return nil, err
			}
		}
		if rule != now.Rule {
			rule = rule.stored()
			if err := saveRule(ctx, tx, keyID, rule); err != nil {
				return nil, err
			}
		}
		return func(m *memory) {
			if put != nil {
				m.approvals.put(put)
			}
			m.setRule(keyID, rule)
		}, nil
	})
}

func (a *Approval) stored() *Approval {
	c := a.Clone()
	for i, v := range c.Votes {
		c.Votes[i].At = stored(v.At)
	}
	return c
}

func (r *ApprovalRule) stored() *ApprovalRule {
	if r == nil {
		return nil
	}
	c := *r
	c.Approvers, c.DroppedAt = sortedSet(r.Approvers), stored(r.DroppedAt)
	return &c
}

func (m *memory) setRule(keyID string, rule *ApprovalRule) {
	for _, old := range m.lines[keyID] {
		if old.Rule != rule {
			k := *old
			k.Rule = rule
			m.putKey(&k)
		}
	}
}

func saveApproval(ctx context.Context, tx *sql.Tx, a *Approval) error {
	votes, err1 := json.Marshal(a.Votes)
	used, err2 := json.Marshal(a.Used)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO approvals (id, key_id, document, votes, used, ended, ended_by) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET votes = excluded.votes, used = excluded.used, ended = excluded.ended, ended_by = excluded.ended_by`,
		a.ID, a.KeyID, a.Document, string(votes), string(used), a.Ended, a.EndedBy)
	return err
}

func saveRule(ctx context.Context, tx *sql.Tx, keyID string, r *ApprovalRule) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM approvers WHERE key_id = ?", keyID); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM approval_rules WHERE key_id = ?", keyID); err != nil || r == nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO approval_rules (key_id, required, dropped_at) VALUES (?, ?, ?)", keyID, r.Required, column(r.DroppedAt)); err != nil {
		return err
	}
	for _, arn := range r.Approvers {
		if _, err := tx.ExecContext(ctx, "INSERT INTO approvers (key_id, arn) VALUES (?, ?)", keyID, arn); err != nil {
			return err
		}
	}
	return nil
}
