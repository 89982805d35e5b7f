package gateway

import (
	"context"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// ChangingOp is an operation like DisableKey that does what run says.
func ChangingOp(run func()) *Op {
	return op("DisableKey", "", "", anyState, func(*Service, context.Context, *Call, *nothing) (*api.Empty, *api.Error) {
		run()
		return &api.Empty{}, nil
	}).changing()
}

// ECDSASHA256 is what the token is asked for that algorithm.
var ECDSASHA256 = mechanisms[api.ECDSASHA256]

// TokenKey is the token's key of a key's first version.
func TokenKey(k *store.Key) (*hsm.Key, error) {
	return hsm.NewKey(k.Versions[0].ObjectID, hsm.KeySpec(k.Spec), k.Versions[0].PublicKey)
}

// Check is what a state means for an operation.
func (st States) Check(arn string, state api.KeyState) *api.Error { return st.check(arn, state) }

// Unrecorded performs an operation whose record cannot be kept, and takes it back.
func (s *Service) Unrecorded(ctx context.Context, name string, k *store.Key, in any) *api.Error {
	op, _ := OpNamed(name)
	c := &Call{RequestID: "r", op: op, key: k}
	c.record.KeyARN = s.arn(k)
	_, err := op.run(ctx, s, c, in)
	if c.undo != nil {
		c.undo()
	}
	return err
}

// CountUses sets how many encryptions a service sets aside at once, and how many a
// version may make, so that a test comes to the end of them.
func (s *Service) CountUses(block, most uint64) { s.GrowUses(block, block, most) }

// GrowUses sets the first block and the largest one.
func (s *Service) GrowUses(first, block, most uint64) {
	s.counted.first, s.counted.block, s.counted.most = first, block, most
}

// Round is one round of what Run does.
func (s *Service) Round(ctx context.Context) { s.round(ctx) }

// SetClock takes another clock, while no call is under way.
func (s *Service) SetClock(now func() time.Time) { s.now = now }

// Remembers says whether memory holds anything of a token object.
func (s *Service) Remembers(object []byte) bool {
	_, key := s.keys.Load(string(object))
	_, uses := s.counted.blocks.Load(string(object))
	return key || uses
}

// NotesUse says whether memory holds the last use of a key.
func (s *Service) NotesUse(arn string) bool {
	_, noted := s.uses.byKey.Load(arn)
	return noted
}

// Worn is what the rotation of keys asks.
func (s *Service) Worn(k *store.Key) bool { return s.worn(k) }

// Crowd takes all places in which pairs are made.
func (s *Service) Crowd() (leave func()) {
	if !s.making.TryAcquire(maxMaking) {
		panic("somebody is there already")
	}
	return func() { s.making.Release(maxMaking) }
}

// Buckets is how many callers and keys the limits hold in memory.
func (s *Service) Buckets() (n int) {
	for _, b := range []*buckets{s.limits.gateway, s.limits.principal, s.limits.key} {
		if b != nil {
			b.mu.Lock()
			n += len(b.all)
			b.mu.Unlock()
		}
	}
	return n
}

// KeepTree begins to keep the tree of the audit log, as Start does.
func (s *Service) KeepTree(ctx context.Context) { s.startTree(ctx) }

// KeepSigned tells the database the last checkpoint.
func (s *Service) KeepSigned(ctx context.Context) { s.keepSigned(ctx, s.tree.Load()) }

// HoldReceipts lets no receipt come in time.
func (s *Service) HoldReceipts(hold bool) {
	s.receiptTimeout = s.auditTimeout
	if hold {
		s.receiptTimeout = 1
	}
}
