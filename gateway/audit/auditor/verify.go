package auditor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hsmgate/hsmgate/gateway/audit"
	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// Kind says what is wrong with a tree.
type Kind string

// The kinds of problem that VerifyTree tells apart.
const (
	BadCheckpoint Kind = "checkpoint" // it is not signed by the log, or not readable
	Missing       Kind = "missing"    // a checkpoint or tile that has to be there is not
	Rewritten     Kind = "rewritten"  // the records are not those that a checkpoint vouches for
	RolledBack    Kind = "rollback"   // a checkpoint vouches for more records than there are
	BadTile       Kind = "tile"       // a tile is not what the records make
	Damaged       Kind = "chain"      // the chain of the records is broken
	Disordered    Kind = "history"    // the checkpoints that were published do not grow
)

// Problem is one finding.
type Problem struct {
	Kind   Kind   `json:"kind"`
	Size   int64  `json:"size"` // of the tree that it is about
	Detail string `json:"detail"`
}

func (p Problem) String() string { return fmt.Sprintf("tree of %d: %s: %s", p.Size, p.Kind, p.Detail) }

// Saved is a checkpoint that somebody kept.
type Saved struct {
	Name string // where
	tree.Checkpoint
}

// Report is what VerifyTree found.
type Report struct {
	Origin    string    `json:"origin,omitempty"`
	Size      int64     `json:"size"`           // of the tree of the published checkpoint
	Root      string    `json:"root,omitempty"` // base64
	Cosigned  []string  `json:"cosigned,omitempty"`
	Published int       `json:"published"` // checkpoints of the history that the records bear out
	Saved     int       `json:"saved"`     // given checkpoints that they bear out
	Problems  []Problem `json:"problems"`
	Omitted   int       `json:"omitted"`
}

// Good says that nothing is wrong.
func (r *Report) Good() bool { return r.Count() == 0 }

// Count is the number of problems; 0 where there is no report.
func (r *Report) Count() int {
	if r == nil {
		return 0
	}
	return len(r.Problems) + r.Omitted
}

// maxProblems bounds the report.
const maxProblems = 100

// VerifyTree makes the tree of the log at path anew from its records, and compares it with the tiles, the published
// checkpoint, all that were published before, and the saved ones. It needs the same memory whatever the log's length.
// The chain of the records is checked on the way. An error says that something could not be read.
func VerifyTree(path string, trust Trust, saved []Saved) (Report, error) {
	v := &verifier{path: path, dir: tree.DirOf(path), trust: trust, saved: slices.Clone(saved)}
	slices.SortStableFunc(v.saved, func(a, b Saved) int { return int(a.Tree.N - b.Tree.N) })
	err := v.run()
	return v.report, err
}

type verifier struct {
	path   string
	dir    tree.Dir
	trust  Trust
	saved  []Saved // the rest of them, by size
	last   tree.Checkpoint
	past   *history
	report Report
}

func (v *verifier) problem(k Kind, size int64, format string, args ...any) {
	if len(v.report.Problems) >= maxProblems {
		v.report.Omitted++
		return
	}
	v.report.Problems = append(v.report.Problems, Problem{k, size, fmt.Sprintf(format, args...)})
}

func (v *verifier) run() error {
	if err := v.published(); err != nil { // before the records, which may be growing
		return err
	}
	v.past = openHistory(v.dir)
	defer v.past.close()
	r, err := audit.OpenReader(v.path, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	edge := &tree.Edge{}
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, audit.ErrDamaged) {
			v.problem(Damaged, edge.Size(), "the records after number %d cannot be compared: %s", edge.Size(), err)
			return nil
		}
		if err != nil {
			return err
		}
		if edge.Size() == 0 && line.Seq > 1 {
			if edge, err = v.removed(int64(line.Seq) - 1); err != nil {
				return err
			}
		}
		edge.Add(line.Text, v.tile)
		if err := v.at(edge); err != nil {
			return err
		}
	}
	return v.end(edge)
}

