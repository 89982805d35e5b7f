package witness

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hsmgate/hsmgate/gateway/audit/tree"
)

// TestFile: the newest checkpoint and all of them, whatever a crash has left.
func TestFile(t *testing.T) {
	t.Parallel()
	g, h := newGrowing(t), &heard{}
	f := &File{Path: filepath.Join(t.TempDir(), "checkpoint"), Keys: func() []note.Verifier { return g.keys }}
	p := startPusher(t, g, h, nil, []*File{f})
	var all []string
	for i := range 3 {
		c := g.grow(100, "a")
		p.Published(c)
		all = append(all, string(c.Text))
		eventually(t, "it is there", func() bool { return p.States()[0].Size == c.Tree.N })
		if got, err := os.ReadFile(f.Path); err != nil || string(got) != string(c.Text) {
			t.Errorf("%q, %v", got, err)
		}
		if i == 1 { // a crash in the middle of a line
			append0(t, f.Path+historySuffix, `{"time":"2026-01-01T00:00:00Z","checkpo`)
		}
	}
	if got := historyOf(t, f); !slices.Equal(got, all) {
		t.Errorf("the history is\n%q", got)
	}
}

// TestFileIsBounded: the history is thinned out, with the newest checkpoints and the first one in it, and in a place that
// does not allow that it grows.
func TestFileIsBounded(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"may be replaced": "checkpoint", "may only grow": strings.Repeat("c", 245)} { // with no room for the name of another
		t.Run(name, func(t *testing.T) {
			g := newGrowing(t)
			f := &File{Path: filepath.Join(t.TempDir(), file), Keys: func() []note.Verifier { return g.keys }, maxHistory: 4000}
			var all []string
			for range 60 {
				c := g.grow(1, "a")
				all = append(all, string(c.Text))
				if err := f.remember(c); err != nil {
					t.Fatal(err)
				}
			}
			got := historyOf(t, f)
			if file != "checkpoint" {
				if !slices.Equal(got, all) {
					t.Errorf("%d of %d checkpoints", len(got), len(all))
				}
				return
			}
			info, err := os.Stat(f.Path + historySuffix)
			if err != nil || info.Size() > 4000 || info.Mode().Perm() != 0o644 {
				t.Error(info, err)
			}
			if len(got) < 8 || got[0] != all[0] || !slices.Equal(got[len(got)-4:], all[len(all)-4:]) {
				t.Errorf("%d checkpoints are left", len(got))
			}
			rest := all
			for _, text := range got { // in their order
				at := slices.Index(rest, text)
				if at < 0 {
					t.Fatalf("%q is in the history", text)
				}
				rest = rest[at+1:]
			}
		})
	}
}

func historyOf(t *testing.T, f *File) (all []string) {
	t.Helper()
	text, err := os.ReadFile(f.Path + historySuffix)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var p tree.Published
		if json.Unmarshal([]byte(line), &p) == nil {
			all = append(all, p.Checkpoint)
		}
	}
	return all
}

func append0(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFileFindsOut: what lies there and is not the beginning of this log is told and stays.
func TestFileFindsOut(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*growing) tree.Checkpoint{
		"put back": func(g *growing) tree.Checkpoint { g.cut(60); return g.grow(1, "a") },
		"forked":   func(g *growing) tree.Checkpoint { g.cut(60); return g.grow(40, "b") },
		"rewrote":  func(g *growing) tree.Checkpoint { g.cut(0); return g.grow(200, "b") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGrowing(t)
			f := &File{Path: filepath.Join(t.TempDir(), "checkpoint"), Keys: func() []note.Verifier { return g.keys }}
			old := g.grow(100, "a")
			if _, err := f.push(t.Context(), old, g.prove); err != nil {
				t.Fatal(err)
			}
			if _, err := f.push(t.Context(), change(g), g.prove); !errors.Is(err, ErrInconsistent) {
				t.Errorf("it is %v", err)
			}
			if got, _ := os.ReadFile(f.Path); string(got) != string(old.Text) {
				t.Errorf("it was overwritten: %q", got)
			}
		})
	}
	t.Run("not ours", func(t *testing.T) {
		g := newGrowing(t)
		f := &File{Path: filepath.Join(t.TempDir(), "checkpoint"), Keys: func() []note.Verifier { return g.keys }}
		for _, there := range []string{"a letter", string(newGrowing(t).grow(3, "a").Text)} {
			if err := os.WriteFile(f.Path, []byte(there), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := f.push(t.Context(), g.grow(1, "a"), g.prove); err == nil || !strings.Contains(err.Error(), "left alone") {
				t.Error(err)
			}
			if got, _ := os.ReadFile(f.Path); string(got) != there {
				t.Errorf("it was overwritten: %q", got)
			}
		}
	})
}
