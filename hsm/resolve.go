package hsm

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
)

// resolve finds the key's handle in this generation and makes sure that it is the expected key: from the index, or with one search in the
// token. One at a time, so that many callers of a missing key make one search.
func (t *Token) resolve(ctx context.Context, g *generation, m material) (*binding, error) {
	k := m.at()
	if err := g.lockResolve(ctx); err != nil {
		return nil, err
	}
	defer func() { <-g.resolving }()
	if b := k.bound.Load(); b != nil && b.gen == g {
		return b, nil // another caller did it
	}
	e, missed := g.index.get(k.id)
	if missed {
		return nil, missing(k.id)
	}
	if len(e.held(k.secret)) == 0 || e.unprotected == unread {
		var err error
		if e, err = t.seek(ctx, g, k); err != nil {
			return nil, err
		}
	}
	if err := e.usable(k.id, t.cfg.Exceptions); err != nil {
		return nil, err
	}
	if err := t.compare(ctx, g, m, e); err != nil {
		return nil, err
	}
	b := &binding{gen: g, handle: uint(e.held(k.secret)[0])}
	k.bound.Store(b)
	return b, nil
}

func (g *generation) lockResolve(ctx context.Context) error {
	wait := time.NewTimer(g.tok.cfg.WaitTimeout)
	defer wait.Stop()
	select {
	case g.resolving <- struct{}{}:
		return nil
	case <-g.done:
		return g.tok.unavailable("key")
	case <-ctx.Done():
		return &Error{Kind: ErrTimeout, Op: "key", Detail: "the key could not be looked up in time", cause: ctx.Err()}
	case <-wait.C:
		return &Error{Kind: ErrTimeout, Op: "key", Detail: "the key could not be looked up in time"}
	}
}

// seek searches the token for a key that the index does not have.
func (t *Token) seek(ctx context.Context, g *generation, k *ref) (*entry, error) {
	var e *entry
	id := k.id
	err := g.call(ctx, g.sign, callFind, t.limits(), func(s *session) (err error) {
		e, err = s.lookUp(id)
		return err
	})
	if err != nil {
		t.wake()
		return nil, t.explain(ctx, g, "key", err)
	}
	if len(e.held(k.secret)) > 0 {
		g.index.put(id, e)
		return e, nil
	}
	if len(e.keys()) > 0 { // a pair where a secret key should be, or the other way round
		g.index.put(id, e)
		return nil, otherKey("key", id)
	}
	if g.index.lost(id) {
		t.search.again()
		t.twice.Store(true)
		t.searchAnew(g, id)
		return nil, t.unavailable("key")
	}
	g.index.miss(id, false)
	return nil, missing(id)
}

// search limits how often the token is opened anew for the sake of missing keys. Some modules see nothing of a token that went away and came
// back, or was initialised, until they are initialised themselves; but a key that is really gone must not cause a storm of that.
type search struct {
	mu   sync.Mutex
	made int           // since a key was last seen to go
	next time.Duration // not before this, in the clock of now()
}

const (
	searchMade  = 3
	searchSpace = 2 * time.Second // then 4, then 8
)

// again: a key that was there has gone, so searching makes sense anew.
func (s *search) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = 0
}

func (s *search) may() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := time.Duration(now())
	if s.made >= searchMade || t < s.next {
		return false
	}
	s.next = t + searchSpace<<s.made
	s.made++
	return true
}

// searchAnew has the token opened anew to look for a key, if it may be done now.
func (t *Token) searchAnew(g *generation, id []byte) {
	if t.search.may() {
		t.log.Warn("a key is not in the token: opening it anew", zap.String("cka_id", hex.EncodeToString(id)))
		g.condemn()
	}
}

// compare checks that what the token has under the CKA_ID is the expected key.
func (t *Token) compare(ctx context.Context, g *generation, m material, e *entry) error {
	same := false
	err := g.call(ctx, g.sign, callFind, t.limits(), func(s *session) (err error) {
		same, err = m.expect(s, e)
		return err
	})
	id := m.at().id
	if err != nil {
		if classify(rvOf(err)) == classKeyGone {
			g.index.put(id, nil)
			return &Error{Kind: ErrUnavailable, Op: "key", Detail: "the key changed while it was looked up", Advice: "try again"}
		}
		return t.explain(ctx, g, "key", err)
	}
	if !same {
		return otherKey("key", id)
	}
	return nil
}

// callError turns the error of a job's function, which is the module's, into ours; one that is ours stays.
func callError(op string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return withOp(op, e)
	}
	return fail(op, rvOf(err), "")
}

// explain is callError for an answer to a caller. CKR_GENERAL_ERROR and its like may mean that this call failed, or that the token is gone (SoftHSM
// says so of a token whose folder went away), so the token is asked first.
func (t *Token) explain(ctx context.Context, g *generation, op string, err error) error {
	e := asError(callError(op, err))
	if e.Kind == ErrFailed && t.healthy(ctx, g) != nil {
		t.wake()
		away := t.unavailable(op)
		away.RV = e.RV
		return away
	}
	return e
}

// healthy asks the token now.
func (t *Token) healthy(ctx context.Context, g *generation) error {
	return g.call(ctx, g.probe, callInfo, t.limits(), func(s *session) error { return s.healthy() })
}

func missing(id []byte) *Error {
	return &Error{Kind: ErrKeyMissing, Op: "key", Detail: "the token holds no key under CKA_ID " + hex.EncodeToString(id),
		Advice: "was it deleted, or the token initialised again or restored from an older backup?"}
}
