package gateway

import (
	"context"
	"errors"
	"sync"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// A random IV of 96 bits may serve 2^32 encryptions under one key (NIST SP
// 800-38D, 8.3), so that they are counted for each version.
const (
	mostUses = 1 << 32
	// useBlock is how many are set aside at once, durably, before the first is
	// made: one write in a million encryptions. What a crash leaves of a block
	// counts as used.
	useBlock = 1 << 20
)

// useCounter hands out what was set aside.
type useCounter struct {
	store       *store.Store
	block, most uint64
	blocks      sync.Map // object id -> *usesLeft
}

// usesLeft is the rest of a version's block.
type usesLeft struct {
	sync.Mutex
	n uint64
}

func newUseCounter(s *store.Store) *useCounter {
	return &useCounter{store: s, block: useBlock, most: mostUses}
}

// use counts one encryption of a version before it is made.
func (s *Service) use(ctx context.Context, c *Call, v store.Version) *api.Error {
	kept, ok := s.counted.blocks.Load(string(v.ObjectID))
	if !ok {
		kept, _ = s.counted.blocks.LoadOrStore(string(v.ObjectID), new(usesLeft))
	}
	left := kept.(*usesLeft)
	left.Lock()
	defer left.Unlock()
	if left.n == 0 {
		_, err := s.counted.store.ReserveUses(ctx, c.key.ID, v.Number, s.counted.block, s.counted.most)
		switch {
		case errors.Is(err, store.ErrInvalid):
			return s.wornOut(c)
		case err != nil:
			return internal(c.RequestID, err)
		}
		left.n = s.counted.block
	}
	left.n--
	return nil
}

// spent says whether nothing can be set aside for a version any more. What is
// left of the last block may still be there.
func (s *Service) spent(v store.Version) bool {
	kept, ok := s.counted.blocks.Load(string(v.ObjectID))
	if v.Uses+s.counted.block <= s.counted.most {
		return false
	}
	if !ok {
		return true
	}
	left := kept.(*usesLeft)
	left.Lock()
	defer left.Unlock()
	return left.n == 0
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
