package gateway

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// All requests are in memory, and whoever may sign may ask: a key has so many of them,
// and those that have ended give way to new ones.
const (
	mostApprovals = 1000    // requests of a key, open or not
	approvalBytes = 8 << 20 // of their documents; the last may go beyond
)

// How long after its time a request can be looked at, where it gave a signature or a
// rule, and where it came to nothing.
const (
	keepUsed   = 30 * 24 * time.Hour
	keepUnused = 24 * time.Hour
)

func wasUsed(a *store.Approval) bool {
	return len(a.Used) > 0 || a.Ended == string(api.ApprovalApplied)
}

func isOpen(st api.ApprovalStatus) bool {
	return st == api.ApprovalPending || st == api.ApprovalApproved
}

// givingWay are the requests that have to go for another one to have room, by their
// ids: the oldest of those that have ended, those first that came to nothing.
func givingWay(now store.Approvals, at time.Time) (gone map[string]bool, room bool) {
	gone = map[string]bool{}
	count, bytes := len(now.Requests), 0
	for _, a := range now.Requests {
		bytes += len(a.Document)
	}
	for _, used := range []bool{false, true} {
		for _, a := range now.Requests {
			if count < mostApprovals && bytes < approvalBytes {
				return gone, true
			}
			if wasUsed(a) == used && !isOpen(approvalStatus(now.Rule, a, at)) {
				gone[a.ID], count, bytes = true, count-1, bytes-len(a.Document)
			}
		}
	}
	return gone, count < mostApprovals && bytes < approvalBytes
}

// makeRoom removes what gives way to another request on the key of the call.
func (s *Service) makeRoom(ctx context.Context, c *Call) *api.Error {
	gone, _ := givingWay(s.store.Approvals(c.key.ID), s.now())
	if len(gone) == 0 {
		return nil
	}
	if _, err := s.store.RemoveApprovals(ctx, func(a *store.Approval) bool { return gone[a.ID] }); err != nil {
		return s.stateError(c, err)
	}
	return nil
}

// insertApproval opens a request, unless too many are open.
func (s *Service) insertApproval(c *Call, now store.Approvals, a *store.Approval) (*store.Approval, *store.ApprovalRule, *api.Error) {
	if _, room := givingWay(now, s.now()); !room {
		return nil, nil, api.Errorf(api.LimitExceeded, "%s has as many open requests for approval as a key may have: %d, or %d MiB of them. Cancel some.",
			c.record.KeyARN, mostApprovals, approvalBytes>>20)
	}
	return a, now.Rule, nil
}

// forgetApprovals removes the requests whose time has long been over.
func (s *Service) forgetApprovals(ctx context.Context) {
	now := s.now()
	n, err := s.store.RemoveApprovals(ctx, func(a *store.Approval) bool {
		keep := keepUnused
		if wasUsed(a) {
			keep = keepUsed
		}
		return over(a, now.Add(-keep))
	})
	if err != nil {
		s.log.Error("old requests for approval stay", zap.Error(err))
	} else if n > 0 {
		s.log.Info("old requests for approval are removed", zap.Int("requests", n))
	}
}
