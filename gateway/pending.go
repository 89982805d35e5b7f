package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// abandonedAfter is when an object that some process began to make is given up:
// none takes so long.
const abandonedAfter = time.Hour

// doomPending gives up the objects that nobody can still be making. At a start those
// that an earlier life of this process was making are among them.
func (s *Service) doomPending(ctx context.Context, start bool) {
	for _, o := range s.store.Pending() {
		if o.Doomed || !(start && o.Owner == s.name) && s.now().Sub(o.Since) < abandonedAfter {
			continue
		}
		s.log.Warn("an object that was not finished is removed", zap.String("object", hex.EncodeToString(o.ObjectID)), zap.String("keyId", o.KeyID))
		if _, err := s.store.DoomObject(ctx, o.ObjectID); err != nil {
			s.log.Error("an object that was not finished stays", logKey(o.KeyID, err)...)
		}
	}
}

// settlePending destroys the doomed objects in the tokens that hold them. A crash
// before an object is settled repeats its destruction, which does no harm.
func (s *Service) settlePending(ctx context.Context) {
	for _, o := range s.store.Pending() {
		if o.Doomed {
			s.spaced(hex.EncodeToString(o.ObjectID), o.KeyID, "a doomed token object is still there", func() error { return s.destroyPending(ctx, o) })
		}
	}
}

// errInUse keeps what a key names, whatever the list of doomed objects says:
// nothing brings it back.
var errInUse = errors.New("a key names it as its material, so it is not destroyed: an operator has to look at it")

func (s *Service) inUse(objectID []byte) bool {
	return slices.ContainsFunc(s.store.AllKeys(), func(k *store.Key) bool {
		return slices.ContainsFunc(k.Versions, func(v store.Version) bool { return bytes.Equal(v.ObjectID, objectID) })
	})
}

// destroyPending destroys one object and records it, like destroy.
func (s *Service) destroyPending(ctx context.Context, o *store.PendingObject) error {
	if s.inUse(o.ObjectID) {
		return errInUse
	}
	c := &Call{RequestID: uuid.NewString(), Face: internalFace, op: &Op{Name: "DestroyObject"}}
	c.record.KeyID, c.record.Resource = o.KeyID, hex.EncodeToString(o.ObjectID)
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	start := time.Now()
	if err := s.finish(ctx, c, start, s.destroyObject(ctx, c, o)); err != nil {
		return err
	}
	s.forgetObject(o.ObjectID)
	return s.store.SettleObject(ctx, o.ObjectID)
}

func (s *Service) destroyObject(ctx context.Context, c *Call, o *store.PendingObject) *api.Error {
	token, err := s.tokenOf(&store.Key{Line: store.Line{Token: o.Token}})
	if err != nil {
		return err
	}
	if err := token.Destroy(ctx, o.ObjectID); err != nil {
		return s.tokenError(c, err)
	}
	return nil
}
