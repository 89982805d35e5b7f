package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
	"github.com/hsmgate/hsmgate/hsm"
)

// internalFace marks the records of what the gateway does of itself.
const internalFace = "internal"

// recordStart makes the trace of a change durable before the token or the store
// is touched, so that a crash between the change and its record leaves it behind.
func (s *Service) recordStart(ctx context.Context, c *Call) *api.Error {
	started := c.record
	started.Phase, started.Operation, started.Time = "started", c.op.Name, time.Now().UTC()
	started.Origin, started.RequestID, started.Face, started.Principal = s.name, c.RequestID, c.Face, c.Principal.ARN
	started.SourceAddress, started.UserAgent = c.SourceAddress, c.UserAgent
	started.CredentialID, started.Provider, started.Subject = c.Principal.CredentialID, c.Principal.IdentityProvider, c.Principal.IdentitySubject
	wait, cancel := context.WithTimeout(ctx, s.auditTimeout)
	defer cancel()
	if _, err := s.audit.Append(wait, &started); err != nil {
		return notRecorded(err)
	}
	return nil
}

// Start takes up what a crash left behind and reports by name what the token
// and the store do not agree on. It never guesses: an object that the store
// does not know is left alone, and what another process has begun is its own.
func (s *Service) Start(ctx context.Context) error {
	err := s.abandon(ctx)
	if err != nil {
		return err
	}
	if s.uses.since, err = s.store.UsesSince(ctx); err != nil {
		return err
	}
	if err := s.checkCut(); err != nil {
		return err
	}
	s.doomPending(ctx)
	s.startKeyStores(ctx)
	s.startTree(ctx)
	s.awaitCheckpoint(ctx)
	s.keepSigned(ctx, s.tree.Load())
	s.recordLeft(ctx)
	s.expireDue(ctx)
	s.destroyDue(ctx)
	s.dropRules(ctx)
	for name, keys := range MissingTokens(s.store, s.keyStoreNames()) {
		s.log.Warn("the configuration names no token that holds keys of the store", zap.String("token", name), zap.Int("keys", keys))
	}
	return s.report(ctx, DefaultToken, s.token)
}

// report logs what a token and the store do not agree on.
func (s *Service) report(ctx context.Context, name string, token *hsm.Token) error {
	differences, err := Compare(ctx, s.store, name, token)
	if err != nil {
		return err
	}
	for _, d := range differences {
		s.log.Warn("the token and the store differ", zap.String("token", name), zap.Stringer("what", d))
	}
	return nil
}

// abandon makes tombstones of keys whose creation has not ended and is not under
// way: begun by this process in an earlier life, or by one that has had its time.
func (s *Service) abandon(ctx context.Context) error {
	for _, k := range s.store.Creating() {
		if _, underWay := s.creating.Load(k.ID); underWay {
			continue
		}
		switch err := s.store.AbandonKey(ctx, k.Region, k.ID, s.name, s.now()); {
		case err == nil:
			s.log.Warn("a key whose creation was not finished is removed", logKey(k.ID, nil)...)
		case errors.Is(err, store.ErrClaimed), errors.Is(err, store.ErrState), errors.Is(err, store.ErrNotFound): // another process makes it, or has made or removed it
		default:
			return fmt.Errorf("key %s, whose creation was not finished, cannot be removed: %w", k.ID, err)
		}
	}
	return nil
}

// mendEvery is how often a broken audit log is asked whether it is whole again.
const mendEvery = time.Second

