package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// keepSignedEvery is how often the database is told the last checkpoint, at most: what was signed since, it does not know.
const keepSignedEvery = time.Minute

// anchor is what the database knows of a log, as far as this process knows.
type anchor struct {
	mu     sync.Mutex
	kept   store.LogCheckpoint // read at the start, and proven to be continued, or written since
	unsure store.LogCheckpoint // written, if its size is not 0, or not: there was no answer
}

// keepSigned tells the database the last checkpoint, which is durable by then. Nobody waits for it, and what cannot be
// written now is written the next time. Where the database has one that this process did not write, another one signs
// for this log, on a copy of it, and this one stops before the two differ by more.
func (s *Service) keepSigned(ctx context.Context, t *logTree) {
	if t.Publisher == nil || errors.Is(t.Stats().Err, tree.ErrOvertaken) {
		return
	}
	t.anchor.mu.Lock()
	defer t.anchor.mu.Unlock()
	for _, c := range []store.LogCheckpoint{t.anchor.unsure, signedNow(t)} {
		if c.Size <= t.anchor.kept.Size {
			continue
		}
		err := s.store.KeepLogCheckpoint(ctx, t.anchor.kept, c)
		if errors.Is(err, store.ErrOvertaken) {
			t.Overtake("the database has " + err.Error())
			return
		}
		if err != nil {
			t.anchor.unsure = c
			s.log.Warn("the last checkpoint of the audit log could not be written into the database yet", zap.Int64("records", c.Size), zap.Error(err))
			return
		}
		t.anchor.kept, t.anchor.unsure = c, store.LogCheckpoint{}
	}
}

func signedNow(t *logTree) store.LogCheckpoint {
	of := t.Stats()
	c := of.Checkpoint
	return store.LogCheckpoint{Origin: c.Origin, Size: c.Tree.N, Root: c.Tree.Hash, PublishedAt: of.Published}
}
