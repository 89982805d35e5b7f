package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
)

func aRule(required int, approvers ...string) *ApprovalRule {
	return &ApprovalRule{ApprovalRule: api.ApprovalRule{Required: required, Approvers: approvers}}
}

// anApproval is a request, good until t0.
func anApproval(id, key, by string) *Approval {
	text, err := json.Marshal(api.ApprovalDocument{ApprovalId: id, KeyId: key, Requester: by, ExpirationDate: api.NewTime(t0)})
	if err != nil {
		panic(err)
	}
	return NewApproval(string(text))
}

func putApproval(ctx context.Context, s *Store, a *Approval, r *ApprovalRule) error {
	return s.ChangeApprovals(ctx, a.KeyID, func(Approvals) (*Approval, *ApprovalRule, error) { return a, r, nil })
}

func voted(a *Approval, by ...string) *Approval {
	c := a.Clone()
	for _, arn := range by {
		c.Votes = append(c.Votes, Vote{Approver: arn, At: t0})
	}
	return c
}

func TestApprovals(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		ctx, rule := t.Context(), aRule(2, "arn:b", "arn:a")
		ok(t, putApproval(ctx, s, anApproval("two", "key-000", "arn:r"), rule))
		ok(t, putApproval(ctx, s, anApproval("one", "key-000", "arn:r"), s.ApprovalRule("key-000")))
		ok(t, putApproval(ctx, s, anApproval("other", "key-001", "arn:r"), nil))
		changed := voted(s.Approvals("key-000").Find("one"), "arn:a")
		changed.Used[7], changed.Ended, changed.EndedBy = 3, "REJECTED", "arn:b"
		ok(t, putApproval(ctx, s, changed, s.ApprovalRule("key-000")))
		for _, s := range []*Store{s, openAgain(t, s)} {
			now := s.Approvals("key-000")
			if len(now.Requests) != 2 || now.Requests[0].ID != "one" || now.Rule.Required != 2 || len(now.Rule.Approvers) != 2 || now.Rule.Approvers[0] != "arn:a" {
				t.Fatalf("%+v %+v", now.Requests, now.Rule)
			}
			if one := now.Find("one"); one.Asked.Requester != "arn:r" || one.Votes[0].Approver != "arn:a" || !one.Votes[0].At.Equal(stored(t0)) || one.Used[7] != 3 || one.Ended != "REJECTED" || one.EndedBy != "arn:b" {
				t.Errorf("%+v", one)
			}
			if k, _ := s.Key(home, "key-000"); k.Rule != s.ApprovalRule("key-000") || s.ApprovalRule("key-001") != nil || s.ApprovalRule("none") != nil {
				t.Errorf("%+v", k)
			}
		}
		likeFile(t, s)
		refused := errors.New("refused")
		if err := s.ChangeApprovals(ctx, "key-000", func(now Approvals) (*Approval, *ApprovalRule, error) {
			return anApproval("x", "key-000", "arn:r"), nil, refused
		}); !errors.Is(err, refused) {
			t.Error(err)
		}
		if err := putApproval(ctx, s, anApproval("x", "none", "arn:r"), nil); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		equal(t, s.ApprovalCount(), 3)
	})
}

// TestApprovalsAreRemoved, and no others.
func TestApprovalsAreRemoved(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 1)
		for _, id := range []string{"a", "b"} {
			ok(t, putApproval(t.Context(), s, anApproval(id, "key-000", "arn:r"), nil))
		}
		for name, want := range map[string]int{"none": 0, "a": 1} {
			n, err := s.RemoveApprovals(t.Context(), func(a *Approval) bool { return a.ID == name })
			ok(t, err)
			equal(t, n, want)
		}
		for _, s := range []*Store{s, openAgain(t, s)} {
			equal(t, s.ApprovalCount(), 1)
			equal(t, s.Approvals("key-000").Requests[0].ID, "b")
		}
		likeFile(t, s)
	})
}

