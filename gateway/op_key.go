package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// CreateKey makes a key inside the token. A crash at any step leaves the
// intent in the store and the 'started' record in the log, from which
// [Service.Start] and [Service.Run] remove what was half made.
func (s *Service) CreateKey(ctx context.Context, c *Call, in *api.CreateKeyRequest) (*api.CreateKeyResponse, *api.Error) {
	spec, usage, err := newKeyKind(in)
	if err == nil {
		err = unsupportedInCreate(in)
	}
	if err != nil {
		return nil, err
	}
	token, err := s.tokenFor(in)
	if err != nil {
		return nil, err
	}
	tags, err := s.newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := s.decideAlso(c, "kms:TagResource", ""); err != nil {
			return nil, err
		}
	}
	if err := s.roomForKey(s.namesFor(c).Region); err != nil {
		return nil, err
	}
	if err := token.Supports(hsm.KeySpec(spec), hsmUse(spec, usage)); err != nil {
		return nil, s.tokenError(c, err)
	}
	if in.Origin == api.OriginExternal {
		k := &store.Key{
			Region: s.namesFor(c).Region, ID: newKeyID(in.MultiRegion), Description: in.Description, State: store.StatePendingImport, CreatedAt: s.now(), Tags: tags,
			Line: store.Line{Spec: string(spec), Usage: string(usage), Origin: string(api.OriginExternal)},
		}
		place(k, in)
		if k.Policy, err = s.newPolicy(c, in.Policy, in.BypassPolicyLockoutSafetyCheck, k); err != nil {
			return nil, err
		}
		return s.createExternal(ctx, c, k)
	}
	k := &store.Key{
		Region: s.namesFor(c).Region, ID: newKeyID(in.MultiRegion), Description: in.Description, State: store.StateCreating, CreatedAt: s.now(), Tags: tags,
		Line: store.Line{Spec: string(spec), Usage: string(usage), Origin: string(api.OriginAWSKMS),
			Versions: []store.Version{{Number: 1, ObjectID: hsm.NewID(), CreatedAt: s.now(), CurrentAt: s.now()}},
			Owner:    s.name, OwnedAt: s.now()},
	}
	place(k, in)
	if k.Policy, err = s.newPolicy(c, in.Policy, in.BypassPolicyLockoutSafetyCheck, k); err != nil {
		return nil, err
	}
	c.record.KeyID, c.record.KeyARN, c.record.KeyVersion = k.ID, s.arn(k), 1
	s.newKeyOpens(c, k)
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	s.creating.Store(k.ID, true)
	defer s.creating.Delete(k.ID)
	if err := s.store.InsertKey(ctx, k); err != nil {
		s.unmake(k) // it may be written all the same
		return nil, internal(c.RequestID, err)
	}
	v, cause := makeMaterial(ctx, token, k, k.Versions[0])
	if cause != nil {
		s.unmake(k)
		return nil, s.tokenError(c, cause)
	}
	if err := s.store.ActivateKey(ctx, k.Region, k.ID, v); err != nil {
		s.unmake(k)
		return nil, internal(c.RequestID, err)
	}
	c.undo = func() { s.unmake(k) }
	made, _ := s.store.Key(k.Region, k.ID)
	return &api.CreateKeyResponse{KeyMetadata: s.metadata(made)}, nil
}

// unmake removes a key that was not given out. What it cannot remove from the
// token now is a tombstone in the store, which [Service.Run] takes up.
func (s *Service) unmake(k *store.Key) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := s.store.DeleteKey(ctx, k.Region, k.ID)
	if errors.Is(err, store.ErrNotFound) {
		return // it was never written
	}
	if err == nil {
		err = s.destroyObjects(ctx, k)
	}
	if err == nil {
		err = s.store.MarkDestroyed(ctx, k.ID, s.now())
	}
	if err != nil {
		s.log.Error("a key that was not given out could not be removed yet", logKey(k.ID, err)...)
	}
}

