package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// A random IV of 96 bits may serve 2^32 encryptions under one key (NIST SP
// 800-38D, 8.3), so that they are counted for each version.
const (
	mostUses = 1 << 32
	// firstUses are set aside at once, durably, before the first is made. Each block
	// of a process is twice the one before, up to useBlock: one write in a million
	// encryptions. What the end of the process leaves of a block counts as used,
	// so that no more are lost than were made, or firstUses.
	firstUses = 1 << 10
	useBlock  = 1 << 20
)

// useCounter hands out what was set aside.
type useCounter struct {
	store              *store.Store
	first, block, most uint64
	blocks             sync.Map // object id -> *usesLeft
}

// usesLeft is the rest of a version's block.
type usesLeft struct {
	n       atomic.Int64
	filling chan struct{} // holds one token: the right to set the next block aside
	last    uint64        // how large the last block was; of who fills
}

func newUsesLeft() *usesLeft { return &usesLeft{filling: make(chan struct{}, 1)} }

// take takes one, if there is one.
func (u *usesLeft) take() bool {
	for {
		n := u.n.Load()
		if n == 0 {
			return false
		}
		if u.n.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func newUseCounter(s *store.Store) *useCounter {
	return &useCounter{store: s, first: firstUses, block: useBlock, most: mostUses}
}

// use counts one encryption of a version before it is made.
func (s *Service) use(ctx context.Context, c *Call, v store.Version) *api.Error {
	kept, ok := s.counted.blocks.Load(string(v.ObjectID))
	if !ok {
		kept, _ = s.counted.blocks.LoadOrStore(string(v.ObjectID), newUsesLeft())
	}
	left := kept.(*usesLeft)
	for !left.take() {
		switch err := s.counted.fill(ctx, left, c.key.ID, v.Number); {
		case errors.Is(err, store.ErrInvalid):
			return s.wornOut(c)
		case errors.Is(err, context.Canceled):
			return &api.Error{Code: api.DependencyTimeout, Message: "The caller went away before the encryption was counted.", Cause: err}
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			return uncounted(err)
		case err != nil:
			return internal(c.RequestID, err)
		}
	}
	return nil
}

// fill sets the next block aside, unless another call has done it. ErrInvalid when
// there is none any more.
func (u *useCounter) fill(ctx context.Context, left *usesLeft, keyID string, number int) error {
	select {
	case left.filling <- struct{}{}:
		defer func() { <-left.filling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if left.n.Load() > 0 {
		return nil
	}
	block := min(max(2*left.last, u.first), u.block)
	_, err := u.store.ReserveUses(ctx, keyID, number, block, u.most)
	if errors.Is(err, store.ErrInvalid) && block > u.first { // a small one may still be there
		block = u.first
		_, err = u.store.ReserveUses(ctx, keyID, number, block, u.most)
	}
	if err != nil {
		return err
	}
	left.last = block
	left.n.Store(int64(block))
	return nil
}

// spent says whether nothing can be set aside for a version any more. What is
// left of the last block may still be there.
func (s *Service) spent(v store.Version) bool {
	if v.Uses+s.counted.first <= s.counted.most {
		return false
	}
	kept, ok := s.counted.blocks.Load(string(v.ObjectID))
	return !ok || kept.(*usesLeft).n.Load() == 0
}

// wornOut says what to do about a key whose current version may encrypt no more.
func (s *Service) wornOut(c *Call) *api.Error {
	remedy := "Rotate its material with RotateKeyOnDemand"
	if api.Origin(c.key.Origin) == api.OriginExternal {
		remedy = "Import new material for it"
	}
	return api.Errorf(api.LimitExceeded, "%s has encrypted %d times with its current material, as often as is safe. %s; what it encrypted can be decrypted all the same.",
		c.record.KeyARN, s.counted.most, remedy)
}
