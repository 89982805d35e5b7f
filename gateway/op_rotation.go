package gateway

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// defaultRotationDays is how often a key rotates by itself unless told otherwise.
const defaultRotationDays = 365

// EnableKeyRotation has a key get a new version at regular times.
func (s *Service) EnableKeyRotation(ctx context.Context, c *Call, in *api.EnableKeyRotationRequest) (*api.Empty, *api.Error) {
	if err := s.rotatesByItself(c); err != nil {
		return nil, err
	}
	days := orElse(in.RotationPeriodInDays, defaultRotationDays)
	return s.setRotation(ctx, c, days, s.now().Add(time.Duration(days)*day))
}

// DisableKeyRotation ends that. A version that is announced already still comes.
func (s *Service) DisableKeyRotation(ctx context.Context, c *Call, _ *api.DisableKeyRotationRequest) (*api.Empty, *api.Error) {
	if err := s.rotatesByItself(c); err != nil {
		return nil, err
	}
	return s.setRotation(ctx, c, 0, time.Time{})
}

func (s *Service) setRotation(ctx context.Context, c *Call, days int, next time.Time) (*api.Empty, *api.Error) {
	old := c.key
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	if err := s.store.SetRotation(ctx, old.ID, days, next); err != nil {
		return nil, s.rotationError(c, err)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.SetRotation(ctx, old.ID, old.RotationDays, old.NextRotation)
	})
	return &api.Empty{}, nil
}

// rotatesByItself refuses keys whose material the gateway cannot make.
func (s *Service) rotatesByItself(c *Call) *api.Error {
	if c.key.Origin == store.OriginExternal {
		return badOrigin(c)
	}
	return s.rotates(c)
}

func badOrigin(c *Call) *api.Error {
	return api.Errorf(api.UnsupportedOperation, "%s origin is %s which is not valid for this operation.", c.record.KeyARN, c.key.Origin)
}

// rotates refuses a replica, and what AWS KMS would refuse where the configuration wants that.
func (s *Service) rotates(c *Call) *api.Error {
	k := c.key
	if k.MultiRegion && k.PrimaryRegion != k.Region {
		return api.Errorf(api.UnsupportedOperation, "%s is a replica key. Its primary key in %s rotates for all regions.", c.record.KeyARN, k.PrimaryRegion)
	}
	if s.rotation.LikeAWS && c.Face == awsFace && api.KeySpec(k.Spec) != api.Symmetric {
		return api.Errorf(api.UnsupportedOperation, "Keys of spec %s are not rotated: the configuration asks for the rules of AWS KMS here (rotation.like_aws).", k.Spec)
	}
	return nil
}

// awsFace is the name of the AWS face in records.
const awsFace = "aws"

// GetKeyRotationStatus tells when a key rotates by itself.
func (s *Service) GetKeyRotationStatus(_ context.Context, c *Call, _ *api.GetKeyRotationStatusRequest) (*api.GetKeyRotationStatusResponse, *api.Error) {
	if c.key.Origin == store.OriginExternal {
		return nil, badOrigin(c)
	}
	out := &api.GetKeyRotationStatusResponse{KeyId: c.record.KeyARN, KeyRotationEnabled: c.key.RotationDays > 0, Published: s.certified(c.key)}
	if out.KeyRotationEnabled {
		out.RotationPeriodInDays, out.NextRotationDate = c.key.RotationDays, api.NewTime(c.key.NextRotation)
	}
	if v := s.announced(c.key); v != nil && v.Rotation == string(api.OnDemand) {
		out.OnDemandRotationStartDate = api.NewTime(v.CreatedAt)
	}
	return out, nil
}

// RotateKeyOnDemand gives a key a new version now. A pair's is announced first
// and used after the overlap.
func (s *Service) RotateKeyOnDemand(ctx context.Context, c *Call, _ *api.RotateKeyOnDemandRequest) (*api.RotateKeyOnDemandResponse, *api.Error) {
	if err := s.rotates(c); err != nil {
		return nil, err
	}
	k := c.key
	if s.announced(k) != nil {
		return nil, s.rotationError(c, store.ErrExists)
	}
	if onDemand(k) >= s.quotas.RotationsPerKey {
		return nil, api.Errorf(api.LimitExceeded, "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: %s", c.record.KeyARN)
	}
	if k.Origin == store.OriginExternal {
		return s.useImported(ctx, c)
	}
	v, err := s.rotate(ctx, c, api.OnDemand, s.now().Add(s.overlap(k)), k.NextRotation)
	if err != nil {
		return nil, err
	}
	return &api.RotateKeyOnDemandResponse{KeyId: c.record.KeyARN, KeyVersion: v.Number, Published: s.certified(k)}, nil
}

