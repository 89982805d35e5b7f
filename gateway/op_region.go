package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// A multi-Region key is one line of versions with a member in each of its
// regions. Its material is in one token, so a replica copies no secret: it is
// another ARN with a description, tags, aliases and a state of its own.

// newKeyID makes the id of a key: a UUID, or what marks a multi-Region key.
func newKeyID(multiRegion bool) string {
	id := uuid.NewString()
	if multiRegion {
		return "mrk-" + strings.ReplaceAll(id, "-", "")
	}
	return id
}

// related lists the other members of a key that are not deleted.
func (s *Service) related(k *store.Key) []*store.Key {
	return slices.DeleteFunc(s.store.Members(k.ID), func(o *store.Key) bool {
		return o.Region == k.Region || o.State == store.StateDeleted
	})
}

// isPrimary: a key of one region is a primary key without replicas.
func isPrimary(k *store.Key) bool { return !k.MultiRegion || k.Region == k.PrimaryRegion }

// multiRegion describes a key's place among its relatives; nil where there are none.
func (s *Service) multiRegion(k *store.Key) *api.MultiRegionConfiguration {
	if !k.MultiRegion {
		return nil
	}
	named := func(region string) api.MultiRegionKey {
		return api.MultiRegionKey{Arn: Names{Account: s.names.Account, Region: region}.keyARN(k.ID), Region: region}
	}
	primary := named(k.PrimaryRegion)
	out := &api.MultiRegionConfiguration{MultiRegionKeyType: api.Replica, PrimaryKey: &primary, ReplicaKeys: []api.MultiRegionKey{}}
	if isPrimary(k) {
		out.MultiRegionKeyType = api.Primary
	}
	for _, member := range s.store.Members(k.ID) {
		if member.State != store.StateDeleted && !isPrimary(member) {
			out.ReplicaKeys = append(out.ReplicaKeys, named(member.Region))
		}
	}
	return out
}

// primaryOnly refuses what belongs to the primary of a multi-Region key.
func primaryOnly(c *Call) *api.Error {
	switch {
	case !c.key.MultiRegion:
		return api.Errorf(api.UnsupportedOperation, "%s is not a multi-Region key: its id does not begin with mrk-. Make one with MultiRegion: true.", c.record.KeyARN)
	case !isPrimary(c.key):
		return api.Errorf(api.UnsupportedOperation, "%s is a replica key. Call this in %s, the region of its primary key.", c.record.KeyARN, c.key.PrimaryRegion)
	}
	return nil
}

// otherRegion checks the region that a request names beside the one it is sent to.
func (s *Service) otherRegion(c *Call, region string) *api.Error {
	switch {
	case region == c.key.Region:
		return api.Errorf(api.Validation, "%s is the region of the primary key. Name another one.", region)
	case !slices.Contains(s.regions, region):
		return api.Errorf(api.Validation, "%s is not a region of this gateway. Its regions are: %s.", region, strings.Join(s.regions, ", "))
	}
	return nil
}

// ReplicateKey makes a replica of a primary key in another region.
func (s *Service) ReplicateKey(ctx context.Context, c *Call, in *api.ReplicateKeyRequest) (*api.ReplicateKeyResponse, *api.Error) {
	if err := primaryOnly(c); err != nil {
		return nil, err
	}
	if err := s.otherRegion(c, in.ReplicaRegion); err != nil {
		return nil, err
	}
	tags, err := s.newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	if err := s.decideAlso(c, createKey, in.ReplicaRegion); err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := s.decideAlso(c, "kms:TagResource", in.ReplicaRegion); err != nil {
			return nil, err
		}
	}
	replica := &store.Key{Region: in.ReplicaRegion, ID: c.key.ID, Description: in.Description, State: store.StateEnabled, CreatedAt: s.now(), Tags: tags}
	replica.Line = c.key.Line
	if replica.Policy, err = s.newPolicy(c, in.Policy, in.BypassPolicyLockoutSafetyCheck, replica); err != nil {
		return nil, err
	}
	exists := api.Errorf(api.AlreadyExists, "%s already exists", s.arn(replica))
	if _, ok := s.store.Key(replica.Region, replica.ID); ok {
		return nil, exists
	}
	if err := s.roomForKey(replica.Region); err != nil {
		return nil, err
	}
	s.newKeyOpens(c, replica)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	switch cause := s.store.InsertReplica(ctx, replica); {
	case errors.Is(cause, store.ErrExists):
		return nil, exists
	case errors.Is(cause, store.ErrNotFound): // the key was deleted meanwhile
		return nil, api.Errorf(api.NotFound, "Key '%s' does not exist", c.record.KeyARN)
	case cause != nil:
		return nil, internal(c.RequestID, cause)
	}
	c.undoBy(s, func(ctx context.Context) error { return s.store.DeleteKey(ctx, replica.Region, replica.ID) })
	made, _ := s.store.Key(replica.Region, replica.ID)
	return &api.ReplicateKeyResponse{ReplicaKeyMetadata: s.metadata(made), ReplicaPolicy: s.policyText(made), ReplicaTags: in.Tags}, nil
}

