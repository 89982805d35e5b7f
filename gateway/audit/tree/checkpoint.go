package tree

import (
	"errors"
	"fmt"
	"os"

	formats "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxCheckpoint bounds what is read as one: three lines and 16 signatures.
const maxCheckpoint = 128 << 10

// Checkpoint is a signed head of the tree.
type Checkpoint struct {
	Origin string
	Tree   tlog.Tree
	Text   []byte           // the signed note
	Signed []note.Signature // those of its signatures whose keys were known; all of them are good
}

// text is what is signed.
func text(origin string, t tlog.Tree) string {
	return string(formats.Checkpoint{Origin: origin, Size: uint64(t.N), Hash: t.Hash[:]}.Marshal())
}

// SignCheckpoint signs the head of a tree. The caller vouches for its consistency with all that was signed before.
func SignCheckpoint(origin string, t tlog.Tree, s note.Signer) (Checkpoint, error) {
	signed, err := note.Sign(&note.Note{Text: text(origin, t)}, s)
	return Checkpoint{Origin: origin, Tree: t, Text: signed}, err
}

// ParseCheckpoint reads a checkpoint that one of the log's keys has signed. The keys' names are the log's origin; keys
// with other names are those of witnesses, whose signatures are checked and told, but do not suffice.
func ParseCheckpoint(signed []byte, keys ...note.Verifier) (Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("the checkpoint has %d bytes: %d are the most", len(signed), maxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(keys...))
	var unknown *note.UnverifiedNoteError
	if errors.As(err, &unknown) {
		return Checkpoint{}, errors.New("the checkpoint is not signed by a key that is known here" + signers(unknown.Note.UnverifiedSigs))
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the checkpoint is not good: %w", err)
	}
	origin, t, err := parseText(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	for _, s := range n.Sigs {
		if s.Name == origin {
			return Checkpoint{Origin: origin, Tree: t, Text: signed, Signed: n.Sigs}, nil
		}
	}
	return Checkpoint{}, fmt.Errorf("the checkpoint of %q is not signed by a key of that name that is known here", origin)
}

// parseText reads what is signed, in the one form that we write.
func parseText(s string) (origin string, t tlog.Tree, err error) {
	var c formats.Checkpoint
	rest, err := c.Unmarshal([]byte(s))
	if err == nil && (len(c.Hash) != tlog.HashSize || len(rest) > 0 || int64(c.Size) < 0 || string(c.Marshal()) != s) {
		err = errors.New("it should have three lines: origin, size and root hash")
	}
	if err != nil {
		return "", t, fmt.Errorf("the text of the checkpoint is not good: %w", err)
	}
	return c.Origin, tlog.Tree{N: int64(c.Size), Hash: tlog.Hash(c.Hash)}, nil
}

// signers tells whose signatures there are.
func signers(sigs []note.Signature) string {
	s := ""
	for i, sig := range sigs {
		if i == 4 {
			return s + " …"
		}
		if s == "" {
			s = "; it is signed by"
		}
		s += fmt.Sprintf(" %s+%08x", sig.Name, sig.Hash)
	}
	return s
}

// Checkpoint reads the newest checkpoint. The error is fs.ErrNotExist where none was published.
func (d Dir) Checkpoint(keys ...note.Verifier) (Checkpoint, error) {
	signed, err := os.ReadFile(d.path(checkpointName))
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := ParseCheckpoint(signed, keys...)
	if err != nil {
		err = fmt.Errorf("%s: %w", d.path(checkpointName), err)
	}
	return c, err
}
