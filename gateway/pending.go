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

// pend notes an object that is about to be made for a key, as a version of that
// number or, with 0, as none. This process is at it until done is called; after
// that the object is a version's, or given up.
func (s *Service) pend(ctx context.Context, k *store.Key, object []byte, number int) (done func(), err error) {
	s.atWork.Store(string(object), true)
	done = func() { s.atWork.Delete(string(object)) }
	return done, s.store.PendObject(ctx, store.PendingObject{ObjectID: object, Token: k.Token, KeyID: k.ID, Number: number, Owner: s.name, Since: s.now()})
}

// doomPending gives up the objects that nobody is making any more: those that this
// process began and is not at, and those of others that have had their time.
func (s *Service) doomPending(ctx context.Context) {
	for _, o := range s.store.Pending() {
		if _, atWork := s.atWork.Load(string(o.ObjectID)); atWork || o.Doomed || o.Owner != s.name && s.now().Sub(o.Since) < store.ClaimFor {
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
	return slices.ContainsFunc(s.store.AllLogKeys(), func(k *store.LogKey) bool { return bytes.Equal(k.ObjectID, objectID) }) || slices.ContainsFunc(s.store.AllKeys(), func(k *store.Key) bool {
		return slices.ContainsFunc(k.Versions, func(v store.Version) bool { return bytes.Equal(v.ObjectID, objectID) })
	})
}

// destroyPending destroys one object and records it, like destroy.
func (s *Service) destroyPending(ctx context.Context, o *store.PendingObject) error {
	if s.inUse(o.ObjectID) {
		return errInUse
	}
	err := s.store.ClaimObject(ctx, o.ObjectID, s.name, s.now())
	if errors.Is(err, store.ErrClaimed) || errors.Is(err, store.ErrNotFound) { // another process does it, or has done it
		return nil
	}
	if err != nil {
		return err
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
