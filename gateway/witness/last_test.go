package witness

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// hanging is a place that never answers.
type hanging struct{}

func (hanging) Name() string { return "hanging" }
func (hanging) push(context.Context, tree.Checkpoint, Prover) (string, error) {
	select {}
}

// TestLast: a checkpoint that comes after the end of Run leaves the machine, too, and nobody waits for a place that hangs.
func TestLast(t *testing.T) {
	t.Parallel()
	g := newGrowing(t)
	f := &File{Path: filepath.Join(t.TempDir(), "checkpoint"), Keys: func() []note.Verifier { return g.keys }}
	p := New(Options{Files: []*File{f}, Prove: g.prove, OnState: func(string, error) {}})
	c := g.grow(100, "a")
	if err := p.Last(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(f.Path); err != nil || string(got) != string(c.Text) || p.States()[0].Size != 100 {
		t.Fatal(string(got), err)
	}
	p = New(Options{Prove: g.prove})
	p.add(hanging{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c = g.grow(1, "a")
	if err := p.Last(ctx, c); err == nil || !strings.Contains(err.Error(), "hanging: context canceled") {
		t.Fatal(err)
	}
}