// unsupportedInCreate refuses what a new key cannot have here.
func unsupportedInCreate(in *api.CreateKeyRequest) *api.Error {
	unsupported := func(text string) *api.Error { return api.Errorf(api.UnsupportedOperation, "%s", text) }
	switch {
	case in.Origin == api.OriginExternalKeyStore, in.XksKeyId != "":
		return unsupported("Keys are made inside the tokens of this gateway, or imported into them. Leave XksKeyId out, and Origin or let it be AWS_KMS, EXTERNAL or AWS_CLOUDHSM.")
	}
	return nil
}

// metadata describes a key in the words of AWS KMS.
func (s *Service) metadata(k *store.Key) *api.KeyMetadata {
	m := &api.KeyMetadata{
		AWSAccountId: s.names.Account, KeyId: k.ID, Arn: s.arn(k),
		CreationDate: api.NewTime(k.CreatedAt), Description: k.Description,
		Enabled: s.keyState(k) == api.Enabled, KeyState: s.keyState(k),
		KeyUsage: api.KeyUsage(k.Usage), Origin: api.Origin(k.Origin), KeyManager: "CUSTOMER",
		KeySpec: api.KeySpec(k.Spec), CustomerMasterKeySpec: api.KeySpec(k.Spec),
	}
	s.algorithms(k).describe(m)
	v, ok := k.Current(s.now())
	if m.KeySpec == api.Symmetric { // kept when imported material is gone
		m.CurrentKeyMaterialId = v.MaterialID
	}
	if ok && k.Origin == store.OriginExternal {
		m.ExpirationModel, m.ValidTo = expirationOf(v)
	}
	m.MultiRegion, m.MultiRegionConfiguration, m.PendingDeletionWindowInDays = k.MultiRegion, s.multiRegion(k), k.PendingDays
	if m.Origin == api.OriginAWSCloudHSM {
		m.CustomKeyStoreId = TokenName(k)
	}
	if k.State == store.StatePendingDeletion {
		m.DeletionDate = api.NewTime(k.DeletionAt)
	}
	return m
}

// DescribeKey tells what a key is.
func (s *Service) DescribeKey(_ context.Context, c *Call, _ *api.DescribeKeyRequest) (*api.DescribeKeyResponse, *api.Error) {
	return &api.DescribeKeyResponse{KeyMetadata: s.metadata(c.key)}, nil
}

// ListKeys lists keys by id; the marker is the last id of the page before.
func (s *Service) ListKeys(_ context.Context, c *Call, in *api.ListKeysRequest) (*api.ListKeysResponse, *api.Error) {
	if in.Marker != "" && !isKeyID(in.Marker) {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListKeys.", in.Marker)
	}
	page, more := s.store.Keys(s.namesFor(c).Region, in.Marker, orElse(in.Limit, 100))
	out := &api.ListKeysResponse{Keys: make([]api.KeyListEntry, 0, len(page)), Truncated: more}
	for _, k := range page {
		out.Keys = append(out.Keys, api.KeyListEntry{KeyId: k.ID, KeyArn: s.arn(k)})
	}
	if more {
		out.NextMarker = page[len(page)-1].ID
	}
	return out, nil
}

func orElse(v *int, otherwise int) int {
	if v == nil {
		return otherwise
	}
	return *v
}

// GetPublicKey gives the public key as a DER SubjectPublicKeyInfo.
func (s *Service) GetPublicKey(_ context.Context, c *Call, in *api.GetPublicKeyRequest) (*api.GetPublicKeyResponse, *api.Error) {
	if err := hasPublicKey(c); err != nil {
		return nil, err
	}
	v, err := s.published(c, in.KeyVersion)
	if err != nil {
		return nil, err
	}
	out := &api.GetPublicKeyResponse{
		KeyId: c.record.KeyARN, PublicKey: v.PublicKey, KeyVersion: v.Number, KeyUsage: api.KeyUsage(c.key.Usage),
		KeySpec: api.KeySpec(c.key.Spec), CustomerMasterKeySpec: api.KeySpec(c.key.Spec),
	}
	a := s.algorithms(c.key)
	out.SigningAlgorithms, out.EncryptionAlgorithms, out.KeyAgreementAlgorithms, out.EncapsulationAlgorithms = a.signing, a.encryption, a.agreement, a.encapsulation
	return out, nil
}

