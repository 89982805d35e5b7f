package tree

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
)

// ErrOtherHistory: a checkpoint was signed that the log does not continue: it is older than it was, or another one. It
// is an ErrInconsistent.
var ErrOtherHistory = fmt.Errorf("%w that were signed", ErrInconsistent)

// ErrOvertaken: another daemon signs checkpoints of this log, with the same key. It is an ErrOtherHistory.
var ErrOvertaken = fmt.Errorf("%w: another daemon signs checkpoints of this log", ErrOtherHistory)

const overtakenAdvice = "nothing is signed until hsmgated starts again: find the other daemon, which runs on a copy of this log or its folder, and stop it; only the log that continues the database's last checkpoint is signed then. A database that was put back under a running daemon looks the same"

const otherHistoryAdvice = "nothing is signed until this is found out: put the log and its folders back from the newest copy; to go on with this history on purpose, stop hsmgated and run 'hsmgated audit accept-history', which is recorded"

func otherHistory(format string, args ...any) error {
	return &audit.Error{Kind: ErrOtherHistory, Detail: fmt.Sprintf(format, args...), Advice: otherHistoryAdvice}
}

// Signed is a tree whose checkpoint was signed, as another place than the tree's folder knows it.
type Signed struct {
	Tree tlog.Tree
	At   time.Time // when it was published
}

// loadSigned takes the larger one of what the options say was signed and what this Publisher has shown, and looks whether
// the log is long enough for it.
func (p *Publisher) loadSigned() error {
	if shown := p.Stats(); shown.Checkpoint.Tree.N > p.signed.Tree.N {
		p.signed = Signed{shown.Checkpoint.Tree, shown.Published}
	}
	return p.signed.reached(p.log.Head().Seq)
}

// reached says whether a log that ends with that record is long enough.
func (s Signed) reached(head uint64) error {
	if head < uint64(s.Tree.N) {
		return otherHistory("the log is older than what was signed: it ends with record %d, and a checkpoint of %d records was signed at %s", head, s.Tree.N, s.At.UTC().Format(time.RFC3339))
	}
	return nil
}

// Check says whether the log at path, which ends with record head, continues what was signed, by its records alone. Where the
// first ones were removed by retention they do not tell.
func (s Signed) Check(path string, head uint64) error {
	if err := s.reached(head); err != nil || s.Tree.N == 0 {
		return err
	}
	err := s.inLog(path, nil)
	if errors.Is(err, audit.ErrRemoved) {
		return nil
	}
	return err
}

// inLog makes the tree of what was signed anew from the log; each is that of Build.
func (s Signed) inLog(path string, each func(tlog.Tile, []byte) error) error {
	edge, err := Build(path, s.Tree.N, each)
	if err != nil {
		return err
	}
	if got, err := edge.Tree(); err != nil || got != s.Tree {
		return s.another()
	}
	return nil
}

// old says whether a tree is smaller than what was signed: it is not shown, and the log is read on first.
func (p *Publisher) old(t tlog.Tree) bool { return t.N < p.signed.Tree.N }

// continuesSigned proves that a tree, which is not smaller, holds all that was signed: from the tiles, and where some
// are lost from the log.
func (p *Publisher) continuesSigned(t tlog.Tree) error {
	want := p.signed.Tree
	proof, lost := p.disk.dir.ProveTree(t, want)
	if lost == nil {
		if CheckTree(proof, t, want) != nil {
			return p.signed.another()
		}
		return nil
	}
	err := p.signed.inLog(p.path, p.ended)
	if err != nil && !errors.Is(err, ErrOtherHistory) {
		return damaged(errors.Join(lost, err), "neither the tiles nor the log show whether the %d records are there whose checkpoint was signed", want.N)
	}
	return err
}

func (s Signed) another() error {
	return otherHistory("the log is another one than was signed: its first %d records do not give the root %s, whose checkpoint was signed at %s", s.Tree.N, s.Tree.Hash, s.At.UTC().Format(time.RFC3339))
}

// Overtake ends the signing of checkpoints for good: detail tells what another daemon has signed for this log.
func (p *Publisher) Overtake(detail string) {
	p.state.end(&audit.Error{Kind: ErrOvertaken, Detail: detail, Advice: overtakenAdvice}, p.opts.OnState)
}