// Run destroys keys whose waiting period is over, imported material that has
// expired, grants that have ended and what is left of creations that failed, and
// rotates keys that are due, looking each 'every', until ctx ends; and it writes last uses
// and the last checkpoint of the audit log. It also has a broken audit log mended when its
// cause is gone, which calls alone would not bring about: a service that is not ready gets none.
func (s *Service) Run(ctx context.Context, every time.Duration) {
	tick, mend, uses, signed := time.NewTicker(every), time.NewTicker(mendEvery), time.NewTicker(usesEvery), time.NewTicker(keepSignedEvery)
	defer tick.Stop()
	defer mend.Stop()
	defer uses.Stop()
	defer signed.Stop()
	followed := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-mend.C:
			followed = s.logStore(followed)
			if err := s.able(true); err != nil {
				s.log.Debug("calls are refused", zap.Error(err.Cause))
			}
		case <-uses.C:
			if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("the last uses of keys could not be written yet", zap.Error(err))
			}
		case <-signed.C:
			s.keepSigned(ctx, s.tree.Load())
		case <-tick.C:
			s.limits.tidy(s.now())
			s.metrics.tidy(time.Now())
			if s.able(false) == nil {
				s.round(ctx)
			}
		}
	}
}

// logStore tells once when the database goes away and when it is back.
func (s *Service) logStore(before bool) (followed bool) {
	err := s.store.Ready()
	switch {
	case err != nil && before:
		s.log.Error("the database is away: nothing can be changed, and keys can be used until the limit is reached",
			zap.Duration("limit", s.staleLimit), zap.Error(err))
	case err == nil && !before:
		s.log.Info("the database is back")
	}
	return err == nil
}

// round does what is due.
func (s *Service) round(ctx context.Context) {
	if err := s.abandon(ctx); err != nil {
		s.log.Error("what is left of a creation stays", zap.Error(err))
	}
	s.doomPending(ctx)
	s.expireDue(ctx)
	s.destroyDue(ctx)
	s.removeEnded(ctx)
	s.rotateDue(ctx)
	s.dropRules(ctx)
	s.forgetApprovals(ctx)
	s.recordLeft(ctx)
	s.forgetAnswers(ctx)
	s.forgetStrangers()
	s.startTree(ctx)
}

// destroyDue makes a tombstone of each key whose date has come, which nobody
// can use or cancel any more, and then destroys its token objects and those that
// are doomed. A crash anywhere between is taken up at the next round. Of several
// processes, the one that claims the key destroys it.
func (s *Service) destroyDue(ctx context.Context) {
	for _, k := range s.store.DueDeletions(s.now()) {
		if err := s.deleteDue(ctx, k); err != nil {
			s.log.Error("a key that is due for deletion stays", logKey(k.ID, err)...)
		}
	}
	s.endReplicaWaits(ctx)
	for _, k := range s.store.Undestroyed() {
		if _, underWay := s.creating.Load(k.ID); underWay || !s.reachable(k) { // else its time comes when the token is back
			continue
		}
		s.spaced(k.ID, k.ID, "the token object of a deleted key is still there", func() error {
			err := s.store.Claim(ctx, k.ID, s.name, s.now())
			if errors.Is(err, store.ErrClaimed) || errors.Is(err, store.ErrState) { // another process does it, or has done it
				return nil
			}
			if err != nil {
				return err
			}
			return s.destroy(ctx, k)
		})
	}
	s.settlePending(ctx)
}

// spaced tries what may fail again and again, at most so often as retry says.
func (s *Service) spaced(what, keyID, failed string, try func() error) {
	if s.now().Before(s.retries[what].next) {
		return
	}
	if err := try(); err != nil {
		s.retries[what] = s.retries[what].after(s.now())
		s.log.Error(failed, logKey(keyID, err)...)
		return
	}
	delete(s.retries, what)
}

// maxRetry is the longest time between two attempts.
const maxRetry = time.Hour

// retry spaces attempts, since each leaves two records.
type retry struct {
	next time.Time
	wait time.Duration
}

func (r retry) after(now time.Time) retry {
	wait := min(max(2*r.wait, time.Minute), maxRetry)
	return retry{next: now.Add(wait), wait: wait}
}

