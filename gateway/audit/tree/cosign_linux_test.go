package tree

import (
	"os"
	"strings"
	"testing"
)

// TestCosign: a witness's line comes to the checkpoint that is shown and to receipts made by it, and to no other.
func TestCosign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(w.options())
	w.add(3)
	first := w.covered()
	if c, err := p.Next(t.Context(), 0); err != nil || c.Tree != first.Tree {
		t.Fatal(c, err)
	}
	for _, line := range []string{"— one.example AAAAAAAA\n", "— two.example BBBBBBBB\n"} {
		must(t, p.Cosign(first, line))
	}
	const lines = "— one.example AAAAAAAA\n— two.example BBBBBBBB\n"
	shown, err := os.ReadFile(p.Dir().path(checkpointName))
	must(t, err)
	r, err := p.Receipt(t.Context(), 2)
	must(t, err)
	if !strings.HasSuffix(string(shown), lines) || !strings.HasSuffix(r.Proof, lines) {
		t.Errorf("%s\n%s", shown, r.Proof)
	}
	if _, _, err := r.Verify(w.keys()...); err != nil {
		t.Error(err)
	}
	w.add(1)
	second := w.covered()
	must(t, p.Cosign(first, "— three.example CCCCCCCC\n")) // too late
	if shown, err = os.ReadFile(p.Dir().path(checkpointName)); err != nil || string(shown) != string(second.Text) {
		t.Errorf("%s, %v", shown, err)
	}
}
