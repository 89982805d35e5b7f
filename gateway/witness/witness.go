package witness

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Witness is a place that cosigns.
type Witness struct {
	URL  string        // submission prefix, without a slash at its end
	Key  note.Verifier // pinned: ParseKey
	HTTP *http.Client

	known int64 // size of the last tree that it has cosigned, as far as we know
}

// Name is the name of the witness's key.
func (w *Witness) Name() string { return w.Key.Name() }

// conflicts is how often in a row a witness may say that it knows another size. It changes when somebody else pushes, too.
const conflicts = 3

// push has a checkpoint cosigned. What size to begin with, the witness itself says.
func (w *Witness) push(ctx context.Context, c tree.Checkpoint, prove Prover) (string, error) {
	var last error
	for range conflicts {
		if w.known > c.Tree.N {
			known := w.known
			w.known = 0 // it is asked again, should it have been mistaken
			return "", fmt.Errorf("%w: it has cosigned a tree of %d records, and this one has %d", ErrInconsistent, known, c.Tree.N)
		}
		var proof tlog.TreeProof
		if w.known > 0 {
			var err error
			if proof, err = prove(c.Tree, tlog.Tree{N: w.known}); err != nil {
				return "", fmt.Errorf("the proof from %d to %d records: %w", w.known, c.Tree.N, err)
			}
		}
		line, err := w.add(ctx, w.known, proof, c.Text)
		var conflict *ConflictError
		switch {
		case err == nil:
			w.known = c.Tree.N
			return line, nil
		case !errors.As(err, &conflict):
			return "", err
		case conflict.Size == w.known && w.known == c.Tree.N:
			return "", fmt.Errorf("%w: it has cosigned another tree of %d records", ErrInconsistent, w.known)
		}
		w.known, last = conflict.Size, err
	}
	return "", last
}