// destroy destroys the token objects of a deleted key and records it. Only what
// is recorded is done with: without the record it is all repeated.
func (s *Service) destroy(ctx context.Context, k *store.Key) error {
	c := byItself("DeleteKey", k)
	c.record.KeyID, c.record.KeyARN = k.ID, s.arn(k)
	if n := len(k.Versions); n > 0 {
		c.record.KeyVersion = k.Versions[n-1].Number
	}
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	start := time.Now()
	var failed *api.Error
	if err := s.destroyObjects(ctx, k); err != nil {
		failed = s.tokenError(c, err)
	}
	if err := s.finish(ctx, c, start, failed); err != nil {
		return err
	}
	return s.store.MarkDestroyed(ctx, k.ID, s.now())
}

// overtaken: another process does it, or the key is not due any more.
func overtaken(err error) bool {
	return errors.Is(err, store.ErrClaimed) || errors.Is(err, store.ErrState) || errors.Is(err, store.ErrNotFound)
}

// alone does what a key is due for, unless another process does, so that it is done
// and recorded once. The claim takes in what others wrote: due is asked again then.
func (s *Service) alone(ctx context.Context, k *store.Key, due func(*store.Key) bool, do func(*store.Key) error) error {
	err := s.store.ClaimKey(ctx, k.ID, s.name, s.now())
	if overtaken(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if now, ok := s.store.Key(k.Region, k.ID); ok && due(now) {
		err = do(now)
	}
	return errors.Join(err, s.store.ReleaseKey(ctx, k.ID, s.name))
}

// byItself is a call that no caller made, about a key.
func byItself(name string, k *store.Key) *Call {
	return &Call{RequestID: uuid.NewString(), Face: internalFace, op: &Op{Name: name}, key: k}
}

// ofItself makes a change that no caller asked for, and records it.
func (s *Service) ofItself(ctx context.Context, c *Call, change func() error) error {
	c.record.KeyID, c.record.KeyARN = c.key.ID, s.arn(c.key)
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	start := time.Now()
	var failed *api.Error
	cause := change()
	if cause != nil {
		failed = internal(c.RequestID, cause)
	}
	if err := s.finish(ctx, c, start, failed); err != nil {
		return err
	}
	return cause
}

// destroyObjects destroys the key pairs of all versions; one that is not there
// is no error.
func (s *Service) destroyObjects(ctx context.Context, k *store.Key) error {
	token, missing := s.tokenOf(k)
	if missing != nil {
		return missing
	}
	for _, v := range k.Versions {
		if v.ObjectID == nil {
			continue
		}
		if err := token.Destroy(ctx, v.ObjectID); err != nil {
			return err
		}
		s.forgetObject(v.ObjectID)
	}
	return nil
}

// forgetObject drops what memory holds of a token object that is gone.
func (s *Service) forgetObject(id []byte) {
	s.keys.Delete(string(id))
	s.counted.blocks.Delete(string(id))
}

// forgetStrangers drops what memory holds of token objects that no key has any more:
// another process may have destroyed them.
func (s *Service) forgetStrangers() {
	var held [][]byte
	for _, kept := range []*sync.Map{&s.keys, &s.counted.blocks} {
		kept.Range(func(id, _ any) bool {
			held = append(held, []byte(id.(string)))
			return true
		})
	}
	if len(held) == 0 {
		return
	}
	known := make(map[string]bool)
	for _, k := range s.store.AllKeys() {
		for _, v := range k.Versions {
			known[string(v.ObjectID)] = true
		}
	}
	for _, p := range s.store.ImportKeys() {
		known[string(p.ObjectID)] = true
	}
	for _, id := range held {
		if !known[string(id)] {
			s.forgetObject(id)
		}
	}
}

// hungAfter is how long a call may be stuck inside the module before the
// process has to be replaced.
const hungAfter = time.Minute

// Hung says that a call is stuck inside the PKCS#11 module, which only a new
// process can mend.
func (s *Service) Hung() bool {
	for _, ks := range s.keyStores {
		if t := ks.token.Load(); t != nil && t.Hung(hungAfter) {
			return true
		}
	}
	return false
}

func logKey(id string, err error) []zap.Field {
	fields := []zap.Field{zap.String("keyId", id)}
	if err != nil {
		fields = append(fields, zap.Error(err))
	}
	return fields
}