// onDemand counts the rotations that callers have asked for.
func onDemand(k *store.Key) (n int) {
	for _, v := range k.Versions {
		if v.Rotation == string(api.OnDemand) && !v.CurrentAt.IsZero() {
			n++
		}
	}
	return n
}

// useImported makes the material that was imported last the current one, that of a
// pair after the overlap.
func (s *Service) useImported(ctx context.Context, c *Call) (*api.RotateKeyOnDemandResponse, *api.Error) {
	k := c.key
	v, ok := waiting(k)
	if !ok || !v.Usable(s.now()) {
		return nil, api.Errorf(api.KMSInvalidState, "%s has no imported material that waits for a rotation. Import new material first: ImportKeyMaterial with ImportType NEW_KEY_MATERIAL.", c.record.KeyARN)
	}
	c.record.KeyVersion = v.Number
	if err := s.recordStart(ctx, c); err != nil {
		return nil, err
	}
	from := s.now().Add(s.overlap(k))
	begin := func(at time.Time, kind api.RotationType) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.store.ReplaceMaterial(ctx, k.ID, v.Number, v.ObjectID, func(v *store.Version) { v.CurrentAt, v.Rotation = at, string(kind) }, s.now())
		}
	}
	if err := begin(from, api.OnDemand)(ctx); err != nil {
		return nil, s.importError(c, err)
	}
	// What may have been used already stays, whatever becomes of its record.
	if from.After(s.now()) {
		c.undoBy(s, begin(time.Time{}, ""))
	}
	return &api.RotateKeyOnDemandResponse{KeyId: c.record.KeyARN, KeyVersion: v.Number}, nil
}

// ListKeyRotations lists the versions that rotations brought, or all of them; the
// marker is the number of the last version of the page before.
func (s *Service) ListKeyRotations(_ context.Context, c *Call, in *api.ListKeyRotationsRequest) (*api.ListKeyRotationsResponse, *api.Error) {
	after, err := versionMarker(in.Marker)
	if err != nil {
		return nil, api.Errorf(api.InvalidMarker, "Marker %q is not a NextMarker of ListKeyRotations.", in.Marker)
	}
	limit := orElse(in.Limit, 100)
	out := &api.ListKeyRotationsResponse{Rotations: []api.RotationsListEntry{}}
	current, _ := c.key.Current(s.now())
	for _, v := range c.key.Versions {
		if v.Number <= after || v.Rotation == "" && in.IncludeKeyMaterial != api.AllKeyMaterial {
			continue
		}
		if len(out.Rotations) == limit {
			out.Truncated, out.NextMarker = true, strconv.Itoa(out.Rotations[limit-1].KeyVersion)
			break
		}
		out.Rotations = append(out.Rotations, s.rotationEntry(c, v, current.Number))
	}
	return out, nil
}

func versionMarker(marker string) (int, error) {
	if marker == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(marker)
	if err == nil && (n < 1 || strconv.Itoa(n) != marker) {
		err = errors.New("no version has this number")
	}
	return n, err
}

func (s *Service) rotationEntry(c *Call, v store.Version, current int) api.RotationsListEntry {
	e := api.RotationsListEntry{
		KeyId: c.record.KeyARN, KeyVersion: v.Number, KeyMaterialId: v.MaterialID, KeyMaterialDescription: v.Description,
		KeyMaterialState: api.NonCurrent, RotationType: api.RotationType(v.Rotation),
	}
	switch {
	case v.Number == current:
		e.KeyMaterialState = api.Current
	case v.CurrentAt.IsZero(), v.Number > current:
		e.KeyMaterialState = api.PendingRotation
	}
	if v.Rotation != "" && !v.CurrentAt.IsZero() {
		e.RotationDate = api.NewTime(v.CurrentAt)
	}
	if c.key.Origin == store.OriginExternal {
		s.describeImported(&e, v)
	}
	return e
}

func (s *Service) describeImported(e *api.RotationsListEntry, v store.Version) {
	if e.ImportState = api.ImportPending; v.Usable(s.now()) {
		e.ImportState = api.Imported
		e.ExpirationModel, e.ValidTo = expirationOf(v)
	}
}