// published reads the newest checkpoint.
func (v *verifier) published() error {
	signed, err := os.ReadFile(filepath.Join(string(v.dir), "checkpoint"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.problem(Missing, 0, "there is no checkpoint in %s", v.dir)
		return nil
	case err != nil:
		return err
	}
	c, err := v.trust.Parse(signed)
	if err != nil {
		v.problem(BadCheckpoint, 0, "%s", err)
		return nil
	}
	v.last = c
	v.report.Origin, v.report.Size, v.report.Root = c.Origin, c.Tree.N, c.Tree.Hash.String()
	for _, s := range c.Signed {
		if s.Name != c.Origin {
			v.report.Cosigned = append(v.report.Cosigned, s.Name)
		}
	}
	return nil
}

// removed begins behind the records that retention has removed, with what the tiles say of them. That the published
// checkpoint bears it out is all that can be known of these.
func (v *verifier) removed(size int64) (*tree.Edge, error) {
	edge, err := v.dir.Load(size)
	if err != nil {
		return nil, fmt.Errorf("the first record is number %d, and the tiles of those before it cannot be read: %w", size+1, err)
	}
	before, err := edge.Tree()
	if err != nil {
		return nil, err
	}
	if v.last.Tree.N < size {
		v.problem(Missing, size, "the first record is number %d, and the published checkpoint is of fewer: nothing vouches for those before it", size+1)
		return edge, nil
	}
	v.byTiles("the tiles", before)
	for len(v.saved) > 0 && v.saved[0].Tree.N <= size {
		if v.byTiles(v.saved[0].Name, v.saved[0].Tree) {
			v.report.Saved++
		}
		v.saved = v.saved[1:]
	}
	for {
		p, ok, err := v.past.until(size)
		if err != nil || !ok {
			return edge, err
		}
		v.pastAt(p, p.size, v.byTiles)
	}
}

// byTiles compares a smaller tree with the published one.
func (v *verifier) byTiles(name string, older tlog.Tree) bool {
	err := Consistent(context.Background(), Folder{Tree: v.dir}, v.last.Tree, older)
	if err != nil {
		v.problem(Rewritten, older.N, "%s: %s", name, err)
	}
	return err == nil
}

// tile compares a full tile. Those beyond the published checkpoint may not be written yet.
func (v *verifier) tile(t tlog.Tile, data []byte) {
	end := (t.N + 1) << (height * (t.L + 1))
	if end > v.last.Tree.N {
		return
	}
	there, err := v.dir.ReadTile(t)
	switch {
	case err != nil:
		v.problem(Missing, end, "%s", err)
	case string(there) != string(data):
		v.problem(BadTile, end, "%s is not what the records make", tree.TileName(t))
	}
}

// at compares the tree as it is with every checkpoint of this size.
func (v *verifier) at(edge *tree.Edge) error {
	size := edge.Size()
	if size == v.last.Tree.N {
		v.fits(edge)("the published checkpoint", v.last.Tree)
	}
	for len(v.saved) > 0 && v.saved[0].Tree.N <= size {
		if v.fits(edge)(v.saved[0].Name, v.saved[0].Tree) {
			v.report.Saved++
		}
		v.saved = v.saved[1:]
	}
	for {
		p, ok, err := v.past.until(size)
		if err != nil || !ok {
			return err
		}
		v.pastAt(p, size, v.fits(edge))
	}
}

// fits compares a checkpoint with the tree as it is.
func (v *verifier) fits(edge *tree.Edge) func(name string, c tlog.Tree) bool {
	return func(name string, c tlog.Tree) bool {
		now, err := edge.Tree()
		if err == nil && now == c {
			return true
		}
		v.problem(Rewritten, c.N, "%s vouches for the root %s, and the records make %s", name, c.Hash, now.Hash)
		return false
	}
}

// pastAt judges a checkpoint of the history, which has to be of size records.
func (v *verifier) pastAt(p pastCheckpoint, size int64, fits func(string, tlog.Tree) bool) {
	name := fmt.Sprintf("checkpoint %d of the history", p.number)
	c, err := v.trust.Parse(p.text)
	switch {
	case err != nil:
		v.problem(BadCheckpoint, p.size, "%s: %s", name, err)
	case c.Tree.N < size:
		v.problem(Disordered, c.Tree.N, "%s comes after one of %d records", name, size)
	case fits(name, c.Tree):
		v.report.Published++
	}
}

// end judges what is left: checkpoints of more records than there are, and the part of the tree that is not full.
func (v *verifier) end(edge *tree.Edge) error {
	size := edge.Size()
	beyond := func(name string, n int64) {
		v.problem(RolledBack, n, "%s vouches for %d records, and the log ends after %d: it was cut, or put back from an older copy", name, n, size)
	}
	for _, s := range v.saved {
		beyond(s.Name, s.Tree.N)
	}
	if v.last.Tree.N > size {
		beyond("the published checkpoint", v.last.Tree.N)
	}
	for {
		p, ok, err := v.past.until(v.last.Tree.N) // one that is younger may have been published meanwhile
		if err != nil || !ok {
			break
		}
		beyond(fmt.Sprintf("checkpoint %d of the history", p.number), p.size)
	}
	if v.last.Tree.N == 0 || v.last.Tree.N > size {
		return nil
	}
	part, err := v.dir.Load(v.last.Tree.N)
	if err != nil {
		v.problem(Missing, v.last.Tree.N, "%s", err)
		return nil
	}
	if t, err := part.Tree(); err != nil || t != v.last.Tree {
		v.problem(BadTile, v.last.Tree.N, "the tiles do not make the root of the published checkpoint")
	}
	return nil
}
