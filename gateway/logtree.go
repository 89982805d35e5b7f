package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Tree says how the Merkle tree over the audit log is kept. Without Path there is none.
type Tree struct {
	// Path is that of the log.
	Path string
	// Origin is the name of the log in its checkpoints. A tree that is there keeps its own.
	Origin string
	// OriginIsSet says that an operator has chosen it: then a tree of another name is an error.
	OriginIsSet bool
	// Interval is how often a checkpoint is published while there are new records. Default 1 s.
	Interval time.Duration
}

// logTree is the tree of the audit log, and why there is none.
type logTree struct {
	*tree.Publisher
	err    error
	anchor anchor
}

// errNoTree is the error of a gateway without one.
var errNoTree = errors.New("this gateway keeps no tree of its audit log")

// startTree begins to keep the tree. What hinders it hinders nothing else: it is told, and tried again.
func (s *Service) startTree(ctx context.Context) {
	if s.treeConfig.Path == "" || s.tree.Load().Publisher != nil {
		return
	}
	t := &logTree{}
	if t.Publisher, t.err = s.openTree(ctx, &t.anchor); t.err != nil {
		s.log.Error("the tree of the audit log is not kept, so there are no checkpoints", zap.Error(t.err))
	}
	s.tree.Store(t)
}

// awaitCheckpoint has the log covered by a checkpoint before calls come, if that takes no longer than it is worth waiting
// for: a long log whose tree is made anew takes its time.
func (s *Service) awaitCheckpoint(ctx context.Context) {
	p, head := s.tree.Load().Publisher, s.audit.Head()
	if p == nil || head.Seq == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = p.Wait(ctx, head.Seq) // what hinders it is told by treeState
}

func (s *Service) openTree(ctx context.Context, a *anchor) (*tree.Publisher, error) {
	origin, keys, err := ownLog(s.treeConfig, s.store, s.name)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 || !keys[0].RetiredAt.IsZero() {
		if err := s.logKeyTries.do(s.now(), func() error { return s.makeLogKey(ctx, origin) }); err != nil {
			return nil, fmt.Errorf("the key that signs checkpoints cannot be made: %w", err)
		}
		keys = s.store.LogKeys(origin)
	}
	if a.kept, err = s.store.LogCheckpoint(ctx, origin); err != nil {
		return nil, err
	}
	o := tree.Options{Origin: origin, Interval: s.treeConfig.Interval, OnState: s.treeState,
		Signed: signedTree(a.kept)}
	for _, k := range keys {
		key, vkey, err := logVerifierKey(k)
		if err != nil {
			return nil, err
		}
		o.Keys = append(o.Keys, vkey)
		if o.Sign == nil {
			o.Sign = s.logSigner(key, api.KeySpec(k.Spec))
		}
	}
	s.log.Info("the tree of the audit log is kept", zap.String("origin", origin), zap.String("key", o.Keys[0]), zap.String("folder", string(tree.DirOf(s.treeConfig.Path))))
	return tree.Start(s.audit, s.treeConfig.Path, o)
}

func (s *Service) treeState(err error) {
	if err != nil {
		s.log.Error("no checkpoint of the audit log can be made", zap.Error(err))
		return
	}
	s.log.Info("checkpoints of the audit log are made again")
}

// treeError is why no checkpoint can be made now, or nil. A gateway that is to keep no tree has no such error.
func (s *Service) treeError() error {
	t := s.tree.Load()
	if t.Publisher == nil {
		return t.err
	}
	return t.Stats().Err
}

// SealLog gives the receipt of the last one of records that are to be removed from the log.
func (s *Service) SealLog(last audit.Receipt) ([]byte, error) {
	t := s.tree.Load()
	if t.Publisher == nil {
		return nil, errors.Join(errNoTree, t.err)
	}
	return t.Seal(last)
}

// treePart says how checkpoints are.
func (s *Service) treePart() Part {
	const name = "checkpoints"
	if err := s.treeError(); err != nil {
		p := Part{Name: name, Status: StatusDegraded, State: "no checkpoint of the audit log can be made, so there are no receipts", Detail: err.Error(),
			Do: "docs/transparency.md says what to do about each reason, which is in the log"}
		if errors.Is(err, tree.ErrOtherHistory) {
			p.State = "the audit log is older than what was signed, or another one: it gets no checkpoint, so there are no receipts"
		}
		if errors.Is(err, tree.ErrOvertaken) {
			p.State = "another daemon signs checkpoints of this log: this one makes no more, so there are no receipts"
		}
		return p
	}
	p := Part{Name: name, Status: StatusReady, State: "the audit log has checkpoints"}
	if t := s.tree.Load(); t.Publisher != nil {
		of := t.Stats()
		p.Detail = fmt.Sprintf("the last one covers %d records, %d attempts failed", of.Checkpoint.Tree.N, of.Failures)
	}
	return p
}

// EndTree publishes a checkpoint of all records and ends the tree. It comes after the last call, and before the log is
// closed.
func (s *Service) EndTree(ctx context.Context) error {
	t := s.tree.Swap(&logTree{err: errNoTree})
	if t.Publisher == nil {
		return nil
	}
	err := t.Close(ctx)
	s.keepSigned(ctx, t)
	return err
}

// LogFile reads a file of the tree that the last checkpoint vouches for: checkpoint, key, or a tile. It tells nothing of
// a record but its hash, and leaves no record: who follows the log would make it grow.
func (s *Service) LogFile(c *Call, name string) ([]byte, *api.Error) {
	c.op = &Op{Name: "ReadTree"}
	if err := s.limits.call(c, s.now); err != nil {
		return nil, err
	}
	t := s.tree.Load()
	if t.Publisher == nil {
		return nil, api.Errorf(api.NotFound, "There is no tree of the audit log here.")
	}
	if name == "checkpoint" || name == "key" {
		b, err := os.ReadFile(string(t.Dir()) + "/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, api.Errorf(api.NotFound, "No checkpoint was published yet.")
		}
		if err != nil {
			return nil, internal(c.RequestID, err)
		}
		return b, nil
	}
	tile, err := publishedTile(t, name)
	if err != nil {
		return nil, err
	}
	if tile.L < 0 { // records, which ReadLog gives, under a name that was escaped
		return nil, api.Errorf(api.Validation, "%.80q does not name a tile of hashes: it should be tile/<level>/<number>[.p/<width>].", name)
	}
	b, cause := t.Dir().ReadTile(tile)
	if cause != nil {
		return nil, internal(c.RequestID, cause)
	}
	return b, nil
}
