package gateway

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// takeUse takes one use of each grant whose uses are counted and that allows the
// call: durably, before the key is used, and once for each call. So a call that
// fails afterwards has cost a use, and one that was refused before has not. Where
// another call took the last one, it is decided anew. A repeat costs none: its first request has.
func (s *Service) takeUse(ctx context.Context, c *Call) *api.Error {
	if c.whole != nil {
		c = c.whole
	}
	for c.op.usesKey && !c.free && !c.answered() {
		var ids []string
		for _, part := range []*Call{c.source, c} {
			if part != nil && part.counted != "" && (len(ids) == 0 || ids[0] != part.counted) {
				ids = append(ids, part.counted)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		switch cause := s.store.UseGrants(ctx, s.now(), ids...); {
		case cause == nil:
			c.took()
			return nil
		case errors.Is(cause, context.Canceled):
			return &api.Error{Code: api.DependencyTimeout, Message: "The caller went away before the use of the grant was counted.", Cause: cause}
		case errors.Is(cause, store.ErrUnavailable), errors.Is(cause, context.DeadlineExceeded):
			return untaken(cause)
		case !errors.Is(cause, store.ErrUsedUp) && !errors.Is(cause, store.ErrNotFound):
			return internal(c.RequestID, cause)
		}
		for _, part := range []*Call{c.source, c} {
			if part == nil || part.counted == "" {
				continue
			}
			if err := s.decideAnew(part); err != nil {
				c.record.Reason = part.record.Reason
				return err
			}
		}
	}
	return nil
}

// took notes that the call has cost what it costs.
func (c *Call) took() {
	c.counted = ""
	if c.source != nil {
		c.source.counted = ""
	}
}

// untaken tells the caller that the use of a grant could not be counted.
func untaken(cause error) *api.Error {
	return &api.Error{Code: api.ServiceUnavailable, RetryAfter: time.Second, Cause: cause,
		Message: "The grant that allows this call has a number of uses, and the gateway cannot reach its database now, where they are counted before the key is used. So the key was not used, but the use may have been counted. An operator has to look at the database; then try again."}
}

// checkEnds refuses an end that cannot be kept.
func (s *Service) checkEnds(in *api.CreateGrantRequest) *api.Error {
	if in.ExpiresAt != nil && !in.ExpiresAt.After(s.now()) {
		return api.Errorf(api.Validation, "ExpiresAt %s is not in the future.", in.ExpiresAt.UTC().Format(time.RFC3339))
	}
	for _, o := range in.Operations {
		if o == api.GrantCreateGrant && (in.ExpiresAt != nil || in.Uses != nil) {
			return api.Errorf(api.Validation, "A grant with ExpiresAt or Uses does not allow CreateGrant: what its grantee grants would outlast it.")
		}
	}
	return nil
}

// keepEnded is how long a grant that ended by itself is still listed.
const keepEnded = 24 * time.Hour

// removeEnded removes the grants that ended by themselves a while ago.
func (s *Service) removeEnded(ctx context.Context) {
	before := s.now().Add(-keepEnded)
	for _, g := range s.store.EndedGrants(before) {
		k, ok := s.store.Key(g.Region, g.KeyID)
		if !ok { // it goes with its key
			continue
		}
		stays := func(*store.Key) bool { _, there := s.store.Grant(g.ID); return there }
		err := s.alone(ctx, k, stays, func(k *store.Key) error {
			c := byItself("ExpireGrant", k)
			c.record.GrantID, c.record.Grantee = g.ID, g.Grantee
			return s.ofItself(ctx, c, func() error {
				_, err := s.store.DeleteGrant(ctx, g.ID)
				return err
			})
		})
		if err != nil {
			s.log.Error("a grant that has ended stays", zap.String("grantId", g.ID), zap.Error(err))
		}
	}
}
