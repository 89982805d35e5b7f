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
	BadCut        Kind = "cut"        // the log's key has not signed for the records that retention has removed
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
	Published int       `json:"published"`         // checkpoints of the history that the records bear out
	Saved     int       `json:"saved"`             // given checkpoints that they bear out
	Removed   uint64    `json:"removed,omitempty"` // last record that retention has removed, if the log's key has signed for it
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
	for tries := 3; ; tries-- {
		v := &verifier{path: path, dir: tree.DirOf(path), trust: trust, saved: slices.Clone(saved)}
		slices.SortStableFunc(v.saved, func(a, b Saved) int { return int(a.Tree.N - b.Tree.N) })
		cut, _ := audit.ReadCut(path)
		err := v.run()
		if now, _ := audit.ReadCut(path); tries == 1 || now.Last == cut.Last { // retention has removed nothing meanwhile
			return v.report, err
		}
	}
}

type verifier struct {
	path    string
	dir     tree.Dir
	trust   Trust
	saved   []Saved // the rest of them, by size
	last    tree.Checkpoint
	strange bool // the key of the published checkpoint is not known, so that it says nothing
	past    *history
	report  Report
}

func (v *verifier) problem(k Kind, size int64, format string, args ...any) {
	if len(v.report.Problems) >= maxProblems {
		v.report.Omitted++
		return
	}
	v.report.Problems = append(v.report.Problems, Problem{k, size, fmt.Sprintf(format, args...)})
}

func (v *verifier) run() error {
	sealed, err := v.cut() // its checkpoint is no younger than the published one
	if err != nil {
		return err
	}
	if err := v.published(); err != nil { // before the records, which may be growing
		return err
	}
	if v.strange { // which is why the cut is of an unknown key, too
		v.report.Problems = slices.DeleteFunc(v.report.Problems, func(p Problem) bool { return p.Kind == BadCut })
		return nil
	}
	if sealed.N > 0 {
		v.covered("the cut", sealed)
	}
	v.past = openHistory(v.dir)
	defer v.past.close()
	edge := &tree.Edge{}
	r, err := audit.OpenReader(v.path, 0)
	if errors.Is(err, audit.ErrDamaged) {
		v.problem(Damaged, 0, "the records cannot be compared: %s", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // read only
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
			if edge, err = v.removed(int64(line.Seq) - 1); err != nil || edge == nil {
				return err
			}
		}
		edge.Add(line.Text, v.tile)
		if err := v.at(edge); err != nil {
			return err
		}
	}
	if cut, err := audit.ReadCut(v.path); err == nil && edge.Size() == 0 { // no record has come since
		if edge, err = v.removed(int64(cut.Last.Seq)); err != nil || edge == nil {
			return err
		}
	}
	return v.end(edge)
}

// cut checks what the log's key has signed for the records that retention has removed, and gives the tree that holds them.
func (v *verifier) cut() (tlog.Tree, error) {
	cut, err := audit.ReadCut(v.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return tlog.Tree{}, nil
	case errors.Is(err, audit.ErrDamaged):
		v.problem(BadCut, 0, "%s", err)
		return tlog.Tree{}, nil
	case err != nil:
		return tlog.Tree{}, err
	}
	c, err := tree.CheckCut(cut, v.trust.keys()...)
	if err == nil {
		err = v.trust.own(c)
	}
	if err != nil {
		v.problem(BadCut, int64(cut.Last.Seq), "the records up to number %d are gone, and the log's key has not signed for that: %s", cut.Last.Seq, err)
		return tlog.Tree{}, nil
	}
	v.report.Removed = cut.Last.Seq
	return c.Tree, nil
}

// covered compares an older tree with the published one.
func (v *verifier) covered(name string, t tlog.Tree) {
	if t.N > v.last.Tree.N {
		v.problem(RolledBack, t.N, "%s vouches for %d records, and the published checkpoint for %d", name, t.N, v.last.Tree.N)
		return
	}
	v.byTiles(name, t)
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
	if v.strange = errors.Is(err, tree.ErrUnknownKey); v.strange {
		v.problem(BadCheckpoint, 0, "%s: nothing was compared with it; 'hsmgate audit key' prints all keys of a log whose key was changed", err)
		return nil
	}
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

// removed begins behind the records that retention has removed, with what the tiles of the published checkpoint say of
// them. That it bears them out is all that can be known of these; nil: it does not, and there is nothing to begin with.
func (v *verifier) removed(size int64) (*tree.Edge, error) {
	if v.last.Tree.N < size {
		v.problem(Missing, size, "the first record is number %d, and there is no published checkpoint of so many: nothing vouches for those before it", size+1)
		return nil, nil
	}
	edge, err := v.dir.LoadFrom(v.last.Tree.N, size)
	if err != nil {
		v.problem(Missing, size, "the first record is number %d, and the tiles of those before it cannot be read: %s", size+1, err)
		return nil, nil
	}
	before, err := edge.Tree()
	if err != nil {
		return nil, err
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
