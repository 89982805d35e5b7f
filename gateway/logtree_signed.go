package gateway

import (
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// keepSignedEvery is how often the database is told the last checkpoint, at most: what was signed since, it does not know.
const keepSignedEvery = time.Minute

// signedBefore is the last checkpoint of a log that the database knows.
func (s *Service) signedBefore(ctx context.Context, origin string) (tree.Signed, error) {
	c, err := s.store.LogCheckpoint(ctx, origin)
	return tree.Signed{Tree: tlog.Tree{N: c.Size, Hash: c.Root}, At: c.PublishedAt}, err
}

// keepSigned tells the database the last checkpoint, which is durable by then. Nobody waits for it, and what cannot be
// written now is written the next time.
func (s *Service) keepSigned(ctx context.Context, t *logTree) {
	if t.Publisher == nil {
		return
	}
	of := t.Stats()
	c := of.Checkpoint
	if c.Tree.N <= t.kept.Load() {
		return
	}
	err := s.store.KeepLogCheckpoint(ctx, store.LogCheckpoint{Origin: c.Origin, Size: c.Tree.N, Root: c.Tree.Hash, PublishedAt: of.Published})
	if err != nil {
		s.log.Warn("the last checkpoint of the audit log could not be written into the database yet", zap.Int64("records", c.Tree.N), zap.Error(err))
		return
	}
	t.kept.Store(c.Tree.N)
}