// TestADeletedPrincipalHasNoPartInApprovals: not the next of its name, either. The
// sessions of a role go with it.
func TestADeletedPrincipalHasNoPartInApprovals(t *testing.T) {
	const role, session = "arn:aws:iam::111122223333:role/ops", "arn:aws:sts::111122223333:assumed-role/ops/anna"
	for name, approver := range map[string]string{"user": "arn:a", "session": session} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *Store) {
				insertKeys(t, s, 1)
				p := aPrincipal("a")
				if approver == session {
					p.ARN = role
				}
				ok(t, s.InsertPrincipal(t.Context(), p))
				ok(t, putApproval(t.Context(), s, anApproval("asked", "key-000", approver), aRule(2, approver, "arn:b")))
				ok(t, putApproval(t.Context(), s, voted(anApproval("approved", "key-000", "arn:r"), approver, "arn:b"), s.ApprovalRule("key-000")))
				next, err := json.Marshal(api.ApprovalDocument{ApprovalId: "rule", KeyId: "key-000", Requester: "arn:r", ExpirationDate: api.NewTime(t0),
					Rule: &api.ApprovalRule{Approvers: []string{approver, "arn:b"}, Required: 1}})
				ok(t, err)
				ok(t, putApproval(t.Context(), s, NewApproval(string(next)), s.ApprovalRule("key-000")))
				ok(t, s.DeletePrincipal(t.Context(), p.ARN))
				for _, s := range []*Store{s, openAgain(t, s)} {
					now := s.Approvals("key-000")
					if now.Rule.Required != 2 || len(now.Rule.Approvers) != 1 || now.Rule.Approvers[0] != "arn:b" {
						t.Errorf("%+v", now.Rule)
					}
					if len(now.Requests) != 2 || len(now.Requests[0].Votes) != 1 || now.Requests[0].Votes[0].Approver != "arn:b" || now.Requests[0].Ended != "" || now.Requests[1].Ended != "CANCELLED" {
						t.Errorf("%+v", now.Requests)
					}
				}
				likeFile(t, s)
			})
		})
	}
}

// TestAReplicaHasTheRuleOfItsKey: it has the same material.
func TestAReplicaHasTheRuleOfItsKey(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		k := aKey("mrk")
		k.MultiRegion, k.PrimaryRegion = true, home
		ok(t, s.InsertKey(t.Context(), k))
		rule := func(r *ApprovalRule) {
			ok(t, s.ChangeApprovals(t.Context(), "mrk", func(Approvals) (*Approval, *ApprovalRule, error) { return nil, r, nil }))
		}
		rule(aRule(1, "arn:a"))
		replica := *k
		replica.Region = "elsewhere"
		ok(t, s.InsertReplica(t.Context(), &replica))
		required := func(want int) {
			t.Helper()
			for _, s := range []*Store{s, openAgain(t, s)} {
				for _, member := range s.Members("mrk") {
					if member.Rule == nil || member.Rule.Required != want {
						t.Errorf("%s: %+v", member.Region, member.Rule)
					}
				}
			}
		}
		required(1)
		rule(aRule(2, "arn:a", "arn:b"))
		required(2)
	})
}

// TestADamagedApprovalIsForNothing: what a hand has put into the database.
func TestADamagedApprovalIsForNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		insertKeys(t, s, 2)
		for _, id := range []string{"votes", "used", "document", "key"} {
			ok(t, putApproval(t.Context(), s, voted(anApproval(id, "key-000", "arn:r"), "arn:a"), nil))
		}
		o := openAgain(t, s)
		for _, statement := range []string{"UPDATE approvals SET votes = '{' WHERE id = 'votes'", "UPDATE approvals SET used = 'x' WHERE id = 'used'",
			"UPDATE approvals SET document = '[]' WHERE id = 'document'", "UPDATE approvals SET document = replace(document, 'key-000', 'key-001') WHERE id = 'key'"} {
			ok(t, o.write(t.Context(), func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
				_, err := tx.ExecContext(ctx, statement)
				return func(*memory) {}, err
			}))
		}
		ok(t, s.Follow(t.Context()))
		for _, a := range s.Approvals("key-000").Requests {
			if a.Asked.Requester != "" || a.Asked.Digests != nil {
				t.Errorf("%s is for %+v", a.ID, a.Asked)
			}
		}
		equal(t, s.ApprovalCount(), 4)
	})
}
