package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// Rotation says how keys get new versions.
type Rotation struct {
	// Overlap is how long the public key of a new version is published before the
	// version is used. Secret keys have none. Default 24h; negative is none.
	Overlap time.Duration
	// LikeAWS has the AWS face refuse the rotation of every key that is not a
	// symmetric encryption key, as AWS KMS does.
	LikeAWS bool
}

const (
	defaultOverlap = 24 * time.Hour
	day            = 24 * time.Hour
)

// overlap is that of a key.
func (s *Service) overlap(k *store.Key) time.Duration {
	if isSecret(api.KeySpec(k.Spec)) {
		return 0
	}
	return max(s.rotation.Overlap, 0)
}

// rotate gives the call's key a new version, which is used from a time on. What a
// crash at each step leaves behind: after the claim and the 'started' record, an
// object that may be there or not, which [Service.Start] destroys; after
// AddVersion, the whole rotation. PendObject and AddVersion
// refuse a number that another process takes, so that there is one new version,
// however many begin.
func (s *Service) rotate(ctx context.Context, c *Call, kind api.RotationType, from, next time.Time) (store.Version, *api.Error) {
	k := c.key
	token, refused := s.tokenOf(k)
	if refused != nil {
		return store.Version{}, refused
	}
	v := store.Version{Number: lastVersion(k) + 1, ObjectID: hsm.NewID(), CreatedAt: s.now(), CurrentAt: from, Rotation: string(kind)}
	c.record.KeyVersion = v.Number
	done, cause := s.claim(ctx, k, v)
	defer done()
	if cause != nil {
		s.discard(token, v.ObjectID) // the claim may be written all the same
		return v, s.rotationError(c, cause)
	}
	if err := s.recordStart(ctx, c); err != nil {
		s.discard(token, v.ObjectID)
		return v, err
	}
	if v, cause = makeMaterial(ctx, token, k, v); cause != nil {
		s.discard(token, v.ObjectID)
		return v, s.tokenError(c, cause)
	}
	if err := s.store.AddVersion(ctx, k.ID, v, next); err != nil {
		s.discard(token, v.ObjectID)
		return v, s.rotationError(c, err)
	}
	// A version that may have been used already stays, whatever becomes of its record.
	if from.After(s.now()) {
		c.undoBy(s, func(ctx context.Context) error {
			return s.store.DropVersion(ctx, k.ID, v.Number, k.NextRotation, s.now())
		})
	}
	return v, nil
}

// claim notes the object of a version that is to be made. The note takes in what
// other processes wrote, so that a version that one of them has made meanwhile is seen.
func (s *Service) claim(ctx context.Context, k *store.Key, v store.Version) (done func(), err error) {
	if done, err = s.pend(ctx, k, v.ObjectID, v.Number); err != nil {
		return done, err
	}
	if now, ok := s.store.Key(k.Region, k.ID); !ok || lastVersion(now) >= v.Number {
		return done, errors.Join(store.ErrExists, s.store.SettleObject(ctx, v.ObjectID))
	}
	return done, nil
}

func lastVersion(k *store.Key) int {
	if n := len(k.Versions); n > 0 {
		return k.Versions[n-1].Number
	}
	return 0
}

func (s *Service) rotationError(c *Call, cause error) *api.Error {
	switch {
	case errors.Is(cause, store.ErrExists), errors.Is(cause, store.ErrState):
		return api.Errorf(api.Conflict, "A rotation of %s is under way already.", c.record.KeyARN)
	case errors.Is(cause, store.ErrNotFound):
		return api.Errorf(api.NotFound, "Key '%s' does not exist", c.record.KeyARN)
	}
	return internal(c.RequestID, cause)
}

// discard destroys a noted object that no version names. What cannot be destroyed
// now stays noted, and [Service.Run] takes it up: at once if it is doomed, otherwise
// when nobody can be making it any more.
func (s *Service) discard(token *hsm.Token, object []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	doomed, err := s.store.DoomObject(ctx, object)
	if err == nil && doomed {
		if err = token.Destroy(ctx, object); err == nil {
			s.forgetObject(object)
			err = s.store.SettleObject(ctx, object)
		}
	}
	if err != nil {
		s.log.Error("a token object that no key has could not be removed yet", zap.Binary("ckaId", object), zap.Error(err))
	}
}

// rotateDue rotates the keys whose time has come, and those whose material has
// encrypted so often that random IVs would begin to be too few.
func (s *Service) rotateDue(ctx context.Context) {
	for _, k := range s.store.AllKeys() {
		if ctx.Err() != nil {
			return
		}
		if k.State != store.StateEnabled || k.MultiRegion && k.PrimaryRegion != k.Region || s.announced(k) != nil || !s.reachable(k) {
			continue
		}
		switch now := s.now(); {
		case !k.NextRotation.IsZero() && !k.NextRotation.Add(-s.overlap(k)).After(now):
			s.rotateSpaced(ctx, k, s.dueFrom(k), s.following(k))
		case s.worn(k):
			s.rotateSpaced(ctx, k, now, k.NextRotation)
		}
	}
}

// dueFrom is when a version that is due begins: at its date, but never before its
// public key has been published for the overlap.
func (s *Service) dueFrom(k *store.Key) time.Time {
	earliest := s.now().Add(s.overlap(k))
	if k.NextRotation.After(earliest) {
		return k.NextRotation
	}
	return earliest
}

// following is the rotation after the one that is due.
func (s *Service) following(k *store.Key) time.Time {
	period := time.Duration(k.RotationDays) * day
	if next := k.NextRotation.Add(period); next.After(s.now()) {
		return next
	}
	return s.now().Add(period)
}

// worn says whether the current version of a key has encrypted so often that the
// next one should come: half of what NIST SP 800-38D, 8.3, allows.
func (s *Service) worn(k *store.Key) bool {
	v, ok := k.Current(s.now())
	return ok && k.Origin != store.OriginExternal && v.Uses >= s.counted.most/2
}

// announced is the version of a key that is published and does not begin before some later time.
func (s *Service) announced(k *store.Key) *store.Version { return announced(k, s.now()) }

func announced(k *store.Key, now time.Time) *store.Version {
	if n := len(k.Versions); n > 0 && k.Versions[n-1].CurrentAt.After(now) {
		return &k.Versions[n-1]
	}
	return nil
}

// rotateSpaced lets time pass after a rotation that failed, since each leaves two
// records and the token may refuse all of them.
func (s *Service) rotateSpaced(ctx context.Context, k *store.Key, from, next time.Time) {
	s.spaced("rotation of "+k.ID, k.ID, "a key could not be rotated", func() error {
		if err := s.rotateByItself(ctx, k, from, next); err != nil {
			return err
		}
		return nil
	})
}

func (s *Service) rotateByItself(ctx context.Context, k *store.Key, from, next time.Time) *api.Error {
	c := &Call{RequestID: uuid.NewString(), Face: internalFace, op: &Op{Name: "RotateKey"}, key: k}
	c.record.KeyID, c.record.KeyARN, c.record.Resource = k.ID, s.arn(k), s.arn(k)
	start := time.Now()
	_, err := s.rotate(ctx, c, api.Automatic, from, next)
	if err != nil && err.Code == api.Conflict { // another process does it
		return nil
	}
	return s.finish(ctx, c, start, err)
}