// UpdateKeyDescription gives a key another description. Taken back is only its own.
func (s *Service) UpdateKeyDescription(ctx context.Context, c *Call, in *api.UpdateKeyDescriptionRequest) (*api.Empty, *api.Error) {
	k, own := c.key, *in.Description
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	var before string
	err := s.store.ChangeDescription(ctx, k.Region, k.ID, func(old string) (string, error) {
		before = old
		return own, nil
	})
	if err != nil {
		return nil, s.stateError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.ChangeDescription(ctx, k.Region, k.ID, func(now string) (string, error) {
			if now != own { // another process changed it meanwhile
				return now, nil
			}
			return before, nil
		})
	})
	return &api.Empty{}, nil
}

// EnableKey makes a disabled key usable.
func (s *Service) EnableKey(ctx context.Context, c *Call, _ *api.EnableKeyRequest) (*api.Empty, *api.Error) {
	return &api.Empty{}, s.setState(ctx, c, store.StateEnabled, time.Time{})
}

// DisableKey makes a key unusable until it is enabled.
func (s *Service) DisableKey(ctx context.Context, c *Call, _ *api.DisableKeyRequest) (*api.Empty, *api.Error) {
	return &api.Empty{}, s.setState(ctx, c, store.StateDisabled, time.Time{})
}

// setState changes the state that the call was decided on, and takes the change
// back when its record cannot be kept.
func (s *Service) setState(ctx context.Context, c *Call, state string, deletionAt time.Time) *api.Error {
	old := c.key
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	if err := s.store.SetKeyState(ctx, old.Region, old.ID, state, deletionAt, old.State); err != nil {
		return s.stateError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.restore(ctx, old, state)
	})
	return nil
}

// stateError answers a change that another call has overtaken.
func (s *Service) stateError(c *Call, cause error) *api.Error {
	arn := c.record.KeyARN
	now, ok := s.store.Key(c.key.Region, c.key.ID)
	switch {
	case errors.Is(cause, store.ErrNotFound), errors.Is(cause, store.ErrState) && !ok:
		return api.Errorf(api.NotFound, "Key '%s' does not exist", arn)
	case errors.Is(cause, store.ErrState):
		if err := c.op.States.check(arn, s.keyState(now)); err != nil {
			return err
		}
		return api.Errorf(api.KMSInvalidState, "%s was changed by another call at the same time and is %s now. Look at it and try again.", arn, now.State)
	}
	return internal(c.RequestID, cause)
}

// defaultPendingDays is how long a key waits for its deletion unless told otherwise.
const defaultPendingDays = 30

// ScheduleKeyDeletion starts the waiting period of 7 to 30 days, after which the
// token object is destroyed. Until then CancelKeyDeletion keeps the key.
func (s *Service) ScheduleKeyDeletion(ctx context.Context, c *Call, in *api.ScheduleKeyDeletionRequest) (*api.ScheduleKeyDeletionResponse, *api.Error) {
	days := orElse(in.PendingWindowInDays, defaultPendingDays)
	if isPrimary(c.key) && len(s.related(c.key)) > 0 {
		return s.scheduleAfterReplicas(ctx, c, days)
	}
	date := s.now().Add(time.Duration(days) * 24 * time.Hour)
	if err := s.setState(ctx, c, store.StatePendingDeletion, date); err != nil {
		return nil, err
	}
	return &api.ScheduleKeyDeletionResponse{
		KeyId: c.record.KeyARN, DeletionDate: api.NewTime(date),
		KeyState: api.PendingDeletion, PendingWindowInDays: days,
	}, nil
}

// CancelKeyDeletion keeps the key and leaves it disabled, as AWS KMS does.
func (s *Service) CancelKeyDeletion(ctx context.Context, c *Call, _ *api.CancelKeyDeletionRequest) (*api.CancelKeyDeletionResponse, *api.Error) {
	if err := s.setState(ctx, c, store.StateDisabled, time.Time{}); err != nil {
		return nil, err
	}
	return &api.CancelKeyDeletionResponse{KeyId: c.record.KeyARN}, nil
}
