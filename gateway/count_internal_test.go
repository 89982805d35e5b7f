package gateway

import (
	"context"
	"testing"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// TestWaitForABlockEnds: who waits while another call sets a block aside does not
// outlast his own call, and spent does not wait at all.
func TestWaitForABlockEnds(t *testing.T) {
	t.Parallel()
	s := &Service{counted: newUseCounter(nil)}
	v := store.Version{Number: 1, ObjectID: []byte("o"), Uses: mostUses}
	left := newUsesLeft()
	left.filling <- struct{}{}
	s.counted.blocks.Store("o", left)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.use(ctx, &Call{key: &store.Key{ID: "k"}}, v); err == nil || err.Code != api.DependencyTimeout {
		t.Errorf("%v", err)
	}
	if !s.spent(v) {
		t.Error("something is left")
	}
}
