package auditor

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// What Consistent finds. All of them say that the log showed one past to one and another to another.
var (
	// ErrFork: there are two trees of one size.
	ErrFork = errors.New("there are two different trees of the same size")
	// ErrRollback: the newer tree is smaller than the older one.
	ErrRollback = errors.New("the log has become shorter")
	// ErrRewritten: the older tree is not the beginning of the newer one.
	ErrRewritten = errors.New("the log was rewritten")
)

// Consistent checks that the tree newer begins with all that older holds, by the tiles of a source. The source may lie:
// what it gives has to lead to both roots. An error that is none of the above is about the source.
func Consistent(ctx context.Context, from Source, newer, older tlog.Tree) error {
	switch {
	case older.N > newer.N:
		return fmt.Errorf("%w: from %d records to %d", ErrRollback, older.N, newer.N)
	case older.N == newer.N && older.Hash != newer.Hash:
		return fmt.Errorf("%w, of %d records: one has the root %s, the other %s", ErrFork, older.N, older.Hash, newer.Hash)
	case older.N == newer.N || older.N == 0:
		return nil
	}
	proof, err := tlog.ProveTree(newer.N, older.N, hashesOf(ctx, newer, from))
	if err != nil {
		return fmt.Errorf("no proof from %d to %d records: %w", older.N, newer.N, err)
	}
	if tree.CheckTree(proof, newer, older) != nil {
		return fmt.Errorf("%w: the tree of %d records with the root %s does not begin with the tree of %d records with the root %s",
			ErrRewritten, newer.N, newer.Hash, older.N, older.Hash)
	}
	return nil
}

// IsInconsistent says whether an error of Consistent is a finding about the log, and not one about reading it.
func IsInconsistent(err error) bool {
	return errors.Is(err, ErrFork) || errors.Is(err, ErrRollback) || errors.Is(err, ErrRewritten) || errors.Is(err, ErrTiles)
}