// UpdatePrimaryRegion makes a replica the primary key, and the primary a replica.
func (s *Service) UpdatePrimaryRegion(ctx context.Context, c *Call, in *api.UpdatePrimaryRegionRequest) (*api.Empty, *api.Error) {
	if err := primaryOnly(c); err != nil {
		return nil, err
	}
	if err := s.otherRegion(c, in.PrimaryRegion); err != nil {
		return nil, err
	}
	q := s.onKey(c, &store.Key{Region: in.PrimaryRegion, ID: c.key.ID})
	next, ok := s.store.Key(in.PrimaryRegion, c.key.ID)
	q.key = next
	if denied := s.decide(c, q); denied != nil { // AWS KMS asks for the permission on both keys
		return nil, denied
	}
	arn := q.arn
	if !ok {
		return nil, keyRef{arn: arn}.missing()
	}
	if err := c.op.States.check(arn, s.keyState(next)); err != nil {
		return nil, err
	}
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	if cause := s.store.SetPrimaryRegion(ctx, next.ID, next.Region); cause != nil {
		return nil, s.stateError(c, cause)
	}
	c.undoBy(s, func(ctx context.Context) error { return s.store.SetPrimaryRegion(ctx, c.key.ID, c.key.Region) })
	return &api.Empty{}, nil
}

// scheduleAfterReplicas has a primary key wait until its replicas are deleted;
// only then does its own waiting period begin.
func (s *Service) scheduleAfterReplicas(ctx context.Context, c *Call, days int) (*api.ScheduleKeyDeletionResponse, *api.Error) {
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	old := c.key
	if err := s.store.AwaitReplicas(ctx, old.Region, old.ID, days, old.State); err != nil {
		return nil, s.stateError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.SetKeyState(ctx, old.Region, old.ID, old.State, old.DeletionAt, store.StatePendingReplicaDeletion)
	})
	return &api.ScheduleKeyDeletionResponse{KeyId: c.record.KeyARN, KeyState: api.PendingReplicaDeletion, PendingWindowInDays: days}, nil
}

// restore gives a key the state back that it had.
func (s *Service) restore(ctx context.Context, old *store.Key, from string) error {
	if old.State == store.StatePendingReplicaDeletion {
		return s.store.AwaitReplicas(ctx, old.Region, old.ID, old.PendingDays, from)
	}
	return s.store.SetKeyState(ctx, old.Region, old.ID, old.State, old.DeletionAt, from)
}

// endReplicaWaits begins the waiting period of each primary key whose last
// replica is gone.
func (s *Service) endReplicaWaits(ctx context.Context) {
	for _, k := range s.store.AllKeys() {
		if k.State != store.StatePendingReplicaDeletion || len(s.related(k)) > 0 {
			continue
		}
		waits := func(k *store.Key) bool {
			return k.State == store.StatePendingReplicaDeletion && len(s.related(k)) == 0
		}
		err := s.alone(ctx, k, waits, func(k *store.Key) error {
			return s.ofItself(ctx, byItself("ScheduleKeyDeletion", k), func() error {
				at := s.now().Add(time.Duration(k.PendingDays) * 24 * time.Hour)
				return s.store.SetKeyState(ctx, k.Region, k.ID, store.StatePendingDeletion, at, k.State)
			})
		})
		if err != nil {
			s.log.Error("the waiting period of a key without replicas does not begin", logKey(k.ID, err)...)
		}
	}
}

// deleteDue makes a tombstone of a key whose date has come. That of a replica is
// recorded here; that of a whole key when its token objects are destroyed.
func (s *Service) deleteDue(ctx context.Context, k *store.Key) error {
	relatives := s.related(k)
	switch {
	case len(relatives) == 0:
		if err := s.store.DeleteDueKey(ctx, k.Region, k.ID, s.now()); !overtaken(err) {
			return err
		}
		return nil
	case isPrimary(k): // a replica was made or cancelled at the same time by another process: it comes first
		return nil
	}
	due := func(k *store.Key) bool { return k.State == store.StatePendingDeletion && !k.DeletionAt.After(s.now()) }
	return s.alone(ctx, k, due, func(k *store.Key) error {
		return s.ofItself(ctx, byItself("DeleteKey", k), func() error { return s.store.DeleteDueKey(ctx, k.Region, k.ID, s.now()) })
	})
}
